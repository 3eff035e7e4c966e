//! Alpine without apk: packages are resolved, verified and unpacked by the program itself, and nothing is ever run. What the
//! database then says is held against what the writer of the test material says, and against syft.

use crate::hermetic::nothing_was_run;
use crate::within::{self, Ran};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use testkit::apk::{
    self, ApkSpec, Index, Script, Signature, database,
    image::{Alpine, Options},
    scenario::{self as s, NEW, OLD},
};
use testkit::debian_root::TAG;
use testkit::image_reader::ImageReader;
use testkit::tar::{Entry, Kind};
use testkit::{probe, skip, syft};

const PATCHED: &str = "patched";

/// Where the database is.
const DATABASE: &str = "lib/apk/db";

/// What a report asks for in most tests; the library needs one more.
const GOOD: [&str; 3] = [s::LIBRARY, s::CONFIGURED, s::SCRIPTED];

fn needs() -> Result<(), String> {
    probe::first_reason([apk::needs(), probe::programs(&["syft"])])
}

/// An image without apk, its repository, and a place to run.
struct Subject {
    world: World,
    alpine: Alpine,
}

impl Subject {
    fn new(options: &Options) -> Subject {
        Subject { world: World::new(), alpine: Alpine::new(options).unwrap() }
    }

    fn adding(entries: Vec<Entry>) -> Subject {
        Subject::new(&Options { added: entries, ..Options::default() })
    }

    fn report(&self, wanted: &[&str]) -> PathBuf {
        let wanted: Vec<_> = wanted.iter().map(|package| (*package, OLD, NEW)).collect();
        within::report(&self.world, ("alpine", "3.19.1"), &wanted)
    }

    fn patch(&self, tags: (&str, &str), wanted: Option<&[&str]>, more: &[&str]) -> Ran {
        let report = wanted.map(|wanted| self.report(wanted));
        let place = (&self.world, &self.alpine.layout, &*self.alpine.served.host());
        within::patch(place, tags, report.as_deref(), more)
    }

    /// Patches, which must succeed with nothing run, and opens what came of it.
    fn patched(
        &self,
        (from, to): (&str, &str),
        wanted: Option<&[&str]>,
        more: &[&str],
    ) -> (Ran, ImageReader) {
        let ran = self.patch((from, to), wanted, more);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.document["status"], "patched", "{}\n{:#}", ran.stderr, ran.document);
        nothing_was_run(&ran.document);
        let (before, after) = (self.image(TAG), self.image(to));
        assert_eq!(after.layers()[..before.layers().len()], before.layers()[..], "the base is as it was");
        assert_eq!(after.layers().len(), before.layers().len() + 1);
        let versions = database::versions(&after).unwrap();
        assert_eq!(syft::packages_of(self.alpine.layout.directory(), to, "apk").unwrap(), versions);
        (ran, after)
    }

    /// Patches, which must fail with these words and leave no image.
    fn refused(&self, wanted: Option<&[&str]>, words: &str) {
        let ran = self.patch((TAG, PATCHED), wanted, &[]);
        assert!(!matches!(ran.code, Some(0) | None), "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{words:?} is not in\n{}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        assert!(ImageReader::open(self.alpine.layout.directory(), PATCHED).is_err(), "{words}");
    }

    fn image(&self, tag: &str) -> ImageReader {
        ImageReader::open(self.alpine.layout.directory(), tag).unwrap()
    }

    /// The database says of these packages just what it must say of their new versions.
    fn records_are_new(&self, image: &ImageReader, names: &[&str]) {
        let paragraphs = database::paragraphs(image).unwrap();
        for spec in s::updates().iter().filter(|spec| names.contains(&spec.name())) {
            assert_eq!(paragraphs[spec.name()], self.alpine.paragraph(spec).unwrap(), "{}", spec.name());
        }
    }
}

/// The content of a file that the whole image shows; a link's is what it leads to.
fn file(image: &ImageReader, path: &str) -> Option<Vec<u8>> {
    let plain = path.trim_start_matches('/').as_bytes();
    let shown = image.files(|path| path == plain).unwrap().into_values().next()?;
    match &shown.entry.kind {
        Kind::Symlink(target) => Some(target.clone()),
        Kind::Hardlink(target) => file(image, std::str::from_utf8(target).unwrap()),
        _ => Some(shown.entry.content().unwrap_or_default().to_vec()),
    }
}

