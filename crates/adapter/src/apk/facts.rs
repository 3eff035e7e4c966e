//! What must be known of an image with apk's database before it is patched, and what rules it out.

use super::{DATABASES, TOOLS, WORLD};
use crate::{Error, Facts, Strategy, derivative_note, describe};
use engine::{Evidence, Look};
use inventory::{
    Inventory, OsRelease, Package, PackageState,
    apk::{
        installed,
        relation::Relation,
        repositories::{self, Repositories},
        world,
    },
    printable,
};
use std::collections::BTreeSet;
use version::Scheme;

const REPOSITORIES: &str = "/etc/apk/repositories";

/// apk 3 reads these too; a file of the first hides one of the same name in the second.
const REPOSITORIES_FOLDERS: [&str; 2] = ["/etc/apk/repositories.d", "/lib/apk/repositories.d"];

const KEYS_FOLDERS: [&str; 2] = ["/etc/apk/keys", "/lib/apk/keys"];

const ARCHITECTURE: &str = "/etc/apk/arch";

/// Global options of apk 3.
const CONFIGS: [&str; 2] = ["/etc/apk/config", "/lib/apk/config"];

/// A database in apk's binary format: `apk convdb` writes it, nothing reads it yet.
const BINARY_DATABASES: [&str; 2] = ["/lib/apk/db/installed.adb", "/usr/lib/apk/db/installed.adb"];

/// The folder that the world is in.
pub(super) const SETTINGS_FOLDER: &str = "/etc/apk";

/// Most files of one folder; a crowded image has a dozen keys.
const FILES_MAX: usize = 256;

/// Largest public key or settings taken.
const SMALL_BYTES_MAX: usize = 64 * 1024;

pub(super) fn looks() -> Vec<Look> {
    let file = |path: &str, max: usize| Look::File { path: path.to_owned(), max_bytes: max as u64 };
    let folder = |path: &str, max: usize| Look::Folder {
        path: path.to_owned(),
        suffix: String::new(),
        max_files: FILES_MAX,
        max_bytes: max as u64,
    };
    let mut looks = vec![
        file(WORLD, world::BYTES_MAX),
        file(REPOSITORIES, repositories::BYTES_MAX),
        file(ARCHITECTURE, SMALL_BYTES_MAX),
    ];
    looks.extend(DATABASES.map(|path| file(path, installed::BYTES_MAX)));
    looks.extend(CONFIGS.map(|path| file(path, SMALL_BYTES_MAX)));
    looks.extend(REPOSITORIES_FOLDERS.map(|path| folder(path, repositories::BYTES_MAX)));
    looks.extend(KEYS_FOLDERS.map(|path| folder(path, SMALL_BYTES_MAX)));
    let exists = |path: &str| Look::Exists { path: path.to_owned() };
    looks.extend(TOOLS.into_iter().chain(BINARY_DATABASES).chain([SETTINGS_FOLDER]).map(exists));
    looks
}

pub(super) fn facts(os: OsRelease, evidence: &Evidence) -> Result<Facts, Error> {
    let (path, database) = database(evidence)?;
    let database = installed::parse(database).map_err(|why| Error::database(path, why))?;
    let read = database.packages().map_err(|why| Error::database(path, why))?;
    if read.packages.is_empty() {
        return Err(Error::database(path, "no installed package in it"));
    }
    let world = world(evidence)?;
    let (packages, repositories) = (hold(read.packages, &world), repositories(evidence)?);
    let mut notes = read.notes;
    notes.extend(newer_note(path, &database.unknown));
    notes.extend(broken_note(&packages));
    notes.extend(derivative_note(&os));
    notes.extend(bounds_note(&world, &packages));
    notes.extend(untrusted_notes(evidence));
    notes.extend(repositories.notes);
    let present: BTreeSet<String> = TOOLS.into_iter().chain([SETTINGS_FOLDER]).map(str::to_owned).collect();
    let present: BTreeSet<_> = present.into_iter().filter(|path| evidence.contains_key(path)).collect();
    let in_place = TOOLS.iter().any(|tool| present.contains(*tool));
    let strategy = if in_place { Strategy::InPlace } else { Strategy::Unpacked };
    if repositories.list.is_empty() && in_place {
        notes.push(format!("the image has no package repository configured in {SETTINGS_FOLDER}"));
    }
    Ok(Facts {
        inventory: Inventory { os, scheme: Scheme::Apk, packages, notes },
        hosts: repositories.hosts.into_iter().collect(),
        present,
        strategy,
        files: kept(evidence, strategy),
        ..Facts::default()
    })
}

