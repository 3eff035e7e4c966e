//! Releases that are no longer kept up: told always, an error where that is wanted, by the embedded table or an API.

use crate::hermetic::{Ran, Subject, TAG, needs, text};
use crate::throwaway::{self, Extra, Throwaway};
use crate::world::Done;
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path, process::Command};
use testkit::apt_repository::{AptRepository, PackageSpec, Release, SUITE, scenario as whole};
use testkit::command::argv;
use testkit::distroless::{
    Repositories,
    hermetic::Options,
    scenario::{self as s, HARMLESS},
};
use testkit::fault_registry::{Answer, Fault, FaultRegistry};
use testkit::image_reader::ImageReader;
use testkit::skip;
use testkit::tar::{self, Entry};

/// The failure of images.
const IMAGE: i32 = 4;
/// The failure of packages.
const PACKAGES: i32 = 7;
/// The failure of the command line.
const USAGE: i32 = 2;

const WARNING: &str =
    "The operating system debian 10 appears to be End-Of-Support-Life. (EOL date: 2022-09-10)";

/// An image of this Debian, with two packages, and the repository of their updates.
fn old(version: &str) -> Options {
    let os = format!("ID=debian\nVERSION_ID={version}\nPRETTY_NAME=\"Debian {version}\"\n");
    let few = |all: Vec<PackageSpec>| {
        all.into_iter().filter(|spec| [HARMLESS, s::LIBRARY, s::ADDED].contains(&spec.name())).collect()
    };
    Options {
        installed: few(s::installed()),
        offered: few(s::updates()),
        added: vec![Entry::file("etc/os-release", os)],
        ..Options::default()
    }
}

fn debian(version: &str) -> Subject {
    Subject::new(&old(version))
}

fn dry(subject: &Subject, more: &[&str]) -> Ran {
    subject.patch((TAG, "unused"), None, &[&["--dry-run"], more].concat())
}

fn lifecycle(ran: &Ran) -> Value {
    ran.document["lifecycle"].clone()
}

#[test]
fn an_old_release_is_told_and_patched_all_the_same() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = debian("10");
    let report = subject.wanting(&[HARMLESS], ("debian", "10"));
    for report in [None, Some(report.as_path())] {
        let (ran, _) = subject.patched(report, &["--overwrite"]);
        assert!(ran.stderr.contains(WARNING) && ran.notes().contains(WARNING), "{}", ran.stderr);
        let mut known = lifecycle(&ran);
        let source = known["source"].take();
        assert!(source.as_str().unwrap().starts_with("embedded (20"), "{source}");
        let expected = json!({ "product": "debian", "release": "10", "eol": true, "eolFrom": "2022-09-10", "source": null });
        assert_eq!(known, expected);
    }
}

#[test]
fn an_old_release_is_an_error_where_that_is_wanted() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = debian("10");
    let words = ["exiting due to EOL operating system: debian 10", "upgrading to a supported OS version"];
    let ran = subject.refused(None, &["--exit-on-eol"], IMAGE, &words);
    assert_eq!(lifecycle(&ran)["eol"], true);
    assert_eq!(subject.made.served.log(), [], "nothing was asked of the repository");
    // A release that nobody has heard of is not old.
    let ran = dry(&debian("77"), &["--exit-on-eol"]);
    assert_eq!((ran.code, &lifecycle(&ran)["eol"]), (Some(0), &json!(false)), "{}", ran.stderr);
    assert!(!ran.stderr.contains("End-Of-Support"), "{}", ran.stderr);
}

