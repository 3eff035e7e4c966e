//! A database in the formats that no tool at hand writes any more, or that families have instead of one: NDB, Berkeley DB, manifests.

use super::family::{Base, Family};
use super::root;
use crate::command::argv;
use crate::{Error, probe};
use std::fs;
use std::path::Path;

/// Rows of the first manifest and of the second, in rpm's own query language, as Azure Linux writes them.
const MANIFESTS: [&str; 2] = [
    "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\\n",
    "%{NAME}\\t%{VERSION}-%{RELEASE}\\t%{INSTALLTIME}\\t%{BUILDTIME}\\t%{VENDOR}\\t%{EPOCH}\\t%{SIZE}\\t%{ARCH}\\t%{EPOCHNUM}\\t%{SOURCERPM}\\n",
];

/// Puts the database of a root into its family's format; what then is no more is added to `gone`.
pub(super) fn convert(family: Family, root: &Path, gone: &mut Vec<String>) -> Result<(), Error> {
    let database = family.database().trim_start_matches('/');
    let (folder, sqlite) = (root.join(database), format!("{database}/rpmdb.sqlite"));
    match family {
        Family::SlesNdb => ndb(&folder)?,
        Family::CentosBerkeley => berkeley(&folder.join("rpmdb.sqlite"), &folder)?,
        Family::AzureLinuxDistroless => {
            manifests(root, database)?;
            gone.push(database.to_owned());
            return Ok(());
        }
        _ => return Ok(()),
    }
    for name in ["rpmdb.sqlite", "rpmdb.sqlite-shm", "rpmdb.sqlite-wal"] {
        let path = folder.join(name);
        if path.exists() {
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    gone.push(sqlite);
    Ok(())
}

/// Converts the SQLite database in a folder to NDB, by the real rpm 6 of [`Base::Dnf5`]: this machine's may be built without it.
pub fn ndb(folder: &Path) -> Result<(), Error> {
    in_rpm6(folder, &["rpmdb", "--define", "_db_backend ndb", "--dbpath", "/database", "--rebuilddb"])
        .map(drop)
}

/// Runs a program of rpm 6 that sees a copy of a database at `/database`; what it made of it takes the place of the folder.
pub(super) fn in_rpm6(folder: &Path, program: &[&str]) -> Result<String, Error> {
    probe::root().map_err(Error::Unavailable)?;
    let copy = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
    let root = copy.path().join("root");
    root::copy(&root::base(Base::Dnf5)?, &root)?;
    let inside = root.join("database");
    root::copy(folder, &inside)?;
    let said = program.iter().fold(argv("chroot", [&root]), |run, argument| run.arg(argument)).text()?;
    fs::remove_dir_all(folder).map_err(Error::io(folder))?;
    root::copy(&inside, folder)?;
    Ok(said)
}

/// Writes `Packages` in Berkeley DB's hash format into a folder: each header under its number, as rpm before 4.16 kept them.
pub fn berkeley(sqlite: &Path, folder: &Path) -> Result<(), Error> {
    let query = "select hnum, hex(blob) from Packages order by hnum";
    let rows = argv("sqlite3", ["-readonly", "-separator", " "]).arg(sqlite).arg(query).text()?;
    let mut dump = String::from("VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n");
    let number = |text: &str| text.parse::<u32>().map_err(|error| Error::malformed("header number", error));
    let rows = rows.lines().filter_map(|row| row.split_once(' '));
    let rows: Vec<(u32, &str)> =
        rows.map(|(key, blob)| number(key).map(|key| (key, blob))).collect::<Result<_, _>>()?;
    let last = rows.last().map_or(0, |(key, _)| *key);
    let key = |number: u32| number.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // Under number 0 the highest number that was given away.
    dump += &format!(" {}\n {}\n", key(0), key(last));
    rows.iter().for_each(|(number, blob)| dump += &format!(" {}\n {}\n", key(*number), blob.to_lowercase()));
    dump += "DATA=END\n";
    argv("db5.3_load", ["-h"]).arg(folder).arg("Packages").filter(dump.as_bytes()).map(drop)
}

fn manifests(root: &Path, database: &str) -> Result<(), Error> {
    let folder = root.join("var/lib/rpmmanifest");
    fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    for (number, format) in MANIFESTS.iter().enumerate() {
        let query = argv("rpm", ["--query", "--all", "--dbpath"]).arg(root.join(database));
        let rows = query.arg("--queryformat").arg(format).stdout()?;
        let path = folder.join(format!("container-manifest-{}", number + 1));
        fs::write(&path, rows).map_err(Error::io(&path))?;
    }
    Ok(())
}
