//! The throw-away repository, judged by the real apt: in folders of its own, and in a real Debian root.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use testkit::apt_repository::{
    Apt, AptRepository, Fault, PackageSpec, Release, Served, Signature, needs, scenario,
};
use testkit::command::{Argv, Ran, argv};
use testkit::{debian_root, probe, skip};

fn words(ran: &Ran) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

fn update(repository: &AptRepository, served: &Served) -> Ran {
    Apt::new(repository, &served.url(), None).unwrap().run(&["update"]).unwrap()
}

fn made(packages: &[PackageSpec]) -> (tempfile::TempDir, AptRepository, Served) {
    let dir = tempfile::tempdir().unwrap();
    let repository = AptRepository::build(dir.path(), packages).unwrap();
    let served = repository.serve().unwrap();
    (dir, repository, served)
}

#[test]
fn apt_trusts_it_and_finds_its_packages() {
    if let Err(reason) = probe::first_reason([needs(), probe::programs(&["apt-get"])]) {
        skip!("{reason}");
    }
    let (_dir, mut repository, served) = made(&scenario::updates());
    let apt = Apt::new(&repository, &served.url(), None).unwrap();
    let ran = apt.run(&["update"]).unwrap();
    assert!(ran.status.success(), "{}", words(&ran));
    let by_hash = served.log().iter().filter(|asked| asked.path.contains("/by-hash/SHA256/")).count();
    assert_eq!((served.full_answers("InRelease"), by_hash), (1, 1), "{:?}", served.log());
    let ran = apt.run(&["--download-only", "install", scenario::BASE]).unwrap();
    assert!(ran.status.success(), "{}", words(&ran));
    assert_eq!(served.full_answers("/pool/"), 2, "the package and its new dependency");
    repository.withdraw(scenario::EXTRA).unwrap();
    assert!(apt.run(&["update"]).unwrap().status.success());
    let ran = apt.run(&["--download-only", "install", scenario::BASE]).unwrap();
    assert!(words(&ran).contains("not installable"), "{}", words(&ran));
}

#[test]
fn apt_finds_everything_that_is_wrong() {
    if let Err(reason) = probe::first_reason([needs(), probe::programs(&["apt-get"])]) {
        skip!("{reason}");
    }
    let (_dir, repository, served) = made(&scenario::updates());
    let tomorrow = testkit::tree::EPOCH + 20 * 365 * 86_400;
    for (release, complaint) in [
        (Release { signature: Signature::Tampered, ..Release::default() }, "BADSIG"),
        (Release { signature: Signature::Stranger, ..Release::default() }, "NO_PUBKEY"),
        (Release { signature: Signature::Weak, ..Release::default() }, "signatures were invalid"),
        (Release { signature: Signature::Missing, ..Release::default() }, "not signed"),
        (Release { valid_until: Some(testkit::tree::EPOCH + 60), ..Release::default() }, "expired"),
        (Release { date: tomorrow, ..Release::default() }, "not valid yet"),
        (Release::default(), ""),
    ] {
        repository.publish(&release).unwrap();
        let ran = update(&repository, &served);
        assert_eq!(ran.status.success(), complaint.is_empty(), "{release:?}: {}", words(&ran));
        assert!(words(&ran).contains(complaint), "{release:?}: {}", words(&ran));
    }
    for (part, fault, complaint) in [
        ("by-hash", Fault::Wrong, "Hash Sum mismatch"),
        ("binary-", Fault::Cut, "Failed to fetch"),
        ("InRelease", Fault::Page, "Clearsigned file isn't valid"),
        ("InRelease", Fault::Redirect("http://127.0.0.1:9/InRelease".into()), "127.0.0.1:9"),
        ("InRelease", Fault::Status(503), "503"),
    ] {
        served.fail(part, fault.clone());
        let ran = update(&repository, &served);
        assert!(!ran.status.success() && words(&ran).contains(complaint), "{fault:?}: {}", words(&ran));
        served.heal();
        assert!(update(&repository, &served).status.success());
    }
}

