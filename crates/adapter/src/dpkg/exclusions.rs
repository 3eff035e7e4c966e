//! What a run of apt and dpkg changes and the layer must not have: lists, caches, logs, backups, locks, temporary files.
//! All of it stays exactly as the image has it.

use engine::Exclusion;

/// State that belongs to fetching and logging, folder and all.
const UNDER: [&str; 17] = [
    "etc/.pwd.lock",
    "root/.cache",
    "root/.gnupg",
    "var/cache/apt",
    "var/lib/apt/daily_lock",
    "var/lib/apt/lists",
    "var/lib/apt/mirrors",
    "var/lib/apt/periodic",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
    "var/log/alternatives.log",
    "var/log/apt",
    "var/log/dpkg.log",
    "var/log/fontconfig.log",
    "var/log/unattended-upgrades",
    "var/log/lastlog",
];

/// Folders that packages own and whose content is nobody's: what appears there during a run is left behind by it.
const INSIDE: [&str; 10] = [
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/backups",
    "var/cache/ldconfig",
    "var/cache/man",
    "var/run",
    "var/tmp",
];

/// Copies that tools make of their own files before they change them.
const SUFFIX: [(&str, &str); 3] = [("etc", "-"), ("var/cache/debconf", "-old"), ("var/lib/dpkg", "-old")];

pub(super) fn exclusions() -> Vec<Exclusion> {
    let under = UNDER.map(|path| Exclusion::Under(path.to_owned()));
    let inside = INSIDE.map(|path| Exclusion::Inside(path.to_owned()));
    let suffix =
        SUFFIX.map(|(folder, suffix)| Exclusion::Suffix { folder: folder.into(), suffix: suffix.into() });
    under.into_iter().chain(inside).chain(suffix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_leave_behind_is_out_and_what_they_install_is_in() {
        let all = exclusions();
        let out = |path: &str| all.iter().any(|e| e.covers(path.as_bytes()));
        for path in [
            "var/lib/apt/lists",
            "var/lib/apt/lists/partial/x",
            "var/cache/apt/archives/a.deb",
            "var/log/apt/term.log",
            "var/lib/dpkg/status-old",
            "etc/passwd-",
            "tmp/x/y",
            "run/lock/x",
        ] {
            assert!(out(path), "{path}");
        }
        for path in [
            "var/lib/dpkg/status",
            "var/lib/dpkg/info/a.list",
            "var/lib/dpkg/updates",
            "var/lib/apt/extended_states",
            "var/log/nginx",
            "etc/passwd",
            "etc/ld.so.cache",
            "tmp",
            "run",
            "usr/lib/x-old",
        ] {
            assert!(!out(path), "{path}");
        }
    }
}
