//! Hosts that refuse what the sandbox needs: each refusal is told with its reason and its remedy, by `doctor` and by `patch`
//! alike, and nothing is left behind. The refusals are real: the kernel's own limits, set in a user namespace of the test.

use crate::harness::{Home, Ran};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use testkit::{command::argv, probe, skip};

/// The exit code where the engine cannot work.
const ENGINE: i32 = 6;
/// The exit code where the image is not there, which is found out only where the engine can work.
const SOURCE: i32 = 5;
/// A user without any rights: `nobody`.
const USER: &str = "65534";
/// What the kernel allows by itself, more or less.
const PLENTY: &str = "1000";

/// A host of its own kind, held open by a process that only waits.
struct Host {
    home: Home,
    holder: Child,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

/// Why such a host cannot be made here, if so.
fn needs() -> Result<(), String> {
    probe::first_reason([
        probe::root(),
        probe::programs(&["unshare", "nsenter", "tee", "chroot", "mount"]),
        probe::user_namespace(),
        probe::mounting(),
    ])
}

impl Host {
    /// Namespaces as `unshare` is told to make them.
    fn with(namespace: &str) -> Host {
        let home = Home::new();
        // Other users run the program, and keep a cache.
        fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o777)).unwrap();
        let program = home.path("copa");
        fs::copy(env!("CARGO_BIN_EXE_copa"), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let kind = namespace.trim_start_matches("--");
        let kind = if kind == "mount" { "mnt" } else { kind };
        let mut holder = Command::new("unshare");
        let holder = holder.args([namespace, "sleep", "600"]).stdin(Stdio::null()).spawn().unwrap();
        let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
        let deadline = Instant::now() + Duration::from_secs(10);
        while link(&holder.id().to_string()) == link("self") {
            assert!(Instant::now() < deadline, "no namespace");
            std::thread::sleep(Duration::from_millis(5));
        }
        Host { home, holder }
    }

    /// A user namespace with as many ids as images use, where limits can be set.
    fn limited() -> Host {
        let host = Host::with("--user");
        for map in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{}/{map}", host.holder.id()), "0 0 65536\n").unwrap();
        }
        host
    }

    fn limit(&self, name: &str, value: &str) {
        let holder = self.holder.id().to_string();
        let path = format!("/proc/sys/user/{name}");
        argv("nsenter", ["--target", &holder, "--user", "tee", &path]).filter(value.as_bytes()).unwrap();
    }

    /// Runs the program as a user without rights.
    fn run(&self, enter: &[&str], arguments: &[&str]) -> Ran {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.holder.id().to_string()])
            .args(enter)
            .arg(self.program())
            .args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.home.path(""));
        Ran::of(command.current_dir("/").stdin(Stdio::null()).output().unwrap())
    }

    fn program(&self) -> PathBuf {
        self.home.path("copa")
    }

    /// Both commands say the same, and leave nothing.
    fn refuses(&self, enter: &[&str], words: &[&str]) {
        let patched = self.home.path("patched").display().to_string();
        for arguments in [&["doctor"][..], &["patch", "-i", "oci:/no/such:x", "--oci-dir", &patched]] {
            let ran = self.run(enter, arguments);
            assert_eq!(ran.code, ENGINE, "{arguments:?}: {ran:?}");
            let said = format!("{}{}", ran.stdout, ran.stderr);
            words.iter().for_each(|word| assert!(said.contains(word), "{arguments:?}, {word}: {said}"));
            assert!(!said.contains("panicked"), "{said}");
            let hint = if arguments == ["doctor"] { "remedy: " } else { "`copa doctor` shows" };
            assert!(said.contains(hint), "{said}");
        }
        let left: Vec<_> =
            fs::read_dir(self.home.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["copa"]);
    }

    /// The engine can work, and a run gets as far as the image.
    fn allows(&self, enter: &[&str]) {
        let doctor = self.run(enter, &["doctor"]);
        assert_eq!(doctor.code, 0, "{doctor:?}");
        let patched = self.home.path("patched").display().to_string();
        let run = self.run(enter, &["patch", "-i", "oci:/no/such:x", "--oci-dir", &patched]);
        assert_eq!(run.code, SOURCE, "{run:?}");
    }
}

/// Into the namespace with the limits, as the user.
const AS_USER: [&str; 5] = ["--user", "--setuid", USER, "--setgid", USER];

#[test]
fn user_namespaces_that_are_switched_off() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let host = Host::limited();
    host.limit("max_user_namespaces", "0");
    host.refuses(&AS_USER, &["making a user namespace", "sysctl user.max_user_namespaces="]);
    host.limit("max_user_namespaces", PLENTY);
    host.allows(&AS_USER);
}

/// As where AppArmor restricts them: the namespace is made, and then nothing can be done in it.
#[test]
fn user_namespaces_in_which_nothing_is_allowed() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let host = Host::limited();
    host.limit("max_mnt_namespaces", "0");
    let words = ["making a mount namespace in a user namespace", "sysctl user.max_mnt_namespaces="];
    host.refuses(&AS_USER, &words);
    host.limit("max_mnt_namespaces", PLENTY);
    host.allows(&AS_USER);
}

/// Each rung is tried by doing it: one that is missing is found, and the others stand as they do.
#[test]
fn one_kind_of_namespace_that_is_missing() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let host = Host::limited();
    for (limit, word) in [("max_pid_namespaces", "process"), ("max_net_namespaces", "network")] {
        host.limit(limit, "0");
        let ran = host.run(&AS_USER, &["doctor", "--json"]);
        assert_eq!(ran.code, ENGINE, "{ran:?}");
        let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let rungs = json["rungs"].as_array().unwrap();
        let missing: Vec<&serde_json::Value> = rungs.iter().filter(|r| r["state"] == "missing").collect();
        assert_eq!(missing.len(), 2, "the namespaces and the sandbox: {json:#}");
        for rung in missing {
            assert!(rung["detail"].as_str().unwrap().contains(word), "{rung}");
            assert!(rung["remedy"].as_str().unwrap().contains("sysctl user.max_KIND_namespaces="), "{rung}");
        }
        assert!(rungs.iter().any(|r| r["state"] == "ok"), "{json:#}");
        host.limit(limit, PLENTY);
        host.allows(&AS_USER);
    }
}

/// As in a container whose filter forbids it: `EPERM`, which the kernel also answers in a root that is not the root of mounts.
#[test]
fn user_namespaces_that_are_not_permitted() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let host = Host::with("--mount");
    let root = tempfile::tempdir().unwrap();
    let root_path = root.path().to_str().unwrap();
    let holder = host.holder.id().to_string();
    argv("nsenter", ["--target", &holder, "--mount", "mount", "--rbind", "/", root_path]).stdout().unwrap();
    let inside = format!("--userspec={USER}:{USER}");
    let words = ["making a user namespace: Operation not permitted", "copa doctor"];
    host.refuses(&["--mount", "chroot", &inside, root_path], &words[..1]);
    let home = format!("HOME={}", host.home.path("").display());
    let patched = host.home.path("patched").display().to_string();
    let ran = host.run(
        &["--mount", "chroot", &inside, root_path, "env", &home],
        &["patch", "-i", "oci:/no/such:x", "--oci-dir", &patched],
    );
    assert!(ran.stderr.contains("hint: ") && ran.stderr.contains(words[1]), "{}", ran.stderr);
    // The same user outside of it.
    host.allows(&["--mount", "chroot", &inside, "/"]);
}
