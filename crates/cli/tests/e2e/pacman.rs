//! Arch in place: the real program on synthetic images with the real pacman inside, from a signed repository; judged by the real
//! pacman of this machine on the unpacked result.

use crate::within::{self, Ran};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use testkit::apt_repository::Signature;
use testkit::command::argv;
use testkit::debian_root::TAG;
use testkit::image_reader::ImageReader;
use testkit::pacman::{
    self, PacmanSpec, Published,
    image::{Arch, Options},
    scenario::{
        self, ADDED, ALL, CONFFILE, CONFIGURED, CONFLICTING, HELD, LOG, NEW, OLD, PACNEW, SCRIPTED, VICTIM,
    },
};
use testkit::tar::Entry;
use testkit::{probe, skip};

const PATCHED: &str = "patched";

fn needs() -> Result<(), String> {
    let programs = probe::programs(&["umoci"]);
    probe::first_reason([probe::root(), probe::mounting(), pacman::image_needs(), programs])
}

/// An image, its repository, and a place to run.
struct Subject {
    world: World,
    arch: Arch,
}

impl Subject {
    fn new() -> Subject {
        Subject::with(|options| options)
    }

    fn with(change: impl FnOnce(Options) -> Options) -> Subject {
        Subject { world: World::new(), arch: Arch::new(&change(Options::default())).unwrap() }
    }

    fn report(&self, wanted: &[&str]) -> PathBuf {
        let wanted: Vec<_> = wanted.iter().map(|package| (*package, OLD, NEW)).collect();
        within::report(&self.world, ("arch", "rolling"), &wanted)
    }

    fn patch(&self, tags: (&str, &str), wanted: Option<&[&str]>, more: &[&str]) -> Ran {
        let report = wanted.map(|wanted| self.report(wanted));
        let place = (&self.world, &self.arch.layout, &*self.arch.served.host());
        within::patch(place, tags, report.as_deref(), more)
    }

    fn patched(&self, wanted: Option<&[&str]>) -> Ran {
        let ran = self.patch((TAG, PATCHED), wanted, &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.document["status"], "patched", "{}\n{:#}", ran.stderr, ran.document);
        ran
    }

    /// Patches, which must fail with one error that has these words in it, and without a patched image.
    fn refused(&self, wanted: Option<&[&str]>, words: &str) {
        let ran = self.patch((TAG, PATCHED), wanted, &[]);
        assert!(!matches!(ran.code, Some(0) | None), "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{words:?} is not in\n{}", ran.stderr);
        assert!(ImageReader::open(self.arch.layout.directory(), PATCHED).is_err(), "{words}");
    }

    /// The whole root of an image, unpacked.
    fn root(&self, tag: &str) -> PathBuf {
        let bundle = self.world.path(&format!("bundle-{tag}"));
        if !bundle.exists() {
            let image = format!("{}:{tag}", self.arch.layout.directory().display());
            argv("umoci", ["unpack", "--image", &image, bundle.to_str().unwrap()]).stdout().unwrap();
        }
        bundle.join("rootfs")
    }

    /// What the real pacman says is installed.
    fn versions(&self, tag: &str) -> BTreeMap<String, String> {
        pacman::installed(&self.root(tag)).unwrap()
    }

    fn file(&self, tag: &str, path: &str) -> Option<String> {
        std::fs::read_to_string(self.root(tag).join(path.trim_start_matches('/'))).ok()
    }

    /// The patch layer's files.
    fn layer(&self, tag: &str) -> Vec<String> {
        let image = ImageReader::open(self.arch.layout.directory(), tag).unwrap();
        let entries = image.layer_entries(image.layers().len() - 1).unwrap();
        let files = entries.iter().filter(|entry| entry.content().is_some());
        files.map(|entry| String::from_utf8_lossy(&entry.path).trim_start_matches("./").to_owned()).collect()
    }

    fn layers(&self, tag: &str) -> usize {
        ImageReader::open(self.arch.layout.directory(), tag).unwrap().layers().len()
    }

    /// The versions are these, pacman finds no file amiss, and our document says of each package what pacman says.
    fn is_sound(&self, tag: &str, document: &Value, expected: &[(&str, &str)]) {
        let versions = self.versions(tag);
        for (name, version) in expected {
            assert_eq!(versions.get(*name).map(String::as_str), Some(*version), "{name}: {versions:?}");
        }
        let names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
        assert_eq!(pacman::broken(&self.root(tag), &names).unwrap(), Vec::<String>::new());
        for package in document["packages"].as_array().unwrap() {
            let name = package["name"].as_str().unwrap();
            assert_eq!(versions.get(name).map(String::as_str), package["to"].as_str(), "{name}");
        }
    }
}

