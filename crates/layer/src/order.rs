//! The order of a walk: depth first, names in byte order, so that a folder's whole content follows it.

use crate::EntryPath;
use std::cmp::Ordering;

/// Compares two paths in that order: as bytes, but with the separator below every other byte. The root comes first of all,
/// because its one name is empty.
pub(crate) fn compare(a: &EntryPath, b: &EntryPath) -> Ordering {
    let slash = |byte: &u8| *byte == b'/';
    a.as_bytes().split(slash).cmp(b.as_bytes().split(slash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_folder_holds_follows_it() {
        let sorted = ["", "a", "a/b", "a/b/c", "a/bc", "a-b", "a-b/c", "ab", "b"];
        let paths: Vec<_> = sorted.iter().map(|path| EntryPath::new(path.as_bytes()).unwrap()).collect();
        for (i, a) in paths.iter().enumerate() {
            for (j, b) in paths.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }
}
