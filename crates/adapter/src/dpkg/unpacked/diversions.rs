//! Diversions (dpkg-divert(1)): files that another package or the administrator has put elsewhere.

use super::in_record;
use crate::Error;
use layer::{EntryPath, Tree};
use std::collections::BTreeMap;

const FILE: &str = "/var/lib/dpkg/diversions";

/// Largest file: three lines for each of some thousand diversions.
const BYTES_MAX: u64 = 4 << 20;

/// Where files are put instead.
#[derive(Debug, Default)]
pub(super) struct Diversions {
    /// By path: the other path, and the package that keeps the first one.
    to: BTreeMap<EntryPath, (EntryPath, String)>,
}

impl Diversions {
    /// Reads them; empty where there are none.
    pub(super) fn read(tree: &dyn Tree) -> Result<Diversions, Error> {
        let bytes = tree.read(&super::path(FILE), BYTES_MAX).map_err(in_record(FILE))?.unwrap_or_default();
        Diversions::parse(&bytes).map_err(in_record(FILE))
    }

    fn parse(bytes: &[u8]) -> Result<Diversions, layer::Error> {
        let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
        let mut to = BTreeMap::new();
        for three in lines.chunks(3) {
            let [from, into, by] = three else {
                let why = "not three lines a diversion".to_owned();
                return Err(layer::Error::Entry { path: super::path(FILE), why });
            };
            let by = String::from_utf8_lossy(by).into_owned();
            to.insert(EntryPath::new(from)?, (EntryPath::new(into)?, by));
        }
        Ok(Diversions { to })
    }

    /// Where a package's file goes, if not to its path.
    pub(super) fn of(&self, path: &EntryPath, package: &str) -> Option<EntryPath> {
        self.to.get(path).filter(|(_, by)| by != package).map(|(into, _)| into.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_elsewhere_unless_the_package_that_diverts_brings_it() {
        let read = Diversions::parse(b"/bin/which\n/bin/which.distrib\nwhich\n/a\n/b\n:\n").unwrap();
        let of = |path: &str, package: &str| {
            read.of(&EntryPath::new(path.as_bytes()).unwrap(), package).map(|path| path.to_string())
        };
        assert_eq!(of("/bin/which", "bash").as_deref(), Some("/bin/which.distrib"));
        assert_eq!(of("/bin/which", "which"), None);
        assert_eq!(of("/a", "x").as_deref(), Some("/b"));
        assert_eq!(of("/c", "x"), None);
        assert!(Diversions::parse(b"/a\n/b\n").is_err());
    }
}
