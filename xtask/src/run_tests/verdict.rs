//! Reads what the test harness and tests wrote.

use std::collections::BTreeSet;

/// Reasons of skipping: lines that begin with `skipped: `, and a test that the harness was told to ignore.
pub fn skips(stdout: &str, stderr: &str) -> Vec<String> {
    let lines = stdout.lines().chain(stderr.lines());
    let mut reasons: Vec<String> =
        lines.filter_map(|line| line.strip_prefix("skipped: ")).map(str::to_owned).collect();
    let result = stdout.lines().find(|line| line.starts_with("test result: "));
    if result.is_some_and(|line| line.contains(" 1 ignored;")) {
        reasons.push("it is marked to be ignored".to_owned());
    }
    reasons
}

/// Programs that stand-ins stood in for: lines that begin with `stand-in: `, each once.
pub fn stand_ins(stdout: &str, stderr: &str) -> Vec<String> {
    let lines = stdout.lines().chain(stderr.lines());
    let programs: BTreeSet<&str> = lines.filter_map(|line| line.strip_prefix("stand-in: ")).collect();
    programs.into_iter().map(str::to_owned).collect()
}

/// Sums of passed and failed over all `test result:` lines.
pub fn totals(stdout: &str) -> (usize, usize) {
    let results = stdout.lines().filter_map(|line| line.strip_prefix("test result: "));
    results.fold((0, 0), |(passed, failed), line| {
        (passed + count(line, "passed"), failed + count(line, "failed"))
    })
}

fn count(line: &str, what: &str) -> usize {
    let words: Vec<&str> = line.split([' ', ';', '.']).collect();
    let pair = words.windows(2).find(|pair| pair[1] == what);
    pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_are_lines_of_their_own() {
        assert_eq!(skips("", "skipped: needs root\nnot skipped: no\n"), ["needs root"]);
        let ignored = "test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out";
        assert_eq!(skips(ignored, "").len(), 1);
        assert!(skips("test result: ok. 1 passed; 0 failed; 0 ignored;", "").is_empty());
    }

    #[test]
    fn stand_ins_are_named_once() {
        assert_eq!(
            stand_ins("stand-in: a\n", "stand-in: tdnf\nno stand-in: b\nstand-in: tdnf\n"),
            ["a", "tdnf"]
        );
    }

    #[test]
    fn totals_are_summed() {
        let text = "x\ntest result: ok. 3 passed; 0 failed; 0 ignored;\ntest result: FAILED. 2 passed; 1 failed; 0 ignored;\n";
        assert_eq!(totals(text), (5, 1));
    }
}
