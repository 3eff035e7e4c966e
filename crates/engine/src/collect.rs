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
        Look::EachFolder { path, file, max_folders, max_bytes } => {
            add_each_folder(tree, (path, file), (*max_folders, *max_bytes), evidence)?;
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

/// What [`Look::EachFolder`] asks for.
pub fn add_each_folder(
    tree: &dyn Tree,
    (path, file): (&str, &str),
    (max_folders, max_bytes): (usize, u64),
    evidence: &mut Evidence,
) -> Result<(), layer::Error> {
    let at = EntryPath::new(path.as_bytes())?;
    if tree.entry(&at, true)?.is_none_or(|e| e.kind != Kind::Directory) {
        return Ok(());
    }
    // Thousands of files: their sum is kept here and not added up anew for each.
    let mut all: u64 = evidence.values().map(|known| known.len() as u64).sum();
    for name in tree.list(&at, max_folders)? {
        let folder = at.join(&name)?;
        if tree.entry(&folder, false)?.is_none_or(|e| e.kind != Kind::Directory) {
            continue;
        }
        let Some(content) = tree.read(&folder.join(file.as_bytes())?, max_bytes)? else { continue };
        let Ok(text) = std::str::from_utf8(&name) else {
            return Err(layer::Error::Entry { path: folder, why: "name is not UTF-8".into() });
        };
        all = all.saturating_add(content.len() as u64);
        if all > EVIDENCE_BYTES_MAX {
            let what = format!(
                "the files that are read in {path} and before have more than {EVIDENCE_BYTES_MAX} bytes"
            );
            return Err(layer::Error::Limit(what));
        }
        evidence.insert(format!("{}/{text}/{file}", path.trim_end_matches('/')), content);
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
    use layer::Entry;
    use std::{collections::BTreeMap, io::Read};

    /// Files by path; every parent is a folder.
    struct Files(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Tree for Files {
        fn entry(&self, path: &EntryPath, _: bool) -> Result<Option<Entry>, layer::Error> {
            let inside = [path.as_bytes(), b"/"].concat();
            let file = self.0.get(path.as_bytes()).map(|content| Kind::File { size: content.len() as u64 });
            let folder = || self.0.keys().any(|p| p.starts_with(&inside)).then_some(Kind::Directory);
            Ok(file.or_else(folder).map(|kind| entry(path, kind)))
        }

        fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, layer::Error> {
            Ok(Box::new(std::io::Cursor::new(self.0[path.as_bytes()].clone())))
        }

        fn list(&self, path: &EntryPath, max_names: usize) -> Result<Vec<Vec<u8>>, layer::Error> {
            let inside = [path.as_bytes(), b"/"].concat();
            let below = self.0.keys().filter_map(|p| p.strip_prefix(inside.as_slice()));
            let names: std::collections::BTreeSet<Vec<u8>> =
                below.map(|p| p.split(|b| *b == b'/').next().unwrap_or_default().to_vec()).collect();
            match names.len() > max_names {
                true => Err(layer::Error::Limit("names".into())),
                false => Ok(names.into_iter().collect()),
            }
        }
    }

    fn entry(path: &EntryPath, kind: Kind) -> Entry {
        let (path, xattrs) = (path.clone(), BTreeMap::new());
        Entry { path, kind, mode: 0o755, uid: 0, gid: 0, mtime: (0, 0), xattrs }
    }

    #[test]
    fn one_file_of_each_folder_is_read() {
        let files = ["db/a-1/desc", "db/a-1/files", "db/b-1/desc", "db/VERSION", "db/c-1/files"];
        let tree = Files(files.iter().map(|p| (p.as_bytes().to_vec(), p.as_bytes().to_vec())).collect());
        let look = |path: &str, max_folders, max_bytes| {
            let (path, file) = (path.to_owned(), "desc".to_owned());
            collect(&tree, &[Look::EachFolder { path, file, max_folders, max_bytes }])
        };
        let found = look("/db", 4, 100).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["/db/a-1/desc", "/db/b-1/desc"]);
        assert_eq!(found["/db/a-1/desc"], b"db/a-1/desc");
        assert!(look("/none", 4, 100).unwrap().is_empty());
        assert!(look("/db", 3, 100).is_err() && look("/db", 4, 3).is_err());
        let odd = Files([(b"db/\xff/desc".to_vec(), Vec::new())].into());
        let asked =
            Look::EachFolder { path: "/db".into(), file: "desc".into(), max_folders: 4, max_bytes: 9 };
        assert!(collect(&odd, &[asked]).is_err());
    }

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
