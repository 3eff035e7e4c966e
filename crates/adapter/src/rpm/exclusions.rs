//! What a run of a package tool and rpm changes and the layer must not have: metadata, caches, logs, histories, locks.
//! All of it stays exactly as the image has it.
//!
//! Histories are left out because they tell when and by whom, never what is installed: dnf's, yum's and tdnf's databases in
//! `/var/lib`, and zypp's list of packages that came as a dependency, whose head is the time of day. The tools go on working
//! without: a package that no history knows is one that nobody may remove on his own. dnf 5 is different: what it knows of
//! packages and modules are plain files beside rpm's database; they go into the layer where the image has them already, and
//! only the history among them does not.

use engine::Exclusion;
use std::collections::BTreeSet;

/// Where dnf 5 keeps what it knows of packages.
pub(super) const DNF5_STATE: &str = "/usr/lib/sysimage/libdnf5/packages.toml";

/// State that belongs to fetching, logging and locking, folder and all. Berkeley DB's `__db` files are shared memory of
/// the processes that have the database open.
const UNDER: [&str; 30] = [
    "root/.cache",
    "root/.gnupg",
    "usr/lib/sysimage/libdnf5/transaction_history.sqlite",
    "usr/lib/sysimage/libdnf5/transaction_history.sqlite-shm",
    "usr/lib/sysimage/libdnf5/transaction_history.sqlite-wal",
    "var/cache/PackageKit",
    "var/cache/copa",
    "var/cache/dnf",
    "var/cache/libdnf5",
    "var/cache/tdnf",
    "var/cache/yum",
    "var/cache/zypp",
    "var/lib/PackageKit",
    "var/lib/YaST2/cookies",
    "var/lib/dnf",
    "var/lib/tdnf",
    "var/lib/yum",
    "var/lib/zypp",
    "var/log/YaST2",
    "var/log/dnf.librepo.log",
    "var/log/dnf.log",
    "var/log/dnf.rpm.log",
    "var/log/dnf5.log",
    "var/log/hawkey.log",
    "var/log/lastlog",
    "var/log/tdnf",
    "var/log/tdnf.log",
    "var/log/yum.log",
    "var/log/zypp",
    "var/log/zypper.log",
];

/// Folders whose content is nobody's, or that a service of zypp writes anew at each refresh.
const INSIDE: [&str; 11] = [
    "dev",
    "etc/zypp/repos.d",
    "etc/zypp/services.d",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/cache/ldconfig",
    "var/cache/man",
    "var/run",
    "var/tmp",
];

/// Both places of rpm's database; one may be a link to the other.
const DATABASES: [&str; 2] = ["var/lib/rpm", "usr/lib/sysimage/rpm"];

/// Beside the database: locks and shared memory. Not SQLite's log (`-wal`), which may hold what the database does not yet.
const BESIDE: [&str; 13] = [
    ".dbenv.lock",
    ".keyring.lock",
    ".rpm.lock",
    "__db.001",
    "__db.002",
    "__db.003",
    "__db.004",
    "__db.005",
    "__db.006",
    "__db.007",
    "__db.008",
    "__db.009",
    "rpmdb.sqlite-shm",
];

pub(super) fn exclusions(present: &BTreeSet<String>) -> Vec<Exclusion> {
    let beside = DATABASES.iter().flat_map(|folder| BESIDE.map(|name| format!("{folder}/{name}")));
    let under = UNDER.iter().map(|path| (*path).to_owned()).chain(beside).map(Exclusion::Under);
    let inside = INSIDE.map(|path| Exclusion::Inside(path.to_owned()));
    let new_state = (!present.contains(DNF5_STATE)).then(|| "usr/lib/sysimage/libdnf5".to_owned());
    under.chain(inside).chain(new_state.map(Exclusion::Under)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(present: &[&str], path: &str) -> bool {
        let present = present.iter().map(|path| (*path).to_owned()).collect();
        exclusions(&present).iter().any(|e| e.covers(path.as_bytes()))
    }

    #[test]
    fn what_tools_leave_behind_is_out_and_what_they_install_is_in() {
        for path in [
            "var/cache/dnf/base.solv",
            "var/lib/dnf/history.sqlite",
            "var/lib/zypp/AnonymousUniqueId",
            "var/log/zypp/history",
            "var/lib/rpm/rpmdb.sqlite-shm",
            "usr/lib/sysimage/rpm/.rpm.lock",
            "var/lib/rpm/__db.003",
            "var/tmp/copa/updates.solv",
            "etc/zypp/repos.d/x.repo",
        ] {
            assert!(out(&[DNF5_STATE], path), "{path}");
        }
        for path in [
            "var/lib/rpm",
            "var/lib/rpm/rpmdb.sqlite",
            "var/lib/rpm/rpmdb.sqlite-wal",
            "usr/lib/sysimage/rpm/Packages.db",
            "usr/lib/sysimage/libdnf5/packages.toml",
            "etc/yum.repos.d/x.repo",
            "etc/demo.conf.rpmnew",
            "var/log/app.log",
            "var/lib/dnf-app/x",
            "etc/dnf/dnf.conf",
        ] {
            assert!(!out(&[DNF5_STATE], path), "{path}");
        }
    }

    #[test]
    fn an_image_that_dnf5_knows_nothing_of_stays_so() {
        assert!(out(&[], "usr/lib/sysimage/libdnf5/packages.toml"));
        assert!(out(&[DNF5_STATE], "usr/lib/sysimage/libdnf5/transaction_history.sqlite-wal"));
    }
}
