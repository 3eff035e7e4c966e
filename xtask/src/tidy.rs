//! Checks of the whole tree that no compiler makes. Each finding names the place, what is wrong, and what to do instead.

mod arrows;
mod fixtures;
mod functions;
mod machine;
mod source;
mod words;

use crate::failure::Failure;
use source::File;
use std::fmt;

pub const HELP: &str = "
check the tree: arrows, openings, banned words and calls, lengths, fixtures

Usage: cargo xtask tidy

Every room is in ARCHITECTURE.md and uses only rooms above it; every .rs file opens with `//!`; no shell is started; no file is
named utils, common, helpers, misc or manager; no `unsafe` outside the room for it; nothing unfinished; no path or package
registry of this machine; every fixtures folder says its origin; no function is longer than 70 lines.
";

/// A place that is not tidy.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path in the workspace.
    pub path: String,
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub instead: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, instead: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, what: what.into(), instead: instead.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; instead: {}", self.path, self.line, self.what, self.instead)
    }
}

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    if let Some(argument) = arguments.first() {
        return Err(Failure::argument(argument));
    }
    let files = source::tracked()?;
    let machine = machine::Words::of_this_machine();
    let mut findings = arrows::check(&files)?;
    for file in &files {
        findings.extend(check_file(file));
        findings.extend(machine.check(file));
    }
    findings.extend(fixtures::check(&files));
    findings.sort();
    findings.iter().for_each(|finding| println!("{finding}"));
    println!("{} files, {} findings", files.len(), findings.len());
    if findings.is_empty() { Ok(()) } else { Err(Failure::new(format!("{} findings", findings.len()))) }
}

fn check_file(file: &File) -> Vec<Finding> {
    let mut findings = words::check_name(file);
    if file.is_rust() {
        findings.extend(words::check_opening(file));
        findings.extend(words::check_lines(file));
        findings.extend(functions::check(file));
    }
    findings
}
