//! What the user lets be, with the real apt: packages excluded or not included, what is no security update, removals.

use crate::throwaway::{PATCHED, Ran, Throwaway, needs, shared_cache};
use testkit::apt_repository::{Release, scenario};
use testkit::image_reader::ImageReader;
use testkit::{dpkg, skip};

/// Patches without a report.
fn everything(subject: &Throwaway, more: &[&str]) -> Ran {
    let (name, host) = (subject.name(), subject.served.host());
    let mut command = subject.world.copa(&["patch", "-i", &name, "-t", PATCHED, "--allow-host", &host]);
    command.args(["--progress", "plain", "--result"]).arg(subject.world.path("result.json"));
    subject.finish({
        command.args(more).env("COPA_CACHE_DIR", shared_cache());
        command
    })
}

/// The version of a package in the patched image.
fn version(subject: &Throwaway, package: &str) -> Option<String> {
    let image = ImageReader::open(subject.layout.directory(), PATCHED).unwrap();
    dpkg::versions(&image).unwrap().get(package).cloned()
}

fn versions(subject: &Throwaway, ran: &Ran) -> [Option<String>; 2] {
    assert_eq!((ran.code, &ran.document["status"]), (Some(0), &"patched".into()), "{}", ran.stderr);
    [scenario::BASE, scenario::HELD].map(|package| version(subject, package))
}

#[test]
fn what_is_excluded_or_not_included_stays() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let (old, new) = (Some(scenario::OLD.to_owned()), Some(scenario::NEW.to_owned()));
    let ran = everything(&subject, &["--exclude", "copa-h*"]);
    assert_eq!(versions(&subject, &ran), [new.clone(), old.clone()]);
    let ran = everything(&subject, &["--include", scenario::HELD]);
    assert_eq!(versions(&subject, &ran), [old, new]);
    let report = subject.wanting(&[scenario::BASE, scenario::HELD]);
    let (ran, _) = subject.patched(&report, &["--exclude", scenario::HELD]);
    assert_eq!(ran.outcomes(), [(scenario::BASE, "fixed"), (scenario::HELD, "excluded")]);
    let reason = ran.document["findings"][1]["reason"].to_string();
    assert!(reason.contains("packages named copa-held are excluded"), "{reason}");
}

#[test]
fn only_what_a_security_suite_has_is_taken_where_that_is_asked() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let ran = everything(&subject, &["--security-only"]);
    assert_eq!((ran.code, &ran.document["status"]), (Some(0), &"up-to-date".into()), "{}", ran.stderr);
    let report = subject.wanting(&[scenario::BASE]);
    let ran = subject.patch(&report, &["--security-only"]);
    assert_eq!((ran.code, ran.outcomes()), (Some(0), vec![(scenario::BASE, "excluded")]), "{}", ran.stderr);
    let reason = ran.document["findings"][0]["reason"].to_string();
    assert!(reason.contains("as a security update"), "{reason}");

    let marked = Throwaway::offering(&scenario::updates());
    let fields = vec![("Label".to_owned(), "Debian-Security".to_owned())];
    marked.repository.publish(&Release { fields, ..Release::default() }).unwrap();
    let ran = everything(&marked, &["--security-only"]);
    let new = Some(scenario::NEW.to_owned());
    assert_eq!(versions(&marked, &ran), [new.clone(), new]);
}

#[test]
fn a_package_goes_where_that_is_allowed_unless_it_is_excluded() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::all_updates());
    let report = subject.wanting(&[scenario::REMOVER]);
    let (ran, _) = subject.patched(&report, &["--allow-removals"]);
    assert_eq!(ran.outcomes(), [(scenario::REMOVER, "fixed")]);
    assert_eq!(version(&subject, scenario::REMOVER).as_deref(), Some(scenario::NEW));
    assert_eq!(version(&subject, scenario::VICTIM), None);
    let more = ["--allow-removals", "--exclude", scenario::VICTIM];
    subject.refused(&report, &more, 7, &[scenario::VICTIM]);
}
