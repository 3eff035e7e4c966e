//! What must be known of an image with pacman's database before it is patched, and what rules it out.

use super::{CONF, DATABASE, PACMAN, database, database_looks};
use crate::{Error, Facts, Strategy, derivative_note, describe};
use engine::{Evidence, Look};
use inventory::{
    Inventory, OsRelease,
    pacman::conf::{self, Conf},
    printable,
};
use std::collections::BTreeMap;
use version::Scheme;

/// The folder of the files that the configuration includes.
const CONF_FOLDER: &str = "/etc/pacman.d";

/// Most files in it; a crowded image has a handful.
const FILES_MAX: usize = 256;

/// Where the image has the database and itself; the settings may say the same in other words.
const USUAL: [(&str, &str); 2] = [("DBPath", "/var/lib/pacman"), ("RootDir", "/")];

pub(super) fn looks() -> Vec<Look> {
    let mut looks = database_looks();
    looks.push(Look::File { path: CONF.to_owned(), max_bytes: conf::BYTES_MAX as u64 });
    looks.push(Look::Folder {
        path: CONF_FOLDER.to_owned(),
        suffix: String::new(),
        max_files: FILES_MAX,
        max_bytes: conf::BYTES_MAX as u64,
    });
    let exists = [PACMAN, DATABASE, super::recipe::CERTIFICATES_FOLDER];
    looks.extend(exists.map(|path| Look::Exists { path: path.to_owned() }));
    looks
}

pub(super) fn facts(os: OsRelease, evidence: &Evidence) -> Result<Facts, Error> {
    if !evidence.contains_key(DATABASE) {
        return Err(Error::database(DATABASE, "not there, so the image has no package database"));
    }
    if !evidence.contains_key(PACMAN) {
        return Err(Error::Unsupported(format!("{}, an image without {PACMAN}", describe(&os))));
    }
    let conf = configuration(evidence)?;
    let read = database(evidence, &conf)?;
    if read.packages.is_empty() {
        return Err(Error::database(DATABASE, "no installed package in it"));
    }
    let mut notes = read.notes;
    notes.extend(derivative_note(&os));
    if conf.repositories == 0 {
        notes.push(format!("the image has no package repository configured in {CONF}"));
    }
    notes.extend(conf.notes);
    let present = [PACMAN, super::recipe::CERTIFICATES_FOLDER];
    Ok(Facts {
        inventory: Inventory { os, scheme: Scheme::Pacman, packages: read.packages, notes },
        hosts: conf.hosts.into_iter().collect(),
        present: present.into_iter().filter(|path| evidence.contains_key(*path)).map(str::to_owned).collect(),
        strategy: Strategy::InPlace,
        files: evidence
            .iter()
            .filter(|(path, _)| is_configuration(path))
            .map(|(p, b)| (p.clone(), b.clone()))
            .collect(),
        ..Facts::default()
    })
}

fn is_configuration(path: &str) -> bool {
    path == CONF || path.strip_prefix(CONF_FOLDER).is_some_and(|rest| rest.starts_with('/'))
}

/// The configuration, from all that was read or kept of it.
pub(super) fn configuration(files: &Evidence) -> Result<Conf, Error> {
    if !files.contains_key(CONF) {
        return Err(Error::database(CONF, "not there"));
    }
    let files: BTreeMap<_, _> = files
        .iter()
        .filter(|(path, _)| is_configuration(path))
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
        .collect();
    let conf = conf::read(CONF, &files).map_err(|why| Error::database(CONF, why))?;
    for ((key, usual), set) in USUAL.into_iter().zip([&conf.database, &conf.root]) {
        let same = |set: &String| set.trim_end_matches('/') == usual.trim_end_matches('/');
        if let Some(other) = set.as_ref().filter(|set| !same(set)) {
            return Err(Error::State(format!("{CONF} sets {key} to {}, not to {usual}", printable(other))));
        }
    }
    Ok(conf)
}
