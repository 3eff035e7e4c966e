//! Runs every test in a process of its own and counts what passed, failed and was skipped with its reason.
//!
//! The harness that comes with Rust knows no test that skips itself. Tests here say `skipped: <reason>` on stderr and return;
//! one process a test tells whose words they are, and bounds what a hanging test can do.

pub mod build;
pub mod one;
mod verdict;

use crate::{failure::Failure, setup};
use build::Binary;
use one::{Outcome, Test};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub const HELP: &str = "
bring what tests need, and run them; ends with `N passed, N failed, N skipped` for each suite and for all

Usage: cargo xtask test [--quick] [FILTER...]

Every test runs in a process of its own, as many at a time as there are cores. A test that cannot run on this machine prints
`skipped: <reason>`; it counts as skipped and not as passed, and the reasons are listed. A test with a stand-in for a program that
cannot be had prints `stand-in: <program>`; of those that passed it is told how many had one, and for what. Suites: `rooms` (unit and integration
tests of the crates), `cli` (the command line), `e2e` (whole runs on real images), `docs` (examples in the documentation).

  --quick   leave out the suites `e2e` and `docs`
  FILTER    only tests whose `suite crate::test` contains one of these words
";

/// In the order they are told.
const SUITES: [&str; 4] = ["rooms", "cli", "e2e", "docs"];

/// What the arguments ask for.
struct Request {
    quick: bool,
    filters: Vec<String>,
}

impl Request {
    fn wants(&self, suite: &str, name: &str) -> bool {
        let left_out = self.quick && (suite == "e2e" || suite == "docs");
        let full = format!("{suite} {name}");
        !left_out && (self.filters.is_empty() || self.filters.iter().any(|filter| full.contains(filter)))
    }
}

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let request = request(arguments)?;
    setup::ensure()?;
    let built = build::build(&["--workspace"])?;
    let mut tests = Vec::new();
    for binary in &built.binaries {
        let listed = binary.tests()?;
        tests.extend(
            listed
                .into_iter()
                .map(|name| Test { binary, name })
                .filter(|test| request.wants(binary.suite, &test.full_name())),
        );
    }
    let mut outcomes = run_all(&tests);
    if request.wants("docs", "examples") {
        outcomes.push(one::documentation()?);
    }
    if outcomes.is_empty() {
        return Err(Failure::new("no test has such a name"));
    }
    report(&outcomes)
}

fn request(arguments: &[String]) -> Result<Request, Failure> {
    let (flags, filters): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with('-'));
    if let Some(unknown) = flags.iter().find(|flag| *flag != &"--quick") {
        return Err(Failure::argument(unknown));
    }
    Ok(Request { quick: !flags.is_empty(), filters: filters.into_iter().cloned().collect() })
}

/// Runs tests side by side. Order of the list is order of starting, so that whole runs, which are the longest, come first.
pub fn run_all(tests: &[Test<'_>]) -> Vec<Outcome> {
    let mut order: Vec<&Test<'_>> = tests.iter().collect();
    order.sort_by_key(|test| (test.binary.suite != "e2e", test.binary.suite != "cli"));
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(test) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = one::run(test);
                    tell(&outcome);
                    outcomes.lock().expect("no test runner panics").push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().expect("no test runner panics")
}

/// What is worth a line at once: failures with their words, and what was slow.
fn tell(outcome: &Outcome) {
    const SLOW: Duration = Duration::from_secs(10);
    if outcome.failed > 0 {
        println!(
            "FAILED {} ({:.1} s)\n{}",
            outcome.name,
            outcome.took.as_secs_f64(),
            outcome.words.trim_end()
        );
    } else if outcome.took > SLOW {
        println!("slow: {} took {:.1} s", outcome.name, outcome.took.as_secs_f64());
    }
}

fn report(outcomes: &[Outcome]) -> Result<(), Failure> {
    print_reasons(outcomes);
    print_failures(outcomes);
    for suite in SUITES {
        let of_suite: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.suite == suite).collect();
        if !of_suite.is_empty() {
            println!("{suite}: {}", Totals::of(of_suite));
        }
    }
    let all = Totals::of(outcomes);
    println!("{all}");
    if all.failed > 0 { Err(Failure::new(format!("{} failed", all.failed))) } else { Ok(()) }
}

/// How many tests ended in which way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: usize,
    /// Of the passed, those with a stand-in for a program.
    stood_in: usize,
    failed: usize,
    skipped: usize,
}

impl Totals {
    fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Totals {
        outcomes.into_iter().fold(Totals::default(), |totals, outcome| Totals {
            passed: totals.passed + outcome.passed,
            stood_in: totals.stood_in + outcome.stood_in(),
            failed: totals.failed + outcome.failed,
            skipped: totals.skipped + outcome.skipped(),
        })
    }
}

impl Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { passed, stood_in, failed, skipped } = self;
        let stood_in = if *stood_in > 0 { format!(" ({stood_in} with stand-ins)") } else { String::new() };
        write!(f, "{passed} passed{stood_in}, {failed} failed, {skipped} skipped")
    }
}

/// Why tests were skipped, and what stand-ins stood in for.
fn print_reasons(outcomes: &[Outcome]) {
    type Words = fn(&Outcome) -> &[String];
    let kinds: [(&str, Words); 2] =
        [("skipped", |outcome| &outcome.skips), ("stand-in", |outcome| &outcome.stand_ins)];
    for (kind, words) in kinds {
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for outcome in outcomes {
            words(outcome).iter().for_each(|word| reasons.entry(word).or_default().push(&outcome.name));
        }
        for (reason, names) in reasons {
            println!("{kind}: {reason}: {}", names.join(", "));
        }
    }
}

fn print_failures(outcomes: &[Outcome]) {
    let failed: Vec<&str> =
        outcomes.iter().filter(|outcome| outcome.failed > 0).map(|outcome| outcome.name.as_str()).collect();
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
}

/// The suite of a test binary.
fn suite_of(binary: &Binary) -> &'static str {
    if binary.target.starts_with("e2e") {
        "e2e"
    } else if binary.package == "cli" {
        "cli"
    } else {
        "rooms"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_with_a_stand_in_is_told_apart() {
        let outcome = |passed, stand_ins: &[&str], skips: &[&str]| Outcome {
            suite: "e2e",
            name: "a".into(),
            passed,
            failed: 0,
            skips: skips.iter().map(|word| (*word).to_owned()).collect(),
            stand_ins: stand_ins.iter().map(|word| (*word).to_owned()).collect(),
            words: String::new(),
            took: Duration::ZERO,
        };
        let all = [outcome(1, &[], &[]), outcome(1, &["apk"], &[]), outcome(0, &["apk"], &["needs root"])];
        assert_eq!(Totals::of(&all).to_string(), "2 passed (1 with stand-ins), 0 failed, 1 skipped");
        assert_eq!(Totals::of(&all[..1]).to_string(), "1 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn filters_and_quick_choose() {
        let arguments = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let wants =
            |words: &[&str], suite: &str, name: &str| request(&arguments(words)).unwrap().wants(suite, name);
        assert!(wants(&[], "rooms", "oci::a") && wants(&[], "e2e", "cli::b"));
        assert!(!wants(&["--quick"], "e2e", "cli::b") && !wants(&["--quick"], "docs", "examples"));
        assert!(wants(&["oci", "layer"], "rooms", "oci::a") && !wants(&["layer"], "rooms", "oci::a"));
        assert!(wants(&["e2e"], "e2e", "cli::b"));
        assert!(request(&arguments(&["--slow"])).is_err());
    }
}
