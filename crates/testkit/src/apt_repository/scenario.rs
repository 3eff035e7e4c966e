//! Packages at two versions, each with one thing that a patcher must get right.
//!
//! `installed` is what an image has; `updates` is what a repository then offers. Every script writes what it did to a file,
//! so that a test reads it instead of guessing.

use super::{PackageSpec, Script};

/// The package with every kind of change; its other constants say which.
pub const BASE: &str = "copa-base";
/// Comes in as a new dependency of [`BASE`].
pub const EXTRA: &str = "copa-extra";
/// An ordinary package, to be put on hold by the test.
pub const HELD: &str = "copa-held";
/// Its new version fails to be configured.
pub const BROKEN: &str = "copa-broken";
/// Its new version asks on the terminal and on stdin. Its conffile changes too.
pub const PROMPT: &str = "copa-prompt";
/// Its new version asks through debconf.
pub const ASKER: &str = "copa-asker";
/// Its new version starts a service and leaves two processes behind, one of which keeps its output open.
pub const DAEMON: &str = "copa-daemon";
/// Its new version can only be installed when [`VICTIM`] goes.
pub const REMOVER: &str = "copa-remover";
/// What [`REMOVER`] wants gone.
pub const VICTIM: &str = "copa-victim";
/// Its new version never ends being configured.
pub const SLOW: &str = "copa-slow";
/// Its new version writes to files that belong to nobody, or to others.
pub const OUTSIDER: &str = "copa-outsider";

/// The version in the image.
pub const OLD: &str = "1:1.0-1";
/// The version in the repository.
pub const NEW: &str = "1:1.1-1+deb12u1";

/// A conffile that [`NEW`] changes.
pub const CONFFILE: &str = "/etc/copa-base/base.conf";
/// A file that [`NEW`] changes.
pub const CHANGED: &str = "/usr/share/copa-base/data";
/// A file that [`NEW`] has no more.
pub const DELETED: &str = "/usr/share/copa-base/gone";
/// A folder that [`NEW`] makes a link to [`TURNED_TO`].
pub const TURNING: &str = "/usr/share/copa-base/turning";
/// Where that link leads.
pub const TURNED_TO: &str = "turned";
/// Two names of one file, new in [`NEW`].
pub const PAIR: [&str; 2] = ["/usr/share/copa-base/pair-a", "/usr/share/copa-base/pair-b"];
/// A program that is setuid in [`NEW`].
pub const SETUID: &str = "/usr/bin/copa-as-root";
/// A program with a file capability (net_bind_service, effective and permitted) in [`NEW`].
pub const CAPABLE: &str = "/usr/bin/copa-capable";
/// What the postinst of [`NEW`] writes.
pub const STATE: &str = "/var/lib/copa-base/state";
/// What [`PROMPT`] was answered, and by whom.
pub const ANSWER: &str = "/var/lib/copa-prompt/answer";
/// What [`ASKER`] was answered.
pub const ASKED: &str = "/var/lib/copa-asker/answer";
/// The conffile of [`PROMPT`].
pub const PROMPT_CONFFILE: &str = "/etc/copa-prompt.conf";
/// There only when the service of [`DAEMON`] was really started.
pub const STARTED: &str = "/var/lib/copa-daemon/started";
/// What [`OUTSIDER`] leaves.
pub const LEFT: &str = "/root/left-by-copa-outsider";

/// The extended attribute of a file with net_bind_service effective and permitted (`struct vfs_cap_data`, revision 2).
pub const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What the image has.
pub fn installed() -> Vec<PackageSpec> {
    let plain = |name| PackageSpec::new(name, OLD).file(&format!("/usr/share/{name}/data"), "old\n");
    vec![
        base(OLD)
            .file(CHANGED, "old\n")
            .conffile(CONFFILE, "setting = old\n")
            .file(DELETED, "soon gone\n")
            .file(&format!("{TURNING}/inside"), "inside\n")
            .file_with_mode(SETUID, "#!/bin/sh\n", 0o755)
            .file_with_mode(CAPABLE, "#!/bin/sh\n", 0o755),
        plain(HELD),
        plain(BROKEN),
        plain(PROMPT).conffile(PROMPT_CONFFILE, "answer = old\n"),
        plain(ASKER),
        plain(DAEMON),
        plain(REMOVER),
        plain(VICTIM),
        plain(SLOW),
        plain(OUTSIDER),
    ]
}

/// What the repository offers, the benign part: all of it can be installed.
pub fn updates() -> Vec<PackageSpec> {
    vec![
        new_base(),
        PackageSpec::new(EXTRA, NEW).file("/usr/share/copa-extra/data", "new\n"),
        plain_update(HELD),
    ]
}

/// Every update, the malign ones too.
pub fn all_updates() -> Vec<PackageSpec> {
    let malign = [broken(), prompt(), asker(), daemon(), remover(), slow(), outsider()];
    updates().into_iter().chain(malign).collect()
}

