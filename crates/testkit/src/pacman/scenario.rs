//! Packages for pacman at two versions, each with one thing that a patcher must get right.

use super::PacmanSpec;

/// Has a file that the administrator may change; its new version needs [`ADDED`].
pub const CONFIGURED: &str = "openssl";
/// Comes in as a new dependency.
pub const ADDED: &str = "fips-extra";
/// Has install scripts, a setuid program, a link, two names of one file, and files that come and go.
pub const SCRIPTED: &str = "demo";
/// Is held by `IgnorePkg`.
pub const HELD: &str = "held";
/// Its new version wants [`VICTIM`] gone.
pub const CONFLICTING: &str = "conflicting";
/// What [`CONFLICTING`] wants gone. Not in the repository.
pub const VICTIM: &str = "victim";

/// The version in the image; an epoch is part of it.
pub const OLD: &str = "1:3.2.0-1";
/// The version in the repository.
pub const NEW: &str = "1:3.2.1-1";

/// Every package of the image beside the base.
pub const ALL: [&str; 5] = [CONFIGURED, SCRIPTED, HELD, CONFLICTING, VICTIM];

/// The file that the administrator may change.
pub const CONFFILE: &str = "/etc/ssl/openssl.cnf";
/// Where its new version goes when the one that is there was changed.
pub const PACNEW: &str = "/etc/ssl/openssl.cnf.pacnew";
/// What the scripts of [`SCRIPTED`] write.
pub const LOG: &str = "/var/lib/demo/log";
/// A setuid program.
pub const SETUID: &str = "/usr/bin/demo";
/// Only in the old version, and only in the new one.
pub const COMES_AND_GOES: [&str; 2] = ["/usr/share/demo/only-in-old", "/usr/share/demo/only-in-new"];
/// Two names of one file.
pub const PAIR: [&str; 2] = ["/usr/share/demo/pair-a", "/usr/share/demo/pair-b"];

/// What the image has.
pub fn installed() -> Vec<PacmanSpec> {
    vec![
        configured(OLD, "setting = old\n"),
        scripted(OLD, COMES_AND_GOES[0]),
        plain(HELD, OLD),
        plain(CONFLICTING, OLD),
        plain(VICTIM, OLD),
    ]
}

/// What the repository offers.
pub fn updates() -> Vec<PacmanSpec> {
    vec![
        configured(NEW, "setting = new\n").field("depend", ADDED),
        plain(ADDED, NEW),
        scripted(NEW, COMES_AND_GOES[1]),
        plain(HELD, NEW),
    ]
}

/// Every update, that of [`CONFLICTING`] too.
pub fn all_updates() -> Vec<PacmanSpec> {
    updates().into_iter().chain([plain(CONFLICTING, NEW).field("conflict", VICTIM)]).collect()
}

fn plain(name: &str, version: &str) -> PacmanSpec {
    PacmanSpec::new(name, version).file(&format!("/usr/share/{name}/data"), version)
}

fn configured(version: &str, setting: &str) -> PacmanSpec {
    plain(CONFIGURED, version).backup(CONFFILE, setting).field("depend", super::root::BASE)
}

fn scripted(version: &str, own: &str) -> PacmanSpec {
    let line = |what: &str| format!("{what}() {{ mkdir -p /var/lib/demo; echo {what} $1 $2 >>{LOG}; }}\n");
    plain(SCRIPTED, version)
        .file(own, version)
        .file_with_mode(SETUID, version, 0o4755)
        .link("/usr/share/demo/link", version)
        .file(PAIR[0], version)
        .hard_link(PAIR[1], PAIR[0])
        .script(&["post_install", "pre_upgrade", "post_upgrade"].map(line).concat())
}
