//! Alpine in place: the real program on synthetic images whose apk is a stand-in that writes down what it is asked, since no
//! registry has a real one. What is asked, what the layer then has, and what stays as it was; judged by syft.

use crate::within::{self, Ran};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use testkit::apk::{
    self, ApkSpec, database,
    image::{ARGV, Alpine, OS_RELEASE, Options, Tool},
    scenario,
};
use testkit::debian_root::TAG;
use testkit::image_reader::ImageReader;
use testkit::tar::Entry;
use testkit::{probe, skip, syft};

const PATCHED: &str = "patched";

const APK_TOOLS: &str = "apk-tools";

/// How every command line of the adapter begins.
const APK: &str = "apk --no-cache --no-progress";

fn needs() -> Result<(), String> {
    probe::first_reason([probe::root(), probe::mounting(), apk::needs(), probe::programs(&["syft"])])
}

/// An image with the stand-in, its repository, and a place to run.
struct Subject {
    world: World,
    alpine: Alpine,
}

impl Subject {
    fn new() -> Subject {
        Subject::with(|options| options)
    }

    fn with(change: impl FnOnce(Options) -> Options) -> Subject {
        let mut options = Options { tool: Tool::StandIn, ..Options::default() };
        // As every Alpine says of its apk.
        options.installed.push(ApkSpec::new(APK_TOOLS, "2.14.4-r0").file("/usr/share/apk-tools/data", ""));
        let options = change(options);
        Subject { world: World::new(), alpine: Alpine::new(&options).unwrap() }
    }

    fn report(&self, wanted: &[&str]) -> PathBuf {
        let wanted: Vec<_> = wanted.iter().map(|package| (*package, scenario::OLD, scenario::NEW)).collect();
        within::report(&self.world, ("alpine", "3.19.1"), &wanted)
    }

    fn patch(&self, tags: (&str, &str), wanted: Option<&[&str]>, more: &[&str]) -> Ran {
        let report = wanted.map(|wanted| self.report(wanted));
        let place = (&self.world, &self.alpine.layout, &*self.alpine.served.host());
        within::patch(place, tags, report.as_deref(), more)
    }

    fn patched(&self, wanted: Option<&[&str]>) -> Ran {
        let ran = self.patch((TAG, PATCHED), wanted, &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.document["status"], "patched", "{}\n{:#}", ran.stderr, ran.document);
        ran
    }

    fn image(&self, tag: &str) -> ImageReader {
        ImageReader::open(self.alpine.layout.directory(), tag).unwrap()
    }

    fn versions(&self, tag: &str) -> BTreeMap<String, String> {
        database::versions(&self.image(tag)).unwrap()
    }

    /// The content of a file that the whole image shows.
    fn file(&self, tag: &str, path: &str) -> Option<String> {
        let plain = path.trim_start_matches('/').as_bytes();
        let shown = self.image(tag).files(|path| path == plain).unwrap().into_values().next()?;
        Some(String::from_utf8_lossy(shown.entry.content().unwrap_or_default()).into_owned())
    }

    /// The paths of the patch layer, but those of what the stand-in wrote down and the folders.
    fn layer(&self, tag: &str) -> Vec<String> {
        let image = self.image(tag);
        let entries = image.layer_entries(image.layers().len() - 1).unwrap();
        let files = entries.iter().filter(|entry| entry.content().is_some());
        let paths = files.map(|entry| String::from_utf8_lossy(&entry.path).into_owned());
        paths.map(|path| path.trim_start_matches("./").to_owned()).filter(|path| path != ARGV).collect()
    }

    /// Every package that an update brings to the new version has it, and syft sees the same packages as the database has.
    fn are_new(&self, tag: &str, names: &[&str]) {
        let versions = self.versions(tag);
        for name in names {
            assert_eq!(versions.get(*name).map(String::as_str), Some(scenario::NEW), "{name}: {versions:?}");
        }
        assert_eq!(syft::packages_of(self.alpine.layout.directory(), tag, "apk").unwrap(), versions);
    }
}

fn outcome<'a>(document: &'a Value, package: &str) -> &'a str {
    let findings = document["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["package"] == package);
    finding.unwrap_or_else(|| panic!("{package}: {document:#}"))["outcome"].as_str().unwrap()
}

