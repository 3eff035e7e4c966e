//! What kind of object a URL names, and with that how long a copy of it stays right. Repositories of Debian's form.

/// Answers of a captive portal or an error page instead of a package.
const PACKAGE_STARTS: &[u8] = b"!<arch>\ndebian";
const SIGNED_STARTS: &[u8] = b"-----BEGIN PGP";

/// How a copy of an object is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Named after its own hash: never changes, and a wrong copy is found out at once.
    ByHash(HashName),
    /// A package: its name holds its version, so that it does not change.
    Package,
    /// The signed head of an index: good for a moment, then asked for again.
    Release,
    /// An index under a lasting name: always asked for again.
    Index,
    /// Anything else: never kept.
    Other,
}

/// A hash in a file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HashName {
    Sha256(String),
    Sha512(String),
}

impl Kind {
    /// From a URL's path and whether a query follows it.
    pub(super) fn of(path: &str, has_query: bool) -> Kind {
        let name = path.rsplit('/').next().unwrap_or_default();
        if has_query || name.is_empty() {
            return Kind::Other;
        }
        if let Some((_, hash)) = path.rsplit_once("/by-hash/") {
            return by_hash(hash).map_or(Kind::Other, Kind::ByHash);
        }
        if path.contains("/pool/") && (name.ends_with(".deb") || name.ends_with(".udeb")) {
            return Kind::Package;
        }
        if matches!(name, "InRelease" | "Release" | "Release.gpg") {
            return Kind::Release;
        }
        let flat = ["Packages", "Sources"].iter().any(|stem| name.starts_with(stem));
        if flat || path.contains("/dists/") { Kind::Index } else { Kind::Other }
    }

    /// Whether it is part of a repository's index.
    pub(super) fn is_index(&self) -> bool {
        matches!(self, Kind::ByHash(_) | Kind::Release | Kind::Index)
    }

    /// Whether it never changes under its name.
    pub(super) fn is_immutable(&self) -> bool {
        matches!(self, Kind::ByHash(_) | Kind::Package)
    }

    /// Whether content that begins like this can be what the name promises.
    pub(super) fn may_begin_with(&self, path: &str, start: &[u8]) -> bool {
        let begins = |with: &[u8]| start.starts_with(with);
        match self {
            Kind::Package => begins(PACKAGE_STARTS),
            Kind::Release if path.ends_with("/InRelease") => begins(SIGNED_STARTS),
            _ => true,
        }
    }
}

fn by_hash(text: &str) -> Option<HashName> {
    let (algorithm, hex) = text.split_once('/')?;
    let plain = hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match (algorithm, hex.len()) {
        ("SHA256", 64) if plain => Some(HashName::Sha256(hex.to_owned())),
        ("SHA512", 128) if plain => Some(HashName::Sha512(hex.to_owned())),
        // MD5Sum and SHA1 still exist; nothing that we cannot verify is kept.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_apart() {
        let hash = "a".repeat(64);
        for (path, kind) in [
            (
                format!("/debian/dists/x/main/by-hash/SHA256/{hash}"),
                Kind::ByHash(HashName::Sha256(hash.clone())),
            ),
            (format!("/debian/dists/x/main/by-hash/MD5Sum/{}", "a".repeat(32)), Kind::Other),
            (format!("/by-hash/SHA256/{}", "A".repeat(64)), Kind::Other),
            (format!("/by-hash/SHA256/../{hash}"), Kind::Other),
            ("/debian/pool/main/a/a_1_amd64.deb".into(), Kind::Package),
            ("/flat/a_1_amd64.deb".into(), Kind::Other),
            ("/debian/dists/x/InRelease".into(), Kind::Release),
            ("/debian/dists/x/Release.gpg".into(), Kind::Release),
            ("/debian/dists/x/main/binary-amd64/Packages.xz".into(), Kind::Index),
            ("/debian/dists/x/main/Contents-amd64.gz".into(), Kind::Index),
            ("/flat/Packages".into(), Kind::Index),
            ("/debian/pool/".into(), Kind::Other),
            ("/x".into(), Kind::Other),
        ] {
            assert_eq!(Kind::of(&path, false), kind, "{path}");
            assert_eq!(Kind::of(&path, true), Kind::Other);
        }
    }

    #[test]
    fn an_error_page_is_no_package() {
        let page = b"<html>Please log in";
        assert!(!Kind::Package.may_begin_with("/pool/a.deb", page));
        assert!(!Kind::Release.may_begin_with("/dists/x/InRelease", page));
        assert!(Kind::Package.may_begin_with("/pool/a.deb", b"!<arch>\ndebian-binary   "));
        assert!(Kind::Release.may_begin_with("/dists/x/InRelease", b"-----BEGIN PGP SIGNED MESSAGE-----"));
        assert!(Kind::Release.may_begin_with("/dists/x/Release", b"Origin: x"));
    }
}
