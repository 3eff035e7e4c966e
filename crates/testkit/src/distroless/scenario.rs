//! Packages of an image without a shell, at two versions: each with one thing that resolving or unpacking must get right.
//! Dates, signatures and hashes of the repository that has them are made bad where it is published and served.

use crate::advisories::{Advisories, Advisory};
use crate::apt_repository::{PackageSpec, Script};

pub use crate::apt_repository::scenario::{NEW, OLD};

/// A library with every kind of file. Its new version needs [`ADDED`].
pub const LIBRARY: &str = "copa-library";
/// Comes in as a new dependency, takes [`TAKEN_OVER`] from [`LIBRARY`], and provides [`VIRTUAL`].
pub const ADDED: &str = "copa-added";
/// What no package is called, but [`ADDED`] provides at version 2.
pub const VIRTUAL: &str = "copa-virtual";
/// Its new version needs [`VIRTUAL`] at version 2, or something that is nowhere.
pub const DEPENDENT: &str = "copa-dependent";
/// Has a conffile that changes, and one that is new.
pub const CONFIGURED: &str = "copa-configured";
/// Its new version has a postinst that must run: it makes a file that the package does not have.
pub const SCRIPTED: &str = "copa-scripted";
/// Its new version has a postinst that does nothing, and wakes `ldconfig`.
pub const HARMLESS: &str = "copa-harmless";
/// Is pinned to its old version by [`PREFERENCES`], where the image has them.
pub const PINNED: &str = "copa-pinned";
/// Its new version wants [`ABSENT`] gone.
pub const CONFLICTING: &str = "copa-conflicting";
/// Its new version needs what is nowhere.
pub const UNSATISFIED: &str = "copa-unsatisfied";
/// Is in the image and not in the repository.
pub const ABSENT: &str = "copa-absent";
/// Has a name that is encoded in addresses.
pub const ENCODED: &str = "copa-c++";

/// Every package of the image.
pub const ALL: [&str; 10] =
    [LIBRARY, DEPENDENT, CONFIGURED, SCRIPTED, HARMLESS, PINNED, CONFLICTING, UNSATISFIED, ABSENT, ENCODED];

/// Those that can be updated without a removal, [`ADDED`] not among them.
pub const UPDATABLE: [&str; 7] = [LIBRARY, DEPENDENT, CONFIGURED, SCRIPTED, HARMLESS, PINNED, ENCODED];

/// A link that leads to another file in the new version.
pub const SONAME: &str = "/usr/lib/copa/libcopa.so.1";
/// Where [`SONAME`] leads, old and new; the old file is gone in the new version.
pub const SHARED: [&str; 2] = ["/usr/lib/copa/libcopa.so.1.0", "/usr/lib/copa/libcopa.so.1.1"];
/// A setuid program of [`LIBRARY`].
pub const SETUID: &str = "/usr/bin/copa-as-root";
/// Two names of one file of [`LIBRARY`].
pub const PAIR: [&str; 2] = ["/usr/share/copa/pair-a", "/usr/share/copa/pair-b"];
/// A file of [`LIBRARY`] that is one of [`ADDED`] in the new version.
pub const TAKEN_OVER: &str = "/usr/share/copa/taken-over";
/// A conffile of [`CONFIGURED`].
pub const CONFFILE: &str = "/etc/copa/configured.conf";
/// A conffile that only its new version has.
pub const NEW_CONFFILE: &str = "/etc/copa/new.conf";
/// What the postinst of [`SCRIPTED`] makes.
pub const STATE: &str = "/var/lib/copa-scripted/state";
/// Preferences of apt that pin [`PINNED`].
pub const PREFERENCES: &str = "Package: copa-pinned\nPin: version 1:1.0-1\nPin-Priority: 1001\n";

/// What the image has.
pub fn installed() -> Vec<PackageSpec> {
    let others = ALL.into_iter().filter(|name| ![LIBRARY, CONFIGURED].contains(name));
    let configured = plain(CONFIGURED, OLD).conffile(CONFFILE, "setting = old\n");
    let library = library(OLD, SHARED[0]).file(TAKEN_OVER, "old\n");
    [library, configured].into_iter().chain(others.map(|name| plain(name, OLD))).collect()
}

/// What the repository offers.
pub fn updates() -> Vec<PackageSpec> {
    vec![
        library(NEW, SHARED[1]).field("Depends", &format!("{ADDED} (>= {NEW})")),
        plain(ADDED, NEW)
            .file(TAKEN_OVER, "new\n")
            .field("Provides", &format!("{VIRTUAL} (= 2)"))
            .field("Replaces", &format!("{LIBRARY} (<< {NEW})"))
            .field("Breaks", &format!("{LIBRARY} (<< {NEW})")),
        plain(DEPENDENT, NEW).field("Depends", &format!("copa-nowhere | {VIRTUAL} (>= 2), {LIBRARY}")),
        plain(CONFIGURED, NEW).conffile(CONFFILE, "setting = new\n").conffile(NEW_CONFFILE, "new\n"),
        plain(SCRIPTED, NEW).script(
            Script::Postinst,
            &format!("#!/bin/sh\nset -e\nmkdir -p /var/lib/copa-scripted\necho \"$1 $2\" >{STATE}\n"),
        ),
        plain(HARMLESS, NEW)
            .script(Script::Postinst, "#!/bin/sh\nset -e\nexit 0\n")
            .script(Script::Triggers, "activate-noawait ldconfig\n"),
        plain(PINNED, NEW),
        plain(CONFLICTING, NEW).field("Conflicts", ABSENT),
        plain(UNSATISFIED, NEW).field("Depends", "copa-nowhere (>= 2)"),
        plain(ENCODED, NEW),
    ]
}

/// One vulnerability of each package of the image, fixed in [`NEW`].
pub fn advisories() -> Advisories {
    let advisory = |(number, name): (usize, &str)| {
        let advisory = Advisory {
            id: format!("CVE-2026-{:04}", number + 1),
            fixed: Some(NEW.to_owned()),
            status: "fixed",
            urgency: "high".to_owned(),
            title: format!("{name} has a flaw"),
        };
        (name.to_owned(), vec![advisory])
    };
    ALL.into_iter().enumerate().map(advisory).collect()
}

fn plain(name: &str, version: &str) -> PackageSpec {
    let age = if version == OLD { "old\n" } else { "new\n" };
    PackageSpec::new(name, version).with_sums().file(&format!("/usr/share/{name}/data"), age)
}

fn library(version: &str, shared: &str) -> PackageSpec {
    plain(LIBRARY, version)
        .native()
        .file(shared, version)
        .link(SONAME, shared.rsplit('/').next().unwrap_or_default())
        .file_with_mode(SETUID, version, 0o4755)
        .file(PAIR[0], version)
        .hard_link(PAIR[1], PAIR[0])
        .folder("/var/lib/copa-library", 0o700)
}
