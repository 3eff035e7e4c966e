//! `copa generate-docs`: writes the reference documentation, and removes pages of it that are no more.

use crate::{args::GenerateDocsArgs, error::Failure, output, reference_docs, ui::text::printable};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// Folders that hold nothing but generated files.
const FOLDERS: [&str; 2] = ["man", "completions"];

/// Writes the files that differ.
pub fn run(args: &GenerateDocsArgs) -> Result<(), Failure> {
    let failed = |e: io::Error| {
        let shown = args.dir.to_string_lossy();
        Failure::internal(format!("cannot write documentation to {}", printable(&shown)))
            .because(e.to_string())
    };
    let files = reference_docs::files().map_err(failed)?;
    for folder in FOLDERS {
        fs::create_dir_all(args.dir.join(folder)).map_err(failed)?;
    }
    for (name, content) in &files {
        let path = args.dir.join(name);
        if fs::read(&path).ok().as_ref() != Some(content) {
            output::write(&path, content)?;
        }
    }
    let known: BTreeSet<PathBuf> = files.into_keys().collect();
    FOLDERS.iter().try_for_each(|folder| remove_others(&args.dir, folder, &known)).map_err(failed)
}

fn remove_others(dir: &Path, folder: &str, known: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir.join(folder))? {
        let entry = entry?;
        if !known.contains(&Path::new(folder).join(entry.file_name())) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
