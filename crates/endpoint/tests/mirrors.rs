//! Mirrors and other locations of registries.conf: who is asked for what, with which credentials; skopeo as the judge.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use endpoint::{Connections, Error, Note, RegistrySettings};
use registry::{CertificateFolders, Client, ClientOptions, DockerConfig, Logins, RegistriesConf, Routes};
use setup::{amd64, layers, patch_to};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{
    command::argv,
    fault_registry::{Access, Fault, FaultRegistry, sha256},
};

/// The name in every test; no such host exists.
const NAME: &str = "logical.example/team/app:v1";

/// A registry that holds the image of [`NAME`] below `inner/`.
fn holding(access: Access) -> FaultRegistry {
    let server = FaultRegistry::start_with(access);
    let [a, b] = layers();
    server.put_image("inner/app", "v1", &[(&a, sha256(b"tar a")), (&b, sha256(b"tar b"))]);
    server
}

/// `logical.example/team` is at the first, its mirrors are the others.
fn conf(primary: &FaultRegistry, mirrors: &[&FaultRegistry]) -> String {
    let place = |table: &str, server: &FaultRegistry| {
        format!("{table}location = '{}/inner'\ninsecure = true\n", server.host())
    };
    let mut text = place("[[registry]]\nprefix = 'logical.example/team'\n", primary);
    mirrors.iter().for_each(|mirror| text += &place("[[registry.mirror]]\n", mirror));
    text
}

type Notes = Arc<Mutex<Vec<Note>>>;

fn connections(conf: &str, auths: &str) -> (Connections, Notes) {
    let mut parsed = RegistriesConf::default();
    parsed.add("test.conf", conf.as_bytes()).unwrap();
    let options = ClientOptions {
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
        backoff: Duration::from_millis(2),
        pause_max: Duration::from_millis(50),
        ..ClientOptions::default()
    };
    let notes = Notes::default();
    let taken = notes.clone();
    let connections = Connections::with(RegistrySettings {
        client: Client::new(options).unwrap(),
        logins: Logins::from(DockerConfig::parse(auths.as_bytes(), Vec::new()).unwrap()),
        routes: Routes::new(parsed, Vec::new()),
        certificates: CertificateFolders::default(),
        note: Arc::new(move |note| taken.lock().unwrap().push(note)),
    });
    (connections, notes)
}

/// Reads the whole image; an error where any of it cannot be read.
async fn read(connections: &Connections, name: &str) -> Result<(), String> {
    let source = connections.source(&name.parse().unwrap()).await.map_err(|e| registry::error_text(&e))?;
    let image = source.image(&amd64()).await.map_err(|e| registry::error_text(&e))?;
    for layer in &image.image.layers {
        let mut bytes = Vec::new();
        let mut blob = source.open(&layer.descriptor).await.map_err(|e| registry::error_text(&e))?;
        tokio::io::copy(&mut blob, &mut bytes).await.map_err(|e| e.to_string())?;
        assert_eq!(oci::Digest::of(&bytes), layer.descriptor.digest);
    }
    Ok(())
}

fn failed(notes: &Notes) -> Vec<String> {
    let notes = notes.lock().unwrap();
    let mirror = |note: &Note| match note {
        Note::MirrorFailed { mirror, .. } => Some(mirror.clone()),
        Note::Unverified { .. } => None,
    };
    notes.iter().filter_map(mirror).collect()
}

fn gets(server: &FaultRegistry) -> (usize, usize) {
    (server.count("GET", "/manifests/"), server.count("GET", "/blobs/"))
}

#[tokio::test]
async fn the_first_mirror_that_has_the_image_is_asked_for_all_of_it() {
    let (primary, empty, full, last) =
        (holding(Access::Open), FaultRegistry::start(), holding(Access::Open), holding(Access::Open));
    let (connections, notes) = connections(&conf(&primary, &[&empty, &full, &last]), "{}");
    read(&connections, NAME).await.unwrap();
    assert_eq!((gets(&empty), gets(&full)), ((1, 0), (1, 3)));
    assert!(primary.requests().is_empty() && last.requests().is_empty());
    assert_eq!(failed(&notes), Vec::<String>::new());
    // That nobody verifies the places is told, once each.
    let told = notes.lock().unwrap().iter().filter(|n| matches!(n, Note::Unverified { .. })).count();
    assert_eq!(told, 2);
}

