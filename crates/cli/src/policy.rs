//! Flags on what to patch made into the policy of the plan; lists of vulnerabilities that are let be.

use crate::{
    args::{PackageArgs, SubjectArgs},
    error::Failure,
    settings::bounded,
    ui::text::printable,
};
use plan::{Pattern, Policy};
use std::{collections::BTreeMap, path::Path};

/// Largest list of vulnerabilities; a long one has a few hundred lines.
const IGNORE_BYTES_MAX: u64 = 4 << 20;
/// Longest id and reason of a line.
const LINE_BYTES_MAX: usize = 1024;

/// The policy. `now` is in seconds since 1970: lines of ignore files may end on a day.
pub fn policy(subject: &SubjectArgs, packages: &PackageArgs, now: i64) -> Result<Policy, Failure> {
    let mut ignore = match &packages.ignore_file {
        Some(path) => ignored(path, now)?,
        None => BTreeMap::new(),
    };
    for id in &packages.ignore {
        ignore.insert(id.trim().to_owned(), "ignored on the command line".to_owned());
    }
    let severity = |word: &String| {
        word.parse().map_err(|error: plan::SeverityError| {
            Failure::usage(format!("--min-severity {} is no severity", printable(word)))
                .hint(error.to_string())
        })
    };
    Ok(Policy {
        allow_mismatch: subject.allow_mismatch,
        ignore_errors: subject.ignore_errors,
        allow_removals: packages.allow_removals,
        security_only: packages.security_only,
        skip_scripts: packages.skip_scripts,
        include: patterns("--include", &packages.include)?,
        exclude: patterns("--exclude", &packages.exclude)?,
        ignore,
        min_severity: packages.min_severity.as_ref().map(severity).transpose()?,
    })
}

fn patterns(flag: &str, texts: &[String]) -> Result<Vec<Pattern>, Failure> {
    let pattern = |text: &String| {
        let refused = |error: plan::PatternError| {
            Failure::usage(format!("{flag} takes names of packages")).because(error.to_string())
        };
        text.parse().map_err(refused)
    };
    texts.iter().map(pattern).collect()
}

fn ignored(path: &Path, now: i64) -> Result<BTreeMap<String, String>, Failure> {
    let shown = path.to_string_lossy();
    let shown = printable(&shown);
    let refused = |why: String| Failure::usage(format!("cannot use the ignore file {shown}")).because(why);
    let bytes = bounded(path, IGNORE_BYTES_MAX).map_err(|error| refused(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| refused("not UTF-8 text".to_owned()))?;
    parse(&text, now).map_err(refused)
}

/// Lines of `ID [exp:YYYY-MM-DD] [# why]`, the form of Trivy's ignore files.
fn parse(text: &str, now: i64) -> Result<BTreeMap<String, String>, String> {
    let mut ignore = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("line {number} is too long"));
        }
        let (entry, why) = line.split_once('#').unwrap_or((line, ""));
        let mut words = entry.split_whitespace();
        let Some(id) = words.next() else { continue };
        let mut ended = false;
        for word in words {
            let day = word.strip_prefix("exp:").ok_or(format!("line {number}: more than an id"))?;
            let day: jiff::civil::Date =
                day.parse().map_err(|_| format!("line {number}: exp: wants a day as 2027-01-31"))?;
            let today = jiff::Timestamp::from_second(now).unwrap_or(jiff::Timestamp::MAX);
            ended |= today.to_zoned(jiff::tz::TimeZone::UTC).date() > day;
        }
        if !ended {
            let why = if why.trim().is_empty() { "in the ignore file" } else { why.trim() };
            ignore.insert(id.to_owned(), format!("ignored: {}", printable(why)));
        }
    }
    Ok(ignore)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-02, noon.
    const NOW: i64 = 1_767_355_200;

    #[test]
    fn ignore_files_name_ids_with_their_reason_and_their_end() {
        let text =
            "# all\nCVE-1\n\nCVE-2 # not reachable\nCVE-3 exp:2026-01-02\nCVE-4 exp:2026-01-01 # over\n";
        let ignore = parse(text, NOW).unwrap();
        let lines: Vec<_> = ignore.iter().map(|(id, why)| format!("{id} {why}")).collect();
        assert_eq!(
            lines,
            [
                "CVE-1 ignored: in the ignore file",
                "CVE-2 ignored: not reachable",
                "CVE-3 ignored: in the ignore file",
            ]
        );
    }

    #[test]
    fn lines_that_say_something_else_are_errors() {
        for (text, why) in [
            ("CVE-1 CVE-2", "line 1: more than an id"),
            ("\nCVE-1 exp:soon", "line 2: exp: wants a day as 2027-01-31"),
        ] {
            assert_eq!(parse(text, NOW).unwrap_err(), why);
        }
        assert!(parse(&"x".repeat(LINE_BYTES_MAX + 1), NOW).is_err());
    }
}
