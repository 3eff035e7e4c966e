//! What to do where the kernel refuses, read from the settings that usually are the reason.

use crate::failure::Failure;
use rustix::io::Errno;
use std::{fs, path::Path};

/// One setting, when it is the reason, and what to do.
struct Setting {
    path: &'static str,
    refuses: &'static str,
    remedy: &'static str,
}

const SETTINGS: [Setting; 2] = [
    Setting {
        path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        refuses: "1",
        remedy: "AppArmor restricts user namespaces on this host: \
                 `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or an AppArmor profile with `userns,` for this program",
    },
    Setting {
        path: "/proc/sys/kernel/unprivileged_userns_clone",
        refuses: "0",
        remedy: "user namespaces are switched off for users: `sudo sysctl kernel.unprivileged_userns_clone=1`",
    },
];
/// Kinds of namespaces that a sandbox has, as the kernel's limits in `/proc/sys/user` name them, and as people do.
const LIMITED: [(&str, &str); 6] = [
    ("user", "user"),
    ("mnt", "mount"),
    ("pid", "process"),
    ("net", "network"),
    ("ipc", "IPC"),
    ("uts", "host name"),
];
/// What container runtimes and Kubernetes put into a container.
const CONTAINER_MARKS: [&str; 3] = ["/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io"];

/// The most likely remedy on this host.
pub(crate) fn remedy(failure: &Failure) -> String {
    let read = |path: &str| fs::read_to_string(path).ok();
    let elsewhere = elsewhere(failure, CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists()));
    let found = by_settings(&read);
    if found.is_empty() { elsewhere.to_owned() } else { found }
}

/// Where no setting that we can read is the reason.
fn elsewhere(failure: &Failure, in_container: bool) -> &'static str {
    // In a namespace of our own the limits that we read are our own; those outside count all the same.
    let limited = failure.errno == Some(Errno::NOSPC.raw_os_error()) && failure.doing.contains("namespace");
    match (limited, in_container) {
        (true, _) => {
            "a limit on namespaces is reached: `sysctl --all --pattern 'user.max_.*_namespaces'` shows them, \
             `sudo sysctl user.max_KIND_namespaces=15000` raises one"
        }
        (false, true) => {
            "this is a container whose system call filter forbids it: start it with \
             `--security-opt seccomp=unconfined --security-opt apparmor=unconfined` (or `--privileged`), \
             or run outside of it"
        }
        (false, false) => "run as root",
    }
}

/// What each setting that refuses asks for; empty where none does.
fn by_settings(read: &dyn Fn(&str) -> Option<String>) -> String {
    let set = |path: &str, to: &str| read(path).is_some_and(|value| value.trim() == to);
    let switched = SETTINGS.iter().filter(|s| set(s.path, s.refuses)).map(|s| s.remedy.to_owned());
    let limited = LIMITED
        .iter()
        .filter(|(kind, _)| set(&format!("/proc/sys/user/max_{kind}_namespaces"), "0"))
        .map(|(kind, name)| {
            format!("no {name} namespaces are allowed: `sudo sysctl user.max_{kind}_namespaces=15000`")
        });
    switched.chain(limited).collect::<Vec<String>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_refuses_is_named() {
        let on = |path: &str, value: &str| {
            by_settings(&|asked| match asked.contains("/user/") {
                _ if asked == path => Some(format!("{value}\n")),
                true => Some("96365\n".to_owned()),
                false => None,
            })
        };
        let apparmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
        assert!(on(apparmor, "1").contains("sysctl kernel.apparmor_restrict_unprivileged_userns=0"));
        assert_eq!(on(apparmor, "0"), "");
        let debian = "/proc/sys/kernel/unprivileged_userns_clone";
        assert!(on(debian, "0").contains("sysctl kernel.unprivileged_userns_clone=1"));
        assert_eq!(on(debian, "1"), "");
        let limit = "/proc/sys/user/max_net_namespaces";
        assert!(on(limit, "0").starts_with("no network namespaces are allowed: `sudo sysctl user.max_net_"));
        assert_eq!(on(limit, "7"), "");
    }

    #[test]
    fn what_no_setting_tells_is_told_by_the_refusal() {
        let failure = |doing: &str, errno| Failure::host(doing, std::io::Error::from(errno));
        let limit = failure("making a network namespace", Errno::NOSPC);
        assert!(elsewhere(&limit, true).contains("user.max_KIND_namespaces"));
        let refused = failure("making a user namespace", Errno::PERM);
        assert!(elsewhere(&refused, true).contains("seccomp=unconfined"));
        assert_eq!(elsewhere(&refused, false), "run as root");
        assert_eq!(elsewhere(&failure("writing a file", Errno::NOSPC), false), "run as root");
    }
}
