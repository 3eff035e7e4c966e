//! The matrix: every family by every scenario, each cell filled by running its test.

use crate::failure::Failure;
use crate::run_tests::{self, build, one::Outcome, one::Test};
use crate::{setup, table};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use testkit::workspace;

pub const HELP: &str = "
run every family by every scenario on the real program, and write the table of what works

Usage: cargo xtask matrix [--check] [FILTER...]

The cells are the tests `matrix::FAMILY::SCENARIO` of the suite `e2e`. The table goes to docs/reference/matrix.md; a cell is
`pass`, `stand-in` (it passed, with a stand-in for a program that cannot be had), `skip` with the reason, or `FAIL`.

  --check   write nothing; fail where the table is not the one that is written
  FILTER    only cells whose `FAMILY::SCENARIO` contains one of these words; then the table is only printed
";

/// Where the table is written, below the workspace.
const FILE: &str = "docs/reference/matrix.md";

/// The tests of cells: what their names begin with.
const PREFIX: &str = "matrix::";

/// Scenarios by the names of their tests, and as the table calls them.
const SCENARIOS: [(&str, &str); 8] = [
    ("report", "report"),
    ("no_report", "no report"),
    ("repatch", "re-patch"),
    ("nothing_to_do", "nothing to do"),
    ("held", "held package"),
    ("new_dependency", "new dependency"),
    ("edited_config", "edited config file"),
    ("bad_signature", "bad signature"),
];

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let (flags, filters): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with('-'));
    if let Some(unknown) = flags.iter().find(|flag| *flag != &"--check") {
        return Err(Failure::argument(unknown));
    }
    let outcomes = outcomes(&filters)?;
    let rows = rows(&outcomes);
    table::lines(&plain(&rows)).iter().for_each(|line| println!("{line}"));
    let failed: Vec<&str> = outcomes.iter().filter(|o| o.failed > 0).map(|o| o.name.as_str()).collect();
    if filters.is_empty() {
        settle(&markdown(&rows), !flags.is_empty())?;
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(format!("failed: {}", failed.join(", ")))) }
}

/// Runs the cells.
fn outcomes(filters: &[&String]) -> Result<Vec<Outcome>, Failure> {
    setup::ensure()?;
    let built = build::build(&["--package", "cli", "--test", "e2e"])?;
    let mut tests = Vec::new();
    for binary in &built.binaries {
        let wanted = |name: &String| {
            let cell = name.strip_prefix(PREFIX);
            cell.is_some_and(|cell| filters.is_empty() || filters.iter().any(|word| cell.contains(*word)))
        };
        tests.extend(binary.tests()?.into_iter().filter(wanted).map(|name| Test { binary, name }));
    }
    let outcomes = run_tests::run_all(&tests);
    if outcomes.is_empty() { Err(Failure::new("no cell has such a name")) } else { Ok(outcomes) }
}

/// Writes the table, or sees that it is the one that is written.
fn settle(text: &str, check: bool) -> Result<(), Failure> {
    let path = workspace::root().join(FILE);
    let is_fresh = fs::read_to_string(&path).is_ok_and(|written| written == text);
    match (is_fresh, check) {
        (true, _) => Ok(()),
        (false, true) => Err(Failure::new(format!("{FILE} is stale; run `cargo xtask matrix`"))),
        (false, false) => {
            println!("{FILE}: written");
            fs::write(&path, text).map_err(Failure::file(&path))
        }
    }
}

/// One family.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    family: String,
    strategy: String,
    tool: String,
    held_by: String,
    /// By scenario.
    cells: BTreeMap<String, String>,
}

/// The families, sorted by what they are called.
fn rows(outcomes: &[Outcome]) -> Vec<Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for outcome in outcomes {
        let Some((_, cell)) = outcome.name.split_once(PREFIX) else { continue };
        let Some((module, scenario)) = cell.split_once("::") else { continue };
        let row = rows.entry(module.to_owned()).or_insert_with(|| labelled(module, outcomes));
        row.cells.insert(scenario.to_owned(), word(outcome));
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by(|a, b| a.family.cmp(&b.family));
    rows
}

/// What cells say of their family, in a line `cell: FAMILY | STRATEGY | TOOL | HELD BY`. One that did not begin says nothing.
fn labelled(module: &str, outcomes: &[Outcome]) -> Row {
    let part = format!("::{PREFIX}{module}::");
    let own = outcomes.iter().filter(|outcome| outcome.name.contains(&part));
    let mut lines = own.flat_map(|outcome| outcome.words.lines());
    let line = lines.find_map(|line| line.strip_prefix("cell: ")).unwrap_or(module);
    let mut parts = line.split(" | ").map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Row { family: next(), strategy: next(), tool: next(), held_by: next(), cells: BTreeMap::new() }
}

