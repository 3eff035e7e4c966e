//! Packages at two versions, each with one thing that a patcher must get right.
//!
//! `base` is what an image has and `updates` what a repository then offers; what is malign has repositories of its own. Versions
//! are written as `EPOCH:VERSION-RELEASE` where there is an epoch, else `VERSION-RELEASE`.

use super::family::{FAMILIES, Family};
use super::spec::{PackageSpec, Scriptlet};
use super::{DIST, world};
use std::env::consts::ARCH;

/// A security update for [`LIBRARY`] that needs [`EXTRA`]; `TSSA-2024:0001`, moderate, `CVE-2024-0001`.
pub const LIBRARY: &str = "openssl-libs";
/// Comes in as a new dependency of [`LIBRARY`].
pub const EXTRA: &str = "openssl-fips-provider";
/// Has an update that is no security update; `TSBA-2024:0002`.
pub const BUGFIX: &str = "expat";
/// Every kind of change, and scriptlets; a security update: `TSSA-2024:0003`, low, `CVE-2024-0003`.
pub const DAEMON: &str = "demo-daemon";
/// An ordinary package with a security update (`TSSA-2024:0004`, important, `CVE-2024-0004`), to be locked or excluded by the test.
pub const HELD: &str = "demo-held";
/// Several versions side by side: `installonlypkg(kernel)`. The image has [`KERNELS`]; [`KERNEL_NEW`] is offered.
pub const KERNEL: &str = "demo-kernel";
/// One name, two architectures, where this machine's has a second one (see [`multilib`]).
pub const MULTILIB: &str = "demo-multilib";
/// Its new version fails in `%post`: rpm tells it and goes on.
pub const FAILING: &str = "demo-failing";
/// Its new version fails in `%pre`: it is not installed, the old one stays.
pub const REFUSING: &str = "demo-refusing";
/// Its new version never ends being installed.
pub const SLOW: &str = "demo-slow";
/// Its new version asks on the terminal and on stdin.
pub const PROMPT: &str = "demo-prompt";
/// Its new version can only be installed when [`VICTIM`] goes.
pub const REMOVER: &str = "demo-remover";
/// What [`REMOVER`] wants gone.
pub const VICTIM: &str = "demo-victim";
/// Its new version is not signed.
pub const UNSIGNED: &str = "demo-unsigned";
/// Its new version is signed by a key that nobody trusts.
pub const STRANGER: &str = "demo-stranger";
/// Its new version was changed after the index was made.
pub const TAMPERED: &str = "demo-tampered";
/// Its new version was changed after it was signed; the index is of what it is now.
pub const ALTERED: &str = "demo-altered";
/// Its new version is in a repository whose index was signed by a key that nobody trusts.
pub const FORGED: &str = "demo-forged";

/// Has a file of configuration and no scriptlet; only in images without a tool.
pub const SETTINGS: &str = "demo-settings";

/// [`LIBRARY`] in the image.
pub const LIBRARY_OLD: &str = "1:3.0.7-24.el9";
/// [`LIBRARY`] in `updates`.
pub const LIBRARY_NEW: &str = "1:3.0.7-27.el9";
/// [`EXTRA`] in `updates`.
pub const EXTRA_NEW: &str = "3.0.7-2.el9";
/// [`BUGFIX`] in the image.
pub const BUGFIX_OLD: &str = "2.5.0-1.el9";
/// [`BUGFIX`] in `updates`.
pub const BUGFIX_NEW: &str = "2.5.0-2.el9";
/// All packages whose names begin with `demo-`, but the kernel, in the image.
pub const OLD: &str = "1.0-1.el9";
/// The same in the repositories.
pub const NEW: &str = "1.0-2.el9";
/// [`KERNEL`] in the image.
pub const KERNELS: [&str; 2] = ["5.14.0-1.el9", "5.14.0-2.el9"];
/// [`KERNEL`] in `updates`.
pub const KERNEL_NEW: &str = "5.14.0-3.el9";

/// A `%config(noreplace)` file that the new [`DAEMON`] changes.
pub const CONFIG: &str = "/etc/demo/demo.conf";
/// A `%config(noreplace)` file that the new [`SETTINGS`] changes.
pub const SETTINGS_CONFIG: &str = "/etc/demo-settings.conf";
/// A file that [`DAEMON`] changes.
pub const CHANGED: &str = "/usr/share/demo/version";
/// A file that it has no more.
pub const DELETED: &str = "/usr/share/demo/gone";
/// A link that it makes a folder.
pub const TURNING: &str = "/usr/share/demo/turning";
/// Two names of one file, of both versions.
pub const PAIR: [&str; 2] = ["/usr/bin/demo", "/usr/bin/demo-hard"];
/// A setuid program, of both versions.
pub const SETUID: &str = "/usr/bin/demo-suid";
/// A program with `cap_net_raw=ep`, of both versions.
pub const CAPABLE: &str = "/usr/bin/demo-capable";
/// One line a scriptlet of [`DAEMON`]: which, its argument, and the release it belongs to.
pub const SCRIPTLET_LOG: &str = "/var/lib/demo/scriptlets";
/// What [`PROMPT`] was answered, and by whom.
pub const ANSWER: &str = "/var/lib/demo-prompt/answer";

