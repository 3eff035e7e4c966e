//! What a run of apk changes and the layer must not have: the world, caches, logs, locks, temporary files. All of it stays
//! exactly as the image has it.

use engine::Exclusion;

/// The world is what the image's builder asked for. A run puts more into it for its own duration, so that nothing is taken
/// away (`world.rs`); none of that is for the image.
const UNDER: [&str; 8] = [
    "etc/.pwd.lock",
    "etc/apk/world",
    "lib/apk/db/lock",
    "root/.cache",
    "usr/lib/apk/db/lock",
    "var/cache/apk",
    "var/log/apk.log",
    "var/log/lastlog",
];

/// Folders whose content is nobody's, and where apk unpacks scripts.
const INSIDE: [&str; 11] = [
    "dev",
    "etc/apk/cache",
    "lib/apk/exec",
    "proc",
    "run",
    "sys",
    "tmp",
    "usr/lib/apk/exec",
    "var/backups",
    "var/run",
    "var/tmp",
];

/// Copies that tools make of their own files before they change them.
const SUFFIX: [(&str, &str); 1] = [("etc", "-")];

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
            "etc/apk/world",
            "var/cache/apk/APKINDEX.123.tar.gz",
            "lib/apk/db/lock",
            "lib/apk/exec/x.post-install",
            "var/log/apk.log",
            "etc/shadow-",
        ] {
            assert!(out(path), "{path}");
        }
        for path in [
            "lib/apk/db/installed",
            "lib/apk/db/scripts.tar",
            "lib/apk/db/scripts.tar.gz",
            "lib/apk/db/triggers",
            "etc/apk/keys/a.rsa.pub",
            "etc/motd.apk-new",
            "etc/apk",
            "tmp",
        ] {
            assert!(!out(path), "{path}");
        }
    }
}
