//! The order of a walk: depth first, names in byte order, so that a folder's whole content follows it.

use crate::EntryPath;
use std::cmp::Ordering;

/// Compares two paths in that order: as bytes, but with the separator below every other byte.
pub(crate) fn compare(a: &EntryPath, b: &EntryPath) -> Ordering {
    let parts =
        |path: &EntryPath| path.as_bytes().split(|b| *b == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
    match (a.is_root(), b.is_root()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        _ => parts(a).cmp(&parts(b)),
    }
}
