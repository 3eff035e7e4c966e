//! What must be known of a Debian image before it is patched, and what rules it out.

use super::{APT_GET, APT_MARK, DPKG, POLICY_RC_D, STATUS, STATUS_FOLDER, pins};
use crate::{Error, Facts, Strategy, derivative_note};
use engine::{Evidence, Look};
use inventory::{
    Inventory, OsRelease, Package, PackageState, apt_sources, apt_states, dpkg, printable, wall,
};
use std::collections::{BTreeMap, BTreeSet};
use version::PackageName;

const SOURCES_LIST: &str = "/etc/apt/sources.list";
const SOURCES_FOLDER: &str = "/etc/apt/sources.list.d";
const MIRRORS_FOLDER: &str = "/etc/apt/mirrors";
const CONF_FOLDER: &str = "/etc/apt/apt.conf.d";
const EXTENDED_STATES: &str = "/var/lib/apt/extended_states";

/// Most files of one folder of repository configuration; a crowded image has a dozen.
const SOURCES_FILES_MAX: usize = 256;

/// Keys and choices that only matter where packages are resolved by us.
const KEY_FOLDERS: [&str; 4] =
    ["/etc/apt/trusted.gpg.d", "/etc/apt/keyrings", "/usr/share/keyrings", pins::PREFERENCES_FOLDER];
const KEY_FILES: [&str; 3] = ["/etc/apt/trusted.gpg", pins::PREFERENCES, "/etc/apt/apt.conf"];

/// Largest record of one package without dpkg: a list of sums of a package with many files.
const RECORD_BYTES_MAX: u64 = 8 << 20;

/// Most packages of an image without dpkg.
const RECORDS_MAX: usize = 8192;

/// apt settings that switch signature checks off.
const UNSIGNED_SETTINGS: [&str; 3] =
    ["allowunauthenticated", "allowinsecurerepositories", "allowdowngradetoinsecurerepositories"];

pub(super) fn looks() -> Vec<Look> {
    let file = |path: &str, max: usize| Look::File { path: path.to_owned(), max_bytes: max as u64 };
    let folder = |path: &str, suffix: &str| Look::Folder {
        path: path.to_owned(),
        suffix: suffix.to_owned(),
        max_files: SOURCES_FILES_MAX,
        max_bytes: apt_sources::BYTES_MAX as u64,
    };
    let exists = |path: &str| Look::Exists { path: path.to_owned() };
    let mut looks = vec![
        file(STATUS, dpkg::BYTES_MAX),
        file(wall::PATH, wall::PACKED_BYTES_MAX),
        file(EXTENDED_STATES, apt_states::BYTES_MAX),
        file(SOURCES_LIST, apt_sources::BYTES_MAX),
        folder(SOURCES_FOLDER, ".list"),
        folder(SOURCES_FOLDER, ".sources"),
        folder(MIRRORS_FOLDER, ""),
        folder(CONF_FOLDER, ""),
    ];
    looks.push(Look::Folder {
        path: STATUS_FOLDER.to_owned(),
        suffix: String::new(),
        max_files: 2 * RECORDS_MAX,
        max_bytes: RECORD_BYTES_MAX,
    });
    looks.extend(KEY_FOLDERS.map(|path| folder(path, "")));
    looks.extend(KEY_FILES.map(|path| file(path, apt_sources::BYTES_MAX)));
    looks.extend([APT_GET, APT_MARK, DPKG, POLICY_RC_D].map(exists));
    looks
}

pub(super) fn facts(os: OsRelease, evidence: &Evidence) -> Result<Facts, Error> {
    let present = [APT_GET, APT_MARK, DPKG, POLICY_RC_D];
    let present: BTreeSet<_> =
        present.into_iter().filter(|path| evidence.contains_key(*path)).map(str::to_owned).collect();
    let (mut status, database) = installed(evidence)?;
    if status.packages.is_empty() {
        return Err(Error::database(database, "no installed package in it"));
    }
    let tools = database == STATUS && [APT_GET, DPKG].iter().all(|tool| present.contains(*tool));
    let strategy = if tools { Strategy::InPlace } else { Strategy::Unpacked };
    reject_half_installed(&status.packages)?;
    pins::hold(evidence, &mut status.packages);
    let sources = sources(evidence)?;
    let mut notes = status.notes;
    notes.extend(unfinished_note(&status.packages));
    notes.extend(derivative_note(&os));
    notes.extend(unsigned_notes(evidence));
    notes.extend(sources.notes);
    if sources.entries == 0 && strategy == Strategy::InPlace {
        notes.push("the image has no package repository configured in /etc/apt".to_owned());
    }
    Ok(Facts {
        inventory: Inventory { os, packages: status.packages, notes, ..Inventory::default() },
        hosts: sources.hosts.into_iter().collect(),
        present,
        automatic: automatic(evidence)?,
        strategy,
        files: kept(evidence, strategy),
    })
}

/// What is needed again: everything where packages are resolved by us, the preferences where apt is told more of them.
fn kept(evidence: &Evidence, strategy: Strategy) -> Evidence {
    match strategy {
        Strategy::Unpacked => evidence.clone(),
        _ => evidence
            .get_key_value(pins::PREFERENCES)
            .map(|(p, b)| (p.clone(), b.clone()))
            .into_iter()
            .collect(),
    }
}

