//! Reads what a list of [`Look`]s asks for out of a tree, within their bounds.

use crate::{Error, Evidence, Look};
use layer::{EntryPath, Kind, Tree};

/// Reads every look. What is absent is left out; what is there but unreadable, of the wrong kind or too large is an
/// error that names it.
pub fn collect(tree: &dyn Tree, looks: &[Look]) -> Result<Evidence, Error> {
    let mut evidence = Evidence::new();
    for look in looks {
        one(tree, look, &mut evidence).map_err(image_error)?;
    }
    Ok(evidence)
}

fn one(tree: &dyn Tree, look: &Look, evidence: &mut Evidence) -> Result<(), layer::Error> {
    match look {
        Look::File { path, max_bytes } => {
            if let Some(content) = tree.read(&EntryPath::new(path.as_bytes())?, *max_bytes)? {
                evidence.insert(path.clone(), content);
            }
        }
        Look::Exists { path } => {
            if tree.entry(&EntryPath::new(path.as_bytes())?, true)?.is_some() {
                evidence.insert(path.clone(), Vec::new());
            }
        }
        Look::Folder { path, suffix, max_files, max_bytes } => {
            folder(tree, (path, suffix), (*max_files, *max_bytes), evidence)?;
        }
    }
    Ok(())
}

fn folder(
    tree: &dyn Tree,
    (path, suffix): (&str, &str),
    (max_files, max_bytes): (usize, u64),
    evidence: &mut Evidence,
) -> Result<(), layer::Error> {
    let at = EntryPath::new(path.as_bytes())?;
    let is_folder = tree.entry(&at, true)?.is_some_and(|e| e.kind == Kind::Directory);
    if !is_folder {
        return Ok(());
    }
    for name in tree.list(&at, max_files)? {
        let Ok(text) = std::str::from_utf8(&name) else { continue };
        let file = at.join(&name)?;
        let regular = tree.entry(&file, true)?.is_some_and(|e| matches!(e.kind, Kind::File { .. }));
        if text.ends_with(suffix) && regular {
            let content = tree.read(&file, max_bytes)?.unwrap_or_default();
            evidence.insert(format!("{}/{text}", path.trim_end_matches('/')), content);
        }
    }
    Ok(())
}

/// A tree's error as the engine's: the image is at fault unless the system is.
pub fn image_error(error: layer::Error) -> Error {
    match error {
        layer::Error::Cancelled => Error::Cancelled,
        layer::Error::Limit(what) => Error::Limit(what),
        layer::Error::Io { doing, source } => Error::Io { doing, source },
        layer::Error::Entry { path, why } => Error::Image { item: path.to_string(), why },
        layer::Error::Malformed { .. } => Error::Image { item: "layer".into(), why: error.to_string() },
        layer::Error::Verification(why) => Error::Image { item: "layer".into(), why },
    }
}
