//! Alpine, with a stand-in for apk and without any: no registry of packages has the real one.

use super::family::{EDITED, Family, Installed, Label, Made, Names, Package, Stage, TAG};
use super::subject::Seen;
use crate::world::World;
use std::collections::BTreeSet;
use testkit::apk::{
    self, ApkSpec, Index, Signature, database,
    image::{Alpine as Image, Options, Tool},
    scenario::{
        self, ADDED, CONFFILE, CONFIGURED, DEPENDENT, HELD, LIBRARY, NEW, OLD, SCRIPTED, UNSATISFIED,
        WATCHER, WORLD,
    },
};
use testkit::debian_root;
use testkit::probe;
use testkit::tar::Entry;

pub enum Alpine {
    InPlace,
    Unpacked,
}

impl Alpine {
    fn is_in_place(&self) -> bool {
        matches!(self, Alpine::InPlace)
    }

    /// Whether a package is in the image and its repository. Images without apk are made of packages without scripts.
    fn has(&self, name: &str) -> bool {
        name != UNSATISFIED && (self.is_in_place() || ![SCRIPTED, WATCHER].contains(&name))
    }

    fn packages(&self, all: Vec<ApkSpec>) -> Vec<ApkSpec> {
        all.into_iter().filter(|spec| self.has(spec.name())).collect()
    }

    fn world(&self, stage: Stage) -> Vec<String> {
        let name = |line: &'static str| line.split('=').next().unwrap();
        let lines = WORLD.into_iter().filter(|line| self.has(name(line)));
        lines.map(|line| if stage == Stage::Held { line } else { name(line) }).map(str::to_owned).collect()
    }
}

impl Family for Alpine {
    fn label(&self) -> Label {
        let held_by = "a version in `/etc/apk/world`";
        match self {
            Alpine::InPlace => {
                Label { name: "Alpine", strategy: "in-place", tool: "apk (stand-in)", held_by }
            }
            Alpine::Unpacked => {
                Label { name: "Alpine without apk", strategy: "unpacked", tool: "none", held_by }
            }
        }
    }

    fn needs(&self) -> Result<(), String> {
        let programs = probe::programs(&["skopeo", "syft"]);
        let sandbox =
            if self.is_in_place() { probe::root().and_then(|()| probe::mounting()) } else { Ok(()) };
        probe::first_reason([apk::needs(), programs, sandbox])
    }

    fn os(&self) -> (&'static str, &'static str) {
        ("alpine", "3.19.1")
    }

    fn names(&self) -> Names {
        let package = |name| Package { name, old: OLD, new: NEW };
        Names {
            library: package(LIBRARY),
            added: package(ADDED),
            other: package(DEPENDENT),
            held: package(HELD),
            configured: package(CONFIGURED),
            file: CONFFILE,
            bad: package(DEPENDENT),
            refusal: if self.is_in_place() { "UNTRUSTED signature" } else { "signed by unknown key" },
        }
    }

    fn make(&self, _: &World, stage: Stage) -> Made {
        let edited = Entry::file(CONFFILE.trim_start_matches('/'), EDITED);
        let offered = if stage == Stage::UpToDate { scenario::installed() } else { scenario::updates() };
        let mut options = Options {
            tool: if self.is_in_place() { Tool::StandIn } else { Tool::None },
            installed: self.packages(scenario::installed()),
            offered: self.packages(offered),
            world: self.world(stage),
            added: if stage == Stage::Edited { vec![edited] } else { Vec::new() },
            ..Options::default()
        };
        if self.is_in_place() {
            // As every Alpine says of its apk.
            options
                .installed
                .push(ApkSpec::new("apk-tools", "2.14.4-r0").file("/usr/share/apk-tools/data", ""));
        }
        let made = Image::new(&options).unwrap();
        if stage == Stage::BadSignature {
            made.repository.publish(&Index { signature: Signature::Stranger }).unwrap();
        }
        made.layout.tag(TAG, &made.layout.descriptor(debian_root::TAG).unwrap()).unwrap();
        Made {
            layout: made.layout.clone(),
            host: made.served.host(),
            more: Vec::new(),
            _kept: Box::new(made),
        }
    }

    fn installed(&self, seen: &Seen) -> BTreeSet<Installed> {
        let all = database::versions(&seen.image).unwrap().into_iter();
        all.map(|(name, version)| (name, version, String::new())).collect()
    }

    /// Files that the database names and the image does not have.
    fn amiss(&self, seen: &Seen, packages: &[&str]) -> Vec<String> {
        let files: BTreeSet<Vec<u8>> = seen.image.files(|_| true).unwrap().into_keys().collect();
        let paragraphs = database::paragraphs(&seen.image).unwrap();
        let mut missing = Vec::new();
        for package in packages {
            let mut folder = String::new();
            for line in paragraphs[*package].lines() {
                match line.split_at_checked(2) {
                    Some(("F:", path)) => folder = path.to_owned(),
                    Some(("R:", name)) if !files.contains(format!("{folder}/{name}").as_bytes()) => {
                        missing.push(format!("{package}: {folder}/{name}"));
                    }
                    _ => {}
                }
            }
        }
        missing
    }

    fn syft(&self) -> Option<&'static str> {
        Some("apk")
    }
}
