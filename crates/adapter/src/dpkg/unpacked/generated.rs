//! Files that scripts make out of packages' files: those that can be made again without running anything, and those that the
//! user must know of.

use super::{incoming::Incoming, notes::listed};
use layer::{EntryPath, Error, Kind, Staged, Tree};
use std::collections::{BTreeMap, BTreeSet};

const PACKAGE: &str = "ca-certificates";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
const CHOICE: &str = "etc/ca-certificates.conf";
const CERTIFICATES: &str = "usr/share/ca-certificates";
const CACHE: &str = "etc/ld.so.cache";

/// Largest bundle; the public roots have 220 kB.
const BUNDLE_BYTES_MAX: u64 = 16 << 20;
const CERTIFICATE_BYTES_MAX: u64 = 1 << 20;

/// Most names of a folder of certificates, and most folders.
const NAMES_MAX: usize = 10_000;

/// How the bundle was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By path.
    Sorted,
    /// As `ca-certificates.conf` lists them.
    Listed,
}

/// What was found before packages were placed.
#[derive(Debug, Default)]
pub(super) struct Before {
    bundle: Option<Option<Order>>,
}

/// Looks at what is there before packages are placed.
pub(super) fn before(all: &[Incoming<'_>], tree: &dyn Tree) -> Result<Before, Error> {
    if !all.iter().any(|incoming| incoming.name() == PACKAGE) {
        return Ok(Before::default());
    }
    let Some(bundle) = tree.read(&super::path(BUNDLE), BUNDLE_BYTES_MAX)? else {
        return Ok(Before::default());
    };
    let known = certificates(tree)?;
    let paths: Vec<String> = known.keys().cloned().collect();
    if joined(&known, &paths) == bundle {
        return Ok(Before { bundle: Some(Some(Order::Sorted)) });
    }
    let order = chosen(tree)?.filter(|chosen| joined(&known, chosen) == bundle).map(|_| Order::Listed);
    Ok(Before { bundle: Some(order) })
}

impl Before {
    /// Makes again what can be, and says what cannot.
    pub(super) fn after(
        self,
        libraries: &BTreeSet<EntryPath>,
        staged: &mut Staged,
    ) -> Result<Vec<String>, Error> {
        let mut notes = Vec::new();
        match self.bundle {
            None => {}
            Some(None) => notes.push(format!(
                "/{BUNDLE} stays as it is: it has other certificates than those of {PACKAGE} alone"
            )),
            Some(Some(order)) => bundle(order, staged)?,
        }
        if !libraries.is_empty() && staged.entry(&super::path(CACHE), true)?.is_some() {
            let named = listed(libraries);
            notes.push(format!(
                "/{CACHE} stays as it is, so the loader finds these in its own folders only: {named}"
            ));
        }
        Ok(notes)
    }
}

fn bundle(order: Order, staged: &mut Staged) -> Result<(), Error> {
    let known = certificates(staged)?;
    let paths = match order {
        Order::Sorted => known.keys().cloned().collect(),
        Order::Listed => {
            let mut paths = chosen(staged)?.unwrap_or_default();
            let refused = refused(staged)?;
            let new: Vec<_> = known
                .keys()
                .filter(|path| !paths.contains(path) && !refused.contains(*path))
                .cloned()
                .collect();
            paths.extend(new);
            paths.retain(|path| known.contains_key(path));
            paths
        }
    };
    let bytes = joined(&known, &paths);
    if bytes.len() as u64 > BUNDLE_BYTES_MAX {
        return Err(too_large());
    }
    let at = super::path(BUNDLE);
    if staged.read(&at, BUNDLE_BYTES_MAX)?.as_deref() != Some(&bytes) {
        staged.write(&at, &bytes, 0o644)?;
    }
    Ok(())
}

/// Every certificate by its path below their folder.
fn certificates(tree: &dyn Tree) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let (mut all, mut folders, mut seen) = (BTreeMap::new(), vec![String::new()], 0);
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        let at = super::path(&format!("{CERTIFICATES}/{folder}"));
        if !tree.entry(&at, false)?.is_some_and(|entry| entry.kind == Kind::Directory) {
            continue;
        }
        for name in tree.list(&at, NAMES_MAX)? {
            seen += 1;
            if seen > NAMES_MAX {
                return Err(Error::Limit(format!("more than {NAMES_MAX} certificates")));
            }
            let path = at.join(&name)?;
            let below = format!("{folder}{}", String::from_utf8_lossy(&name));
            match tree.entry(&path, false)?.map(|entry| entry.kind) {
                Some(Kind::Directory) => folders.push(format!("{below}/")),
                Some(Kind::File { .. }) if below.ends_with(".crt") => {
                    let content = tree.read(&path, CERTIFICATE_BYTES_MAX)?.unwrap_or_default();
                    bytes += content.len() as u64;
                    if bytes > BUNDLE_BYTES_MAX {
                        return Err(too_large());
                    }
                    all.insert(below, content);
                }
                _ => {}
            }
        }
    }
    Ok(all)
}

/// The certificates of `ca-certificates.conf` that are chosen, in its order.
fn chosen(tree: &dyn Tree) -> Result<Option<Vec<String>>, Error> {
    let lines = lines(tree)?;
    let plain = |line: &&String| !line.starts_with(['#', '!']) && !line.is_empty();
    Ok(lines.map(|lines| lines.iter().filter(plain).cloned().collect()))
}

/// Those that are not to be trusted.
fn refused(tree: &dyn Tree) -> Result<BTreeSet<String>, Error> {
    let lines = lines(tree)?.unwrap_or_default();
    Ok(lines.iter().filter_map(|line| line.strip_prefix('!')).map(str::to_owned).collect())
}

fn lines(tree: &dyn Tree) -> Result<Option<Vec<String>>, Error> {
    let text = tree.read(&super::path(CHOICE), CERTIFICATE_BYTES_MAX)?;
    let lines = |text: Vec<u8>| String::from_utf8_lossy(&text).lines().map(|l| l.trim().to_owned()).collect();
    Ok(text.map(lines))
}

fn too_large() -> Error {
    Error::Limit(format!("certificates of more than {BUNDLE_BYTES_MAX} bytes"))
}

/// One after another, each ending with a line; no more than a little beyond what a bundle may have. A list may name one
/// certificate many times.
fn joined(known: &BTreeMap<String, Vec<u8>>, paths: &[String]) -> Vec<u8> {
    let mut bundle = Vec::new();
    for certificate in paths.iter().filter_map(|path| known.get(path)) {
        if bundle.len() as u64 > BUNDLE_BYTES_MAX {
            break;
        }
        bundle.extend_from_slice(certificate);
        if !certificate.ends_with(b"\n") {
            bundle.push(b'\n');
        }
    }
    bundle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_names_one_certificate_many_times_makes_no_endless_bundle() {
        let known =
            BTreeMap::from([("a.crt".to_owned(), vec![b'x'; 1 << 20]), ("b.crt".to_owned(), b"b".into())]);
        let named = |name: &str, times| vec![name.to_owned(); times];
        assert_eq!(joined(&known, &[named("b.crt", 2), named("gone.crt", 1)].concat()), b"b\nb\n");
        let many = joined(&known, &named("a.crt", 100_000)).len() as u64;
        assert!(many > BUNDLE_BYTES_MAX && many < 2 * BUNDLE_BYTES_MAX, "{many}");
    }
}
