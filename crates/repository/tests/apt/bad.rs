//! Every way in which a repository can be wrong, each with its own error, and its benign twin in `good.rs`.

use crate::lab::{Lab, NOW, chosen};
use repository::{Error, SignatureFault, apt::Wanted};
use std::{fs, path::Path};
use testkit::{
    apt_repository::{self, Fault, PackageSpec, Release, Signature},
    command::argv,
    skip,
};

fn lab() -> Option<Lab> {
    match apt_repository::needs() {
        Ok(()) => Some(Lab::new(&[PackageSpec::new("copa-a", "2").file("/usr/share/a", &"x".repeat(5000))])),
        Err(reason) => {
            testkit::probe::report_skip(&reason);
            None
        }
    }
}

async fn error(lab: &Lab) -> Error {
    lab.resolve(&lab.request(&["copa-a 1"], Wanted::All)).await.unwrap_err()
}

async fn works(lab: &Lab) {
    let resolution = lab.resolve(&lab.request(&["copa-a 1"], Wanted::All)).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-a 2"]);
}

fn in_release(lab: &Lab) -> std::path::PathBuf {
    lab.repository.folder().join("dists/copa/InRelease")
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_that_do_not_count_are_told_apart() {
    let Some(lab) = lab() else { return };
    for signature in [Signature::Tampered, Signature::Stranger, Signature::Weak, Signature::Missing] {
        lab.repository.publish(&Release { signature, ..Release::default() }).unwrap();
        for detached in [false, true] {
            if detached {
                let _ = fs::remove_file(in_release(&lab));
            }
            let Error::Signature { fault, .. } = error(&lab).await else { panic!("{signature:?}") };
            let right = match signature {
                Signature::Tampered => matches!(fault, SignatureFault::Bad(_)),
                Signature::Stranger => matches!(fault, SignatureFault::UnknownKey(_)),
                Signature::Weak => matches!(fault, SignatureFault::Weak { .. }),
                _ => fault == SignatureFault::Missing,
            };
            assert!(right, "{signature:?} {detached} {fault:?}");
        }
    }
    lab.repository.publish(&Release::default()).unwrap();
    works(&lab).await;
    fs::remove_file(in_release(&lab)).unwrap();
    works(&lab).await;
}

/// Signs the head anew with a key of its own, made and used at the given times; gives the public key.
fn sign_with(lab: &Lab, kind: &str, made: i64, expires: &str, signed: i64, revoke: bool) -> Vec<u8> {
    let home = tempfile::Builder::new().prefix("gpg").tempdir().unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(home.path(), private).unwrap();
    let gpg = |at: i64| {
        let time = format!("--faked-system-time={at}!");
        argv(
            "gpg",
            [
                "--homedir",
                &home.path().display().to_string(),
                "--batch",
                "--yes",
                "--quiet",
                "--passphrase",
                "",
                &time,
            ],
        )
    };
    let user = "Copa <copa@example.invalid>";
    gpg(made).arg("--quick-generate-key").arg(user).arg(kind).arg("sign").arg(expires).stdout().unwrap();
    let suite = lab.repository.folder().join("dists/copa");
    let sign = gpg(signed)
        .arg("--ignore-time-conflict")
        .arg("--output")
        .arg(suite.join("InRelease"))
        .arg("--clear-sign");
    sign.arg(suite.join("Release")).stdout().unwrap();
    if revoke {
        let folder = home.path().join("openpgp-revocs.d");
        let path = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let certificate = fs::read_to_string(&path).unwrap().replace(":-----BEGIN", "-----BEGIN");
        fs::write(&path, certificate).unwrap();
        gpg(signed).arg("--import").arg(&path).stdout().unwrap();
    }
    let key = gpg(signed).arg("--export").stdout().unwrap();
    let _ = argv("gpgconf", ["--homedir", &home.path().display().to_string(), "--kill", "all"]).output();
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_do_not_count_are_told_apart() {
    let Some(lab) = lab() else { return };
    let day = 86_400;
    let made = NOW - 100 * day;
    type Right = fn(&SignatureFault) -> bool;
    let cases: [(&str, &str, i64, bool, Option<Right>); 6] = [
        ("ed25519", "never", NOW - day, false, None),
        ("rsa2048", "never", NOW - day, false, None),
        ("rsa3072", "2026-10-15", made + day, false, None),
        ("rsa1024", "never", NOW - day, false, Some(|f| matches!(f, SignatureFault::Weak { .. }))),
        ("ed25519", "never", NOW - day, true, Some(|f| matches!(f, SignatureFault::Revoked(_)))),
        ("ed25519", "never", NOW + 10 * day, false, Some(|f| matches!(f, SignatureFault::Malformed(_)))),
    ];
    for (kind, expires, signed, revoke, wrong) in cases {
        let key = sign_with(&lab, kind, made, expires, signed, revoke);
        let mut request = lab.request(&["copa-a 1"], Wanted::All);
        request.files.insert("/keys/copa.gpg".into(), key);
        match (lab.resolve(&request).await, wrong) {
            (Ok(_), None) => {}
            (Err(Error::Signature { fault, .. }), Some(right)) if right(&fault) => {}
            (other, _) => panic!("{kind} {expires} {revoke}: {:?}", other.map(|_| ())),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_had_expired_when_it_signed_does_not_count() {
    let Some(lab) = lab() else { return };
    let day = 86_400;
    // gpg signs with no expired key; so the key is made to expire after it has signed, at an earlier time.
    let home = tempfile::Builder::new().prefix("gpg").tempdir().unwrap();
    fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gpg = |at: i64| {
        let time = format!("--faked-system-time={at}!");
        argv(
            "gpg",
            [
                "--homedir",
                &home.path().display().to_string(),
                "--batch",
                "--yes",
                "--quiet",
                "--passphrase",
                "",
                &time,
            ],
        )
    };
    gpg(NOW - 90 * day)
        .arg("--quick-generate-key")
        .arg("Copa <c@example.invalid>")
        .arg("ed25519")
        .arg("sign")
        .arg("never")
        .stdout()
        .unwrap();
    let listed = gpg(NOW - 90 * day).arg("--list-keys").arg("--with-colons").text().unwrap();
    let print = listed.lines().find_map(|l| l.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned();
    let suite = lab.repository.folder().join("dists/copa");
    gpg(NOW - day)
        .arg("--output")
        .arg(suite.join("InRelease"))
        .arg("--clear-sign")
        .arg(suite.join("Release"))
        .stdout()
        .unwrap();
    gpg(NOW - 50 * day).arg("--quick-set-expire").arg(&print).arg("20d").stdout().unwrap();
    let mut request = lab.request(&["copa-a 1"], Wanted::All);
    request.files.insert("/keys/copa.gpg".into(), gpg(NOW).arg("--export").stdout().unwrap());
    let _ = argv("gpgconf", ["--homedir", &home.path().display().to_string(), "--kill", "all"]).output();
    let error = lab.resolve(&request).await.unwrap_err();
    assert!(matches!(&error, Error::Signature { fault: SignatureFault::Expired(_), .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_that_do_not_fit_are_told_apart() {
    let Some(lab) = lab() else { return };
    let publish = |date, valid_until| {
        lab.repository.publish(&Release { date, valid_until, ..Release::default() }).unwrap()
    };
    publish(NOW - 100, Some(NOW - 1));
    assert!(matches!(error(&lab).await, Error::Expired { .. }));
    let request = lab.request(&["copa-a 1"], Wanted::All);
    let session = repository::Session { allow_archived: true, ..lab.session() };
    let allowed = repository::resolve(&repository::Request::Apt(request.clone()), &session).await.unwrap();
    assert!(allowed.notes[0].contains("has expired"), "{:?}", allowed.notes);
    let mut lax = request.clone();
    let line = String::from_utf8(request.files["/etc/apt/sources.list"].clone()).unwrap();
    lax.files.insert("/etc/apt/sources.list".into(), line.replace("[", "[check-valid-until=no ").into());
    assert!(lab.resolve(&lax).await.unwrap().notes[0].contains("has expired"));
    publish(NOW - 50, Some(NOW + 100));
    works(&lab).await;
    publish(NOW + 3600, None);
    assert!(matches!(error(&lab).await, Error::NotYetValid { .. }));
    publish(NOW - 60, None);
    assert!(matches!(error(&lab).await, Error::Rollback { .. }));
    publish(NOW - 50, None);
    works(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_head_in_the_other_form_is_a_rollback_too() {
    let Some(lab) = lab() else { return };
    let publish = |date| lab.repository.publish(&Release { date, ..Release::default() }).unwrap();
    publish(NOW - 50);
    works(&lab).await;
    publish(NOW - 60);
    fs::remove_file(in_release(&lab)).unwrap();
    assert!(matches!(error(&lab).await, Error::Rollback { .. }));
    publish(NOW - 40);
    fs::remove_file(in_release(&lab)).unwrap();
    works(&lab).await;
    publish(NOW - 50);
    assert!(matches!(error(&lab).await, Error::Rollback { .. }), "and the other way round");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_nobody_vouches_for_bars_nothing() {
    let Some(lab) = lab() else { return };
    let mut lax = lab.request(&["copa-a 1"], Wanted::All);
    let line = format!("deb [trusted=yes check-date=no] {} copa main\n", lab.served.url());
    lax.files.insert("/etc/apt/sources.list".into(), line.into());
    let publish =
        |signature, date| lab.repository.publish(&Release { signature, date, ..Release::default() }).unwrap();
    publish(Signature::Missing, NOW + 86_400);
    lab.resolve(&lax).await.unwrap();
    publish(Signature::Good, NOW - 50);
    works(&lab).await;
    // One that is vouched for counts as far as our clock goes.
    let line =
        String::from_utf8(lab.request(&[], Wanted::All).files["/etc/apt/sources.list"].clone()).unwrap();
    lax.files.insert("/etc/apt/sources.list".into(), line.replace("[", "[check-date=no ").into());
    publish(Signature::Good, NOW + 86_400);
    lab.resolve(&lax).await.unwrap();
    publish(Signature::Good, NOW);
    works(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insecure_repository_is_not_one_whose_packages_are_trusted() {
    let Some(lab) = lab() else { return };
    lab.repository.publish(&Release { signature: Signature::Missing, ..Release::default() }).unwrap();
    let mut request = lab.request(&["copa-a 1"], Wanted::All);
    let line = format!("deb [allow-insecure=yes] {} copa main\n", lab.served.url());
    request.files.insert("/etc/apt/sources.list".into(), line.into());
    let error = lab.resolve(&request).await.unwrap_err();
    assert!(matches!(error, Error::Signature { fault: SignatureFault::Missing, .. }), "{error}");
    request.files.insert("/etc/apt/apt.conf".into(), b"APT::Get::AllowUnauthenticated \"true\";".to_vec());
    assert!(lab.resolve(&request).await.unwrap().notes[0].contains("without a good signature"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_keys_in_a_file_only_the_listed_ones_count() {
    let Some(lab) = lab() else { return };
    let request = lab.request(&["copa-a 1"], Wanted::All);
    let signed_by = lab.resolve(&request).await.unwrap().indexes[0].signed_by.clone().unwrap();
    for (print, good) in [(signed_by, true), ("A".repeat(40), false)] {
        let mut request = request.clone();
        let line = format!("deb [signed-by=/keys/copa.gpg,{print}] {} copa main\n", lab.served.url());
        request.files.insert("/etc/apt/sources.list".into(), line.into());
        match lab.resolve(&request).await {
            Ok(_) => assert!(good, "{print}"),
            Err(error) => assert!(!good && matches!(error, Error::NoKey { .. }), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subkey_that_is_listed_stands_for_itself_alone() {
    let Some(lab) = lab() else { return };
    let home = tempfile::Builder::new().prefix("gpg").tempdir().unwrap();
    fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let time = format!("--faked-system-time={}!", NOW - 86_400);
    let folder = home.path().display().to_string();
    let gpg = |words: &[&str]| {
        let always = ["--homedir", &folder, "--batch", "--yes", "--quiet", "--passphrase", "", &time];
        words.iter().fold(argv("gpg", always), |gpg, word| gpg.arg(word))
    };
    gpg(&["--quick-generate-key", "Copa <c@example.invalid>", "ed25519", "sign", "never"]).stdout().unwrap();
    let prints = || {
        let listed = gpg(&["--list-keys", "--with-colons"]).text().unwrap();
        let prints = listed.lines().filter_map(|l| l.strip_prefix("fpr:"));
        prints.map(|print| print.trim_matches(':').to_owned()).collect::<Vec<_>>()
    };
    let primary = prints().remove(0);
    gpg(&["--quick-add-key", &primary, "ed25519", "sign", "never"]).stdout().unwrap();
    let sub = prints().remove(1);
    let key = gpg(&["--export"]).stdout().unwrap();
    let suite = lab.repository.folder().join("dists/copa");
    for (by, listed, good) in [
        (&primary, primary.clone(), true),
        (&primary, format!("{primary}!"), true),
        (&primary, sub.clone(), false),
        (&sub, primary.clone(), true),
        (&sub, format!("{primary}!"), false),
        (&sub, sub.clone(), true),
        (&sub, format!("{sub}!"), true),
    ] {
        let user = format!("{by}!");
        let sign = gpg(&["--local-user", &user, "--output"]).arg(suite.join("InRelease"));
        sign.arg("--clear-sign").arg(suite.join("Release")).stdout().unwrap();
        let mut request = lab.request(&["copa-a 1"], Wanted::All);
        let line = format!("deb [signed-by=/keys/copa.gpg,{listed}] {} copa main\n", lab.served.url());
        request.files.insert("/etc/apt/sources.list".into(), line.into());
        request.files.insert("/keys/copa.gpg".into(), key.clone());
        match lab.resolve(&request).await {
            Ok(resolution) => {
                assert!(good, "{by} {listed}");
                assert_eq!(resolution.indexes[0].signed_by.as_ref(), Some(by));
            }
            Err(Error::Signature { fault: SignatureFault::UnknownKey(_), .. }) => {
                assert!(!good, "{by} {listed}")
            }
            Err(error) => panic!("{by} {listed}: {error}"),
        }
    }
    let _ = argv("gpgconf", ["--homedir", &folder, "--kill", "all"]).output();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_suite_is_not_passed_off_for_this_one() {
    let Some(lab) = lab() else { return };
    let dists = lab.repository.folder().join("dists");
    let copied = |from: &Path, to: &Path| argv("cp", ["-r"]).arg(from).arg(to).stdout().unwrap();
    copied(&dists.join("copa"), &dists.join("other"));
    let mut request = lab.request(&["copa-a 1"], Wanted::All);
    let line = String::from_utf8(request.files["/etc/apt/sources.list"].clone()).unwrap();
    request.files.insert("/etc/apt/sources.list".into(), line.replace(" copa main", " other main").into());
    let error = lab.resolve(&request).await.unwrap_err();
    assert!(matches!(error, Error::WrongSuite { .. }), "{error}");
    request.files.insert("/etc/apt/sources.list".into(), line.replace(" copa main", " none main").into());
    assert!(matches!(lab.resolve(&request).await, Err(Error::Missing { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_instead_of_an_index_or_a_package_is_refused() {
    let Some(lab) = lab() else { return };
    type Right = fn(&Error) -> bool;
    let mismatch: Right = |e| matches!(e, Error::Mismatch { .. });
    let cases: [(&str, Fault, Right); 8] = [
        (
            "InRelease",
            Fault::Page,
            |e| matches!(e, Error::NotAnIndex { why, .. } if why.contains("web page")),
        ),
        ("InRelease", Fault::Endless, |e| matches!(e, Error::Fetch(fetch::client::Error::TooLarge { .. }))),
        ("InRelease", Fault::Status(503), |e| matches!(e, Error::Fetch(fetch::client::Error::Status { .. }))),
        ("InRelease", Fault::Wrong, |e| matches!(e, Error::Signature { .. })),
        ("main/", Fault::Wrong, mismatch),
        ("main/", Fault::Page, mismatch),
        ("main/", Fault::Endless, mismatch),
        ("main/", Fault::Status(404), |e| matches!(e, Error::Missing { .. })),
    ];
    for (part, fault, right) in cases {
        lab.served.fail(part, fault.clone());
        let error = error(&lab).await;
        assert!(right(&error), "{part} {fault:?}: {error:?}");
        lab.served.heal();
    }
    let resolution = lab.resolve(&lab.request(&["copa-a 1"], Wanted::All)).await.unwrap();
    for (fault, right) in [
        (Fault::Wrong, mismatch),
        (Fault::Page, mismatch),
        (Fault::Endless, mismatch),
        (Fault::Cut, (|e| matches!(e, Error::Fetch(_))) as Right),
        (Fault::Status(404), |e| matches!(e, Error::Fetch(_))),
    ] {
        lab.served.fail("/pool/", fault.clone());
        let error = repository::download(&resolution, &lab.session()).await.unwrap_err();
        assert!(right(&error), "{fault:?}: {error:?}");
        lab.served.heal();
    }
    assert_eq!(repository::download(&resolution, &lab.session()).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_is_being_updated_is_asked_once_more() {
    let Some(lab) = lab() else { return };
    works(&lab).await;
    let suite = lab.repository.folder().join("dists/copa");
    let old = fs::read(in_release(&lab)).unwrap();
    let mut repository = lab.repository;
    repository.add(&[PackageSpec::new("copa-a", "3")]).unwrap();
    fs::write(suite.join("InRelease"), old).unwrap();
    let lab = Lab { repository, store: crate::lab::store(&lab.dir.path().join("second")), ..lab };
    let asked = |lab: &Lab| lab.served.log().iter().filter(|a| a.path.ends_with("/InRelease")).count();
    let before = asked(&lab);
    let error = error(&lab).await;
    assert!(matches!(error, Error::Mismatch { .. }), "{error:?}");
    assert_eq!(asked(&lab) - before, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_is_not_asked_because_an_image_says_so() {
    if let Err(reason) = apt_repository::needs() {
        skip!("{reason}");
    }
    let Some(lab) = lab() else { return };
    let request = lab.request(&["copa-a 1"], Wanted::All);
    let session = repository::Session { operator_hosts: Vec::new(), ..lab.session() };
    let error = repository::resolve(&repository::Request::Apt(request), &session).await.unwrap_err();
    assert!(matches!(error, Error::Fetch(fetch::client::Error::OutOfReach { .. })), "{error}");
    assert!(lab.served.log().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_image_itself_trusts_without_a_signature_is_noted() {
    let Some(lab) = lab() else { return };
    lab.repository.publish(&Release { signature: Signature::Missing, ..Release::default() }).unwrap();
    let mut request = lab.request(&["copa-a 1"], Wanted::All);
    let line = format!("deb [trusted=yes] {} copa main\n", lab.served.url());
    request.files.insert("/etc/apt/sources.list".into(), line.into());
    let resolution = lab.resolve(&request).await.unwrap();
    assert!(resolution.indexes[0].signed_by.is_none());
    assert!(resolution.notes[0].contains("without a good signature"), "{:?}", resolution.notes);
}