fn text(image: &ImageReader, path: &str) -> Option<String> {
    file(image, path).map(|bytes| String::from_utf8(bytes).unwrap())
}

fn outcome<'a>(document: &'a Value, package: &str) -> &'a str {
    let findings = document["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["package"] == package);
    finding.unwrap_or_else(|| panic!("{package}: {document:#}"))["outcome"].as_str().unwrap()
}

#[test]
fn a_report_is_worked_off_with_a_new_dependency_and_nothing_is_run() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    let wanted = [&GOOD[..], &[s::HELD]].concat();
    let (ran, image) = subject.patched((TAG, PATCHED), Some(&wanted), &[]);
    for package in GOOD {
        assert_eq!(outcome(&ran.document, package), "fixed", "{package}");
    }
    assert_eq!(outcome(&ran.document, s::HELD), "held");
    subject.records_are_new(&image, &[&GOOD[..], &[s::ADDED]].concat());
    let versions = database::versions(&image).unwrap();
    for kept in [s::DEPENDENT, s::HELD, s::UNSATISFIED, s::ABSENT] {
        assert_eq!(versions[kept], OLD, "{kept}");
    }
    assert_eq!(text(&image, s::CONFFILE).as_deref(), Some("setting = new\n"));
    assert_eq!(text(&image, s::TAKEN_OVER).as_deref(), Some("new\n"));
    assert_eq!(file(&image, s::DELETED), None);
    assert_eq!(text(&image, "/lib/libcrypto.so.3").as_deref(), Some("../usr/lib/libcrypto.so.3"));
    assert_eq!(s::PAIR.map(|path| text(&image, path)), [Some(NEW.to_owned()), Some(NEW.to_owned())]);
    assert!(file(&image, s::STATE).is_none() && file(&image, s::TRIGGERED).is_none(), "no script was run");
    let notes = ran.document["notes"].to_string();
    for word in ["pre-upgrade of copa-scripted", "post-upgrade of copa-scripted", "trigger of copa-watcher"] {
        assert!(notes.contains(word), "{word}: {notes}");
    }
    assert_eq!(file(&image, "etc/apk/world"), file(&subject.image(TAG), "etc/apk/world"));
}

#[test]
fn the_database_is_written_as_apk_writes_it() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    let (_, image) = subject.patched((TAG, PATCHED), None, &[]);
    // The same image, made anew with these versions in it.
    let added: Vec<_> = s::updates().into_iter().filter(|spec| spec.name() == s::ADDED).collect();
    let newer = |old: ApkSpec| {
        let is_new = s::UPDATABLE.contains(&old.name());
        let new = s::updates().into_iter().find(|new| is_new && new.name() == old.name());
        new.unwrap_or(old)
    };
    let installed: Vec<_> = s::installed().into_iter().map(newer).chain(added).collect();
    let expected = installed.iter().map(|spec| subject.alpine.paragraph(spec).unwrap()).collect::<String>();
    assert_eq!(text(&image, &format!("{DATABASE}/installed")).unwrap(), expected);
    let before = subject.image(TAG);
    let line = |image: &ImageReader| text(image, &format!("{DATABASE}/triggers")).unwrap();
    assert_eq!(line(&image), line(&before), "the watcher is as it was");
    let scripts = file(&image, &format!("{DATABASE}/scripts.tar")).unwrap();
    let names: Vec<_> = names_in(&scripts);
    let checksum = |name: &str| {
        let record = &database::paragraphs(&image).unwrap()[name];
        record.lines().next().unwrap().trim_start_matches("C:").to_owned()
    };
    let of =
        |name: &str, version: &str, script: &str| format!("{name}-{version}.{}.{script}", checksum(name));
    let mut expected =
        ["post-install", "pre-upgrade", "post-upgrade"].map(|script| of(s::SCRIPTED, NEW, script)).to_vec();
    expected.push(of(s::WATCHER, OLD, "trigger"));
    assert_eq!(names, expected);
}

