//! What the real rpm says of a root: which packages its database has, and whether their files are as they came.

use super::database;
use crate::Error;
use crate::command::{Argv, argv};
use std::path::Path;

/// Name, `EPOCH:VERSION-RELEASE` (the epoch only where there is one) and architecture.
pub type Installed = (String, String, String);

/// Query format of [`Installed`].
const FORMAT: &str = "%{NAME} %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE} %{ARCH}\\n";

/// Every package in the database `dbpath` (as the image sees it, `/var/lib/rpm`) of a root, sorted; keys too, as `gpg-pubkey`. The
/// root is not changed: a copy of the database is asked. NDB is read by the rpm 6 of a synthetic distribution, all else by this machine's rpm.
pub fn installed(root: &Path, dbpath: &str) -> Result<Vec<Installed>, Error> {
    let scratch = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
    let copy = scratch.path().join("database");
    super::root::copy(&root.join(dbpath.trim_start_matches('/')), &copy)?;
    let text = if copy.join("Packages.db").exists() {
        database::in_rpm6(&copy, &["rpm", "--dbpath", "/database", "-qa", "--queryformat", FORMAT])?
    } else {
        // Of Berkeley DB, a reader is all that newer rpms have.
        let backend = if copy.join("Packages").exists() { "bdb_ro" } else { "sqlite" };
        let query = argv("rpm", ["--define"]).arg(format!("_db_backend {backend}")).arg("--dbpath");
        query.arg(&copy).arg("-qa").arg("--queryformat").arg(FORMAT).text()?
    };
    let mut all: Vec<Installed> = text.lines().filter_map(line).collect();
    all.sort();
    Ok(all)
}

fn line(line: &str) -> Option<Installed> {
    let mut words = line.split(' ').map(str::to_owned);
    Some((words.next()?, words.next()?, words.next()?))
}

/// What `rpm --verify` has to say against packages of a root, a line each; nothing where all is as it should be. Needs root and a
/// database that this machine's rpm reads and writes (SQLite), whose `rpmdb.sqlite-shm` it may touch.
pub fn verify(root: &Path, dbpath: &str, names: &[&str]) -> Result<Vec<String>, Error> {
    let verify = argv("rpm", ["--root"]).arg(root).arg("--define").arg(format!("_dbpath {dbpath}"));
    let verify = verify.arg("--verify").env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8");
    let ran = names.iter().fold(verify, Argv::arg).output()?;
    let said = [ran.stdout, ran.stderr].concat();
    Ok(String::from_utf8_lossy(&said).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_package() {
        let package = |name: &str, version: &str, architecture: &str| {
            Some((name.to_owned(), version.to_owned(), architecture.to_owned()))
        };
        assert_eq!(
            line("openssl-libs 1:3.0.7-24.el9 x86_64"),
            package("openssl-libs", "1:3.0.7-24.el9", "x86_64")
        );
        assert_eq!(line("gpg-pubkey 1-2 (none)"), package("gpg-pubkey", "1-2", "(none)"));
        assert_eq!(line("half"), None);
    }
}
