//! Debian and Ubuntu with their own apt: a real Debian root with the test packages installed.

use super::family::{EDITED, Family, Installed, Label, Made, Names, Package, Stage};
use super::subject::Seen;
use crate::throwaway::{self, Extra, Throwaway, installed_status};
use crate::world::World;
use std::collections::BTreeSet;
use std::path::PathBuf;
use testkit::apt_repository::{
    Release, Signature,
    scenario::{self, BASE, CONFFILE, EXTRA, HELD, NEW, OLD},
};
use testkit::command::argv;
use testkit::tar::{self, Entry};
use testkit::{dpkg, probe, ubuntu};

pub enum InPlace {
    Debian,
    Ubuntu,
}

impl Family for InPlace {
    fn label(&self) -> Label {
        let name = match self {
            InPlace::Debian => "Debian",
            InPlace::Ubuntu => "Ubuntu",
        };
        Label { name, strategy: "in-place", tool: "apt", held_by: "`hold` in dpkg's status" }
    }

    fn needs(&self) -> Result<(), String> {
        probe::first_reason([throwaway::needs(), probe::programs(&["dpkg-query", "skopeo", "syft"])])
    }

    fn os(&self) -> (&'static str, &'static str) {
        match self {
            InPlace::Debian => ("debian", "12.15"),
            InPlace::Ubuntu => ("ubuntu", "22.04"),
        }
    }

    fn names(&self) -> Names {
        let package = |name| Package { name, old: OLD, new: NEW };
        Names {
            library: package(BASE),
            added: package(EXTRA),
            other: package(HELD),
            held: package(HELD),
            configured: package(BASE),
            file: CONFFILE,
            bad: package(HELD),
            refusal: "is not signed",
        }
    }

    fn make(&self, _: &World, stage: Stage) -> Made {
        let mut layers = match self {
            InPlace::Debian => Vec::new(),
            InPlace::Ubuntu => vec![ubuntu::layer()],
        };
        match stage {
            Stage::Held => {
                let status = on_hold(&installed_status(), HELD);
                layers.push(tar::write(&[Entry::file("var/lib/dpkg/status", status)]));
            }
            Stage::Edited => {
                layers.push(tar::write(&[Entry::file(CONFFILE.trim_start_matches('/'), EDITED)]));
            }
            _ => {}
        }
        let offered = if stage == Stage::UpToDate { scenario::installed() } else { scenario::updates() };
        let made = Throwaway::with(&offered, &Extra { layers, ..Extra::default() });
        if stage == Stage::BadSignature {
            let release = Release { signature: Signature::Stranger, ..Release::default() };
            made.repository.publish(&release).unwrap();
        }
        Made {
            layout: made.layout.clone(),
            host: made.served.host(),
            more: Vec::new(),
            _kept: Box::new(made),
        }
    }

    fn installed(&self, seen: &Seen) -> BTreeSet<Installed> {
        let all = by_dpkg(seen);
        let status = std::fs::read_to_string(database(seen).join("status")).unwrap();
        let by_testkit = dpkg::parse(&status).into_iter();
        assert_eq!(all, by_testkit.map(|p| (p.name, p.version, p.architecture)).collect());
        all
    }

    fn amiss(&self, seen: &Seen, _: &[&str]) -> Vec<String> {
        let audit = argv("dpkg", ["--audit", "--admindir"]).arg(database(seen)).text().unwrap();
        audit.lines().map(str::to_owned).collect()
    }

    fn syft(&self) -> Option<&'static str> {
        Some("deb")
    }
}

/// The real dpkg's records.
fn database(seen: &Seen) -> PathBuf {
    seen.files("var/lib/dpkg").join("var/lib/dpkg")
}

/// What the real `dpkg-query` reads.
pub fn by_dpkg(seen: &Seen) -> BTreeSet<Installed> {
    let folder = database(seen);
    std::fs::create_dir_all(folder.join("info")).unwrap();
    let list = "--showformat=${Package} ${Version} ${Architecture} ${db:Status-Status}\n";
    let text = argv("dpkg-query", ["--show", list, "--admindir"]).arg(folder).text().unwrap();
    let words = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let installed = words.filter(|words| words[3] == "installed");
    installed.map(|words| (words[0].to_owned(), words[1].to_owned(), words[2].to_owned())).collect()
}

/// A status file in which a package is held.
pub fn on_hold(status: &str, package: &str) -> String {
    let from = format!("Package: {package}\nStatus: install ok installed\n");
    assert!(status.contains(&from));
    status.replacen(&from, &format!("Package: {package}\nStatus: hold ok installed\n"), 1)
}
