//! What a run of pacman changes and the layer must not have: sync databases, packages fetched, logs, locks. All of it stays
//! exactly as the image has it.

use super::recipe::CERTIFICATES;
use engine::Exclusion;

/// State that belongs to fetching and logging, folder and all.
const UNDER: [&str; 8] = [
    "etc/.pwd.lock",
    "root/.cache",
    "root/.gnupg",
    "var/cache/pacman",
    "var/lib/pacman/db.lck",
    "var/lib/pacman/sync",
    "var/log/pacman.log",
    "var/log/lastlog",
];

/// Folders whose content is nobody's, and what systemd's hooks write for a machine of its own.
const INSIDE: [&str; 10] = [
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/cache/ldconfig",
    "var/cache/man",
    "var/lib/pacman/local/.tmp",
    "var/run",
    "var/tmp",
];

/// Copies and locks that tools make of their own files.
const SUFFIX: [(&str, &str); 3] =
    [("etc", "-"), ("etc/pacman.d/gnupg", ".lock"), ("etc/pacman.d/gnupg", "~")];

/// The keys that pacman trusts. Checking a signature touches them without changing what they say.
const KEYS: &str = "etc/pacman.d/gnupg";

/// How the names of packages end whose scripts change the keys for good (`archlinux-keyring`).
const KEYS_PACKAGES: &str = "-keyring";

/// What stays out, where these packages may be upgraded. The keys may change where their package may.
pub(super) fn exclusions<'a>(
    mut upgraded: impl Iterator<Item = &'a str>,
    certificates: bool,
) -> Vec<Exclusion> {
    let under = UNDER.map(|path| Exclusion::Under(path.to_owned()));
    let inside = INSIDE.map(|path| Exclusion::Inside(path.to_owned()));
    let suffix =
        SUFFIX.map(|(folder, suffix)| Exclusion::Suffix { folder: folder.into(), suffix: suffix.into() });
    let mut all: Vec<_> = under.into_iter().chain(inside).chain(suffix).collect();
    if !upgraded.any(|name| name.ends_with(KEYS_PACKAGES)) {
        all.push(Exclusion::Under(KEYS.to_owned()));
    }
    if certificates {
        all.push(Exclusion::Under(CERTIFICATES.trim_start_matches('/').to_owned()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_leave_behind_is_out_and_what_they_install_is_in() {
        let out = |path: &str, all: &[Exclusion]| all.iter().any(|e| e.covers(path.as_bytes()));
        let named = exclusions(["openssl"].into_iter(), false);
        let all = exclusions(["archlinux-keyring", "openssl"].into_iter(), true);
        for path in [
            "var/lib/pacman/sync/core.db",
            "var/cache/pacman/pkg/a.pkg.tar.zst",
            "var/lib/pacman/db.lck",
            "etc/pacman.d/gnupg/trustdb.gpg.lock",
            "var/log/pacman.log",
            "etc/passwd-",
        ] {
            assert!(out(path, &named) && out(path, &all), "{path}");
        }
        for path in [
            "var/lib/pacman/local/a-1-1/desc",
            "etc/pacman.d/mirrorlist.pacnew",
            "etc/ld.so.cache",
            "var/lib/pacman",
        ] {
            assert!(!out(path, &named) && !out(path, &all), "{path}");
        }
        let keys = "etc/pacman.d/gnupg/pubring.gpg";
        assert!(out(keys, &named) && !out(keys, &all));
        let certificates = "etc/ssl/certs/ca-certificates.crt";
        assert!(!out(certificates, &named) && out(certificates, &all));
    }
}
