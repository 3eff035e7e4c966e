//! Packages as Alpine has them, at two versions, each with one thing that a patcher must get right. Every script writes what
//! it did to a file.

use super::{ApkSpec, Script};

/// A library that others need by its `so:` name. Its new version needs [`ADDED`].
pub const LIBRARY: &str = "libcrypto3";
/// Needs [`LIBRARY`] by its `so:` name; of the same origin.
pub const DEPENDENT: &str = "libssl3";
/// Comes in as a new dependency, by the `so:` name it provides, and takes over [`TAKEN_OVER`].
pub const ADDED: &str = "copa-fips";
/// Has a file in `/etc` that changes.
pub const CONFIGURED: &str = "copa-configured";
/// Has scripts before and after an upgrade.
pub const SCRIPTED: &str = "copa-scripted";
/// Watches [`WATCHED`], and changes itself not.
pub const WATCHER: &str = "copa-watcher";
/// Is held at its old version by [`WORLD`].
pub const HELD: &str = "copa-held";
/// Is in the image and not in the repository.
pub const ABSENT: &str = "copa-absent";
/// Its new version needs what is nowhere.
pub const UNSATISFIED: &str = "copa-unsatisfied";

/// The versions in the image and in the repository.
pub const OLD: &str = "3.1.4-r0";
/// The version in the repository.
pub const NEW: &str = "3.1.4-r5";

/// Every package of the image, in the order of its database.
pub const ALL: [&str; 8] = [LIBRARY, DEPENDENT, CONFIGURED, SCRIPTED, WATCHER, HELD, ABSENT, UNSATISFIED];
/// Those that an upgrade of everything brings to [`NEW`], [`ADDED`] not among them.
pub const UPDATABLE: [&str; 4] = [LIBRARY, DEPENDENT, CONFIGURED, SCRIPTED];
/// What the image was made to have: one held, the rest free.
pub const WORLD: [&str; 7] = [
    "copa-absent",
    "copa-configured",
    "copa-held=3.1.4-r0",
    "copa-scripted",
    "copa-unsatisfied",
    "copa-watcher",
    "libssl3",
];

/// The file in `/etc`.
pub const CONFFILE: &str = "/etc/copa/configured.conf";
/// Where its new version goes when the one that is there was changed.
pub const APK_NEW: &str = "/etc/copa/configured.conf.apk-new";
/// What the scripts of [`SCRIPTED`] write.
pub const STATE: &str = "/var/lib/copa-scripted/state";
/// The folders that [`WATCHER`] watches.
pub const WATCHED: &str = "/usr/lib/copa*";
/// What the trigger of [`WATCHER`] writes.
pub const TRIGGERED: &str = "/var/lib/copa-watcher/triggered";
/// A file of [`LIBRARY`] that is one of [`ADDED`] in the new version.
pub const TAKEN_OVER: &str = "/usr/lib/copa/taken-over";
/// A file that the new [`LIBRARY`] has no more.
pub const DELETED: &str = "/usr/lib/copa/gone";
/// A setuid program of [`LIBRARY`].
pub const SETUID: &str = "/usr/bin/copa-as-root";
/// Two names of one file of [`LIBRARY`].
pub const PAIR: [&str; 2] = ["/usr/lib/copa/pair-a", "/usr/lib/copa/pair-b"];

/// What the image has.
pub fn installed() -> Vec<ApkSpec> {
    let old = |name: &str| match name {
        LIBRARY => library(OLD).file(TAKEN_OVER, "old\n").file(DELETED, "soon gone\n"),
        DEPENDENT => dependent(OLD),
        CONFIGURED => plain(CONFIGURED, OLD).file(CONFFILE, "setting = old\n"),
        SCRIPTED => scripted(OLD),
        WATCHER => watcher(),
        name => plain(name, OLD),
    };
    ALL.into_iter().map(old).collect()
}

/// What the repository offers.
pub fn updates() -> Vec<ApkSpec> {
    vec![
        library(NEW).field("depend", "so:libcopafips.so.1"),
        dependent(NEW),
        plain(ADDED, NEW)
            .field("provides", "so:libcopafips.so.1=1.0")
            .field("replaces", LIBRARY)
            .file("/usr/lib/libcopafips.so.1", "new\n")
            .file(TAKEN_OVER, "new\n"),
        plain(CONFIGURED, NEW).file(CONFFILE, "setting = new\n"),
        scripted(NEW),
        watcher(),
        plain(HELD, NEW),
        plain(UNSATISFIED, NEW).field("depend", "copa-nowhere>=2"),
    ]
}

fn plain(name: &str, version: &str) -> ApkSpec {
    ApkSpec::new(name, version).file(&format!("/usr/share/{name}/data"), version)
}

fn library(version: &str) -> ApkSpec {
    plain(LIBRARY, version)
        .field("origin", "openssl")
        .field("provides", &format!("so:libcrypto.so.3={}", if version == OLD { "3.0" } else { "3.1" }))
        .file("/usr/lib/libcrypto.so.3", version)
        .link("/lib/libcrypto.so.3", "../usr/lib/libcrypto.so.3")
        .file(PAIR[0], version)
        .hard_link(PAIR[1], PAIR[0])
        .file_with_mode(SETUID, version, 0o4755)
        .folder("/var/lib/copa-library", 0o700)
}

fn dependent(version: &str) -> ApkSpec {
    plain(DEPENDENT, version)
        .field("origin", "openssl")
        .field("depend", "so:libcrypto.so.3")
        .field("provides", "so:libssl.so.3=3")
        .file("/usr/lib/libssl.so.3", version)
}

fn scripted(version: &str) -> ApkSpec {
    let write =
        |what: &str| format!("#!/bin/sh\nmkdir -p /var/lib/copa-scripted\necho \"{what} $1 $2\" >>{STATE}\n");
    plain(SCRIPTED, version)
        .script(Script::PostInstall, &write("post-install"))
        .script(Script::PreUpgrade, &write("pre-upgrade"))
        .script(Script::PostUpgrade, &write("post-upgrade"))
}

fn watcher() -> ApkSpec {
    let trigger = format!("#!/bin/sh\nmkdir -p /var/lib/copa-watcher\necho \"$@\" >>{TRIGGERED}\n");
    plain(WATCHER, OLD).field("triggers", WATCHED).script(Script::Trigger, &trigger)
}
