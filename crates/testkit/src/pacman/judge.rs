//! What the real pacman of this machine says about the root of an unpacked image.

use crate::{Error, command::Argv, command::argv};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Name and version of every installed package, by `pacman -Q`.
pub fn installed(root: &Path) -> Result<BTreeMap<String, String>, Error> {
    let listing = asked(root, &["-Q"])?.text()?;
    let pair = |line: &str| line.split_once(' ').map(|(name, version)| (name.to_owned(), version.to_owned()));
    Ok(listing.lines().filter_map(pair).collect())
}

/// What is wrong with files of these packages, by `pacman -Qkk`, a line each; a changed backup file is not wrong.
pub fn broken(root: &Path, packages: &[&str]) -> Result<Vec<String>, Error> {
    let ran = packages.iter().fold(asked(root, &["-Qkk"])?, Argv::arg).output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let is_wrong = |line: &&str| line.starts_with("warning: ") || line.starts_with("error: ");
    Ok(said.lines().filter(is_wrong).map(str::to_owned).collect())
}

/// The program reads no configuration of this machine.
fn asked(root: &Path, words: &[&str]) -> Result<Argv, Error> {
    let root = fs::canonicalize(root).map_err(Error::io(root))?;
    let pacman = argv("pacman", ["--config", "/dev/null", "--root"]).arg(&root).arg("--dbpath");
    let pacman = pacman.arg(root.join("var/lib/pacman")).env("LC_ALL", "C");
    Ok(words.iter().fold(pacman, Argv::arg))
}
