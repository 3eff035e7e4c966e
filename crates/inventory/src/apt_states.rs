//! apt's `extended_states`: which packages were installed as a dependency and not by name.

use crate::{Error, check_size};
use std::collections::BTreeSet;
use version::PackageName;

/// Largest file taken; three short lines a package.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;

/// `name:architecture` of each package marked as automatically installed. Packages for all architectures stand there under
/// the native one.
pub fn automatic(bytes: &[u8]) -> Result<BTreeSet<PackageName>, Error> {
    check_size(bytes, BYTES_MAX)?;
    if bytes.contains(&0) {
        return Err(Error::Malformed("binary, not text".into()));
    }
    let text = String::from_utf8_lossy(bytes);
    Ok(text.split("\n\n").filter_map(marked).collect())
}

fn marked(stanza: &str) -> Option<PackageName> {
    let get = |key: &str| {
        let fields = stanza.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value.trim()).next()
    };
    if get("Auto-Installed") != Some("1") {
        return None;
    }
    format!("{}:{}", get("Package")?, get("Architecture")?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_marked_so_are_automatic() {
        let text = b"Package: a\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: b\nArchitecture: amd64\n\
            Auto-Installed: 0\n\nPackage: ; id\nArchitecture: amd64\nAuto-Installed: 1\n\nArchitecture: x\n";
        let names: Vec<_> = automatic(text).unwrap().into_iter().map(|n| n.to_string()).collect();
        assert_eq!(names, ["a:amd64"]);
        assert!(automatic(b"").unwrap().is_empty());
        assert!(automatic(b"\0").is_err());
    }
}
