//! What must be known of an image with rpm before it is patched, and what rules it out.

use super::{
    RPM, configuration, database,
    exclusions::DNF5_STATE,
    tool::{self, Tool},
    tooling,
};
use crate::{Error, Facts, Strategy, derivative_note, describe};
use engine::{Evidence, Look};
use inventory::{
    Inventory, OsRelease,
    family::Family,
    rpm::{Installed, manifest, repositories::Configuration},
};
use std::collections::BTreeSet;
use version::Scheme;

/// Hosts that send whoever asks to a mirror.
const REDIRECTING: [&str; 2] = ["download.opensuse.org", "https://download.opensuse.org"];

pub(super) fn looks() -> Vec<Look> {
    let list = |name: &str| Look::File {
        path: format!("{}/{name}", manifest::FOLDER),
        max_bytes: manifest::BYTES_MAX as u64,
    };
    let mut looks = database::looks();
    looks.extend(manifest::NAMES.map(list));
    looks.extend(asked().map(|path| Look::Exists { path: path.to_owned() }));
    looks.extend(configuration::looks());
    looks
}

/// What is only asked whether it is there.
fn asked() -> impl Iterator<Item = &'static str> {
    tool::programs().chain([DNF5_STATE])
}

pub(super) fn facts(os: OsRelease, evidence: &Evidence) -> Result<Facts, Error> {
    let present: BTreeSet<String> =
        asked().filter(|path| evidence.contains_key(*path)).map(str::to_owned).collect();
    let (installed, strategy) = installed(&os, evidence, &present)?;
    let Installed { mut packages, mut notes } = installed;
    if packages.is_empty() {
        return Err(Error::database("the rpm database", "no installed package in it"));
    }
    let mut files = configuration::files(evidence);
    let configuration = configuration::read(&os, &packages, &files)?;
    let mut locks = configuration::locks(evidence)?;
    locks.apply(&mut packages);
    notes.extend(derivative_note(&os));
    notes.extend(configuration.notes.iter().chain(&locks.notes).cloned());
    let (hosts, note) = hosts(&os, strategy, &configuration);
    notes.extend(note);
    if strategy == Strategy::Unpacked {
        files.extend(lists(evidence));
    }
    let inventory = Inventory { os, scheme: Scheme::Rpm, packages, notes };
    Ok(Facts { inventory, hosts, present, strategy, files, ..Facts::default() })
}

/// The packages, and how they are to be patched. A database counts before lists of packages, which only say what once was
/// in one.
fn installed(
    os: &OsRelease,
    evidence: &Evidence,
    present: &BTreeSet<String>,
) -> Result<(Installed, Strategy), Error> {
    if let Some(installed) = database::read(evidence)? {
        let in_place = present.contains(RPM) && tool(os, present).is_some();
        return Ok((installed, if in_place { Strategy::InPlace } else { Strategy::Outside }));
    }
    let [first, second] = manifest::NAMES.map(list_path);
    let Some(bytes) = evidence.get(&second) else {
        return Err(Error::State(format!("{} has no rpm database", describe(os))));
    };
    let installed = manifest::packages(evidence.get(&first).map(Vec::as_slice), bytes);
    let installed = installed.map_err(|why| Error::database(&second, why))?;
    Ok((installed, Strategy::Unpacked))
}

fn list_path(name: &str) -> String {
    format!("{}/{name}", manifest::FOLDER)
}

fn lists(evidence: &Evidence) -> Evidence {
    let known = |path: String| evidence.get(&path).cloned().map(|bytes| (path, bytes));
    manifest::NAMES.map(list_path).into_iter().filter_map(known).collect()
}

/// The hosts to be reached. Without repositories of its own an image that is patched from outside gets those of the tooling.
fn hosts(os: &OsRelease, strategy: Strategy, configuration: &Configuration) -> (Vec<String>, Option<String>) {
    let mut hosts = configuration.hosts.clone();
    if configuration.uses_mirrors || REDIRECTING.iter().any(|host| hosts.contains(*host)) {
        hosts.extend(tooling::MIRRORS.map(str::to_owned));
    }
    let none = configuration.enabled().next().is_none();
    let known = tooling::repository_hosts(os);
    let note = match (none, strategy == Strategy::Outside && !known.is_empty()) {
        (false, _) => None,
        // The distribution's own are asked, or it is an error that names them.
        (true, _) if strategy == Strategy::Unpacked => None,
        (true, false) => Some("the image has no package repository configured"),
        (true, true) => {
            hosts.extend(known.iter().map(|host| (*host).to_owned()));
            Some("the image has no package repository configured; those of the tooling image are used")
        }
    };
    (hosts.into_iter().collect(), note.map(str::to_owned))
}

/// The package tool of the image itself.
pub(super) fn tool(os: &OsRelease, present: &BTreeSet<String>) -> Option<Tool> {
    let family = Family::of(os).map(|(family, _)| family.name);
    Tool::of(present, family.is_some_and(is_suse))
}

/// Whether the distribution is one of SUSE's.
pub(super) fn is_suse(family: &str) -> bool {
    family == "sles" || family.starts_with("opensuse")
}
