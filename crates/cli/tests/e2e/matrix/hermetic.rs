//! Debian and Ubuntu images without a shell and without a package manager.

use super::dpkg::{by_dpkg, on_hold};
use super::family::{EDITED, Family, Installed, Label, Made, Names, Package, Stage, TAG};
use super::subject::Seen;
use crate::world::World;
use std::collections::BTreeSet;
use std::path::Path;
use testkit::apt_repository::{self, Release, Signature};
use testkit::chiseled::Record;
use testkit::command::argv;
use testkit::debian_root;
use testkit::distroless::hermetic::{Form, Hermetic, Options};
use testkit::distroless::scenario::{
    self, ADDED, CONFFILE, CONFIGURED, HARMLESS, LIBRARY, NEW, OLD, PINNED, PREFERENCES,
};
use testkit::image_reader::ImageReader;
use testkit::tar::Entry;
use testkit::{dpkg, probe};

pub enum Unpacked {
    Distroless,
    Chiseled,
    ChiseledManifest,
}

impl Unpacked {
    fn form(&self) -> Form {
        match self {
            Unpacked::Distroless => Form::Distroless,
            Unpacked::Chiseled => Form::Chiseled(Record::Status),
            Unpacked::ChiseledManifest => Form::Chiseled(Record::Manifest),
        }
    }

    /// The file that holds [`PINNED`].
    fn hold(&self) -> Entry {
        let path = match self {
            Unpacked::Distroless => format!("var/lib/dpkg/status.d/{PINNED}"),
            Unpacked::Chiseled => "var/lib/dpkg/status".to_owned(),
            // Chisel's manifest has no word for it.
            Unpacked::ChiseledManifest => return Entry::file("etc/apt/preferences.d/pinned", PREFERENCES),
        };
        let plain = Hermetic::new(&Options { form: self.form(), ..Options::default() }).unwrap();
        let image = ImageReader::open(plain.layout.directory(), debian_root::TAG).unwrap();
        let file = image.files(|at| at == path.as_bytes()).unwrap().into_values().next().unwrap();
        let text = String::from_utf8(file.entry.content().unwrap().to_vec()).unwrap();
        let text = match self {
            Unpacked::Distroless => text.replacen('\n', "\nStatus: install ok installed\n", 1),
            _ => text,
        };
        Entry::file(&path, on_hold(&text, PINNED))
    }
}

impl Family for Unpacked {
    fn label(&self) -> Label {
        let (name, held_by) = match self {
            Unpacked::Distroless => ("Debian distroless", "`hold` in its record below `status.d`"),
            Unpacked::Chiseled => ("Ubuntu chiseled, dpkg's status", "`hold` in dpkg's status"),
            Unpacked::ChiseledManifest => {
                ("Ubuntu chiseled, chisel's manifest", "a pin in `/etc/apt/preferences.d`")
            }
        };
        Label { name, strategy: "unpacked", tool: "none", held_by }
    }

    fn needs(&self) -> Result<(), String> {
        let programs = probe::programs(&["zstd", "dpkg-query", "md5sum", "skopeo", "syft"]);
        probe::first_reason([apt_repository::needs(), programs])
    }

    fn os(&self) -> (&'static str, &'static str) {
        match self {
            Unpacked::Distroless => ("debian", "12.0"),
            Unpacked::Chiseled | Unpacked::ChiseledManifest => ("ubuntu", "22.04"),
        }
    }

    fn names(&self) -> Names {
        let package = |name| Package { name, old: OLD, new: NEW };
        Names {
            library: package(LIBRARY),
            added: package(ADDED),
            other: package(HARMLESS),
            held: package(PINNED),
            configured: package(CONFIGURED),
            file: CONFFILE,
            bad: package(HARMLESS),
            refusal: "signed by unknown key",
        }
    }

    fn make(&self, _: &World, stage: Stage) -> Made {
        let added = match stage {
            Stage::Held => vec![self.hold()],
            Stage::Edited => vec![Entry::file(CONFFILE.trim_start_matches('/'), EDITED)],
            _ => Vec::new(),
        };
        let offered = if stage == Stage::UpToDate { scenario::installed() } else { scenario::updates() };
        let made =
            Hermetic::new(&Options { form: self.form(), offered, added, ..Options::default() }).unwrap();
        if stage == Stage::BadSignature {
            let release = Release { signature: Signature::Stranger, ..Release::default() };
            made.repository.publish(&release).unwrap();
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
        let all = dpkg::installed(&seen.image).unwrap().into_values();
        all.map(|(package, _)| (package.name, package.version, package.architecture)).collect()
    }

    fn amiss(&self, seen: &Seen, packages: &[&str]) -> Vec<String> {
        match self {
            Unpacked::Distroless => sums_amiss(seen, packages),
            Unpacked::Chiseled => {
                let (theirs, ours) = (by_dpkg(seen), self.installed(seen));
                theirs
                    .symmetric_difference(&ours)
                    .map(|(name, ..)| format!("dpkg reads otherwise: {name}"))
                    .collect()
            }
            Unpacked::ChiseledManifest => Vec::new(),
        }
    }

    fn syft(&self) -> Option<&'static str> {
        // The syft at hand does not know chisel's manifest.
        (!matches!(self, Unpacked::ChiseledManifest)).then_some("deb")
    }
}

/// Files of packages that are not what the sums beside their records say, by the real `md5sum`.
fn sums_amiss(seen: &Seen, packages: &[&str]) -> Vec<String> {
    let root = seen.files("usr");
    packages.iter().flat_map(|package| sums_of_one(seen, &root, package)).collect()
}

fn sums_of_one(seen: &Seen, root: &Path, package: &str) -> Vec<String> {
    let path = format!("var/lib/dpkg/status.d/{package}.md5sums");
    let Some(sums) = seen.text(&path) else { return vec![format!("{path} is missing")] };
    // Further names of a file have no content of their own in a layer, and are not on disk here.
    let is_there = |line: &&str| {
        let path = line.rsplit("  ").next().unwrap();
        let shown = seen.image.files(|at| at == path.as_bytes()).unwrap();
        path.starts_with("usr/") && shown.values().all(|shown| shown.entry.content().is_some())
    };
    let list: String = sums.lines().filter(is_there).map(|line| format!("{line}\n")).collect();
    let check = root.join("sums");
    std::fs::write(&check, list).unwrap();
    let ran = argv("md5sum", ["--check", "--quiet", "--strict"]).arg(&check).folder(root).output().unwrap();
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    said.lines().map(|line| format!("{package}: {line}")).collect()
}