fn word(outcome: &Outcome) -> String {
    if outcome.failed > 0 {
        "FAIL".to_owned()
    } else if let Some(reason) = outcome.skips.first() {
        format!("skip ({reason})")
    } else if outcome.stood_in() > 0 {
        "stand-in".to_owned()
    } else {
        "pass".to_owned()
    }
}

fn cells(row: &Row) -> impl Iterator<Item = String> + '_ {
    SCENARIOS.iter().map(|(scenario, _)| row.cells.get(*scenario).cloned().unwrap_or_default())
}

/// The table for a terminal.
fn plain(rows: &[Row]) -> Vec<Vec<String>> {
    let head = ["family", "strategy"].into_iter().chain(SCENARIOS.map(|(_, title)| title));
    let row = |row: &Row| [row.family.clone(), row.strategy.clone()].into_iter().chain(cells(row)).collect();
    [head.map(str::to_owned).collect()].into_iter().chain(rows.iter().map(row)).collect()
}

/// The page of the documentation.
fn markdown(rows: &[Row]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let titles = ["family", "strategy", "tool"].into_iter().chain(SCENARIOS.map(|(_, title)| title));
    let titles: Vec<String> = titles.map(str::to_owned).collect();
    let rule = format!("|{}\n", "---|".repeat(titles.len()));
    let row = |row: &Row| {
        let start = [&row.family, &row.strategy, &row.tool].map(String::clone);
        line(start.into_iter().chain(cells(row)).collect())
    };
    let body: String = rows.iter().map(row).collect();
    let ways: BTreeSet<(&str, &str)> =
        rows.iter().map(|row| (row.family.as_str(), row.held_by.as_str())).collect();
    let ways: String = ways.iter().map(|(family, way)| format!("- {family}: {way}\n")).collect();
    format!("{HEAD}{}{rule}{body}\n{NOTES}\n{ways}", line(titles))
}

const HEAD: &str = "<!-- Generated by `cargo xtask matrix`. Do not edit. -->
# Matrix

Families by scenarios, each cell filled by running the program on an image of that family. Strategies: `in-place` (the image's
own package tool), `outside` (the tool of another image), `unpacked` (packages resolved, verified and placed without running
anything). Cells: `pass`; `stand-in` (passed, but a stand-in plays a program that no package registry has); `skip` with the
reason; `FAIL`.

";

const NOTES: &str = "In every cell but the last, the exit code, the result document and its strategy are as expected; every requested package has its
new version and the whole list of installed packages is what the document tells, by a reader that shares no code with the program
(`dpkg-query`, `rpm -qa`, `pacman -Q`, or the testkit's own reader, with `syft` beside it); `dpkg --audit`, `rpm --verify`,
`pacman -Qkk` or recorded checksums find nothing amiss; the original layers are there byte for byte, with exactly one more.

- report: two packages are named; they, what they need, and nothing else change.
- no report: everything newer comes in.
- re-patch: a second patch replaces the layer of the first and has both.
- nothing to do: exit code 0 (20 with `--detailed-exit-code`), and nothing is written.
- held package: it stays at its version and is told; the others are fixed.
- new dependency: a package that a new version needs comes in and is told as new.
- edited config file: it keeps its text.
- bad signature: exit code 7, the cause is named, no tag is moved, nothing is written.

How a package is held:
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn outcome(name: &str, stand_ins: &[&str], skips: &[&str], failed: usize) -> Outcome {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Outcome {
            suite: "e2e",
            name: format!("cli::e2e::matrix::{name}"),
            passed: usize::from(failed == 0 && skips.is_empty()),
            failed,
            skips: own(skips),
            stand_ins: own(stand_ins),
            words: "running 1 test\ncell: Alpine | in-place | apk | the world\n".into(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn outcomes_are_cells_of_their_family() {
        let all = [
            outcome("alpine::report", &["apk"], &[], 0),
            outcome("alpine::held", &[], &["needs root"], 0),
            outcome("alpine::repatch", &[], &[], 1),
            outcome("alpine::no_report", &[], &[], 0),
        ];
        let rows = rows(&all);
        assert_eq!((rows.len(), &rows[0].family[..], &rows[0].held_by[..]), (1, "Alpine", "the world"));
        let cells: Vec<String> = cells(&rows[0]).collect();
        assert_eq!(cells, ["stand-in", "pass", "FAIL", "", "skip (needs root)", "", "", ""]);
        let page = markdown(&rows);
        assert!(page.contains("| Alpine | in-place | apk | stand-in | pass | FAIL |  | skip (needs root) |"));
        assert!(page.ends_with("- Alpine: the world\n"), "{page}");
    }
}