fn outcome<'a>(document: &'a Value, package: &str) -> &'a str {
    let findings = document["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["package"] == package);
    finding.unwrap_or_else(|| panic!("{package}: {document:#}"))["outcome"].as_str().unwrap()
}

#[test]
fn a_report_upgrades_what_it_names_and_what_that_needs() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let ran = subject.patched(Some(&[CONFIGURED, HELD]));
    let expected = [(CONFIGURED, NEW), (ADDED, NEW), (SCRIPTED, OLD), (HELD, OLD)];
    subject.is_sound(PATCHED, &ran.document, &expected);
    assert_eq!(outcome(&ran.document, CONFIGURED), "fixed");
    assert_eq!(outcome(&ran.document, HELD), "held");
    let state = ["var/lib/pacman/sync", "var/cache", "var/log", "etc/pacman", "db.lck", "etc/ssl/certs"];
    let layer = subject.layer(PATCHED);
    let left: Vec<_> = layer.iter().filter(|path| state.iter().any(|part| path.contains(part))).collect();
    assert_eq!(left, Vec::<&String>::new());
    assert_eq!(subject.file(PATCHED, CONFFILE).as_deref(), Some("setting = new\n"));
    assert!(subject.file(PATCHED, PACNEW).is_none());
    let reason = |name: &str, version: &str| {
        let desc = subject.file(PATCHED, &format!("var/lib/pacman/local/{name}-{version}/desc")).unwrap();
        desc.contains("%REASON%\n1\n")
    };
    assert!(!reason(CONFIGURED, NEW) && reason(ADDED, NEW), "only the new dependency came as one");
}

#[test]
fn without_a_report_everything_is_upgraded_and_a_second_run_finds_nothing() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let ran = subject.patched(None);
    let expected = [(CONFIGURED, NEW), (ADDED, NEW), (SCRIPTED, NEW), (HELD, OLD), (VICTIM, OLD)];
    subject.is_sound(PATCHED, &ran.document, &expected);
    assert_eq!(subject.versions(PATCHED).len(), subject.versions(TAG).len() + 1);
    let log = subject.file(PATCHED, LOG).unwrap();
    assert!(log.contains(&format!("post_upgrade {NEW} {OLD}")), "{log}");
    let again = subject.patch((PATCHED, "again"), None, &["--detailed-exit-code"]);
    assert_eq!((again.code, &again.document["status"]), (Some(20), &json!("up-to-date")), "{}", again.stderr);
}

#[test]
fn equal_images_get_equal_layers() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let layer = |tag: &str| {
        let ran = subject.patch((TAG, tag), None, &[]);
        assert_eq!(ran.document["status"], "patched", "{}", ran.stderr);
        let image = ImageReader::open(subject.arch.layout.directory(), tag).unwrap();
        (image.layer_entries(image.layers().len() - 1).unwrap(), image.diff_ids().pop().unwrap())
    };
    // Times have seconds: the image must be older than the first run, and that than the second.
    let second_of_the_clock = || std::thread::sleep(std::time::Duration::from_millis(1100));
    second_of_the_clock();
    let (first, first_id) = layer("first");
    second_of_the_clock();
    let (second, second_id) = layer("second");
    let other = first.iter().zip(&second).find(|(one, two)| one != two);
    assert!(other.is_none() && first.len() == second.len(), "{other:?}");
    assert_eq!(second_id, first_id);
    let wrong = pacman::broken(&subject.root("second"), &[CONFIGURED, SCRIPTED, ADDED]).unwrap();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_patched_image_is_patched_again_into_one_layer() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    subject.patched(Some(&[CONFIGURED]));
    let ran = subject.patch((PATCHED, "twice"), Some(&[SCRIPTED]), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    subject.is_sound("twice", &ran.document, &[(CONFIGURED, NEW), (ADDED, NEW), (SCRIPTED, NEW)]);
    assert_eq!(subject.layers("twice"), subject.layers(TAG) + 1);
    let old = |name: &str| subject.root("twice").join(format!("var/lib/pacman/local/{name}-{OLD}")).exists();
    assert!(!old(CONFIGURED) && !old(SCRIPTED), "records of the old versions are gone");
}

