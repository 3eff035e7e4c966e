//! Tables of the documentation whose cells are filled by running tests of the suite `e2e`.

use crate::failure::Failure;
use crate::run_tests::{self, build, one::Outcome, one::Test};
use crate::setup;
use std::fs;
use testkit::workspace;

/// What the arguments of such a command ask for.
pub struct Request {
    check: bool,
    filters: Vec<String>,
}

impl Request {
    /// `[--check] [FILTER...]`.
    pub fn of(arguments: &[String]) -> Result<Request, Failure> {
        let (flags, filters): (Vec<&String>, Vec<&String>) =
            arguments.iter().partition(|argument| argument.starts_with('-'));
        if let Some(unknown) = flags.iter().find(|flag| *flag != &"--check") {
            return Err(Failure::argument(unknown));
        }
        Ok(Request { check: !flags.is_empty(), filters: filters.into_iter().cloned().collect() })
    }

    /// Writes the text of a file below the workspace, or sees that it is the one that is written; of a part of the tests neither.
    pub fn settle(&self, file: &str, command: &str, text: &str) -> Result<(), Failure> {
        if !self.filters.is_empty() {
            return Ok(());
        }
        let path = workspace::root().join(file);
        let is_fresh = fs::read_to_string(&path).is_ok_and(|written| written == text);
        match (is_fresh, self.check) {
            (true, _) => Ok(()),
            (false, true) => Err(Failure::new(format!("{file} is stale; run `cargo xtask {command}`"))),
            (false, false) => {
                println!("{file}: written");
                fs::write(&path, text).map_err(Failure::file(&path))
            }
        }
    }
}

/// Runs the tests whose names begin with `prefix` and that are asked for.
pub fn outcomes(prefix: &str, request: &Request) -> Result<Vec<Outcome>, Failure> {
    setup::ensure()?;
    let built = build::build(&["--package", "cli", "--test", "e2e"])?;
    let filters = &request.filters;
    let mut tests = Vec::new();
    for binary in &built.binaries {
        let wanted = |name: &String| {
            let cell = name.strip_prefix(prefix);
            cell.is_some_and(|cell| filters.is_empty() || filters.iter().any(|word| cell.contains(word)))
        };
        tests.extend(binary.tests()?.into_iter().filter(wanted).map(|name| Test { binary, name }));
    }
    let outcomes = run_tests::run_all(&tests);
    if outcomes.is_empty() { Err(Failure::new("no test has such a name")) } else { Ok(outcomes) }
}

/// An error that names the tests that failed.
pub fn all_passed(outcomes: &[Outcome]) -> Result<(), Failure> {
    let failed: Vec<&str> = outcomes.iter().filter(|o| o.failed > 0).map(|o| o.name.as_str()).collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(format!("failed: {}", failed.join(", ")))) }
}

/// What a table says of one test.
pub fn word(outcome: &Outcome) -> String {
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
