//! Chiseled Ubuntu images: slices of packages, that is only some files of each; no shell, no package manager. What is
//! installed is told by a status file or by chisel's own manifest alone. [`crate::distroless::hermetic`] makes the images.

pub mod manifest;

use crate::apt_repository::PackageSpec;
use crate::distroless::{layer, scenario};
use crate::tar::{Entry, Kind};
use crate::{Error, image, ubuntu};
use manifest::Manifest;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What tells which packages are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// `var/lib/dpkg/status`, and nothing beside it.
    Status,
    /// [`manifest::PATH`].
    Manifest,
}

/// Package, slice, and the paths that are in it; a star at the end stands for anything.
const SLICES: &[(&str, &str, &[&str])] = &[
    ("base-files", "release-info", &["/etc/os-release", "/usr/lib/os-release"]),
    (scenario::LIBRARY, "libs", &["/usr/lib/copa/libcopa.so.*"]),
    (scenario::LIBRARY, "bins", &[scenario::SETUID]),
    (scenario::LIBRARY, "pair", &scenario::PAIR),
    (scenario::CONFIGURED, "config", &[scenario::CONFFILE]),
];

/// Files of [`scenario::LIBRARY`] that no slice has: they must not come back with an update.
pub const LEFT_OUT: [&str; 2] = [scenario::TAKEN_OVER, "/usr/share/copa-library/data"];

/// The package that has `os-release`; every chiseled image has its slices.
pub fn base_files() -> PackageSpec {
    PackageSpec::new("base-files", "12ubuntu4.6")
        .native()
        .with_sums()
        .file("/usr/lib/os-release", ubuntu::OS_RELEASE)
        .link("/etc/os-release", "../usr/lib/os-release")
        .file("/usr/share/base-files/motd", "hello\n")
}

/// The entries of an image that has slices of these packages.
pub fn entries(debs: &[PathBuf], record: Record) -> Result<Vec<Entry>, Error> {
    let mut all: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
    let (mut manifest, mut status) = (Manifest::default(), String::new());
    manifest.generated("base-files_chisel", &format!("/{}", manifest::PATH));
    for deb in debs {
        let name = layer::field(deb, "Package")?;
        status.push_str(&paragraph(deb)?);
        let [version, architecture] = ["Version", "Architecture"].map(|field| layer::field(deb, field));
        manifest.package(&name, &version?, &architecture?, &sha256(deb)?);
        let files = layer::files(deb)?;
        for (slice, entries) in slices(&name, &files) {
            manifest.slice(&format!("{name}_{slice}"), &entries);
            all.extend(entries.into_iter().map(|entry| (entry.path.clone(), entry.clone())));
        }
    }
    let (path, content) = match record {
        Record::Status => ("var/lib/dpkg/status", status.into_bytes()),
        Record::Manifest => (manifest::PATH, manifest.packed()?),
    };
    Ok(in_folders(all.into_values().chain([Entry::file(path, content)])))
}

/// The slices of a package; one that [`SLICES`] does not name has its data in one.
fn slices<'a>(package: &str, files: &'a [Entry]) -> Vec<(&'static str, Vec<&'a Entry>)> {
    let of_it: Vec<_> = SLICES.iter().filter(|(name, ..)| *name == package).collect();
    if of_it.is_empty() {
        return vec![("data", files.iter().filter(|entry| entry.kind != Kind::Directory).collect())];
    }
    let fits = |entry: &&Entry, patterns: &[&str]| {
        let path = format!("/{}", String::from_utf8_lossy(&entry.path));
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == *pattern,
        })
    };
    let chosen = |patterns| files.iter().filter(|entry| fits(entry, patterns)).collect();
    of_it.into_iter().map(|(_, slice, patterns)| (*slice, chosen(*patterns))).collect()
}

/// As a status file has it.
fn paragraph(deb: &Path) -> Result<String, Error> {
    let control = crate::command::argv("dpkg-deb", ["--field"]).arg(deb).text()?;
    Ok(control.replacen('\n', "\nStatus: install ok installed\n", 1) + "\n")
}

fn sha256(deb: &Path) -> Result<String, Error> {
    let bytes = fs::read(deb).map_err(Error::io(deb))?;
    Ok(image::digest(&bytes).trim_start_matches("sha256:").to_owned())
}

/// The entries with all folders above them, folders first.
fn in_folders(files: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for file in files {
        let path = String::from_utf8_lossy(&file.path).into_owned();
        if let Some((folder, _)) = path.rsplit_once('/') {
            layer::add_folders(&mut entries, folder);
        }
        entries.push(file);
    }
    entries
}