/// Folders of the package `filesystem`.
pub(super) const FOLDERS: &[&str] = &[
    "dev",
    "etc",
    "home",
    "opt",
    "proc",
    "root",
    "run",
    "srv",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/lib",
    "usr/lib64",
    "usr/sbin",
    "usr/share",
    "var",
    "var/cache",
    "var/lib",
    "var/log",
    "var/tmp",
];

/// The names in the image that begin with `demo-` and have one version and architecture each.
pub(super) const PLAIN: &[&str] =
    &[HELD, FAILING, REFUSING, SLOW, PROMPT, REMOVER, VICTIM, UNSIGNED, STRANGER, TAMPERED, ALTERED, FORGED];

/// The second architecture of [`MULTILIB`] packages, where there is one.
pub fn multilib() -> Option<&'static str> {
    (ARCH == "x86_64").then_some("i686")
}

/// What an image has beside Debian's binaries.
pub(super) fn base() -> Vec<PackageSpec> {
    let mut all = vec![filesystem(), daemon("1"), settings("1"), kernel("1"), kernel("2")];
    all.extend(releases());
    all.extend(multilib_packages("1"));
    all.extend(PLAIN.iter().map(|name| plain(name, "1")));
    all
}

/// What `updates` offers beside the updates of Debian's binaries; all of it can be installed.
pub(super) fn updates() -> Vec<PackageSpec> {
    let module = format!("/{}/ossl-modules/fips2.so", world::library_folder());
    let extra = PackageSpec::new(EXTRA, "3.0.7", "2").file(&module, "fips\n");
    let mut all = vec![extra, daemon("2"), settings("2"), plain(HELD, "2"), kernel("3")];
    all.extend(multilib_packages("2"));
    all
}

/// What goes wrong while it is installed.
pub(super) fn hostile() -> Vec<PackageSpec> {
    let prompt = format!(
        "mkdir -p /var/lib/demo-prompt\nexec 3>{ANSWER}\n\
         if (read -r answer </dev/tty) 2>/dev/null; then echo terminal; else echo 'no terminal'; fi >&3\n\
         if read -r answer; then echo \"stdin: $answer\"; else echo 'no stdin'; fi >&3"
    );
    vec![
        plain(FAILING, "2")
            .scriptlet(Scriptlet::Post, "echo 'demo-failing: this is why it fails' >&2\nexit 1"),
        plain(REFUSING, "2")
            .scriptlet(Scriptlet::Pre, "echo 'demo-refusing: this is why it fails' >&2\nexit 1"),
        plain(SLOW, "2").scriptlet(Scriptlet::Post, "sleep 86400"),
        plain(PROMPT, "2").scriptlet(Scriptlet::Post, &prompt),
        plain(REMOVER, "2").tag("Conflicts", VICTIM),
    ]
}

/// An ordinary package with one file.
pub(super) fn plain(name: &str, release: &str) -> PackageSpec {
    let folder = format!("/usr/share/{name}");
    PackageSpec::new(name, "1.0", release)
        .folder(&folder, 0o755)
        .file(&format!("{folder}/data"), &format!("{release}\n"))
}

fn settings(release: &str) -> PackageSpec {
    plain(SETTINGS, release).config(SETTINGS_CONFIG, &format!("setting = {release}\n"))
}

fn filesystem() -> PackageSpec {
    let links = [("/bin", "usr/bin"), ("/sbin", "usr/sbin"), ("/lib", "usr/lib"), ("/lib64", "usr/lib64")];
    let links = links.into_iter().chain([("/var/run", "../run"), ("/var/lock", "../run/lock")]);
    let libraries = world::library_folder();
    let folders = FOLDERS.iter().copied().chain([libraries.as_str()]);
    let mode = |path: &str| match path {
        "tmp" | "var/tmp" => 0o1777,
        "root" => 0o700,
        _ => 0o755,
    };
    let all = PackageSpec::new("filesystem", "3.16", "2");
    let all = links.fold(all, |all, (path, target)| all.link(path, target));
    let all = folders.fold(all, |all, path| all.folder(&format!("/{path}"), mode(path)));
    all.config("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbin:x:1:1:bin:/bin:/sbin/nologin\n")
        .config("/etc/group", "root:x:0:\nbin:x:1:\n")
}

