//! What to do where the kernel refuses, read from the settings that usually are the reason.

use std::{fs, path::Path};

/// One setting, when it is the reason, and what to do.
struct Setting {
    path: &'static str,
    refuses: fn(&str) -> bool,
    remedy: &'static str,
}

const SETTINGS: [Setting; 3] = [
    Setting {
        path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        refuses: |value| value == "1",
        remedy: "AppArmor restricts user namespaces on this host: \
                 `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or an AppArmor profile with `userns,` for this program",
    },
    Setting {
        path: "/proc/sys/kernel/unprivileged_userns_clone",
        refuses: |value| value == "0",
        remedy: "user namespaces are switched off for users: `sudo sysctl kernel.unprivileged_userns_clone=1`",
    },
    Setting {
        path: "/proc/sys/user/max_user_namespaces",
        refuses: |value| value == "0",
        remedy: "no user namespaces are allowed: `sudo sysctl user.max_user_namespaces=15000`",
    },
];
/// What container runtimes and Kubernetes put into a container.
const CONTAINER_MARKS: [&str; 3] = ["/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io"];

/// The most likely remedy on this host.
pub(crate) fn remedy() -> String {
    let mut found: Vec<&str> = SETTINGS
        .iter()
        .filter(|s| fs::read_to_string(s.path).is_ok_and(|value| (s.refuses)(value.trim())))
        .map(|s| s.remedy)
        .collect();
    if found.is_empty() && in_container() {
        found.push(
            "this is a container whose system call filter forbids it: start it with `--security-opt seccomp=unconfined \
             --security-opt apparmor=unconfined` (or `--privileged`), or run outside of it",
        );
    }
    if found.is_empty() {
        found.push("run as root");
    }
    format!("{}; `copa doctor` shows what works here", found.join("; "))
}

fn in_container() -> bool {
    CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists())
}