#[tokio::test]
async fn mirrors_that_fail_are_told_once_and_passed_over() {
    let faults = [
        Fault::status(500),
        Fault::status(403),
        Fault::Header("Docker-Content-Digest", sha256(b"another")),
        Fault::Header("Docker-Content-Digest", "sha256:broken".into()),
        Fault::EndlessBody,
        Fault::CutBody(10),
    ];
    for fault in faults {
        let (primary, mirror) = (holding(Access::Open), holding(Access::Open));
        mirror.fault_always("GET", "/manifests/", fault.clone());
        let (connections, notes) = connections(&conf(&primary, &[&mirror]), "{}");
        read(&connections, NAME).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(failed(&notes), [format!("{}/inner/app:v1", mirror.host())], "{fault:?}");
        assert_eq!((gets(&primary), mirror.count("GET", "/blobs/")), ((1, 3), 0), "{fault:?}");
    }
    let (primary, closed) = (holding(Access::Open), FaultRegistry::start());
    let text = conf(&primary, &[&closed]);
    drop(closed);
    let (connections, notes) = connections(&text, "{}");
    read(&connections, NAME).await.unwrap();
    assert_eq!(failed(&notes).len(), 1);
}

#[tokio::test]
async fn what_a_mirror_lacks_comes_from_the_next() {
    let (primary, mirror) = (holding(Access::Open), holding(Access::Open));
    let [a, _] = layers();
    mirror.fault_always("GET", &format!("/blobs/{}", sha256(&a)), Fault::status(404));
    let (connections, notes) = connections(&conf(&primary, &[&mirror]), "{}");
    read(&connections, NAME).await.unwrap();
    assert_eq!((gets(&mirror), gets(&primary)), ((1, 3), (0, 1)));
    assert!(failed(&notes).is_empty());
}

#[tokio::test]
async fn the_error_is_that_of_the_registry_itself() {
    let (primary, mirror) = (FaultRegistry::start(), holding(Access::Open));
    mirror.fault_always("GET", "/manifests/", Fault::status(500));
    let (connections, notes) = connections(&conf(&primary, &[&mirror]), "{}");
    let error = read(&connections, NAME).await.unwrap_err();
    assert!(error.contains(&format!("{}/inner/app:v1 does not exist", primary.host())), "{error}");
    assert_eq!(failed(&notes).len(), 1);
}

#[tokio::test]
async fn each_place_sees_its_own_credentials_only() {
    // "bTpw" is m:p, "cDpw" p:p
    let (primary, mirror) = (holding(Access::Basic("cDpw".into())), holding(Access::Basic("bTpw".into())));
    let [a, _] = layers();
    mirror.fault_always("GET", &format!("/blobs/{}", sha256(&a)), Fault::status(404));
    let auths = format!(
        r#"{{"auths": {{"{}/inner/app": {{"auth": "cDpw"}}, "{}": {{"auth": "bTpw"}}, "logical.example": {{"auth": "eDp4"}}}}}}"#,
        primary.host(),
        mirror.host()
    );
    let (connections, _) = connections(&conf(&primary, &[&mirror]), &auths);
    read(&connections, NAME).await.unwrap();
    for (server, pair) in [(&primary, "Basic cDpw"), (&mirror, "Basic bTpw")] {
        let shown: Vec<String> = server.requests().into_iter().filter_map(|r| r.authorization).collect();
        assert!(!shown.is_empty() && shown.iter().all(|s| s == pair), "{shown:?}");
    }
}