fn base(version: &str) -> PackageSpec {
    PackageSpec::new(BASE, version).field("Source", "copa-source")
}

fn new_base() -> PackageSpec {
    let turn = format!(
        "#!/bin/sh\nset -e\ndpkg-maintscript-helper dir_to_symlink {TURNING} {TURNED_TO} 1:1.1~ {BASE} -- \"$@\"\n"
    );
    let postinst = format!(
        "{turn}{}mkdir -p /var/lib/copa-base\necho \"configured $1 $2\" >{STATE}\n",
        set_capability()
    );
    base(NEW)
        .field("Depends", EXTRA)
        .file(CHANGED, "new\n")
        .conffile(CONFFILE, "setting = new\n")
        .file("/usr/share/copa-base/turned/inside", "inside\n")
        .file(PAIR[0], "pair\n")
        .hard_link(PAIR[1], PAIR[0])
        .file_with_mode(SETUID, "#!/bin/sh\n", 0o4755)
        .file_with_mode(CAPABLE, "#!/bin/sh\n", 0o755)
        .script(Script::Preinst, &turn)
        .script(Script::Postinst, &postinst)
        .script(Script::Postrm, &turn)
}

/// Sets [`CAPABILITY`] with perl, which every Debian has; `setcap` is not in small images.
fn set_capability() -> String {
    let hex: String = CAPABILITY.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "case $(dpkg --print-architecture) in\n\
         amd64) call=188 ;;\narm64|riscv64|loong64) call=5 ;;\ni386|armhf|armel) call=226 ;;\nppc64el) call=209 ;;\ns390x) call=224 ;;\nesac\n\
         perl -e 'my ($call, $path) = (shift() + 0, shift); my ($name, $value) = (\"security.capability\", pack(\"H*\", \"{hex}\"));\n\
         syscall($call, $path, $name, $value, length($value), 0) == 0 or die \"setxattr: $!\\n\"' $call {CAPABLE}\n"
    )
}

fn plain_update(name: &str) -> PackageSpec {
    PackageSpec::new(name, NEW).file(&format!("/usr/share/{name}/data"), "new\n")
}

fn broken() -> PackageSpec {
    plain_update(BROKEN)
        .script(Script::Postinst, "#!/bin/sh\necho 'copa-broken: this is why it fails' >&2\nexit 1\n")
}

fn prompt() -> PackageSpec {
    let postinst = format!(
        "#!/bin/sh\nset -e\nmkdir -p /var/lib/copa-prompt\nexec 3>{ANSWER}\n\
         if (read -r answer </dev/tty) 2>/dev/null; then echo terminal; else echo 'no terminal'; fi >&3\n\
         if read -r answer; then echo \"stdin: $answer\"; else echo 'no stdin'; fi >&3\n"
    );
    plain_update(PROMPT).conffile(PROMPT_CONFFILE, "answer = new\n").script(Script::Postinst, &postinst)
}

fn asker() -> PackageSpec {
    let templates =
        "Template: copa-asker/question\nType: string\nDefault: default\nDescription: What is your answer?\n";
    let module = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\n";
    let config = format!("{module}db_input critical copa-asker/question || true\ndb_go || true\n");
    let postinst =
        format!("{module}db_get copa-asker/question\nmkdir -p /var/lib/copa-asker\necho \"$RET\" >{ASKED}\n");
    plain_update(ASKER)
        .field("Depends", "debconf")
        .script(Script::Templates, templates)
        .script(Script::Config, &config)
        .script(Script::Postinst, &postinst)
}

fn daemon() -> PackageSpec {
    let service = "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: copa-daemon\n# Required-Start:\n# Required-Stop:\n\
        # Default-Start: 2 3 4 5\n# Default-Stop:\n### END INIT INFO\nmkdir -p /var/lib/copa-daemon\n: >/var/lib/copa-daemon/started\n";
    let postinst = "#!/bin/sh\nset -e\nif command -v invoke-rc.d >/dev/null; then invoke-rc.d copa-daemon start || true; fi\n\
        setsid sleep 86400 </dev/null >/dev/null 2>&1 &\nsetsid sleep 86400 &\n";
    plain_update(DAEMON)
        .file_with_mode("/etc/init.d/copa-daemon", service, 0o755)
        .script(Script::Postinst, postinst)
}

fn remover() -> PackageSpec {
    plain_update(REMOVER).field("Conflicts", VICTIM)
}

fn slow() -> PackageSpec {
    plain_update(SLOW).script(Script::Postinst, "#!/bin/sh\nsleep 86400\n")
}

fn outsider() -> PackageSpec {
    let postinst = format!("#!/bin/sh\nset -e\necho left >{LEFT}\necho '# outsider' >>/etc/profile\n");
    plain_update(OUTSIDER).script(Script::Postinst, &postinst)
}
