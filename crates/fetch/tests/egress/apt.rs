//! The real apt behind the proxy, with a real repository that is sometimes served badly.

use crate::sandbox::{Door, options};
use fetch::egress::{CacheOptions, EgressOptions, How};
use std::{path::Path, time::Duration};
use testkit::apt_repository::{Apt, AptRepository, Fault, Served, needs, scenario};
use testkit::command::Ran;
use testkit::{probe, skip};

fn able() -> Result<(), String> {
    probe::first_reason([needs(), probe::programs(&["apt-get"])])
}

fn made() -> (tempfile::TempDir, AptRepository, Served) {
    let dir = tempfile::tempdir().unwrap();
    let repository = AptRepository::build(&dir.path().join("repository"), &scenario::updates()).unwrap();
    let served = repository.serve().unwrap();
    (dir, repository, served)
}

/// A new image with a new proxy, and the cache that all of them share.
fn image(repository: &AptRepository, served: &Served, cache: &Path, fresh: Duration) -> (Apt, Door) {
    let cache = Some(CacheOptions { fresh, ..CacheOptions::in_dir(cache) });
    let door = Door::open(EgressOptions { cache, ..options(None) });
    let proxy = format!("http://{}", door.address);
    (Apt::new(repository, &served.url(), Some(&proxy)).unwrap(), door)
}

fn install(apt: &Apt) -> (Ran, Ran) {
    (apt.run(&["update"]).unwrap(), apt.run(&["--download-only", "install", scenario::BASE]).unwrap())
}

fn words(ran: &Ran) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

#[test]
fn a_second_image_downloads_nothing_again() {
    if let Err(reason) = able() {
        skip!("{reason}");
    }
    let (dir, repository, served) = made();
    let cache = dir.path().join("cache");
    let moment = Duration::from_secs(60);
    for (fresh, index_fetches, asked) in [(moment, 2, 4), (moment, 0, 0), (Duration::ZERO, 0, 1)] {
        let before = served.log().len();
        let (apt, door) = image(&repository, &served, &cache, fresh);
        let (update, install) = install(&apt);
        assert!(update.status.success(), "{}", words(&update));
        assert!(install.status.success(), "{}", words(&install));
        assert_eq!(apt.downloaded().unwrap().len(), 2);
        assert_eq!(door.egress().index_fetches(), index_fetches, "{:?}", door.egress().records());
        assert_eq!(served.log().len() - before, asked, "{:?}", served.log());
    }
    let statuses: Vec<u16> = served.log().iter().map(|asked| asked.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 304]);
}

#[test]
fn what_apt_finds_wrong_is_not_in_the_way_of_the_next_run() {
    if let Err(reason) = able() {
        skip!("{reason}");
    }
    for (part, fault) in [
        ("binary-", Fault::Wrong),
        ("binary-", Fault::Cut),
        ("InRelease", Fault::Page),
        ("InRelease", Fault::Cut),
        (".deb", Fault::Cut),
        (".deb", Fault::Page),
        (".deb", Fault::Wrong),
    ] {
        let (dir, repository, served) = made();
        let cache = dir.path().join("cache");
        served.fail(part, fault.clone());
        let (apt, door) = image(&repository, &served, &cache, Duration::ZERO);
        let (update, install) = install(&apt);
        assert!(
            !(update.status.success() && install.status.success()),
            "{part} {fault:?}: {}",
            words(&install)
        );
        // Only apt can tell that a package of the right length and form is not the one that is signed for.
        door.egress().forget_given();
        served.heal();
        let (apt, _door) = image(&repository, &served, &cache, Duration::ZERO);
        let (update, install) = self::install(&apt);
        assert!(update.status.success() && install.status.success(), "{part} {fault:?}: {}", words(&install));
    }
}

#[test]
fn apt_is_told_why_a_host_is_refused() {
    if let Err(reason) = able() {
        skip!("{reason}");
    }
    let (dir, repository, served) = made();
    served.fail("InRelease", Fault::Redirect("http://evil.example/InRelease".into()));
    let (apt, door) = image(&repository, &served, &dir.path().join("cache"), Duration::ZERO);
    let update = apt.run(&["update"]).unwrap();
    assert!(
        words(&update).contains("evil.example is not in the image's package repository"),
        "{}",
        words(&update)
    );
    assert!(door.egress().records().iter().any(|record| matches!(record.how, How::Refused(_))));
    door.egress().set_open(false);
    let update = apt.run(&["update"]).unwrap();
    assert!(words(&update).contains("this step has no network"), "{}", words(&update));
}
