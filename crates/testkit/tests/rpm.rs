//! The synthetic RPM distributions do, under the real tools in a chroot, what they are there for.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use testkit::apt_repository::Served;
use testkit::command::{Argv, Ran, argv};
use testkit::image::Layout;
use testkit::rpm::{Family, Repo, Repositories, Setup, TDNF_LOG, installed, needs, scenario, verify};
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
        Root::of(Setup::new(family, "").repositories(repositories))
    }

    fn of(setup: Setup) -> Root {
        let family = setup.family;
        let served = Served::start(&Repositories::of(family.series()).unwrap().folder()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = Root { family, folder, served };
        Setup { url: root.served.url(), ..setup }.unpack(&root.path()).unwrap();
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
    let against =
        verify(&root.path(), root.family.database(), &[scenario::DAEMON, scenario::LIBRARY]).unwrap();
    assert_eq!(against, [format!("S.5....T.  c {}", scenario::CONFIG)]);
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

/// The whole image is brought up to date by the tool of its family, through its own configuration; a locked package stays.
fn upgraded(family: Family) {
    if let Err(reason) = can_run() {
        skip!("{reason}");
    }
    let root = Root::of(Setup::new(family, "").hold(scenario::HELD));
    let said = root.upgrade(&[scenario::LIBRARY]).unwrap();
    assert_eq!(root.versions(scenario::LIBRARY), [scenario::LIBRARY_NEW], "{said}");
    assert_eq!(root.versions(scenario::EXTRA), [scenario::EXTRA_NEW], "{said}");
    assert_eq!(root.versions(scenario::DAEMON), [scenario::OLD], "{said}");
    let both = root.versions(scenario::MULTILIB).len();
    let said = root.upgrade(&[]).unwrap();
    for (name, versions) in [
        (scenario::BUGFIX, vec![scenario::BUGFIX_NEW]),
        (scenario::DAEMON, vec![scenario::NEW]),
        (scenario::HELD, vec![scenario::OLD]),
        (scenario::MULTILIB, vec![scenario::NEW; both]),
    ] {
        assert_eq!(root.versions(name), versions, "{name}: {said}");
    }
    assert_eq!(root.read(TDNF_LOG).lines().count(), if family.is_stand_in() { 2 } else { 0 });
}

#[test]
fn a_stand_in_for_tdnf_upgrades_azure_linux() {
    upgraded(Family::AzureLinux);
}

#[test]
fn dnf5_upgrades_fedora() {
    upgraded(Family::Fedora);
}

#[test]
fn microdnf_upgrades_a_minimal_image() {
    upgraded(Family::RockyMinimal);
}

#[test]
fn zypper_upgrades_sles() {
    upgraded(Family::Sles);
}

#[test]
fn zypper_upgrades_a_database_of_ndb() {
    upgraded(Family::SlesNdb);
}

#[test]
fn dnf_upgrades_what_is_like_rocky() {
    upgraded(Family::AlmaLinux);
    upgraded(Family::Amazon);
}

/// The image in a layout shows what the root does.
#[test]
fn an_image_is_its_root() {
    if let Err(reason) = probe::first_reason([can_run(), probe::programs(&["umoci"])]) {
        skip!("{reason}");
    }
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("layout")).unwrap();
    for family in [Family::AzureLinux, Family::RockyMicro] {
        let setup = Setup::new(family, "http://repository.example").file("etc/extra", "extra\n");
        setup.add(&layout, family.name()).unwrap();
        let (root, bundle) = (folder.path().join("root"), folder.path().join("bundle"));
        setup.unpack(&root).unwrap();
        let name = format!("{}:{}", layout.directory().display(), family.name());
        argv("umoci", ["unpack", "--image", &name]).arg(&bundle).stdout().unwrap();
        let compare = argv("diff", ["--recursive", "--no-dereference"]).arg(&root).arg(bundle.join("rootfs"));
        assert_eq!(words(&compare.output().unwrap()), "");
        assert!(
            fs::read_to_string(root.join("etc/yum.repos.d").join(family_file(family)))
                .unwrap()
                .contains("example/updates/")
        );
        fs::remove_dir_all(root).unwrap();
        fs::remove_dir_all(bundle).unwrap();
    }
}

fn family_file(family: Family) -> &'static str {
    if family == Family::AzureLinux { "azurelinux.repo" } else { "rocky.repo" }
}