#[test]
fn a_changed_file_of_configuration_is_kept() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let edited = Entry::file(CONFFILE.trim_start_matches('/'), "setting = mine\n");
    let subject = Subject::with(|options| Options { added: vec![edited], ..options });
    let ran = subject.patched(Some(&[CONFIGURED]));
    subject.is_sound(PATCHED, &ran.document, &[(CONFIGURED, NEW)]);
    assert_eq!(subject.file(PATCHED, CONFFILE).as_deref(), Some("setting = mine\n"));
    assert_eq!(subject.file(PATCHED, PACNEW).as_deref(), Some("setting = new\n"));
}

#[test]
fn what_is_signed_badly_is_refused() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let bad = |packages, database| Published { packages, database };
    let (good, strange) = (Signature::Good, Signature::Stranger);
    let subject = Subject::new();
    for (published, words) in [
        (bad(Signature::Missing, good), ".pkg.tar.zst.sig"),
        (bad(Signature::Tampered, good), "PGP signature"),
        (bad(strange, good), "required key missing from keyring"),
        (bad(good, Signature::Tampered), "PGP signature"),
        (bad(good, strange), "is unknown"),
    ] {
        subject.arch.repository.publish(published).unwrap();
        subject.refused(Some(&[SCRIPTED]), words);
    }
    subject.arch.repository.publish(Published::default()).unwrap();
    subject.patched(Some(&[SCRIPTED]));
    let untrusting = Subject::with(|options| Options { trusted: false, ..options });
    untrusting.refused(Some(&[SCRIPTED]), "error");
}

#[test]
fn nothing_is_taken_away_unless_allowed() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::with(|options| Options { offered: scenario::all_updates(), ..options });
    subject.refused(Some(&[SCRIPTED, CONFLICTING]), "conflict");
    let wanted = [SCRIPTED, CONFLICTING];
    let allowed = subject.patch((TAG, "allowed"), Some(&wanted), &["--allow-removals"]);
    assert_eq!(allowed.code, Some(0), "{}", allowed.stderr);
    assert_eq!(subject.versions("allowed")[CONFLICTING], NEW);
    assert!(!subject.versions("allowed").contains_key(VICTIM));
    let replacing = PacmanSpec::new("successor", NEW).field("replaces", VICTIM).field("conflict", VICTIM);
    let offered = scenario::updates().into_iter().chain([replacing]).collect();
    let subject = Subject::with(|options| Options { offered, ..options });
    let ran = subject.patched(None);
    subject.is_sound(PATCHED, &ran.document, &[(SCRIPTED, NEW), (VICTIM, OLD)]);
    assert!(!subject.versions(PATCHED).contains_key("successor"));
}

#[test]
fn a_script_that_fails_gives_no_image() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let failing = PacmanSpec::new(SCRIPTED, NEW).script("post_upgrade() { echo no room; false; }\n");
    let subject = Subject::with(|options| Options { offered: vec![failing], ..options });
    subject.refused(Some(&[SCRIPTED]), &format!("a package's script failed (upgrading {SCRIPTED}...)"));
}

#[test]
fn a_mirror_that_is_behind_does_not_downgrade() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let behind = PacmanSpec::new(SCRIPTED, "1:3.1.0-1");
    let subject = Subject::with(|options| Options { offered: vec![behind], ..options });
    subject.refused(Some(&[SCRIPTED]), SCRIPTED);
    assert_eq!(subject.versions(TAG)[SCRIPTED], OLD);
    let ran = subject.patch((TAG, PATCHED), None, &[]);
    assert_eq!((ran.code, &ran.document["status"]), (Some(0), &json!("up-to-date")), "{}", ran.stderr);
}

#[test]
fn images_whose_records_are_not_right_are_refused() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let record = format!("var/lib/pacman/local/{HELD}-{OLD}/desc");
    for (path, content, words) in [
        ("var/lib/pacman/local/ALPM_DB_VERSION", "10\n", "version 10, newer than 9"),
        (record.as_str(), "%NAME%\nheld\n\n%VERS", "no name or no version in it"),
        (
            record.as_str(),
            "%NAME%\n--sysroot\n\n%VERSION%\n1\n",
            "the folder of --sysroot 1 has another name",
        ),
        ("etc/pacman.conf", "[options]\nDBPath = /srv\n", "sets DBPath to /srv"),
    ] {
        let subject = Subject::with(|options| Options { added: vec![Entry::file(path, content)], ..options });
        subject.refused(None, words);
    }
    assert!(ALL.contains(&HELD));
}
