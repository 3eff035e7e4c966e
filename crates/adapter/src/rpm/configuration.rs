//! What an image's configuration says of repositories and locks, as looks and evidence.

use super::tooling::numbers;
use crate::Error;
use engine::{Evidence, Look};
use inventory::{
    OsRelease, Package,
    family::{Family, Release},
    printable,
    rpm::{
        locks::{self, Form, Locks},
        repositories::{self, Configuration},
        variables::{self, Variables},
    },
};
use std::collections::BTreeSet;

/// Folders in which distributions have the keys that their configuration names.
const KEY_FOLDERS: [&str; 2] = ["/etc/pki/rpm-gpg", "/usr/lib/rpm/gnupg/keys"];

/// Largest file of configuration and largest key taken; real ones have some kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Most files of one folder; a crowded image has a dozen.
const FILES_MAX: usize = 256;

/// Most keys of an image's repositories that are looked at; a crowded image names a dozen.
pub(super) const KEYS_MAX: usize = 64;

/// What must be read to know it.
pub(super) fn looks() -> Vec<Look> {
    let folder = |path: &str, suffix: &str| Look::Folder {
        path: path.to_owned(),
        suffix: suffix.to_owned(),
        max_files: FILES_MAX,
        max_bytes: FILE_BYTES_MAX,
    };
    let file = |path: &str| Look::File { path: path.to_owned(), max_bytes: FILE_BYTES_MAX };
    let locks = locks::FILES.iter().map(|(path, form)| match form {
        Form::Names => folder(path, ""),
        _ => file(path),
    });
    let mut looks: Vec<Look> = locks.collect();
    looks.extend(repositories::FOLDERS.map(|path| folder(path, ".repo")));
    looks.extend(repositories::MAIN_FILES.map(file));
    looks.extend(variables::FOLDERS.iter().chain(&KEY_FOLDERS).map(|path| folder(path, "")));
    looks
}

/// The files of all this, to be kept: what of the evidence lies where it is looked for.
pub(super) fn files(evidence: &Evidence) -> Evidence {
    let folders = repositories::FOLDERS.iter().chain(&variables::FOLDERS).chain(&KEY_FOLDERS);
    let places: Vec<&str> = folders.chain(&repositories::MAIN_FILES).copied().collect();
    let kept = |path: &str| places.iter().any(|place| is_at_or_below(path, place));
    evidence
        .iter()
        .filter(|(path, _)| kept(path))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect()
}

/// The repositories of an image.
pub(super) fn read(os: &OsRelease, packages: &[Package], files: &Evidence) -> Result<Configuration, Error> {
    let architecture = packages.iter().map(|p| p.architecture.as_str()).find(|a| *a != "noarch");
    let mut values = Variables::new(&release(os), architecture.unwrap_or_default());
    for (path, bytes) in variables::FOLDERS.iter().flat_map(|folder| inside(files, folder)) {
        values.add_file(name(path), bytes);
    }
    let mut configuration = Configuration::new(values);
    let main = repositories::MAIN_FILES.iter().filter_map(|path| Some((*path, files.get(*path)?.as_slice())));
    let folders = repositories::FOLDERS.iter().flat_map(|folder| inside(files, folder));
    for (path, bytes) in main.chain(folders.filter(|(path, _)| repositories::is_read(name(path)))) {
        configuration.add(path, bytes).map_err(|why| Error::database(&printable(path), why))?;
    }
    Ok(configuration)
}

/// What the administrator of an image wants left alone.
pub(super) fn locks(evidence: &Evidence) -> Result<Locks, Error> {
    let mut locks = Locks::default();
    for (place, form) in locks::FILES {
        let found = evidence.iter().filter(|(path, _)| is_at_or_below(path, place));
        for (path, bytes) in found {
            locks.add(path, form, bytes).map_err(|why| Error::database(&printable(path), why))?;
        }
    }
    Ok(locks)
}

/// The keys that repositories in force name as files of the image, in the order of their names. An error where they are more
/// than [`KEYS_MAX`].
pub(super) fn key_files(configuration: &Configuration) -> Result<BTreeSet<String>, Error> {
    let keys = configuration.enabled().flat_map(|repository| &repository.gpg_keys);
    let paths = keys.filter_map(|key| key.strip_prefix("file://").or_else(|| key.strip_prefix("file:")));
    let plain = |path: &&str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
    let files: BTreeSet<&str> = paths.filter(plain).collect();
    match files.len() > KEYS_MAX {
        true => {
            Err(Error::State(format!("the image's repositories name more than {KEYS_MAX} files of keys")))
        }
        false => Ok(files.into_iter().map(str::to_owned).collect()),
    }
}

/// Whether an image may have a key of this path: what the folders of keys have is known.
pub(super) fn may_be_there(path: &str, files: &Evidence) -> bool {
    files.contains_key(path) || !KEY_FOLDERS.iter().any(|folder| is_at_or_below(path, folder))
}

/// The folders whose files have repositories in force.
pub(super) fn folders(configuration: &Configuration) -> Vec<&'static str> {
    let has = |folder: &&str| configuration.enabled().any(|r| is_at_or_below(&r.path, folder));
    repositories::FOLDERS.into_iter().filter(has).collect()
}

/// `$releasever`: as much of the release as the distribution's repositories are told apart by.
fn release(os: &OsRelease) -> String {
    let major = Family::of(os).is_some_and(|(family, _)| family.release == Release::Major);
    match numbers(&os.version_id) {
        Some((number, _)) if major => number.to_string(),
        _ => os.version_id.clone(),
    }
}

fn inside<'a>(files: &'a Evidence, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let found = files.iter().filter(move |(path, _)| *path != folder && is_at_or_below(path, folder));
    found.map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
}

fn is_at_or_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
