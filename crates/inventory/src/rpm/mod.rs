//! rpm's records: its database in each of the three forms it has had, the manifests of images without one, locks and
//! repositories. All read by us, from bytes.
//!
//! [`packages`] takes any bytes: it ends with packages or an error, in time that grows with the bytes alone.

mod bdb;
pub mod contents;
#[cfg(test)]
mod damage;
pub mod glob;
pub mod header;
mod ini;
pub mod locations;
pub mod locks;
pub mod manifest;
mod ndb;
mod package;
pub mod repositories;
mod sqlite;
mod steady;
pub mod tag;
#[cfg(test)]
mod testing;
pub mod variables;
mod wal;
mod wire;

pub use header::Header;
pub use steady::steady;
pub use tag::Tag;

use crate::{Error, Package, check_size};

/// Largest database taken. A full workstation's has 300 MB.
pub const BYTES_MAX: usize = 512 * 1024 * 1024;

/// Largest header of one package taken: its data and its index.
const HEADER_BYTES_MAX: usize = header::DATA_BYTES_MAX as usize + 8 + 16 * header::TAGS_MAX as usize;

/// Most packages taken; no distribution has more binaries of one architecture.
const PACKAGES_MAX: usize = 100_000;

/// What is given each record of a database.
type Each<'e> = dyn FnMut(&[u8]) -> Result<(), Error> + 'e;

/// The form of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `rpmdb.sqlite`: rpm 4.16 and later.
    Sqlite,
    /// `Packages.db`: SUSE.
    Ndb,
    /// `Packages`: Berkeley DB, rpm before 4.16.
    Bdb,
}

/// A database and what lies beside it.
#[derive(Debug, Clone, Copy)]
pub struct Database<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The write-ahead log of an SQLite database (`-wal`), where there is one.
    pub log: Option<&'a [u8]>,
    /// The rollback journal of an SQLite database (`-journal`), where there is one.
    pub journal: Option<&'a [u8]>,
}

impl<'a> Database<'a> {
    /// A database with nothing beside it.
    pub fn alone(bytes: &'a [u8]) -> Database<'a> {
        Database { bytes, log: None, journal: None }
    }
}

/// What a database says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    /// Installed packages, sorted by name, architecture and version. None is [held](Package::held): locks are elsewhere.
    pub packages: Vec<Package>,
    /// What is in doubt.
    pub notes: Vec<String>,
}

/// The form of a database, from its first bytes.
pub fn detect(bytes: &[u8]) -> Option<Kind> {
    if bytes.starts_with(sqlite::MAGIC) {
        Some(Kind::Sqlite)
    } else if bytes.starts_with(ndb::MAGIC) {
        Some(Kind::Ndb)
    } else {
        bdb::is_one(bytes).then_some(Kind::Bdb)
    }
}

/// The installed packages. Public keys (`gpg-pubkey`), which rpm keeps among them, are left out.
///
/// What is cut off, contradicts itself or is of a form that came after us is an error; a package whose own record is bad is
/// noted and left out.
pub fn packages(database: &Database<'_>) -> Result<Installed, Error> {
    let mut reading = package::Reading::default();
    let mut notes = each_header(database, &mut |blob| reading.add(blob))?;
    let mut installed = reading.finish()?;
    notes.append(&mut installed.notes);
    Ok(Installed { notes, ..installed })
}

/// Gives the header of each package to `each`, public keys included, and returns what is in doubt about the database.
pub fn each_header(
    database: &Database<'_>,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Vec<String>, Error> {
    check_size(database.bytes, BYTES_MAX)?;
    let log = database.log.filter(|log| !log.is_empty());
    log.map_or(Ok(()), |log| check_size(log, BYTES_MAX))?;
    // SQLite that has not come to copying its log yet leaves an empty database beside it.
    let kind =
        detect(database.bytes).or((database.bytes.is_empty() && log.is_some()).then_some(Kind::Sqlite));
    match kind {
        Some(Kind::Sqlite) if database.journal.is_some_and(|journal| journal.starts_with(&HOT_JOURNAL)) => {
            Err(Error::Malformed("the rpm database was left in the middle of a change".into()))
        }
        Some(Kind::Sqlite) => sqlite::blobs(database.bytes, log, each),
        Some(Kind::Ndb) => ndb::blobs(database.bytes, each),
        Some(Kind::Bdb) => bdb::blobs(database.bytes, each),
        None => Err(Error::Malformed("no rpm database of a form that we know".into())),
    }
}

/// What a rollback journal begins with while it is in force.
const HOT_JOURNAL: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

fn corrupt(why: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("the rpm database is corrupt: {why}"))
}

fn corrupt_manifest(why: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("the list of the image's packages is corrupt: {why}"))
}

fn newer(format: &str) -> Error {
    Error::Malformed(format!("the rpm database is newer than we know (a later version of {format})"))
}

#[cfg(test)]
mod tests {
    use super::testing::{bdb, blobs, ndb, package, sqlite};
    use super::*;

    #[test]
    fn each_form_is_known_and_gives_the_same_packages() {
        let all = blobs();
        let forms = [
            (sqlite(&all), Kind::Sqlite),
            (ndb(&all), Kind::Ndb),
            (bdb(&all, false), Kind::Bdb),
            (bdb(&all, true), Kind::Bdb),
        ];
        for (bytes, kind) in forms {
            assert_eq!(detect(&bytes), Some(kind));
            let read = packages(&Database::alone(&bytes)).unwrap();
            let shown: Vec<String> =
                read.packages.iter().map(|p| format!("{} {} {}", p.name, p.version, p.source)).collect();
            let expected = [
                "bash 5.1.8-1.el9 bash-src",
                "glibc 2.34-60.el9 glibc-src",
                "openssl-libs 1:3.0.7-27.el9 openssl-libs-src",
                "tzdata 2024a-1.el9 tzdata-src",
            ];
            assert_eq!((shown, read.notes), (expected.map(String::from).to_vec(), Vec::new()), "{kind:?}");
        }
    }

    #[test]
    fn what_is_no_database_or_in_the_middle_of_a_change_is_an_error() {
        for bytes in [&b""[..], b"hello", &[0; 100], b"Name: bash\n"] {
            assert_eq!(detect(bytes), None);
            assert!(packages(&Database::alone(bytes)).is_err());
        }
        let bytes = sqlite(&[package("bash", (0, "1", "1"), 0)]);
        let with = |journal| packages(&Database { journal: Some(journal), ..Database::alone(&bytes) });
        assert!(with(&HOT_JOURNAL).unwrap_err().to_string().contains("middle of a change"));
        // A journal is emptied or zeroed when the change is done.
        assert!(with(&[]).is_ok() && with(&[0; 512]).is_ok());
    }
}