/// The one database. That of the usual place counts, as it does for apk; another with other content is refused.
fn database(evidence: &Evidence) -> Result<(&'static str, &[u8]), Error> {
    let found: Vec<_> =
        DATABASES.into_iter().filter_map(|path| Some((path, evidence.get(path)?.as_slice()))).collect();
    match found.as_slice() {
        [] => Err(match BINARY_DATABASES.into_iter().find(|path| evidence.contains_key(*path)) {
            Some(path) => Error::database(path, "a binary database of a newer apk than is known"),
            None => Error::database(DATABASES[0], "not there, so the image has no package database"),
        }),
        [(_, one), (other, two)] if one != two => {
            Err(Error::database(other, format!("another database than {}", DATABASES[0])))
        }
        [first, ..] => Ok(*first),
    }
}

fn world(evidence: &Evidence) -> Result<Vec<Relation>, Error> {
    let Some(bytes) = evidence.get(WORLD) else { return Ok(Vec::new()) };
    world::parse(bytes).map_err(|why| Error::database(WORLD, why))
}

/// Packages that the world pins to one version are held.
fn hold(mut packages: Vec<Package>, world: &[Relation]) -> Vec<Package> {
    let pins = world.iter().filter(|r| !r.conflict && r.version.as_ref().is_some_and(|(c, _)| c.is_exact()));
    let pinned: BTreeSet<&str> = pins.map(|relation| relation.name.as_str()).collect();
    for package in &mut packages {
        package.held = pinned.contains(package.name.as_str());
    }
    packages
}

/// A bound leaves room for fixes below it, so such a package is patched as far as it goes, and the user is told.
fn bounds_note(world: &[Relation], packages: &[Package]) -> Option<String> {
    let bounded = |r: &&Relation| r.version.as_ref().is_some_and(|(c, _)| c.is_bounded() && !c.is_exact());
    let installed = |r: &&Relation| packages.iter().any(|p| p.name.as_str() == r.name);
    let names: Vec<_> = world.iter().filter(|r| !r.conflict).filter(bounded).filter(installed).collect();
    let names: Vec<_> = names.iter().map(|relation| printable(&relation.name)).collect();
    (!names.is_empty()).then(|| format!("{WORLD} bounds the versions of {}", names.join(", ")))
}

fn newer_note(path: &str, unknown: &[char]) -> Option<String> {
    let shown: Vec<_> = unknown.iter().map(|letter| printable(&letter.to_string())).collect();
    (!unknown.is_empty())
        .then(|| format!("{path} has fields of an apk newer than is known: {}", shown.join(", ")))
}

fn broken_note(packages: &[Package]) -> Option<String> {
    let broken = packages.iter().filter(|p| p.state != PackageState::Installed);
    let names: Vec<_> = broken.map(|p| p.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("not fully installed in the image: {}", names.join(", ")))
}

/// What the image's own settings allow stays allowed, but is said.
fn untrusted_notes(evidence: &Evidence) -> Vec<String> {
    let allows = |path: &&str| {
        let text = evidence.get(*path).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let option = |line: &str| line.trim().trim_start_matches('-').starts_with("allow-untrusted");
        text.is_some_and(|text| text.lines().any(option))
    };
    let files = CONFIGS.into_iter().filter(allows);
    files.map(|path| format!("{path} allows packages without a valid signature")).collect()
}

/// The image's architecture, as apk was told it.
pub(super) fn architecture(evidence: &Evidence) -> Option<String> {
    let text = String::from_utf8_lossy(evidence.get(ARCHITECTURE)?);
    let word = text.split_whitespace().next()?;
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    plain.then(|| word.to_owned())
}

fn repositories(evidence: &Evidence) -> Result<Repositories, Error> {
    let mut repositories = Repositories::new(&architecture(evidence).unwrap_or_default());
    let mut names = BTreeSet::new();
    let main = evidence.get_key_value(REPOSITORIES).into_iter();
    let inside = REPOSITORIES_FOLDERS.into_iter().flat_map(|folder| {
        let inside = move |path: &str| inside(path, folder).is_some_and(repositories::is_read_by_apk);
        evidence.iter().filter(move |(path, _)| inside(path))
    });
    for (path, bytes) in main.chain(inside) {
        let name = path.rsplit('/').next().unwrap_or(path);
        if path != REPOSITORIES && !names.insert(name) {
            continue;
        }
        repositories.add(path, bytes).map_err(|why| Error::database(path, why))?;
    }
    Ok(repositories)
}

/// The name of what is right in a folder.
fn inside<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// What is needed again: the world in place, everything that was read where packages are resolved by us.
fn kept(evidence: &Evidence, strategy: Strategy) -> Evidence {
    let needed = |path: &str| strategy == Strategy::Unpacked || path == WORLD;
    let read = evidence.iter().filter(|(path, bytes)| needed(path) && !bytes.is_empty());
    read.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
}

/// Why the image cannot be patched by its own apk.
pub(super) fn no_tool(facts: &Facts) -> Error {
    Error::Unsupported(format!("{}, an image without apk", describe(&facts.inventory.os)))
}
