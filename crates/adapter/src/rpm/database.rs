//! rpm's database in an image, as looks and evidence.

use crate::Error;
use engine::{Evidence, Look};
use inventory::rpm::{
    self, Installed, Kind,
    locations::{self, Found, JOURNAL_SUFFIX, LOG_SUFFIX},
};

/// What must be read to know it: every form at every place, and what SQLite keeps beside its own.
pub(super) fn looks() -> Vec<Look> {
    let beside = |path: &str| [LOG_SUFFIX, JOURNAL_SUFFIX].map(|suffix| format!("{path}{suffix}"));
    let files = |(path, kind): (String, Kind)| match kind {
        Kind::Sqlite => [vec![path.clone()], beside(&path).to_vec()].concat(),
        Kind::Ndb | Kind::Bdb => vec![path],
    };
    let look = |path: String| Look::File { path, max_bytes: rpm::BYTES_MAX as u64 };
    locations::paths().flat_map(files).map(look).collect()
}

/// The installed packages, by the database that counts; none where there is no database.
pub(super) fn read(evidence: &Evidence) -> Result<Option<Installed>, Error> {
    let found: Vec<Found> = locations::paths().filter_map(|(path, _)| one(evidence, path)).collect();
    let chosen = locations::choose(&found).map_err(|why| Error::database("the rpm database", why))?;
    Ok(chosen.map(|chosen| chosen.installed))
}

fn one(evidence: &Evidence, path: String) -> Option<Found> {
    let beside = |suffix: &str| evidence.get(&format!("{path}{suffix}")).cloned();
    let (log, journal) = (beside(LOG_SUFFIX), beside(JOURNAL_SUFFIX));
    // A link to a folder that is not there, and an SQLite that has written nothing but its log.
    let bytes = evidence.get(&path).cloned().or_else(|| log.as_ref().map(|_| Vec::new()))?;
    Some(Found { path, bytes, log, journal })
}