/// What the packages of a micro image are, whatever its database is written in.
#[test]
fn images_without_a_tool_have_the_database_of_their_family() {
    if let Err(reason) = can_run() {
        skip!("{reason}");
    }
    let root = |family| Root::new(family, &TWO);
    let (micro, berkeley, distroless) =
        (root(Family::RockyMicro), root(Family::CentosBerkeley), root(Family::AzureLinuxDistroless));
    for other in [&micro, &berkeley, &distroless] {
        for program in ["rpm", "dnf", "bash", "sh"] {
            assert!(!other.at(&format!("/usr/bin/{program}")).exists(), "{program}");
        }
    }
    let of = |root: &Root| {
        let mut all = installed(&root.path(), root.family.database()).unwrap();
        all.retain(|(name, ..)| !name.ends_with("-release"));
        all
    };
    let expected = of(&micro);
    let library =
        (scenario::LIBRARY.to_owned(), scenario::LIBRARY_OLD.to_owned(), std::env::consts::ARCH.to_owned());
    assert!(expected.contains(&library) && expected.len() > 4, "{expected:?}");
    assert_eq!(of(&berkeley), expected);
    assert!(
        berkeley.at("/var/lib/rpm/Packages").exists() && !berkeley.at("/var/lib/rpm/rpmdb.sqlite").exists()
    );
    assert!(!distroless.at("/var/lib/rpm").exists());
    let manifests = [1, 2].map(|n| distroless.read(&format!("/var/lib/rpmmanifest/container-manifest-{n}")));
    for (name, version, architecture) in expected {
        let version = version.split_once(':').map_or(&version[..], |(_, rest)| rest);
        assert!(manifests[0].contains(&format!("{name}-{version}.{architecture}\n")), "{name}");
        assert!(manifests[1].contains(&format!("{name}\t{version}\t")), "{name}");
    }
}

/// What dnf says of every repository that is not as it should be, and what the database has then.
#[test]
fn every_bad_repository_is_bad_in_its_own_way() {
    if let Err(reason) = can_run() {
        skip!("{reason}");
    }
    let all = [Repo::Hostile, Repo::Unsigned, Repo::Stranger, Repo::Tampered, Repo::Altered];
    let root = Root::new(Family::Rocky, &all);
    for (name, complaint) in [
        (scenario::UNSIGNED, "is not signed"),
        (scenario::STRANGER, "is not installed"),
        (scenario::TAMPERED, "checksum"),
        (scenario::ALTERED, "Problem opening package"),
        (scenario::REFUSING, "this is why it fails"),
        (scenario::REMOVER, "onflicts"),
    ] {
        let said = root.upgrade(&[name]).unwrap_or_else(|said| said);
        assert_eq!(root.versions(name), [scenario::OLD], "{name}: {said}");
        assert!(said.contains(complaint), "{name}: {said}");
    }
    let said = root.upgrade(&[scenario::FAILING]).unwrap();
    assert_eq!(root.versions(scenario::FAILING), [scenario::NEW], "only told: {said}");
    let said = root.upgrade(&[scenario::PROMPT]).unwrap();
    assert_eq!(root.read(scenario::ANSWER), "no terminal\nno stdin\n", "{said}");
    let forged = Root::new(Family::Rocky, &[Repo::Base, Repo::Forged]);
    let said = forged.upgrade(&[scenario::FORGED]).unwrap_err();
    assert_eq!(forged.versions(scenario::FORGED), [scenario::OLD], "{said}");
    assert!(said.contains("Bad GPG signature"), "{said}");
}
