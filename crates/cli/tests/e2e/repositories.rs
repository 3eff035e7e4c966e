//! Repositories that are broken, expired, unsigned or not there: one clear error, no image, and nothing of it is kept.

use crate::throwaway::{Throwaway, needs};
use testkit::apt_repository::{Fault, Release, Signature, scenario};
use testkit::image_reader::ImageReader;
use testkit::registry::Registry;
use testkit::{probe, skip, tree};

/// The failure of packages.
const PACKAGES: i32 = 7;

/// The benign twin: with the repository in order, the same run with the same cache succeeds.
fn succeeds(subject: &Throwaway) {
    let (ran, _) = subject.patched(&subject.wanting(&[scenario::BASE]), &[]);
    assert_eq!(ran.outcomes(), [(scenario::BASE, "fixed")]);
}

fn fails(subject: &Throwaway, words: &[&str]) {
    let ran = subject.refused(&subject.wanting(&[scenario::BASE]), &[], PACKAGES, words);
    assert!(!ran.stderr.contains("Image patched"));
}

#[test]
fn packages_that_are_not_what_the_index_promises() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    for (fault, words) in [
        (Fault::Wrong, &["copa-base_1.1"][..]),
        (Fault::Cut, &["copa-base_1.1"]),
        (Fault::Status(404), &["copa-base_1.1", "404"]),
        (Fault::Page, &["copa-base_1.1"]),
        (Fault::Endless, &["copa-base_1.1"]),
    ] {
        eprintln!("{fault:?}");
        subject.served.fail("copa-base_1.1", fault);
        fails(&subject, words);
        subject.served.heal();
    }
    succeeds(&subject);
}

#[test]
fn indexes_that_are_not_what_the_head_promises() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    for (part, fault) in [
        ("binary-", Fault::Wrong),
        ("binary-", Fault::Cut),
        ("binary-", Fault::Status(404)),
        ("binary-", Fault::Page),
        ("Release", Fault::Page),
        ("Release", Fault::Status(404)),
        ("Release", Fault::Redirect("http://169.254.169.254/latest/InRelease".into())),
    ] {
        eprintln!("{part} {fault:?}");
        subject.served.fail(part, fault);
        fails(&subject, &[&subject.served.host()]);
        subject.served.heal();
    }
    succeeds(&subject);
}

#[test]
fn heads_that_are_expired_or_not_well_signed() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let future = tree::EPOCH + 20 * 365 * 86_400;
    let signed = |signature| Release { signature, ..Release::default() };
    for (release, word) in [
        (Release { valid_until: Some(tree::EPOCH + 60), ..Release::default() }, "expired"),
        (Release { date: future, ..Release::default() }, "not valid yet"),
        (signed(Signature::Tampered), "BADSIG"),
        (signed(Signature::Stranger), "NO_PUBKEY"),
        (signed(Signature::Weak), "signature"),
        (signed(Signature::Missing), "not signed"),
    ] {
        subject.repository.publish(&release).unwrap();
        fails(&subject, &[&subject.served.host(), word]);
    }
    subject.repository.publish(&Release { valid_until: Some(future), ..Release::default() }).unwrap();
    succeeds(&subject);
}

#[test]
fn a_repository_on_this_machine_must_be_allowed() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let report = subject.wanting(&[scenario::BASE]);
    let mut command = subject.world.copa(&["patch", "-i", &subject.name(), "-t", "x", "--progress", "plain"]);
    command.arg("-r").arg(&report).env("COPA_CACHE_DIR", crate::throwaway::shared_cache());
    let ran = subject.finish(command);
    assert_eq!(ran.code, Some(PACKAGES), "{}", ran.stderr);
    assert!(
        ran.stderr.contains(&subject.served.host()) && ran.stderr.contains("--allow-host"),
        "{}",
        ran.stderr
    );
    assert_eq!(subject.served.log(), [], "nobody came");
    succeeds(&subject);
}

#[test]
fn no_tag_of_a_registry_moves() {
    if let Err(reason) = needs().and_then(|()| probe::programs(&["docker-registry", "skopeo"])) {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let registry = Registry::start().unwrap();
    let reference = registry.push(&subject.layout, crate::throwaway::TAG, "team/app:1").unwrap();
    let report = subject.wanting(&[scenario::BASE]);
    let run = || {
        let host = subject.served.host();
        let mut command = subject.world.copa(&["patch", "-i", &reference, "--push", "--allow-host", &host]);
        command.arg("-r").arg(&report).env("COPA_CACHE_DIR", crate::throwaway::shared_cache());
        subject.finish(command)
    };
    let before = registry.requests().unwrap().len();
    subject.served.fail("copa-base_1.1", Fault::Wrong);
    assert_eq!(run().code, Some(PACKAGES));
    let requests = registry.requests().unwrap().split_off(before);
    assert!(requests.iter().all(|r| matches!(r.method.as_str(), "GET" | "HEAD")), "{requests:?}");
    subject.served.heal();
    let ran = run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let pulled = subject.world.path("pulled");
    registry.pull("team/app:1-patched", &pulled, "x").unwrap();
    assert_eq!(ImageReader::open(&pulled, "x").unwrap().layers().len(), 4);
}