#[test]
fn a_report_upgrades_what_it_names_and_what_that_needs_and_the_world_stays() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let ran = subject.patched(Some(&[scenario::LIBRARY, scenario::SCRIPTED, scenario::HELD]));
    let asked = format!("{APK} upgrade {} {}", scenario::SCRIPTED, scenario::LIBRARY);
    assert_eq!(subject.alpine.asked(PATCHED).unwrap(), [asked]);
    subject.are_new(PATCHED, &[scenario::LIBRARY, scenario::SCRIPTED, scenario::ADDED]);
    let versions = subject.versions(PATCHED);
    for name in [scenario::DEPENDENT, scenario::CONFIGURED, scenario::HELD, scenario::UNSATISFIED] {
        assert_eq!(versions[name], scenario::OLD, "{name}");
    }
    for (package, expected) in
        [(scenario::LIBRARY, "fixed"), (scenario::SCRIPTED, "fixed"), (scenario::HELD, "held")]
    {
        assert_eq!(outcome(&ran.document, package), expected);
    }
    assert_eq!(subject.file(PATCHED, "etc/apk/world"), subject.file(TAG, "etc/apk/world"));
    let layer = subject.layer(PATCHED);
    let state = |path: &&String| {
        path.starts_with("etc/apk") || path.starts_with("var/cache") || path.ends_with("lock")
    };
    assert_eq!(layer.iter().filter(state).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(layer.iter().any(|path| path == "lib/apk/db/installed"), "{layer:?}");
    assert!(subject.file(PATCHED, scenario::STATE).unwrap().contains("post-upgrade"));
    assert!(subject.file(PATCHED, scenario::TRIGGERED).is_some());
}

#[test]
fn without_a_report_everything_is_upgraded_and_a_second_run_finds_nothing() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    subject.patched(None);
    assert_eq!(subject.alpine.asked(PATCHED).unwrap(), [format!("{APK} upgrade")]);
    subject.are_new(PATCHED, &scenario::UPDATABLE);
    let versions = subject.versions(PATCHED);
    assert_eq!((versions[scenario::HELD].as_str(), versions.len()), (scenario::OLD, scenario::ALL.len() + 2));
    assert_eq!(subject.file(PATCHED, "etc/apk/world"), subject.file(TAG, "etc/apk/world"));
    let again = subject.patch((PATCHED, "again"), None, &["--detailed-exit-code"]);
    assert_eq!((again.code, &again.document["status"]), (Some(20), &json!("up-to-date")), "{}", again.stderr);
}

#[test]
fn what_cannot_be_fixed_fails_the_run_unless_errors_are_ignored() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let wanted = [scenario::LIBRARY, scenario::UNSATISFIED];
    let refused = subject.patch((TAG, PATCHED), Some(&wanted), &[]);
    assert!(!matches!(refused.code, Some(0) | None), "{}", refused.stderr);
    assert!(ImageReader::open(subject.alpine.layout.directory(), PATCHED).is_err());
    let ran = subject.patch((TAG, PATCHED), Some(&wanted), &["--ignore-errors"]);
    assert_eq!(ran.document["status"], "patched", "{}\n{:#}", ran.stderr, ran.document);
    assert_eq!(outcome(&ran.document, scenario::LIBRARY), "fixed");
    assert_eq!(outcome(&ran.document, scenario::UNSATISFIED), "repository-behind");
    subject.are_new(PATCHED, &[scenario::LIBRARY]);
}

#[test]
fn a_patched_image_is_patched_again_into_one_layer() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    subject.patched(Some(&[scenario::LIBRARY]));
    let ran = subject.patch((PATCHED, "twice"), Some(&[scenario::DEPENDENT]), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    subject.are_new("twice", &[scenario::LIBRARY, scenario::DEPENDENT]);
    assert_eq!(subject.image("twice").layers().len(), subject.image(TAG).layers().len() + 1);
}

#[test]
fn a_changed_file_of_configuration_is_kept() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let edited = Entry::file(scenario::CONFFILE.trim_start_matches('/'), "setting = mine\n");
    let subject = Subject::with(|options| Options { added: vec![edited], ..options });
    subject.patched(Some(&[scenario::CONFIGURED]));
    assert_eq!(subject.file(PATCHED, scenario::CONFFILE).as_deref(), Some("setting = mine\n"));
    assert_eq!(subject.file(PATCHED, scenario::APK_NEW).as_deref(), Some("setting = new\n"));
}

#[test]
fn nothing_is_written_where_the_image_or_its_repository_is_not_right() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let odd = |path: &str, content: &str| Entry::file(path, content);
    for (entry, words) in [
        (odd("lib/apk/db/installed", "P:a\nV:1-r0\nF:et"), "/lib/apk/db/installed: line 3: has no end"),
        (odd("lib/apk/db/installed", "P:--force\nV:1\n\n"), "invalid package name \"--force\""),
        (odd("usr/lib/apk/db/installed", "P:a\nV:1-r0\n\n"), "another database than"),
        (odd("etc/apk/world", "libssl3=\n"), "/etc/apk/world: not a constraint: libssl3="),
        (odd("etc/apk/repositories", "http://127.0.0.1:1/none\n"), "unable to fetch"),
        (odd("usr/lib/os-release", &OS_RELEASE.replace("ID=alpine", "ID=gentoo")), "gentoo"),
    ] {
        let subject = Subject::with(|options| Options { added: vec![entry], ..options });
        let ran = subject.patch((TAG, PATCHED), None, &[]);
        assert!(!matches!(ran.code, Some(0) | None), "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{words:?} is not in\n{}", ran.stderr);
        assert!(ImageReader::open(subject.alpine.layout.directory(), PATCHED).is_err(), "{words}");
    }
}
