//! Reads what a list of [`Look`]s asks for out of a tree, within their bounds.

use crate::{Error, Evidence, Look};
use layer::{EntryPath, Kind, Tree};

/// Bytes of all that one list of looks reads: the largest package database allowed takes a third of this, and a folder of
/// largest files must not take the memory.
pub const EVIDENCE_BYTES_MAX: u64 = 192 << 20;

/// Adds what was read, as long as all of it together is bounded.
pub fn add_evidence(evidence: &mut Evidence, path: String, content: Vec<u8>) -> Result<(), layer::Error> {
    let before: u64 = evidence.values().map(|known| known.len() as u64).sum();
    if before.saturating_add(content.len() as u64) > EVIDENCE_BYTES_MAX {
        let all = format!("with {path} the files that are read have more than {EVIDENCE_BYTES_MAX} bytes");
        return Err(layer::Error::Limit(all));
    }
    evidence.insert(path, content);
    Ok(())
}

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
                add_evidence(evidence, path.clone(), content)?;
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
            add_evidence(evidence, format!("{}/{text}", path.trim_end_matches('/')), content)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_evidence_together_is_bounded() {
        let mut evidence = Evidence::new();
        let half = || vec![0; (EVIDENCE_BYTES_MAX / 2) as usize];
        for path in ["a", "b"] {
            add_evidence(&mut evidence, path.to_owned(), half()).unwrap();
        }
        let more = add_evidence(&mut evidence, "c".to_owned(), vec![0]);
        assert!(matches!(more, Err(layer::Error::Limit(_))));
        assert_eq!(evidence.len(), 2);
    }
}
