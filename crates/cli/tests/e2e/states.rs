//! Package databases in the middle of something: unfinished, held or diverted packages, missing folders.

use crate::throwaway::{Extra, Throwaway, installed_status, needs};
use testkit::apt_repository::scenario;
use testkit::image_reader::ImageReader;
use testkit::tar::{self, Entry};
use testkit::{dpkg, skip};

/// A database in which a package has another state.
fn state(package: &str, state: &str) -> Extra {
    let from = format!("Package: {package}\nStatus: install ok installed\n");
    let status = installed_status();
    assert!(status.contains(&from));
    let status = status.replacen(&from, &format!("Package: {package}\nStatus: {state}\n"), 1);
    Extra { layers: vec![tar::write(&[Entry::file("var/lib/dpkg/status", status)])], ..Extra::default() }
}

fn status(image: &ImageReader) -> String {
    let path = b"var/lib/dpkg/status";
    let shown = image.files(|at| at == path).unwrap().remove(&path[..]).unwrap();
    String::from_utf8(shown.entry.content().unwrap().to_vec()).unwrap()
}

#[test]
fn unfinished_packages_are_configured_first() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for unfinished in ["install ok half-configured", "install ok unpacked"] {
        let subject = Throwaway::with(&scenario::updates(), &state(scenario::VICTIM, unfinished));
        let (ran, image) = subject.patched(&subject.wanting(&[scenario::BASE]), &[]);
        assert!(ran.stderr.contains(scenario::VICTIM), "it is said: {}", ran.stderr);
        let paragraph = format!("Package: {}\nStatus: install ok installed\n", scenario::VICTIM);
        assert!(status(&image).contains(&paragraph));
    }
}

#[test]
fn what_only_its_archive_can_repair_is_refused() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let extra = state(scenario::VICTIM, "install reinstreq half-installed");
    let subject = Throwaway::with(&scenario::updates(), &extra);
    subject.refused(&subject.wanting(&[scenario::BASE]), &[], 4, &[scenario::VICTIM, "half-installed"]);
}

#[test]
fn held_packages_stay() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let extra = state(scenario::HELD, "hold ok installed");
    let subject = Throwaway::with(&scenario::updates(), &extra);
    let (ran, image) = subject.patched(&subject.wanting(&[scenario::BASE, scenario::HELD]), &[]);
    assert_eq!(ran.outcomes(), [(scenario::BASE, "fixed"), (scenario::HELD, "held")]);
    assert!(ran.stderr.contains(scenario::HELD));
    let versions = dpkg::versions(&image).unwrap();
    assert_eq!(
        (&versions[scenario::HELD][..], &versions[scenario::BASE][..]),
        (scenario::OLD, scenario::NEW)
    );
    assert!(status(&image).contains(&format!("Package: {}\nStatus: hold ok installed\n", scenario::HELD)));
}

#[test]
fn missing_folders_of_tools_are_missing_afterwards() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let missing = ["var/lib/apt/lists", "var/cache/apt", "var/log/apt", "var/tmp", "run"];
    let gone: String = missing.iter().map(|path| format!("gone {path}\n")).collect();
    let subject = Throwaway::with(&scenario::updates(), &Extra::layer(&gone));
    let (_, image) = subject.patched(&subject.wanting(&[scenario::BASE]), &[]);
    let below = |path: &[u8]| {
        missing.iter().any(|m| path == m.as_bytes() || path.starts_with(format!("{m}/").as_bytes()))
    };
    let there: Vec<_> =
        image.files(below).unwrap().into_keys().map(|p| String::from_utf8(p).unwrap()).collect();
    assert_eq!(there, Vec::<String>::new());
}

#[test]
fn diverted_files_stay_where_they_are() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let diversions = "/usr/share/copa-base/data\n/usr/share/copa-base/data.mine\n:\n";
    let entries = [
        Entry::file("var/lib/dpkg/diversions", diversions),
        Entry::file("usr/share/copa-base/data.mine", "old\n"),
        Entry::file("usr/share/copa-base/data", "mine\n"),
    ];
    let extra = Extra { layers: vec![tar::write(&entries)], ..Extra::default() };
    let subject = Throwaway::with(&scenario::updates(), &extra);
    let (_, image) = subject.patched(&subject.wanting(&[scenario::BASE]), &[]);
    let files = image.files(|path| path.starts_with(b"usr/share/copa-base/data")).unwrap();
    let content = |path: &str| files[path.as_bytes()].entry.content().unwrap().to_vec();
    assert_eq!(content("usr/share/copa-base/data"), b"mine\n");
    assert_eq!(content("usr/share/copa-base/data.mine"), b"new\n");
}