#[tokio::test]
async fn a_mirror_that_refuses_our_login_is_told_and_not_asked_as_nobody() {
    let (primary, mirror) = (holding(Access::Open), holding(Access::Basic("b3RoZXI6cA==".into())));
    let auths = format!(r#"{{"auths": {{"{}": {{"auth": "bTpw"}}}}}}"#, mirror.host());
    let (connections, notes) = connections(&conf(&primary, &[&mirror]), &auths);
    read(&connections, NAME).await.unwrap();
    assert_eq!(failed(&notes).len(), 1);
    let manifests: Vec<_> =
        mirror.requests().into_iter().filter(|r| r.path.contains("/manifests/")).collect();
    assert!(manifests.last().unwrap().authorization.is_some(), "{manifests:?}");
    // Credentials that cannot be had are the user's to mend, whoever they are for.
    let broken = format!(r#"{{"auths": {{"{}": {{"auth": "!"}}}}}}"#, mirror.host());
    let (connections, _) = self::connections(&conf(&primary, &[&mirror]), &broken);
    assert!(read(&connections, NAME).await.unwrap_err().contains("no credentials"));
}

#[tokio::test]
async fn what_is_written_goes_where_its_name_says() {
    let (primary, mirror) = (holding(Access::Open), holding(Access::Open));
    let target = FaultRegistry::start();
    let text = format!(
        "{}[[registry]]\nlocation = '{}'\n[[registry.mirror]]\nlocation = '{}'\ninsecure = true\n",
        conf(&primary, &[&mirror]),
        target.host(),
        mirror.host()
    );
    let (connections, _) = connections(&text, "{}");
    let source = connections.source(&NAME.parse().unwrap()).await.unwrap();
    let address = format!("{}/out/app:new", target.host()).parse().unwrap();
    let destination = connections.destination(&address, false).await.unwrap();
    let receipt = patch_to(&*source, &*destination).await.result.unwrap();
    assert_eq!(target.tag("out/app", "new"), Some(receipt.digest.to_string()));
    for server in [&primary, &mirror] {
        assert!(server.requests().iter().all(|r| r.method == "GET" || r.method == "HEAD"));
    }
    assert_eq!(mirror.count("GET", "/blobs/"), 3);
}

#[tokio::test]
async fn an_image_is_the_source_by_any_of_its_names_and_its_blobs_are_near_by_any() {
    let (primary, mirror) = (holding(Access::Open), holding(Access::Open));
    let (connections, _) = connections(&conf(&primary, &[&mirror]), "{}");
    let source = connections.source(&NAME.parse().unwrap()).await.unwrap();
    for server in [&primary, &mirror] {
        let to = async |name: &str| {
            let address = format!("{}/{name}", server.host()).parse().unwrap();
            connections.destination(&address, false).await.unwrap()
        };
        let before = server.tag("inner/app", "v1");
        let refused = patch_to(&*source, &*to("inner/app:v1").await).await.result.unwrap_err();
        assert!(matches!(refused, Error::SourceTag { .. }), "{refused}");
        assert_eq!(server.tag("inner/app", "v1"), before);
        let receipt = patch_to(&*source, &*to("out/app:new").await).await.result.unwrap();
        assert_eq!((receipt.mounted, receipt.base_bytes_uploaded, receipt.base_bytes_copied), (2, 0, 0));
    }
}

#[tokio::test]
async fn blocked_registries_are_asked_for_nothing() {
    let server = holding(Access::Open);
    let text = format!("[[registry]]\nlocation = '{}'\nblocked = true\n", server.host());
    let (connections, _) = connections(&text, "{}");
    let address = format!("{}/inner/app:v1", server.host()).parse().unwrap();
    let source = connections.source(&address).await.err().unwrap();
    let destination = connections.destination(&address, true).await.err().unwrap();
    for error in [source, destination] {
        assert!(matches!(error, Error::Registry(registry::Error::Blocked { .. })), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn short_names_are_those_of_the_first_registry_that_has_them() {
    let (without, with) = (FaultRegistry::start(), holding(Access::Open));
    let text = format!(
        "unqualified-search-registries = ['{}', '{}']\n[aliases]\n'short' = 'whole.example/name'\n",
        without.host(),
        with.host()
    );
    let (connections, _) = connections(&text, "{}");
    let third = format!("{}/absent", with.host());
    for (name, whole) in [
        ("short:1", "whole.example/name:1"),
        ("inner/app:v1", &format!("{}/inner/app:v1", with.host())),
        ("absent", &third),
        ("docker.io/x", "docker.io/x"),
    ] {
        assert_eq!(connections.qualified(name).await.unwrap(), whole, "{name}");
    }
}

/// Whether skopeo gets the manifest.
fn asked_by_skopeo(conf: &Path, name: &str) -> bool {
    let image = format!("docker://{name}");
    let conf = conf.to_str().unwrap();
    let ran = argv("skopeo", ["--registries-conf", conf, "inspect", "--raw", &image]);
    ran.output().unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_asks_the_same_places() {
    if let Err(reason) = testkit::probe::programs(&["skopeo"]) {
        testkit::skip!("{reason}");
    }
    let digest = holding(Access::Open).tag("inner/app", "v1").unwrap();
    let by_digest = format!("logical.example/team/app@{digest}");
    for (name, full, extra) in [
        (NAME, [true, true], ""),
        (NAME, [false, true], ""),
        (NAME, [false, false], ""),
        (NAME, [true, true], "mirror-by-digest-only = true\n"),
        (&by_digest, [true, true], "mirror-by-digest-only = true\n"),
        (NAME, [true, true], "blocked = true\n"),
        ("logical.example/teams/app:v1", [true, true], ""),
    ] {
        let servers = || {
            let of = |full| if full { holding(Access::Open) } else { FaultRegistry::start() };
            [holding(Access::Open), of(full[0]), of(full[1])]
        };
        let seen =
            |servers: &[FaultRegistry; 3]| servers.each_ref().map(|s| s.count("GET", "/manifests/") > 0);
        let text = |[primary, one, two]: &[FaultRegistry; 3]| {
            conf(primary, &[one, two]).replacen("insecure", &format!("{extra}insecure"), 1)
        };
        let theirs = servers();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text(&theirs)).unwrap();
        let they_can = asked_by_skopeo(file.path(), name);
        let ours = servers();
        let (connections, _) = connections(&text(&ours), "{}");
        let we_can = match connections.source(&name.parse().unwrap()).await {
            Ok(source) => source.named().await.is_ok(),
            Err(_) => false,
        };
        if extra.starts_with("blocked") {
            // Its version judges the place by its own name only; that of the image is what the manual says.
            assert!(!we_can && seen(&ours) == [false; 3]);
            continue;
        }
        assert_eq!((they_can, seen(&theirs)), (we_can, seen(&ours)), "{name} {full:?} {extra}");
    }
}
