//! The distributions with rpm: in place with the real dnf, dnf5 and zypper and a stand-in for tdnf, from outside, and unpacked.

use super::family::{EDITED, Family, Installed, Label, Made, Names, Package, Stage, TAG};
use super::subject::Seen;
use crate::world::World;
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use testkit::apt_repository::Served;
use testkit::image::Layout;
use testkit::probe;
use testkit::rpm::{self, Family as Kind, Repo, Repositories, Setup, scenario};

pub struct Rpm(pub Kind);

/// Where images without a database have the list of what is installed: `rpm -qa` with these columns, among others.
const MANIFEST: &str = "var/lib/rpmmanifest/container-manifest-2";
const NAME: usize = 0;
const VERSION: usize = 1;
const EPOCH: usize = 5;
const ARCHITECTURE: usize = 7;

impl Rpm {
    fn has_tool(&self) -> bool {
        self.0.tool().is_some()
    }

    fn is_manifest(&self) -> bool {
        self.0 == Kind::AzureLinuxDistroless
    }

    fn setup(&self, url: &str, stage: Stage) -> Setup {
        let mut setup = Setup::new(self.0, url);
        if self.0 == Kind::Sles {
            // As SUSE ships it; Debian's leaves kernels alone nowhere.
            setup =
                setup.file("etc/zypp/zypp.conf", "[main]\nmultiversion = provides:multiversion(kernel)\n");
        }
        match stage {
            Stage::Updates => setup,
            Stage::UpToDate => setup.repositories(&[Repo::Base]),
            Stage::Held => setup.hold(scenario::HELD),
            Stage::Edited => setup.file(self.names().file.trim_start_matches('/'), EDITED),
            Stage::BadSignature => setup.repositories(&[Repo::Base, Repo::Stranger]),
        }
    }
}

impl Family for Rpm {
    fn label(&self) -> Label {
        let name = match self.0 {
            Kind::Rocky => "Rocky Linux",
            Kind::AlmaLinux => "AlmaLinux",
            Kind::Fedora => "Fedora",
            Kind::Amazon => "Amazon Linux",
            Kind::AzureLinux => "Azure Linux",
            Kind::AzureLinuxDistroless => "Azure Linux distroless",
            Kind::RockyMicro => "Rocky Linux, as ubi-micro",
            Kind::Sles => "SUSE Linux Enterprise Server",
            Kind::RockyMinimal => "Rocky Linux, as ubi-minimal",
            Kind::SlesNdb => "SUSE Linux Enterprise Server, ndb",
            Kind::CentosBerkeley => "CentOS 7, database only",
        };
        let (strategy, tool) = match self.0.tool() {
            Some("tdnf") => ("in-place", "tdnf (stand-in)"),
            Some(tool) => ("in-place", tool),
            None if self.is_manifest() => ("unpacked", "none"),
            None => ("outside", "dnf of a tooling image"),
        };
        let held_by = match self.0 {
            Kind::Sles => "`/etc/zypp/locks`",
            Kind::Fedora => "`/etc/dnf/versionlock.toml`",
            _ => "`/etc/dnf/plugins/versionlock.list`",
        };
        Label { name, strategy, tool, held_by }
    }

    fn needs(&self) -> Result<(), String> {
        let programs = probe::programs(&["tar", "umoci", "skopeo", "syft"]);
        probe::first_reason([probe::root(), probe::mounting(), rpm::needs(), programs])
    }

    fn os(&self) -> (&'static str, &'static str) {
        match self.0 {
            Kind::Rocky | Kind::RockyMinimal | Kind::RockyMicro => ("rocky", "9.4"),
            Kind::AlmaLinux => ("alma", "9.4"),
            Kind::Amazon => ("amazon", "2023"),
            Kind::AzureLinux | Kind::AzureLinuxDistroless => ("azurelinux", "3.0"),
            Kind::Fedora => ("fedora", "42"),
            Kind::Sles | Kind::SlesNdb => ("suse linux enterprise server", "15.6"),
            Kind::CentosBerkeley => ("centos", "7"),
        }
    }

