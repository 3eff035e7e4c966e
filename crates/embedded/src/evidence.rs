//! Reading back what a recipe wants to know.

use crate::errors;
use engine::{Error, Evidence, Look, add_each_folder, add_evidence};
use layer::{EntryPath, Kind, Tree};

/// Names in one folder that are looked at, whatever their ending; package databases of one file per package stay below.
const NAMES_MAX: usize = 100_000;

/// Everything asked for, as far as it is there.
pub(crate) fn collect(tree: &dyn Tree, looks: &[Look]) -> Result<Evidence, Error> {
    let mut evidence = Evidence::new();
    for look in looks {
        match look {
            Look::File { path, max_bytes } => {
                if let Some(content) = tree.read(&at(path)?, *max_bytes).map_err(errors::of_layer)? {
                    add_evidence(&mut evidence, path.clone(), content).map_err(errors::of_layer)?;
                }
            }
            Look::Folder { path, suffix, max_files, max_bytes } => {
                let limits = Limits { files: *max_files, bytes: *max_bytes };
                folder(tree, path, suffix, limits, &mut evidence)?;
            }
            Look::EachFolder { path, file, max_folders, max_bytes } => {
                add_each_folder(tree, (path, file), (*max_folders, *max_bytes), &mut evidence)
                    .map_err(errors::of_layer)?;
            }
            Look::Exists { path } => {
                if tree.entry(&at(path)?, true).map_err(errors::of_layer)?.is_some() {
                    evidence.insert(path.clone(), Vec::new());
                }
            }
        }
    }
    Ok(evidence)
}

struct Limits {
    files: usize,
    bytes: u64,
}

fn folder(
    tree: &dyn Tree,
    path: &str,
    suffix: &str,
    limits: Limits,
    evidence: &mut Evidence,
) -> Result<(), Error> {
    let here = at(path)?;
    let found = tree.entry(&here, true).map_err(errors::of_layer)?;
    if found.is_none_or(|entry| entry.kind != Kind::Directory) {
        return Ok(());
    }
    let names = tree.list(&here, NAMES_MAX.max(limits.files)).map_err(errors::of_layer)?;
    let mut taken = 0;
    for name in names.iter().filter(|name| name.ends_with(suffix.as_bytes())) {
        let file = here.join(name).map_err(errors::of_layer)?;
        let entry = tree.entry(&file, true).map_err(errors::of_layer)?;
        if !entry.is_some_and(|entry| matches!(entry.kind, Kind::File { .. })) {
            continue;
        }
        taken += 1;
        if taken > limits.files {
            return Err(Error::Limit(format!("more than {} files in {here}", limits.files)));
        }
        let readable = std::str::from_utf8(name);
        let name =
            readable.map_err(|_| Error::Image { item: file.to_string(), why: "name is not UTF-8".into() })?;
        if let Some(content) = tree.read(&file, limits.bytes).map_err(errors::of_layer)? {
            let path = format!("{}/{name}", path.trim_end_matches('/'));
            add_evidence(evidence, path, content).map_err(errors::of_layer)?;
        }
    }
    Ok(())
}

fn at(path: &str) -> Result<EntryPath, Error> {
    EntryPath::new(path.as_bytes()).map_err(errors::of_layer)
}