/// A real Debian root with the old packages, in which programs run with a process namespace of their own.
struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    fn new() -> Root {
        let root = Root { folder: tempfile::tempdir().unwrap() };
        let tar = debian_root::root(debian_root::Suite::Bookworm, &[]).unwrap();
        argv("tar", ["--numeric-owner", "-xpf"]).arg(tar).arg("-C").arg(root.folder.path()).stdout().unwrap();
        fs::create_dir_all(root.at("/dev")).unwrap();
        for (name, minor) in [("null", "3"), ("zero", "5"), ("urandom", "9")] {
            argv("mknod", ["-m", "666"])
                .arg(root.at(&format!("/dev/{name}")))
                .arg("c")
                .arg("1")
                .arg(minor)
                .stdout()
                .unwrap();
        }
        root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    fn meta(&self, path: &str) -> fs::Metadata {
        fs::symlink_metadata(self.at(path)).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let proc = format!("--mount-proc={}", self.at("/proc").display());
        let inside = argv("unshare", ["--mount", "--pid", "--fork", "--kill-child", &proc, "chroot"])
            .arg(self.folder.path());
        let inside = inside
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        arguments.iter().fold(inside, Argv::arg).output().unwrap()
    }

    fn upgrade(&self, package: &str) -> Ran {
        self.run(&[
            "apt-get",
            "-q",
            "-y",
            "--no-remove",
            "-o",
            "Dpkg::Options::=--force-confold",
            "-o",
            "Acquire::http::Proxy=DIRECT",
            "install",
            "--only-upgrade",
            package,
        ])
    }

    fn version(&self, package: &str) -> String {
        String::from_utf8(
            self.run(&["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", package])
                .stdout,
        )
        .unwrap()
    }

    /// Installs the old packages, and points apt at the repository alone.
    fn prepare(&self, repository: &AptRepository, url: &str) {
        let mut install = vec!["dpkg".to_owned(), "--install".into()];
        for spec in scenario::installed() {
            let deb = repository.deb(spec.name(), spec.version()).unwrap();
            let path = format!("/root/{}.deb", spec.name());
            fs::copy(deb, self.at(&path)).unwrap();
            install.push(path);
        }
        let ran = self.run(&install.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(ran.status.success(), "{}", words(&ran));
        fs::copy(repository.armoured_key_path(), self.at("/etc/copa.asc")).unwrap();
        fs::write(self.at("/etc/apt/sources.list"), repository.source_line(url, "/etc/copa.asc")).unwrap();
        let ran = self.run(&["apt-get", "-q", "-o", "Acquire::http::Proxy=DIRECT", "update"]);
        assert!(ran.status.success(), "{}", words(&ran));
    }
}

fn real_root() -> Result<(), String> {
    probe::first_reason([
        needs(),
        probe::root(),
        probe::mounting(),
        probe::debian_roots(),
        probe::programs(&["unshare", "mknod", "getfattr"]),
    ])
}

#[test]
fn every_package_does_in_a_real_root_what_it_is_there_for() {
    if let Err(reason) = real_root() {
        skip!("{reason}");
    }
    let (_dir, mut repository, served) = made(&scenario::installed());
    repository.add(&scenario::all_updates()).unwrap();
    let root = Root::new();
    root.prepare(&repository, &served.url());
    benign_update(&root);
    malign_updates(&root);
}

fn benign_update(root: &Root) {
    assert!(root.meta(scenario::TURNING).is_dir() && root.at(scenario::DELETED).exists());
    let ran = root.upgrade(scenario::BASE);
    assert!(ran.status.success(), "{}", words(&ran));
    let installed = format!("installed {}", scenario::NEW);
    assert_eq!((root.version(scenario::BASE), root.version(scenario::EXTRA)), (installed.clone(), installed));
    assert_eq!(
        (root.read(scenario::CHANGED), root.read(scenario::CONFFILE)),
        ("new\n".into(), "setting = new\n".into())
    );
    assert!(!root.at(scenario::DELETED).exists());
    assert_eq!(fs::read_link(root.at(scenario::TURNING)).unwrap(), Path::new(scenario::TURNED_TO));
    let pair = scenario::PAIR.map(|path| root.meta(path).ino());
    assert_eq!(pair[0], pair[1]);
    assert_eq!(root.meta(scenario::SETUID).permissions().mode() & 0o7777, 0o4755);
    assert_eq!(root.read(scenario::STATE), format!("configured configure {}\n", scenario::OLD));
    let capability = argv("getfattr", ["--only-values", "-n", "security.capability"])
        .arg(root.at(scenario::CAPABLE))
        .stdout()
        .unwrap();
    assert_eq!(capability, scenario::CAPABILITY);
}

fn malign_updates(root: &Root) {
    let ran = root.upgrade(scenario::BROKEN);
    assert!(!ran.status.success() && words(&ran).contains("this is why it fails"), "{}", words(&ran));
    assert_eq!(root.version(scenario::BROKEN), format!("half-configured {}", scenario::NEW));
    // What is half-configured stops every further run; dpkg forgets it only when it is removed.
    assert!(root.run(&["dpkg", "--remove", scenario::BROKEN]).status.success());

    fs::write(root.at(scenario::PROMPT_CONFFILE), "answer = changed\n").unwrap();
    let ran = root.upgrade(scenario::PROMPT);
    assert!(ran.status.success(), "{}", words(&ran));
    assert_eq!(root.read(scenario::ANSWER), "no terminal\nno stdin\n");
    assert_eq!(root.read(scenario::PROMPT_CONFFILE), "answer = changed\n");

    let ran = root.upgrade(scenario::ASKER);
    assert!(ran.status.success() && root.read(scenario::ASKED) == "default\n", "{}", words(&ran));

    let ran = root.upgrade(scenario::REMOVER);
    assert!(!ran.status.success() && words(&ran).contains("remove is disabled"), "{}", words(&ran));
    assert_eq!(root.version(scenario::VICTIM), format!("installed {}", scenario::OLD));

    let ran = root.upgrade(scenario::OUTSIDER);
    assert!(
        ran.status.success()
            && root.read(scenario::LEFT) == "left\n"
            && root.read("/etc/profile").ends_with("# outsider\n")
    );
}

#[test]
fn a_root_that_says_it_is_ubuntu_is_updated_by_its_own_apt() {
    if let Err(reason) = real_root() {
        skip!("{reason}");
    }
    let (_dir, mut repository, served) = made(&scenario::installed());
    repository.add(&scenario::updates()).unwrap();
    let root = Root::new();
    let layer = root.at("/layer.tar");
    fs::write(&layer, testkit::ubuntu::layer()).unwrap();
    argv("tar", ["-xpf"]).arg(&layer).arg("-C").arg(root.at("/")).stdout().unwrap();
    assert!(root.read("/etc/os-release").contains("ID=ubuntu\n"));
    root.prepare(&repository, &served.url());
    let ran = root.upgrade(scenario::BASE);
    assert!(ran.status.success(), "{}", words(&ran));
    assert_eq!(root.version(scenario::BASE), format!("installed {}", scenario::NEW));
}
