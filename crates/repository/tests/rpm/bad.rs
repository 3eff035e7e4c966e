//! Every way in which a repository can be wrong, each with its own error, and its benign twin in `good.rs`.

use crate::lab::{KEY, Lab, at, chosen, lab, named};
use repository::{
    Error, SignatureFault,
    rpm::{self, Wanted},
};
use std::fs;
use testkit::{
    apt_repository::Fault,
    command::{Argv, argv},
    rpm::scenario,
};

fn bugfix() -> Wanted {
    named(&[(scenario::BUGFIX, scenario::BUGFIX_NEW)])
}

async fn error(lab: &Lab) -> Error {
    lab.get(&lab.usual(bugfix())).await.unwrap_err()
}

async fn works(lab: &Lab) {
    let archives = lab.get(&lab.usual(bugfix())).await.unwrap();
    assert_eq!(archives.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_that_are_not_signed_as_they_must_be_are_told_apart() {
    let Some(lab) = lab() else { return };
    for (repo, name) in [
        ("unsigned", scenario::UNSIGNED),
        ("stranger", scenario::STRANGER),
        ("tampered", scenario::TAMPERED),
        ("altered", scenario::ALTERED),
    ] {
        let wanted = named(&[(name, scenario::NEW)]);
        let request = |more: &str| {
            let sections = [lab.section("base", ""), lab.section(repo, more)];
            lab.request(&sections, &[(name, scenario::OLD)], wanted.clone())
        };
        let error = lab.get(&request("")).await.unwrap_err();
        let right = match (repo, &error) {
            ("unsigned", Error::Signature { fault, .. }) => *fault == SignatureFault::Missing,
            ("stranger", Error::Signature { fault, .. }) => matches!(fault, SignatureFault::UnknownKey(_)),
            ("tampered", Error::Mismatch { .. }) => true,
            ("altered", Error::Archive { why, .. }) => why.contains("not what its header says"),
            _ => false,
        };
        assert!(right, "{repo}: {error:?}");
        // Where the image itself wants no signatures there is a note; a wrong digest stays wrong.
        let unchecked = request("gpgcheck=0");
        let resolution = lab.resolve(&unchecked).await.unwrap();
        assert!(resolution.notes.iter().any(|n| n.contains("without a signature")), "{:?}", resolution.notes);
        assert_eq!(lab.get(&unchecked).await.is_ok(), repo != "tampered", "{repo}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_not_signed_as_they_must_be_are_told_apart() {
    let Some(lab) = lab() else { return };
    let request = |more: &str| {
        let sections = [lab.section("base", ""), lab.section("forged", more)];
        lab.request(&sections, &[(scenario::FORGED, scenario::OLD)], Wanted::All)
    };
    let refused = lab.resolve(&request("repo_gpgcheck=1")).await.unwrap_err();
    assert!(matches!(&refused, Error::Signature { fault: SignatureFault::UnknownKey(_), .. }), "{refused:?}");
    // Where the head need not be signed the packages' own signatures count.
    let resolution = lab.resolve(&request("")).await.unwrap();
    assert_eq!(chosen(&resolution), [at(scenario::FORGED, scenario::NEW)]);
    assert_eq!(resolution.indexes[1].signed_by, None);
    // A known key that does not fit is an error in any case.
    let head = lab.folder.join("forged/repodata/repomd.xml");
    fs::copy(
        lab.folder.join("base/repodata/repomd.xml.asc"),
        lab.folder.join("forged/repodata/repomd.xml.asc"),
    )
    .unwrap();
    let refused = lab.resolve(&request("")).await.unwrap_err();
    assert!(matches!(&refused, Error::Signature { fault: SignatureFault::Bad(_), .. }), "{refused:?}");
    fs::remove_file(head.with_extension("xml.asc")).unwrap();
    let refused = lab.resolve(&request("repo_gpgcheck=1")).await.unwrap_err();
    assert!(matches!(&refused, Error::Signature { fault: SignatureFault::Missing, .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_missing_or_none_are_named() {
    let Some(lab) = lab() else { return };
    let mut request = lab.usual(bugfix());
    request.files.insert(KEY.to_owned(), b"nothing".to_vec());
    let error = lab.resolve(&request).await.unwrap_err();
    assert!(
        matches!(&error, Error::NoKey { why, .. } if why.contains("no key that is understood")),
        "{error:?}"
    );
    request.files.clear();
    let error = lab.resolve(&request).await.unwrap_err();
    assert!(matches!(&error, Error::NoKey { why, .. } if why.contains(KEY)), "{error:?}");
}

/// A key of our own, of which the image has the public half beside the other.
struct Signer(tempfile::TempDir);

impl Signer {
    fn new(request: &mut rpm::Request) -> Signer {
        let home = tempfile::Builder::new().prefix("gpg").tempdir().unwrap();
        fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let signer = Signer(home);
        let key = ["--quick-generate-key", "Copa <copa@example.invalid>", "ed25519", "sign", "never"];
        key.iter().fold(signer.gpg(), |gpg, argument| gpg.arg(argument)).stdout().unwrap();
        let public = signer.gpg().arg("--armor").arg("--export").stdout().unwrap();
        request.files.get_mut(KEY).unwrap().extend(public);
        signer
    }

    fn gpg(&self) -> Argv {
        let quiet =
            ["--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", "--homedir"];
        argv("gpg", quiet).arg(self.0.path())
    }

    /// Indexes `updates` anew, at a time, and signs the head.
    fn publish(&self, lab: &Lab, revision: i64) {
        lab.index("updates", revision);
        let head = lab.folder.join("updates/repodata/repomd.xml");
        self.gpg().arg("--armor").arg("--detach-sign").arg(head).stdout().unwrap();
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = argv("gpgconf", ["--homedir"]).arg(self.0.path()).arg("--kill").arg("all").output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_index_that_is_older_than_one_seen_before_is_refused() {
    let Some(lab) = lab() else { return };
    let mut request = lab.usual(bugfix());
    let signer = Signer::new(&mut request);
    signer.publish(&lab, 1_900_000_000);
    let resolution = lab.resolve(&request).await.unwrap();
    assert!(resolution.indexes[1].signed_by.is_some());
    signer.publish(&lab, 1_800_000_000);
    let refused = lab.resolve(&request).await.unwrap_err();
    assert!(matches!(&refused, Error::Rollback { .. }), "{refused:?}");
    signer.publish(&lab, 2_100_000_000);
    let refused = lab.resolve(&request).await.unwrap_err();
    assert!(matches!(&refused, Error::NotYetValid { .. }), "{refused:?}");
    signer.publish(&lab, 1_900_000_001);
    lab.resolve(&request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_date_that_nobody_has_signed_bars_nothing() {
    let Some(lab) = lab() else { return };
    lab.index("updates", 1_900_000_000);
    works(&lab).await;
    lab.index("updates", 1_800_000_000);
    works(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_it_should_be_is_named() {
    let Some(lab) = lab() else { return };
    type Right = fn(&Error) -> bool;
    let cases: [(&str, Fault, Right); 6] = [
        ("updates/repodata/repomd.xml", Fault::Page, |e| {
            matches!(e, Error::NotAnIndex { .. } | Error::Signature { .. })
        }),
        ("updates/repodata/repomd.xml", Fault::Status(404), |e| matches!(e, Error::Missing { .. })),
        ("-primary.xml.gz", Fault::Wrong, |e| matches!(e, Error::Mismatch { .. })),
        ("-primary.xml.gz", Fault::Status(404), |e| matches!(e, Error::Missing { .. })),
        (scenario::BUGFIX_NEW, Fault::Wrong, |e| matches!(e, Error::Mismatch { .. })),
        (scenario::BUGFIX_NEW, Fault::Endless, |e| matches!(e, Error::Mismatch { .. } | Error::Fetch(_))),
    ];
    for (part, fault, right) in cases {
        let lab = crate::lab::lab().unwrap();
        lab.served.fail(part, fault.clone());
        let refused = error(&lab).await;
        assert!(right(&refused), "{part} {fault:?}: {refused:?}");
    }
    // A repository that may be absent is left out, and said.
    lab.served.fail("updates/repodata/repomd.xml", Fault::Status(404));
    let sections = [lab.section("base", ""), lab.section("updates", "skip_if_unavailable=1")];
    let request = lab.request(&sections, &[(scenario::BUGFIX, scenario::BUGFIX_OLD)], Wanted::All);
    let resolution = lab.resolve(&request).await.unwrap();
    assert!(resolution.notes.iter().any(|n| n.contains("updates is left out")), "{:?}", resolution.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_for_a_package() {
    let Some(lab) = lab() else { return };
    let sections = [lab.section("base", ""), lab.section("hostile", "")];
    let installed = [(scenario::REMOVER, scenario::OLD), (scenario::VICTIM, scenario::OLD)];
    let wanted = named(&[(scenario::REMOVER, scenario::NEW)]);
    let error = lab.resolve(&lab.request(&sections, &installed, wanted)).await.unwrap_err();
    assert!(matches!(&error, Error::Conflict { other, .. } if other == scenario::VICTIM), "{error:?}");
    let all = lab.resolve(&lab.request(&sections, &installed, Wanted::All)).await.unwrap();
    assert_eq!(chosen(&all), [""; 0]);
    assert!(all.notes.iter().any(|n| n.contains("demo-remover is kept back")), "{:?}", all.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_an_error_only_where_it_was_asked_for() {
    let Some(lab) = lab() else { return };
    fs::remove_file(lab.package("updates", scenario::EXTRA, scenario::EXTRA_NEW)).unwrap();
    lab.index("updates", 1_900_000_000);
    let error = lab.resolve(&lab.usual(named(&[(scenario::LIBRARY, "0")]))).await.unwrap_err();
    assert!(
        matches!(&error, Error::Unsatisfied { dependency, .. } if dependency == scenario::EXTRA),
        "{error:?}"
    );
    let all = lab.resolve(&lab.usual(Wanted::All)).await.unwrap();
    assert!(chosen(&all).contains(&at(scenario::BUGFIX, scenario::BUGFIX_NEW)));
    assert!(all.notes.iter().any(|n| n.contains("openssl-libs is kept back")), "{:?}", all.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_checksums_of_indexes_are_refused() {
    let Some(lab) = lab() else { return };
    let at = lab.folder.join("updates");
    fs::remove_dir_all(at.join("repodata")).unwrap();
    argv("createrepo_c", ["--quiet", "--checksum", "sha1"]).arg(&at).stdout().unwrap();
    let refused = error(&lab).await;
    assert!(matches!(&refused, Error::NotAnIndex { why, .. } if why.contains("not sha256")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_have_a_bound() {
    let Some(lab) = lab() else { return };
    let request = |count: usize| {
        let updates = |n: usize| lab.section("updates", "").replacen("updates", &format!("u{n}"), 1);
        let sections = [lab.section("base", "")].into_iter().chain((1..count).map(updates));
        let sections: Vec<String> = sections.collect();
        lab.request(&sections, &[(scenario::BUGFIX, scenario::BUGFIX_OLD)], bugfix())
    };
    let error = lab.resolve(&request(65)).await.unwrap_err();
    assert!(matches!(&error, Error::Limit(what) if what == "more than 64 repositories"), "{error:?}");
    let taken = lab.resolve(&request(64)).await.unwrap();
    assert_eq!(chosen(&taken), [at(scenario::BUGFIX, scenario::BUGFIX_NEW)]);
}
