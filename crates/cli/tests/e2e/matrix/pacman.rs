//! Arch with the real pacman.

use super::family::{EDITED, Family, Installed, Label, Made, Names, Package, Stage, TAG};
use super::subject::Seen;
use crate::world::World;
use std::collections::BTreeSet;
use testkit::apt_repository::Signature;
use testkit::debian_root;
use testkit::pacman::{
    self, Published,
    image::{Arch as Image, Options},
    scenario::{self, ADDED, CONFFILE, CONFIGURED, HELD, NEW, OLD, SCRIPTED},
};
use testkit::probe;
use testkit::tar::Entry;

pub struct Arch;

impl Family for Arch {
    fn label(&self) -> Label {
        Label {
            name: "Arch",
            strategy: "in-place",
            tool: "pacman",
            held_by: "`IgnorePkg` in `/etc/pacman.conf`",
        }
    }

    fn needs(&self) -> Result<(), String> {
        let programs = probe::programs(&["umoci", "skopeo", "syft"]);
        probe::first_reason([probe::root(), probe::mounting(), pacman::image_needs(), programs])
    }

    fn os(&self) -> (&'static str, &'static str) {
        ("arch", "rolling")
    }

    fn names(&self) -> Names {
        let package = |name| Package { name, old: OLD, new: NEW };
        Names {
            library: package(CONFIGURED),
            added: package(ADDED),
            other: package(SCRIPTED),
            held: package(HELD),
            configured: package(CONFIGURED),
            file: CONFFILE,
            bad: package(SCRIPTED),
            refusal: "required key missing from keyring",
        }
    }

    fn make(&self, _: &World, stage: Stage) -> Made {
        let edited = Entry::file(CONFFILE.trim_start_matches('/'), EDITED);
        let made = Image::new(&Options {
            ignored: if stage == Stage::Held { vec![HELD.to_owned()] } else { Vec::new() },
            offered: if stage == Stage::UpToDate { scenario::installed() } else { scenario::updates() },
            added: if stage == Stage::Edited { vec![edited] } else { Vec::new() },
            ..Options::default()
        })
        .unwrap();
        if stage == Stage::BadSignature {
            let published = Published { packages: Signature::Stranger, ..Published::default() };
            made.repository.publish(published).unwrap();
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
        let all = pacman::installed(&seen.files("var/lib/pacman")).unwrap().into_iter();
        all.map(|(name, version)| (name, version, String::new())).collect()
    }

    fn amiss(&self, seen: &Seen, packages: &[&str]) -> Vec<String> {
        pacman::broken(&seen.root(), packages).unwrap()
    }

    fn syft(&self) -> Option<&'static str> {
        Some("alpm")
    }
}
