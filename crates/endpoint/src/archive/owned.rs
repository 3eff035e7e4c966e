//! Files of a build context that COPY would change: it makes everything root's, and docker's older builder drops set-id bits. They go into a tar of their own, which ADD unpacks as it is.

use layer::{Entry, EntryPath, Kind};
use std::collections::BTreeSet;

/// That tar in the context.
pub(super) const ARCHIVE: &str = "owned.tar";

/// Which paths these are.
#[derive(Default)]
pub(super) struct Owned(BTreeSet<EntryPath>);

impl Owned {
    /// Looks at an entry of the layer; targets of links come before the links.
    pub(super) fn take(&mut self, entry: &Entry) {
        let follows = matches!(&entry.kind, Kind::Hardlink { target } if self.0.contains(target));
        let is_owned = (entry.uid, entry.gid) != (0, 0);
        let is_special = entry.mode & 0o7000 != 0 || !entry.xattrs.is_empty();
        // The root itself is never copied onto.
        if !entry.path.is_root() && (follows || is_owned || is_special) {
            self.0.insert(entry.path.clone());
        }
    }

    /// Whether a path is one of them.
    pub(super) fn has(&self, path: &EntryPath) -> bool {
        self.0.contains(path)
    }

    /// The instruction of the Dockerfile.
    pub(super) fn instruction(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!("ADD {ARCHIVE} /\n") }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copy_would_change_is_apart_and_links_stay_with_their_targets() {
        let entry = |path: &str, kind, owner| {
            let path = EntryPath::new(path.as_bytes()).unwrap();
            Entry { path, kind, mode: 0o644, uid: owner, gid: 0, mtime: (0, 0), xattrs: Default::default() }
        };
        let file = || Kind::File { size: 0 };
        let link = |to: &str| Kind::Hardlink { target: EntryPath::new(to.as_bytes()).unwrap() };
        let mut capable = entry("capable", file(), 0);
        capable.xattrs.insert(b"security.capability".to_vec(), vec![1]);
        let mut owned = Owned::default();
        assert_eq!(owned.instruction(), "");
        let set_id = Entry { mode: 0o4755, ..entry("set-id", file(), 0) };
        let entries = [
            (set_id, true),
            (entry("", Kind::Directory, 7), false),
            (entry("a", file(), 0), false),
            (entry("b", file(), 7), true),
            (entry("c", link("a"), 0), false),
            (entry("d", link("b"), 0), true),
            (entry("e", Kind::Directory, 7), true),
            (capable, true),
        ];
        entries.iter().for_each(|(entry, _)| owned.take(entry));
        for (entry, wanted) in &entries {
            assert_eq!(owned.has(&entry.path), *wanted, "{}", entry.path);
        }
        assert_eq!(owned.instruction(), "ADD owned.tar /\n");
    }
}
