//! Adds to the advisories of the test material what Debian has fixed since.

use crate::failure::Failure;
use serde_json::Value;
use std::fs;
use testkit::{changelogs, debian_root::Suite, workspace};

pub const HELP: &str = "
add to the test scanner's advisories what Debian's updates fix today

Usage: cargo xtask advisories

Makes the vulnerable images, downloads their updates from this machine's own mirror, reads the changelogs, and adds what is new
to crates/testkit/fixtures/advisories.json. Nothing is taken out.
";

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    if let Some(argument) = arguments.first() {
        return Err(Failure::argument(argument));
    }
    let path = workspace::root().join("crates/testkit/fixtures/advisories.json");
    let text = fs::read(&path).map_err(Failure::file(&path))?;
    let mut document: Value = serde_json::from_slice(&text).map_err(Failure::new)?;
    for suite in Suite::ALL {
        let added = changelogs::refresh(&mut document, suite)?;
        println!("{}: {added} added", suite.name());
    }
    document.sort_all_objects();
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(&document, &mut serializer).map_err(Failure::new)?;
    text.push(b'\n');
    fs::write(&path, text).map_err(Failure::file(&path))
}