    fn names(&self) -> Names {
        let package = |name| Package { name, old: scenario::OLD, new: scenario::NEW };
        let (configured, file) = match self.has_tool() {
            true => (scenario::DAEMON, scenario::CONFIG),
            false => (scenario::SETTINGS, scenario::SETTINGS_CONFIG),
        };
        Names {
            library: Package {
                name: scenario::LIBRARY,
                old: scenario::LIBRARY_OLD,
                new: scenario::LIBRARY_NEW,
            },
            added: Package { name: scenario::EXTRA, old: "", new: scenario::EXTRA_NEW },
            other: Package { name: scenario::BUGFIX, old: scenario::BUGFIX_OLD, new: scenario::BUGFIX_NEW },
            held: package(scenario::HELD),
            configured: package(configured),
            file,
            bad: package(scenario::STRANGER),
            refusal: scenario::STRANGER,
        }
    }

    fn make(&self, world: &World, stage: Stage) -> Made {
        // Under a name of its own: ports come again, and caches go by addresses.
        let name = world.folder.path().file_name().unwrap();
        let folder = world.path("served");
        std::fs::create_dir(&folder).unwrap();
        symlink(Repositories::of(self.0.series()).unwrap().folder(), folder.join(name)).unwrap();
        let served = Served::start(&folder).unwrap();
        let layout = Layout::create(&world.path("layout")).unwrap();
        let url = format!("{}/{}", served.url(), name.to_str().unwrap());
        self.setup(&url, stage).add(&layout, TAG).unwrap();
        let more = if self.has_tool() || self.is_manifest() { Vec::new() } else { tooling(world) };
        Made { layout, host: served.host(), more, _kept: Box::new(served) }
    }

    fn installed(&self, seen: &Seen) -> BTreeSet<Installed> {
        if self.is_manifest() {
            return listed(&seen.text(MANIFEST).unwrap());
        }
        let database = self.0.database();
        let folder = seen.files(database.trim_start_matches('/'));
        let all = rpm::installed(&folder, database).unwrap();
        all.into_iter().filter(|(name, ..)| name != "gpg-pubkey").collect()
    }

    fn amiss(&self, seen: &Seen, packages: &[&str]) -> Vec<String> {
        if self.is_manifest() {
            return lists_disagree(seen);
        }
        let mut said = rpm::verify(&seen.root(), self.0.database(), packages).unwrap();
        // Of files of configuration, what the administrator changed stays so.
        said.retain(|line| !line.contains(" c "));
        said
    }

    fn syft(&self) -> Option<&'static str> {
        Some("rpm")
    }
}

/// The image whose tools work on one that has none. It has no repositories of its own.
fn tooling(world: &World) -> Vec<String> {
    let layout = Layout::create(&world.path("tooling")).unwrap();
    let setup = Setup::new(Kind::Rocky, "http://repositories.invalid").repositories(&[]);
    setup.add(&layout, "rocky").unwrap();
    vec!["--tooling-image".to_owned(), layout.name("rocky")]
}

/// The rows of the second list.
fn listed(text: &str) -> BTreeSet<Installed> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let (version, epoch) = (columns[VERSION], columns[EPOCH]);
        let version = if epoch == "(none)" { version.to_owned() } else { format!("{epoch}:{version}") };
        (columns[NAME].to_owned(), version, columns[ARCHITECTURE].to_owned())
    };
    text.lines().map(row).collect()
}

/// Packages that only one of the two lists has. The first one leaves epochs out.
fn lists_disagree(seen: &Seen) -> Vec<String> {
    let first = seen.text("var/lib/rpmmanifest/container-manifest-1").unwrap();
    let first: BTreeSet<String> = first.lines().map(str::to_owned).collect();
    let second = listed(&seen.text(MANIFEST).unwrap()).into_iter().map(|(name, version, architecture)| {
        let version = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest).to_owned();
        format!("{name}-{version}.{architecture}")
    });
    first.symmetric_difference(&second.collect()).cloned().collect()
}