#[test]
fn an_api_is_asked_in_place_of_the_table() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (subject, api) = (debian("10"), FaultRegistry::start());
    let url = api.url("/v1/products/");
    let asked = |fault: Fault, more: &[&str]| {
        api.fault("GET", "/v1/products/debian/releases/10", [fault]);
        dry(&subject, &[&["--eol-api-url", &url], more].concat())
    };
    let says = |text: &str| Fault::Answer(Answer::status(200).body(text));
    let kept = asked(says(r#"{"result":{"isEol":false,"isMaintained":true}}"#), &["--exit-on-eol"]);
    assert_eq!(kept.code, Some(0), "{}", kept.stderr);
    let expected = json!({ "product": "debian", "release": "10", "eol": false, "source": url });
    assert_eq!(lifecycle(&kept), expected);
    assert!(!kept.stderr.contains("End-Of-Support"), "{}", kept.stderr);
    let unmaintained = asked(says(r#"{"result":{"isEol":false,"isMaintained":false}}"#), &[]);
    assert!(unmaintained.stderr.contains("(EOL date: unknown)"), "{}", unmaintained.stderr);
    let unknown = asked(Fault::status(404), &["--exit-on-eol"]);
    assert_eq!((unknown.code, &lifecycle(&unknown)["eol"]), (Some(0), &json!(false)), "{}", unknown.stderr);
}

#[test]
fn an_api_that_gives_no_answer_is_told_and_the_table_counts() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = debian("10");
    let huge = Answer::status(200).body(vec![b' '; 2 << 20]);
    for (fault, why) in [
        (Fault::status(500), "500"),
        (Fault::Answer(Answer::status(200).body("<html>\u{1b}[2J")), "not what an API of lifecycles says"),
        (Fault::Answer(huge), "sends more than"),
        (Fault::Reset, "cannot ask"),
    ] {
        let api = FaultRegistry::start();
        api.fault("GET", "/releases/10", [fault]);
        let ran = dry(&subject, &["--eol-api-url", &api.url("/p")]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(
            ran.stderr.contains(why) && ran.stderr.contains("the embedded table is used"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains(WARNING) && !ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
        assert_eq!(lifecycle(&ran)["eol"], true);
    }
    let ran = dry(&subject, &["--eol-api-url", "file:///etc/passwd"]);
    assert_eq!(ran.code, Some(USAGE), "{}", ran.stderr);
}

#[test]
fn an_archive_is_asked_only_where_that_is_allowed() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options { repositories: Repositories::Unnamed, ..old("10") });
    // Stands in for the internet: it notes what is asked, and has nothing.
    let internet = FaultRegistry::start();
    let ran = |more: &[&str]| {
        let name = subject.made.layout.name(TAG);
        let arguments = [&["patch", "-i", &name, "-t", "unused"], more].concat();
        let mut command = subject.world.copa(&arguments);
        Done::of(command.env("HTTP_PROXY", internet.url("")).output().unwrap())
    };
    let refused = ran(&[]);
    assert_eq!(refused.code, Some(PACKAGES), "{}", refused.stderr);
    for words in ["debian 10 is no longer kept up", "--allow-archived"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert_eq!(internet.requests(), []);
    let asked = ran(&["--allow-archived"]);
    assert_eq!(asked.code, Some(PACKAGES), "{}", asked.stderr);
    let hosts: BTreeSet<String> = internet.requests().into_iter().filter_map(|r| host(&r.path)).collect();
    assert_eq!(hosts, BTreeSet::from(["archive.debian.org".to_owned()]), "{}", asked.stderr);
}

/// The host of a request to a proxy.
fn host(target: &str) -> Option<String> {
    Some(target.strip_prefix("http://")?.split('/').next()?.to_owned())
}

#[test]
fn an_expired_index_is_taken_where_that_is_allowed() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = debian("10");
    let expired = Release { valid_until: Some(testkit::tree::EPOCH), ..Release::default() };
    subject.made.repository.publish(&expired).unwrap();
    subject.refused(None, &[], PACKAGES, &["expired", "--allow-archived"]);
    let (ran, _) = subject.patched(None, &["--allow-archived"]);
    assert!(ran.notes().contains("has expired on"), "{}", ran.notes());
}

#[test]
fn apt_is_sent_to_the_archive_only_where_that_is_allowed() {
    if let Err(reason) = throwaway::needs() {
        skip!("{reason}");
    }
    let os = "ID=debian\nVERSION_ID=10\nVERSION_CODENAME=buster\n";
    let usual =
        "deb http://ftp.debian.org/debian buster main\ndeb http://security.debian.org/ buster/updates main\n";
    let extra = |sources: &str| Extra {
        layers: vec![tar::write(&[
            Entry::file("etc/os-release", os),
            Entry::file("etc/apt/sources.list", sources),
        ])],
        ..Extra::default()
    };
    let subject = Throwaway::with(&whole::updates(), &extra(usual));
    // Stands in for the internet: it notes what is asked, and has nothing.
    let internet = FaultRegistry::start();
    let report = subject.report_of(json!({ "Family": "debian", "Name": "10" }), &[(whole::BASE, whole::NEW)]);
    let asked = |more: &[&str]| {
        let before = internet.requests().len();
        let mut command = subject.command(&report, more);
        command.env("HTTP_PROXY", internet.url(""));
        own_cache(&subject, &mut command);
        let ran = subject.finish(command);
        assert_eq!(ran.code, Some(PACKAGES), "{}", ran.stderr);
        let hosts: BTreeSet<String> =
            internet.requests()[before..].iter().filter_map(|r| host(&r.path)).collect();
        (hosts.into_iter().collect::<Vec<_>>(), ran)
    };
    let (hosts, ran) = asked(&[]);
    assert_eq!(hosts, ["ftp.debian.org", "security.debian.org"], "{}", ran.stderr);
    assert!(ran.stderr.contains("hint") && ran.stderr.contains("--allow-archived"), "{}", ran.stderr);
    let (hosts, ran) = asked(&["--allow-archived"]);
    assert_eq!(hosts, ["archive.debian.org"], "{}", ran.stderr);
    let note =
        "packages come from its archive, archive.debian.org, not from ftp.debian.org, security.debian.org";
    assert!(ran.document["notes"].to_string().contains(note), "{:#}", ran.document["notes"]);
    // A mirror of one's own may still have the release: it is asked, and nothing else.
    subject.add(throwaway::TAG, &extra("deb http://mirror.example/debian buster main\n"));
    let (hosts, ran) = asked(&["--allow-archived"]);
    assert_eq!(hosts, ["mirror.example"], "{}", ran.stderr);
}

/// What is not really from these hosts must not be in the cache that tests share.
fn own_cache(subject: &Throwaway, command: &mut Command) {
    command.env("COPA_CACHE_DIR", subject.world.path("cache"));
}

/// Puts a copy of a repository where a proxy that is asked for an archive finds it: one suite at `dists/<suite>`.
fn archive(folder: &Path, repository: &AptRepository, at: &str, suite: &str) {
    let copy = folder.join("http:").join("archive.debian.org").join(at);
    std::fs::create_dir_all(copy.join("dists")).unwrap();
    argv("cp", ["-a"]).arg(repository.folder().join("pool")).arg(&copy).stdout().unwrap();
    let to = copy.join("dists").join(suite);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    argv("cp", ["-a"]).arg(repository.folder().join("dists").join(SUITE)).arg(to).stdout().unwrap();
}

#[test]
fn apt_patches_from_the_archive_and_the_image_keeps_its_own_configuration() {
    if let Err(reason) = throwaway::needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&whole::updates());
    let expired = Release { valid_until: Some(testkit::tree::EPOCH), ..Release::default() };
    subject.repository.publish(&expired).unwrap();
    archive(subject.world.folder.path(), &subject.repository, "debian", "buster");
    archive(subject.world.folder.path(), &subject.repository, "debian-security", "buster/updates");
    let key = std::fs::read(subject.repository.key_path()).unwrap();
    let usual = "deb http://ftp.debian.org/debian buster main\n";
    let extra = Extra {
        layers: vec![tar::write(&[
            Entry::file("etc/os-release", "ID=debian\nVERSION_ID=10\nVERSION_CODENAME=buster\n"),
            Entry::file("etc/apt/sources.list", usual),
            Entry::file("etc/apt/trusted.gpg.d/copa.gpg", key),
        ])],
        ..Extra::default()
    };
    subject.add(throwaway::TAG, &extra);
    let report = subject.report_of(json!({ "Family": "debian", "Name": "10" }), &[(whole::BASE, whole::NEW)]);
    let mut command = subject.command(&report, &["--allow-archived"]);
    command.env("HTTP_PROXY", subject.served.url());
    own_cache(&subject, &mut command);
    let ran = subject.finish(command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.document["summary"], json!({ "fixed": 1 }), "{:#}", ran.document);
    let image = ImageReader::open(subject.layout.directory(), throwaway::PATCHED).unwrap();
    assert_eq!(text(&image, "etc/apt/sources.list").as_deref(), Some(usual));
}
