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
    // SQLite may not yet have written more than its log. An empty one is what it left beside a database that is no more.
    let log_alone = || log.as_ref().filter(|log| !log.is_empty()).map(|_| Vec::new());
    let bytes = evidence.get(&path).cloned().or_else(log_alone)?;
    Some(Found { path, bytes, log, journal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sqlite_left_beside_a_database_that_is_no_more_is_none() {
        let path = "/var/lib/rpm/rpmdb.sqlite-wal".to_owned();
        assert_eq!(read(&[(path.clone(), Vec::new())].into()), Ok(None));
        assert!(read(&[(path, b"a log".to_vec())].into()).is_err());
        assert_eq!(read(&Evidence::new()), Ok(None));
    }

    #[test]
    fn all_forms_at_all_places_are_looked_for() {
        let paths: Vec<String> = looks()
            .into_iter()
            .filter_map(|look| if let Look::File { path, .. } = look { Some(path) } else { None })
            .collect();
        for path in [
            "/var/lib/rpm/rpmdb.sqlite-wal",
            "/usr/lib/sysimage/rpm/rpmdb.sqlite-journal",
            "/usr/lib/sysimage/rpm/Packages.db",
            "/var/lib/rpm/Packages",
        ] {
            assert!(paths.iter().any(|p| p == path), "{path}");
        }
        assert_eq!(paths.len(), 10);
    }
}