/// What is installed, and where that is recorded: in dpkg's own file, in one file a package where no dpkg made the image, or in
/// the manifest of chisel.
fn installed(evidence: &Evidence) -> Result<(dpkg::Status, &'static str), Error> {
    let own = evidence.get(STATUS).map(|bytes| dpkg::parse_status(bytes)).transpose();
    let own = own.map_err(|why| Error::database(STATUS, why))?;
    let records = records(evidence).map(|(_, bytes)| bytes);
    let folder = dpkg::parse_status_folder(records).map_err(|why| Error::database(STATUS_FOLDER, why))?;
    let manifest = evidence.get(wall::PATH).map(|bytes| wall::parse(bytes)?.inventory()).transpose();
    let manifest = manifest.map_err(|why| Error::database(wall::PATH, why))?.unwrap_or_default();
    agree((STATUS_FOLDER, &folder.packages), (wall::PATH, &manifest))?;
    if let Some(own) = own.as_ref().filter(|own| !own.packages.is_empty()) {
        agree((STATUS, &own.packages), (STATUS_FOLDER, &folder.packages))?;
        agree((STATUS, &own.packages), (wall::PATH, &manifest))?;
        return Ok((own.clone(), STATUS));
    }
    match (folder.packages.is_empty(), manifest.is_empty(), own) {
        (false, ..) => Ok((folder, STATUS_FOLDER)),
        (true, false, _) => Ok((dpkg::Status { packages: manifest, notes: Vec::new() }, wall::PATH)),
        (true, true, Some(own)) => Ok((own, STATUS)),
        (true, true, None) => Err(Error::database(STATUS, "not there, so the image has no package database")),
    }
}

/// The records of packages in `status.d`, by path, those of sums left out.
pub(super) fn records(evidence: &Evidence) -> impl Iterator<Item = (&str, &[u8])> {
    in_folder(evidence, STATUS_FOLDER).filter(|(path, _)| !path.ends_with(dpkg::SUMS_SUFFIX))
}

/// Of two databases of one image that say different things nobody knows which is right.
fn agree(one: (&str, &[Package]), other: (&str, &[Package])) -> Result<(), Error> {
    let mut known: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for package in one.1 {
        known.entry((&package.name, &package.architecture)).or_default().push(&package.version);
    }
    let differs = |p: &&Package| {
        let versions = known.get(&(&p.name, &p.architecture));
        versions.is_some_and(|versions| !versions.contains(&p.version.as_str()))
    };
    match other.1.iter().find(differs) {
        Some(package) => Err(Error::State(format!(
            "{} and {} disagree on the version of {}",
            one.0, other.0, package.name
        ))),
        None => Ok(()),
    }
}

/// dpkg cannot finish these by configuring; they want their archive again, which apt refuses to do beside other work.
fn reject_half_installed(packages: &[Package]) -> Result<(), Error> {
    let half: Vec<_> = in_state(packages, |state| state == "half-installed");
    match half.is_empty() {
        true => Ok(()),
        false => Err(Error::State(format!("packages are half-installed in the image: {}", half.join(", ")))),
    }
}

fn in_state(packages: &[Package], wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    let matches = |p: &&Package| matches!(p.state, PackageState::Unfinished(state) if wanted(state));
    packages.iter().filter(matches).map(|p| p.name.as_str()).collect()
}

fn unfinished_note(packages: &[Package]) -> Option<String> {
    let names = in_state(packages, |_| true);
    (!names.is_empty())
        .then(|| format!("not fully configured in the image, will be first: {}", names.join(", ")))
}

/// What the image's own settings allow stays allowed, but is said.
fn unsigned_notes(evidence: &Evidence) -> Vec<String> {
    let allows = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let lines = text.lines().filter(|l| !l.trim_start().starts_with("//"));
        let on = |line: &str| ["true", "yes", "\"1\"", "on\""].iter().any(|word| line.contains(word));
        lines.filter(|l| on(l)).any(|l| UNSIGNED_SETTINGS.iter().any(|setting| l.contains(setting)))
    };
    let files = in_folder(evidence, CONF_FOLDER).filter(|(_, bytes)| allows(bytes));
    files
        .map(|(path, _)| format!("{} allows repositories without a valid signature", printable(path)))
        .collect()
}

fn in_folder<'a>(evidence: &'a Evidence, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let inside = move |path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    evidence
        .iter()
        .filter(move |(path, _)| inside(path))
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
}

fn sources(evidence: &Evidence) -> Result<apt_sources::Sources, Error> {
    let mut sources = apt_sources::Sources::default();
    let main = evidence.get(SOURCES_LIST).map(|bytes| (SOURCES_LIST, bytes.as_slice()));
    let read =
        |(path, _): &(&str, &[u8])| apt_sources::is_read_by_apt(path.rsplit('/').next().unwrap_or(path));
    for (path, bytes) in main.into_iter().chain(in_folder(evidence, SOURCES_FOLDER).filter(read)) {
        sources.add(path, bytes).map_err(|why| Error::database(path, why))?;
    }
    for path in sources.mirror_lists.clone() {
        match evidence.get(&path) {
            Some(bytes) => {
                sources.add_mirror_list(&path, bytes).map_err(|why| Error::database(&path, why))?
            }
            None => sources.notes.push(format!("the mirror list {} was not read", printable(&path))),
        }
    }
    Ok(sources)
}

fn automatic(evidence: &Evidence) -> Result<BTreeSet<PackageName>, Error> {
    let Some(bytes) = evidence.get(EXTENDED_STATES) else { return Ok(Default::default()) };
    apt_states::automatic(bytes).map_err(|why| Error::database(EXTENDED_STATES, why))
}