/// The names in an archive, read by the real tar.
fn names_in(archive: &[u8]) -> Vec<String> {
    let listed = testkit::command::argv("tar", ["-tf", "-"]).filter(archive).unwrap();
    String::from_utf8(listed).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn without_a_report_all_that_can_be_is_updated_and_then_there_is_nothing_to_do() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    let (ran, image) = subject.patched((TAG, PATCHED), None, &[]);
    let versions = database::versions(&image).unwrap();
    for package in [&s::UPDATABLE[..], &[s::ADDED]].concat() {
        assert_eq!(versions[package], NEW, "{package}");
    }
    assert_eq!([s::HELD, s::UNSATISFIED, s::ABSENT].map(|name| versions[name].as_str()), [OLD; 3]);
    let notes = ran.document["notes"].to_string();
    assert!(
        notes.contains("copa-unsatisfied is kept back: copa-unsatisfied 3.1.4-r5 needs copa-nowhere>=2"),
        "{notes}"
    );
    assert!(
        ran.document["indexes"][0]["signedBy"].as_str().unwrap().ends_with(".rsa.pub"),
        "{:#}",
        ran.document
    );
    let again = subject.patch((PATCHED, "again"), None, &["--detailed-exit-code"]);
    assert_eq!((again.code, &again.document["status"]), (Some(20), &json!("up-to-date")), "{}", again.stderr);
}

#[test]
fn the_same_run_gives_the_same_layer_and_asks_for_nothing_twice() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    let layer = || subject.patched((TAG, PATCHED), Some(&GOOD), &[]).0.document["patched"]["layer"].clone();
    let first = layer();
    let before = subject.alpine.served.log().len();
    assert_eq!(first, layer());
    let asked: Vec<_> =
        subject.alpine.served.log().split_off(before).into_iter().map(|ask| ask.status).collect();
    assert_eq!(asked, [304], "only the index, and it is unchanged");
}

#[test]
fn a_second_patch_replaces_the_layer_and_keeps_the_first() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    subject.patched((TAG, PATCHED), Some(&[s::LIBRARY]), &[]);
    let (ran, image) = subject.patched((PATCHED, "twice"), Some(&[s::DEPENDENT]), &[]);
    assert_eq!(ran.document["image"]["repatched"], true);
    subject.records_are_new(&image, &[s::LIBRARY, s::ADDED, s::DEPENDENT]);
    assert_eq!(file(&image, s::DELETED), None);
}

#[test]
fn what_somebody_changed_stays_and_is_told() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let plain = |path: &str| path.trim_start_matches('/').to_owned();
    let added = vec![
        Entry::file(&plain(s::CONFFILE), "setting = mine\n"),
        Entry::file(&plain(s::DELETED), "mine too\n"),
    ];
    let subject = Subject::adding(added);
    let (ran, image) = subject.patched((TAG, PATCHED), Some(&GOOD), &[]);
    assert_eq!(text(&image, s::CONFFILE).as_deref(), Some("setting = mine\n"));
    assert_eq!(file(&image, s::APK_NEW), None);
    assert_eq!(text(&image, s::DELETED).as_deref(), Some("mine too\n"));
    let notes = ran.document["notes"].to_string();
    for path in [s::CONFFILE, s::DELETED] {
        assert!(notes.contains(path), "{path}: {notes}");
    }
    subject.records_are_new(&image, &GOOD);
}

#[test]
fn scripts_that_would_have_to_run_are_refused_unless_they_may_be_skipped() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::adding(vec![Entry::file("bin/sh", "a shell\n").mode(0o755)]);
    subject.refused(Some(&GOOD), "scripts of packages would have to run: ");
    let (ran, image) = subject.patched((TAG, PATCHED), Some(&GOOD), &["--skip-scripts"]);
    subject.records_are_new(&image, &GOOD);
    assert!(ran.document["notes"].to_string().contains("not run, as was asked for: "), "{:#}", ran.document);
    let without = Subject::adding(vec![Entry::file("bin/sh", "a shell\n").mode(0o755)]);
    without.patched((TAG, PATCHED), Some(&[s::CONFIGURED]), &[]);
}

#[test]
fn images_of_another_architecture_need_no_emulation() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let foreign = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };
    let subject = Subject::new(&Options { architecture: foreign.to_owned(), ..Options::default() });
    let (_, image) = subject.patched((TAG, PATCHED), Some(&GOOD), &[]);
    assert_eq!(image.config["architecture"], foreign);
    subject.records_are_new(&image, &GOOD);
}

