//! Files of a build context that are not root's. COPY makes everything root's unless it is told otherwise, and then it tells
//! every folder on the way too; so each owner has, for each folder of the image, a folder here whose content alone is copied.

use layer::EntryPath;
use std::collections::BTreeMap;

/// Most instructions that this takes: each of them is a layer, and runtimes take 127 of those.
const GROUPS_MAX: usize = 40;
/// The folder that holds them.
const FOLDER: &str = "owned";

/// What is not root's, by owner and folder.
pub(super) struct Owned {
    /// Owner and folder, by the number of each.
    groups: Vec<((u32, u32), EntryPath)>,
    /// The number of each path's group.
    paths: BTreeMap<EntryPath, usize>,
}

impl Owned {
    /// Of paths and their owners; else why it cannot be.
    pub(super) fn new(owners: &BTreeMap<EntryPath, (u32, u32)>) -> Result<Self, String> {
        let mut owned = Owned { groups: Vec::new(), paths: BTreeMap::new() };
        let mut numbers: BTreeMap<(EntryPath, (u32, u32)), usize> = BTreeMap::new();
        for (path, owner) in owners {
            let folder = path.parent().unwrap_or_default();
            if !folder.as_bytes().iter().all(is_plain) {
                return Err(format!("{path} is not root's, and COPY has no way to name its folder"));
            }
            let next = owned.groups.len();
            let number = *numbers.entry((folder.clone(), *owner)).or_insert(next);
            if number == next {
                owned.groups.push((*owner, folder));
            }
            owned.paths.insert(path.clone(), number);
        }
        if owned.groups.len() > GROUPS_MAX {
            let count = owned.groups.len();
            return Err(format!(
                "files that are not root's are in {count} places, more than the {GROUPS_MAX} that COPY instructions can be for"
            ));
        }
        Ok(owned)
    }

    /// The instructions of the Dockerfile, folders before what is in them.
    pub(super) fn instructions(&self) -> String {
        let one = |(number, ((uid, gid), folder)): (usize, &((u32, u32), EntryPath))| {
            let folder = String::from_utf8_lossy(folder.as_bytes());
            let into = if folder.is_empty() { "/".to_owned() } else { format!("/{folder}/") };
            format!("COPY --chown={uid}:{gid} {FOLDER}/{number}/ {into}\n")
        };
        self.groups.iter().enumerate().map(one).collect()
    }

    /// The folders of the context that have to be there.
    pub(super) fn folders(&self) -> Vec<String> {
        let top = (!self.groups.is_empty()).then(|| FOLDER.to_owned());
        top.into_iter().chain((0..self.groups.len()).map(|number| format!("{FOLDER}/{number}"))).collect()
    }

    /// Where a path of the image is in the context, `common` being the folder of what is root's.
    pub(super) fn place(&self, path: &EntryPath, common: &str) -> Vec<u8> {
        match self.paths.get(path) {
            Some(number) => [format!("{FOLDER}/{number}/").as_bytes(), path.name()].concat(),
            None => [common.as_bytes(), b"/", path.as_bytes()].concat(),
        }
    }
}

/// What means nothing but itself in an instruction.
fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+@:,".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn each_owner_has_a_folder_for_each_folder() {
        let owners =
            [("etc/shadow", (0, 42)), ("etc/gshadow", (0, 42)), ("etc/other", (7, 7)), ("mail", (0, 8))];
        let owned = Owned::new(&owners.map(|(p, o)| (path(p), o)).into()).unwrap();
        let wanted = "COPY --chown=0:42 owned/0/ /etc/\nCOPY --chown=7:7 owned/1/ /etc/\nCOPY --chown=0:8 owned/2/ /\n";
        assert_eq!(owned.instructions(), wanted);
        assert_eq!(owned.place(&path("etc/shadow"), "patch"), b"owned/0/shadow");
        assert_eq!(owned.place(&path("etc/passwd"), "patch"), b"patch/etc/passwd");
        assert_eq!(owned.folders(), ["owned", "owned/0", "owned/1", "owned/2"]);
    }

    #[test]
    fn what_a_dockerfile_cannot_say_is_refused() {
        for folder in ["a b", "a$HOME", "a\nRUN", "a\\", "a[0]", "a*", "a\u{e9}", "a\""] {
            let owners = [(path(&format!("{folder}/f")), (1, 1))].into();
            assert!(Owned::new(&owners).is_err(), "{folder}");
        }
        let many = (0..41).map(|n| (path(&format!("d{n}/f")), (1, 1))).collect();
        assert!(Owned::new(&many).err().unwrap().contains("41 places"));
    }
}
