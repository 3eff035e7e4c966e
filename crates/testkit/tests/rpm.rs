//! The synthetic RPM distributions do, under the real tools in a chroot, what they are there for.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use testkit::apt_repository::Served;
use testkit::command::{Argv, Ran, argv};
use testkit::rpm::{Family, Repo, Repositories, Setup, installed, needs, scenario, verify};
use testkit::{probe, skip};

fn words(ran: &Ran) -> String {
    String::from_utf8_lossy(&[&ran.stdout[..], &ran.stderr].concat()).into_owned()
}

/// The root of a family's image, in which programs run with a process namespace of their own.
struct Root {
    family: Family,
    folder: tempfile::TempDir,
    served: Served,
}

impl Root {
    fn new(family: Family, repositories: &[Repo]) -> Root {
        let served = Served::start(&Repositories::of(family.series()).unwrap().folder()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = Root { family, folder, served };
        Setup::new(family, &root.served.url()).repositories(repositories).unpack(&root.path()).unwrap();
        for (name, minor) in [("null", "3"), ("zero", "5"), ("random", "8"), ("urandom", "9")] {
            let node = argv("mknod", ["-m", "666"]).arg(root.at(&format!("/dev/{name}")));
            node.arg("c").arg("1").arg(minor).stdout().unwrap();
        }
        root
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let proc = format!("--mount-proc={}", self.at("/proc").display());
        let inside = argv("unshare", ["--mount", "--pid", "--fork", "--kill-child", &proc, "chroot"]);
        let inside = inside.arg(self.path()).env("HOME", "/root").env("LC_ALL", "C");
        let inside =
            inside.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("http_proxy", "").env("HTTP_PROXY", "");
        arguments.iter().fold(inside, Argv::arg).output().unwrap()
    }

    /// Brings some packages up to date, and the words of the tool; `Err` where it says that it failed.
    fn upgrade(&self, packages: &[&str]) -> Result<String, String> {
        let tool = self.family.tool().unwrap();
        let command: &[&str] = match tool {
            "zypper" => &["zypper", "--non-interactive", "update", "--no-recommends"],
            "tdnf" => &["tdnf", "-y", "update"],
            other => &[other, "-y", "upgrade"],
        };
        let ran = self.run(&[command, packages].concat());
        if ran.status.success() { Ok(words(&ran)) } else { Err(words(&ran)) }
    }

    fn versions(&self, name: &str) -> Vec<String> {
        let all = installed(&self.path(), self.family.database()).unwrap();
        all.into_iter().filter(|(other, ..)| other == name).map(|(_, version, _)| version).collect()
    }
}

fn can_run() -> Result<(), String> {
    probe::first_reason([needs(), probe::mounting(), probe::programs(&["unshare", "mknod", "getfattr"])])
}

const TWO: [Repo; 2] = [Repo::Base, Repo::Updates];

#[test]
fn rocky_is_upgraded_by_dnf() {
    if let Err(reason) = can_run() {
        skip!("{reason}");
    }
    let root = Root::new(Family::Rocky, &TWO);
    fs::write(root.at(scenario::CONFIG), "setting = mine\n").unwrap();
    assert_eq!(verify(&root.path(), "/var/lib/rpm", &[scenario::LIBRARY]).unwrap(), [""; 0]);
    library_alone(&root);
    let security = words(&root.run(&["dnf", "-q", "updateinfo", "list", "--security"]));
    assert!(security.contains("TSSA-2024:0003") && !security.contains("TSBA"), "{security}");
    let said = root.upgrade(&["--security"]).unwrap();
    assert_eq!(root.versions(scenario::DAEMON), [scenario::NEW], "{said}");
    assert_eq!(root.versions(scenario::BUGFIX), [scenario::BUGFIX_OLD], "no security update: {said}");
    daemon_is_new(&root);
    let said = root.upgrade(&[]).unwrap();
    assert_eq!(root.versions(scenario::BUGFIX), [scenario::BUGFIX_NEW], "{said}");
    let kernels = [scenario::KERNELS[0], scenario::KERNELS[1], scenario::KERNEL_NEW];
    assert_eq!(root.versions(scenario::KERNEL), kernels);
}

/// The library comes with its new dependency, and nothing else.
fn library_alone(root: &Root) {
    assert_eq!(root.versions(scenario::LIBRARY), [scenario::LIBRARY_OLD]);
    let said = root.upgrade(&[scenario::LIBRARY]).unwrap();
    assert_eq!(root.versions(scenario::LIBRARY), [scenario::LIBRARY_NEW], "{said}");
    assert_eq!(root.versions(scenario::EXTRA), [scenario::EXTRA_NEW], "{said}");
    assert_eq!(root.versions(scenario::DAEMON), [scenario::OLD], "{said}");
    assert_eq!(root.read("/usr/share/openssl-libs/build"), "27.el9\n");
}

fn daemon_is_new(root: &Root) {
    assert_eq!(root.read(scenario::CONFIG), "setting = mine\n");
    assert_eq!(root.read(&format!("{}.rpmnew", scenario::CONFIG)), "setting = 2\n");
    assert!(!root.at(scenario::DELETED).exists() && root.at(scenario::TURNING).join("inside").exists());
    let pair = scenario::PAIR.map(|path| fs::metadata(root.at(path)).unwrap().ino());
    assert_eq!(pair[0], pair[1]);
    assert_eq!(fs::metadata(root.at(scenario::SETUID)).unwrap().permissions().mode() & 0o7777, 0o4755);
    let capability = argv("getfattr", ["--only-values", "-n", "security.capability"]);
    assert_eq!(capability.arg(root.at(scenario::CAPABLE)).stdout().unwrap().len(), 20);
    let log = "pre 1 1\npost 1 1\nposttrans 1 1\npre 2 2\npost 2 2\npreun 1 1\npostun 1 1\nposttrans 2 2\n";
    assert_eq!(root.read(scenario::SCRIPTLET_LOG), log);
}