#[test]
fn excluded_packages_stay() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    let (_, image) = subject.patched((TAG, PATCHED), None, &["--exclude", s::CONFIGURED]);
    let versions = database::versions(&image).unwrap();
    assert_eq!([s::CONFIGURED, s::SCRIPTED].map(|name| versions[name].as_str()), [OLD, NEW]);
}

#[test]
fn indexes_and_packages_that_cannot_be_believed_are_errors_of_their_own() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    for (signature, words) in [
        (Signature::Tampered, "bad signature by key copa@"),
        (Signature::Impostor, "bad signature by key copa@"),
        (Signature::Stranger, "signed by unknown key stranger@"),
        (Signature::Missing, "not signed"),
    ] {
        subject.alpine.repository.publish(&Index { signature }).unwrap();
        subject.refused(Some(&GOOD), words);
    }
    let package = subject.alpine.repository.file(s::LIBRARY, NEW);
    let good = std::fs::read(&package).unwrap();
    let mut bad = good.clone();
    let last = bad.len() - 30;
    bad[last] ^= 1;
    std::fs::write(&package, bad).unwrap();
    for signature in [Signature::Good, Signature::Sha256] {
        subject.alpine.repository.publish(&Index { signature }).unwrap();
        subject.refused(Some(&GOOD), "is not what its index promises: its data has SHA-256");
    }
    std::fs::write(&package, good).unwrap();
    subject.patched((TAG, PATCHED), Some(&GOOD), &[]);
    let strange = Subject::new(&Options { strange_key: true, ..Options::default() });
    strange.refused(None, "bad signature by key copa@");
}

#[test]
fn images_that_are_not_right_are_refused_with_the_reason() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let odd = |path: &str, content: &str| Entry::file(path, content);
    for (entry, words) in [
        (odd("lib/apk/db/installed", "P:a\nV:1-r0\nF:et"), "/lib/apk/db/installed: line 3: has no end"),
        (odd("etc/apk/world", "libssl3=\n"), "/etc/apk/world: not a constraint: libssl3="),
        (odd("etc/apk/repositories", "v3 http://127.0.0.1:1/none\n"), "newer than is known"),
        (odd("lib/apk/db/scripts.tar", &"x".repeat(1024)), "lib/apk/db/scripts.tar"),
        (Entry::directory("usr/lib/libcrypto.so.3"), "is a directory, and cannot be replaced"),
    ] {
        Subject::adding(vec![entry]).refused(None, words);
    }
}

#[test]
fn files_of_others_are_not_overwritten() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (mine, yours) = ("/usr/share/shared", "/usr/share/other");
    let one = |version: &str| {
        ApkSpec::new("copa-one", version).file(yours, version).file("/usr/share/one", version)
    };
    let two = ApkSpec::new("copa-two", OLD).file(mine, "two");
    let installed = vec![one(OLD), two.clone()];
    let new = one(NEW).file(mine, "one");
    let with = |offered: ApkSpec| {
        let offered = vec![offered];
        Subject::new(&Options { installed: installed.clone(), offered, world: vec![], ..Options::default() })
    };
    with(new.clone()).refused(None, "it would overwrite /usr/share/shared, which copa-two has");
    with(new.clone().field("replaces", "copa-two<3")).refused(None, "it would overwrite");
    let subject = with(new.field("replaces", "copa-two"));
    let (_, image) = subject.patched((TAG, PATCHED), None, &[]);
    let files: BTreeMap<_, _> = database::paragraphs(&image).unwrap();
    assert!(
        files["copa-one"].contains("R:shared\n") && !files["copa-two"].contains("R:shared\n"),
        "{files:?}"
    );
    assert_eq!(text(&image, mine).as_deref(), Some("one"));
    let script = ApkSpec::new("copa-one", NEW).script(Script::PostUpgrade, "#!/bin/sh\nexit 0\n");
    let (ran, _) = with(script).patched((TAG, PATCHED), None, &[]);
    assert!(
        !ran.document["notes"].to_string().contains("not run"),
        "a script that does nothing is not worth a word"
    );
}
