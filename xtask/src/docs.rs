//! Writes the generated reference (CLI reference, manual pages, completions, schemas), or checks that it is fresh.

use crate::failure::Failure;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use testkit::command::argv;
use testkit::workspace;

pub const HELP: &str = "
write docs/reference from the program itself, or check that it is fresh

Usage: cargo xtask docs [--check]

  --check   write nothing; fail where a file differs from what the program generates
";

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let check = match arguments {
        [] => false,
        [argument] if argument == "--check" => true,
        [argument, ..] => return Err(Failure::argument(argument)),
    };
    let generated = generate()?;
    let target = workspace::root().join("docs/reference");
    let stale: Vec<&PathBuf> = generated
        .iter()
        .filter(|(name, text)| fs::read(target.join(name)).ok().as_ref() != Some(text))
        .map(|(name, _)| name)
        .collect();
    for name in &stale {
        println!(
            "docs/reference/{}: {}",
            name.display(),
            if check { "is not what the program generates" } else { "written" }
        );
    }
    if check {
        let verdict =
            Failure::new("the reference is stale; run `cargo xtask docs` and commit what it writes");
        return if stale.is_empty() { Ok(()) } else { Err(verdict) };
    }
    stale.iter().try_for_each(|name| write(&target.join(name), &generated[*name]))
}

/// What the program generates, by path below the reference.
fn generate() -> Result<BTreeMap<PathBuf, Vec<u8>>, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file("temporary folder"))?;
    let cargo = argv("cargo", ["run", "--quiet", "--package", "cli", "--bin", "copa", "--", "generate-docs"]);
    cargo.arg(folder.path()).folder(&workspace::root()).stdout()?;
    let mut files = BTreeMap::new();
    collect(folder.path(), Path::new(""), &mut files)?;
    if files.is_empty() { Err(Failure::new("`copa generate-docs` wrote nothing")) } else { Ok(files) }
}

fn collect(root: &Path, below: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<(), Failure> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).map_err(Failure::file(&folder))? {
        let entry = entry.map_err(Failure::file(&folder))?;
        let name = below.join(entry.file_name());
        if entry.path().is_dir() {
            collect(root, &name, files)?;
        } else {
            let bytes = fs::read(entry.path()).map_err(Failure::file(entry.path()))?;
            files.insert(name, bytes);
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().expect("a generated file lies in a folder");
    fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    fs::write(path, bytes).map_err(Failure::file(path))
}