/// One package for each family, whose name two families may share.
fn releases() -> Vec<PackageSpec> {
    let mut all: Vec<PackageSpec> = Vec::new();
    for family in FAMILIES {
        let package = release(family);
        if all.iter().all(|other| other.name() != package.name()) {
            all.push(package);
        }
    }
    all
}

/// The package of a family that says what it is.
pub(super) fn release(family: Family) -> PackageSpec {
    let of = family.release();
    let major = of.version.split('.').next().unwrap_or_default();
    let text = format!(
        "NAME=\"{}\"\nVERSION=\"{2}\"\nID=\"{1}\"\nID_LIKE=\"{3}\"\nVERSION_ID=\"{2}\"\nPRETTY_NAME=\"{4}\"\n",
        of.name, of.id, of.version, of.id_like, of.pretty
    );
    let backend = if family == Family::SlesNdb { "ndb" } else { "sqlite" };
    let macros = format!("%_dbpath {}\n%_db_backend {backend}\n", family.database());
    let package = PackageSpec::new(&format!("{}-release", release_stem(family)), of.version, "1")
        .tag("Provides", "system-release")
        .tag("Provides", &format!("system-release(releasever) = {major}"))
        .file("/usr/lib/os-release", &text)
        .link("/etc/os-release", "../usr/lib/os-release")
        .file("/etc/system-release", &format!("{}\n", of.pretty))
        .file("/etc/rpm/macros.database", &macros)
        .folder("/etc/pki", 0o755)
        .folder("/etc/pki/rpm-gpg", 0o755);
    // Where libzypp looks, as SUSE has it.
    if family.base().has_zypper() {
        package.link("/var/lib/rpm", "../../usr/lib/sysimage/rpm")
    } else {
        package
    }
}

/// Families whose databases are in different places have packages of different names.
pub(super) fn release_stem(family: Family) -> &'static str {
    match family {
        Family::RockyMinimal => "rocky-minimal",
        Family::SlesNdb => "sles-ndb",
        _ => family.release().id,
    }
}

fn daemon(release: &str) -> PackageSpec {
    let program = format!("#!/bin/sh\necho demo {release}\n");
    let log = |what: &str| format!("mkdir -p /var/lib/demo\necho \"{what} $1 {release}\" >>{SCRIPTLET_LOG}");
    let package = PackageSpec::new(DAEMON, "1.0", release)
        .tag("Requires", "bash")
        .tag("Requires", "coreutils")
        .tag("Requires(pre)", "coreutils")
        .program(PAIR[0], &program, 0o755)
        .hard_link(PAIR[1], PAIR[0])
        .program(SETUID, &program, 0o4755)
        .capable(CAPABLE, &program, "cap_net_raw=ep")
        .folder("/etc/demo", 0o755)
        .config(CONFIG, &format!("setting = {release}\n"))
        .folder("/usr/share/demo", 0o755)
        .file(CHANGED, &format!("{release}\n"))
        .folder("/var/lib/demo", 0o750)
        .ghost(SCRIPTLET_LOG)
        .scriptlet(Scriptlet::Pre, &log("pre"))
        .scriptlet(Scriptlet::Post, &log("post"))
        .scriptlet(Scriptlet::Preun, &log("preun"))
        .scriptlet(Scriptlet::Postun, &log("postun"))
        .scriptlet(Scriptlet::Posttrans, &log("posttrans"));
    if release == "1" {
        package.file(DELETED, "soon gone\n").link(TURNING, "version")
    } else {
        package.folder(TURNING, 0o755).file(&format!("{TURNING}/inside"), "inside\n")
    }
}

fn kernel(release: &str) -> PackageSpec {
    let folder = format!("/usr/lib/modules/5.14.0-{release}{DIST}");
    PackageSpec::new(KERNEL, "5.14.0", release)
        .tag("Provides", "installonlypkg(kernel)")
        .tag("Provides", "multiversion(kernel)")
        .folder(&folder, 0o755)
        .file(&format!("{folder}/vmlinuz"), &format!("kernel {release}\n"))
}

fn multilib_packages(release: &str) -> Vec<PackageSpec> {
    let of = |architecture: &str, folder: &str| {
        let text = format!("{architecture} {release}\n");
        PackageSpec::new(MULTILIB, "1.0", release)
            .architecture(architecture)
            .file(&format!("/usr/{folder}/libdemo.so.1"), &text)
    };
    let second = multilib().map(|second| of(second, "lib"));
    second.into_iter().chain([of(ARCH, "lib64")]).collect()
}
