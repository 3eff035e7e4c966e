//! What is chosen, fetched and opened, and what is not asked for twice.

use crate::lab::{Lab, chosen, named};
use repository::{Error, Event, Why, apt::Wanted};
use std::io::Read;
use testkit::{
    apt_repository::{self, Fault, PackageSpec, Script},
    skip,
};

fn spec(name: &str, version: &str, fields: &[(&str, &str)]) -> PackageSpec {
    fields.iter().fold(PackageSpec::new(name, version), |spec, (name, value)| spec.field(name, value))
}

macro_rules! lab {
    ($packages:expr) => {{
        if let Err(reason) = apt_repository::needs() {
            skip!("{reason}");
        }
        Lab::new($packages)
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_newer_is_chosen_fetched_once_and_opened() {
    let lab = lab!(&[
        spec("copa-a", "1.1", &[("Depends", "copa-b (>= 2)")])
            .file("/usr/share/a", "new")
            .script(Script::Postinst, "#!/bin/x\n"),
        spec("copa-b", "2", &[]).conffile("/etc/b", "b\n").link("/usr/share/l", "b"),
        spec("copa-c++", "3", &[]),
        spec("copa-same", "1", &[]),
    ]);
    let request =
        lab.request(&["copa-a 1.0\nDepends: copa-b", "copa-b 1", "copa-same 1", "copa-gone 1"], Wanted::All);
    let resolution = lab.resolve(&request).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-a 1.1", "copa-b 2"]);
    assert_eq!(resolution.packages[0].record["Depends"], "copa-b (>= 2)");
    assert_eq!((resolution.indexes.len(), resolution.notes.len()), (1, 0), "{:?}", resolution.notes);
    assert_eq!(resolution.indexes[0].signed_by.as_ref().unwrap().len(), 40);
    let archives = repository::download(&resolution, &lab.session()).await.unwrap();
    let package = archives[1].open().unwrap();
    assert_eq!(package.control["conffiles"], b"/etc/b\n");
    let mut entries = Vec::new();
    let visit = &mut |entry: layer::Entry, content: Option<&mut dyn Read>| {
        let mut text = String::new();
        content.map(|content| content.read_to_string(&mut text).unwrap());
        entries.push(format!("{} {text}", entry.path));
        Ok(())
    };
    package.entries(visit).unwrap();
    assert!(
        entries.contains(&"/etc/b b\n".to_owned()) && entries.contains(&"/usr/share/l ".to_owned()),
        "{entries:?}"
    );
    assert!(archives[0].open().unwrap().control.contains_key("postinst"));

    let before = lab.served.log().len();
    let again = lab.resolve(&request).await.unwrap();
    repository::download(&again, &lab.session()).await.unwrap();
    let asked: Vec<_> = lab.served.log().split_off(before).into_iter().map(|a| (a.path, a.status)).collect();
    assert_eq!(asked, [("/dists/copa/InRelease".to_owned(), 304)], "only the head, and it is unchanged");
    let events = lab.events.lock().unwrap();
    assert!(events.iter().any(|e| matches!(e, Event::Package { done, total, .. } if done == total)));
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_are_closed_by_what_is_there_first() {
    let lab = lab!(&[
        spec(
            "copa-a",
            "2",
            &[("Depends", "copa-none | copa-virtual (>= 2) | copa-other, copa-old | copa-new, copa-mine")]
        ),
        spec("copa-provider", "5", &[("Provides", "copa-virtual (= 2)"), ("Depends", "copa-deep")]),
        spec("copa-deep", "1", &[]),
        spec("copa-other", "1", &[]),
        spec("copa-old", "2", &[]),
        spec("copa-new", "1", &[]),
    ]);
    let request =
        lab.request(&["copa-a 1", "copa-old 1", "copa-x 1\nProvides: copa-mine"], named(&[("copa-a", "2")]));
    let resolution = lab.resolve(&request).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-a 2", "copa-deep 1", "copa-provider 5"]);
    let why: Vec<_> = resolution.packages.iter().map(|p| p.why.clone()).collect();
    let by = |name: &str| Why::Dependency(name.parse().unwrap());
    assert_eq!(why, [Why::Asked, by("copa-provider"), by("copa-a")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missing_before_is_not_pulled_in() {
    let lab = lab!(&[
        spec("copa-a", "2", &[("Depends", "copa-left-out (>= 2) | copa-either, copa-low (>= 2), copa-new")]),
        spec("copa-left-out", "3", &[]),
        spec("copa-either", "3", &[]),
        spec("copa-low", "3", &[]),
        spec("copa-new", "3", &[]),
    ]);
    let installed =
        ["copa-a 1\nDepends: copa-left-out (>= 1) | copa-either, copa-low (>= 1)", "copa-low 0.5"];
    let resolution = lab.resolve(&lab.request(&installed, named(&[("copa-a", "2")]))).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-a 2", "copa-low 3", "copa-new 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_another_brings_it_along_or_is_refused() {
    let lab = lab!(&[
        spec("copa-a", "2", &[("Breaks", "copa-b (<< 2)")]),
        spec("copa-b", "2", &[]),
        spec("copa-c", "2", &[("Conflicts", "copa-d")]),
        spec("copa-e", "2", &[]),
        spec("copa-f", "1", &[("Depends", "copa-e (= 1)")]),
        spec("copa-g", "2", &[("Depends", "copa-nowhere")]),
    ]);
    let installed = [
        "copa-a 1",
        "copa-b 1",
        "copa-c 1",
        "copa-d 1",
        "copa-e 1",
        "copa-f 1\nDepends: copa-e (= 1)",
        "copa-g 1",
    ];
    let of = async |names: &[(&str, &str)]| lab.resolve(&lab.request(&installed, named(names))).await;
    assert_eq!(chosen(&of(&[("copa-a", "2")]).await.unwrap()), ["copa-a 2", "copa-b 2"]);
    let error = of(&[("copa-c", "2")]).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    assert_eq!(error.to_string(), "copa-c 2 cannot be together with copa-d: it is against copa-d");
    let error = of(&[("copa-e", "2")]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "copa-f 1 needs copa-e (= 1): the repositories have no version of copa-e that fits"
    );
    let error = of(&[("copa-g", "2")]).await.unwrap_err();
    assert_eq!(error.to_string(), "copa-g 2 needs copa-nowhere: the repositories have no such package");
    let all = lab.resolve(&lab.request(&installed, Wanted::All)).await.unwrap();
    assert_eq!(chosen(&all), ["copa-a 2", "copa-b 2"]);
    assert_eq!(all.notes.iter().filter(|note| note.contains("kept back")).count(), 3, "{:?}", all.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_excluded_and_pinned_packages_stay() {
    let lab = lab!(&["copa-a", "copa-b", "copa-c", "copa-d"].map(|name| spec(name, "2", &[])));
    let mut request = lab.request(&["copa-a 1\nHeld: yes", "copa-b 1", "copa-c 1", "copa-d 1"], Wanted::All);
    request.excluded = ["copa-b".parse().unwrap()].into();
    let pin = "Package: copa-c\nPin: version 2\nPin-Priority: -1\n";
    request.files.insert("/etc/apt/preferences.d/c".into(), pin.into());
    let resolution = lab.resolve(&request).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-d 2"]);
    assert_eq!(resolution.notes.len(), 2, "{:?}", resolution.notes);
    request.wanted = named(&[("copa-d", "3"), ("copa-x", "1"), ("copa-a", "2")]);
    let resolution = lab.resolve(&request).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-d 2"]);
    let expected = [
        "copa-d cannot reach 3: the repositories have 2",
        "copa-x is not installed",
        "copa-a stays as it is: it is held or excluded",
    ];
    assert_eq!(resolution.notes, expected);
    request.security_only = true;
    request.wanted = Wanted::All;
    assert!(lab.resolve(&request).await.unwrap().packages.is_empty(), "this is no security archive");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_taken_from_wherever_the_image_names_them() {
    let lab = lab!(&[spec("copa-a", "2", &[])]);
    let base = lab.request(&["copa-a 1"], Wanted::All);
    let key = base.files["/keys/copa.gpg"].clone();
    let armoured = std::fs::read_to_string(lab.repository.armoured_key_path()).unwrap();
    let inline: String =
        armoured.lines().map(|l| if l.is_empty() { " .\n".into() } else { format!(" {l}\n") }).collect();
    let url = lab.served.url();
    let fingerprint = lab.resolve(&base).await.unwrap().indexes[0].signed_by.clone().unwrap();
    let line = format!("deb {url} copa main\n");
    let by_print = format!("deb [signed-by={fingerprint}!] {url} copa main\n");
    let deb822 = format!("Types: deb\nURIs: {url}/\nSuites: copa\nComponents: main\nSigned-By:\n{inline}");
    let trusted = "/etc/apt/trusted.gpg.d/x.gpg";
    for files in [
        vec![("/etc/apt/sources.list", line.as_str(), trusted, key.as_slice())],
        vec![("/etc/apt/sources.list", &line, "/etc/apt/trusted.gpg.d/x.asc", armoured.as_bytes())],
        vec![("/etc/apt/sources.list.d/x.list", &by_print, trusted, &key)],
        vec![("/etc/apt/sources.list.d/x.sources", &deb822, "/unused", b"")],
    ] {
        let mut request = base.clone();
        request.files.clear();
        for (at, text, key_at, key) in files {
            request.files.insert(at.into(), text.as_bytes().to_vec());
            request.files.insert(key_at.into(), key.to_vec());
        }
        let resolution = lab.resolve(&request).await.unwrap();
        assert_eq!(chosen(&resolution), ["copa-a 2"], "{:?}", request.files.keys());
    }
    let mut request = base.clone();
    request
        .files
        .insert("/etc/apt/sources.list".into(), by_print.replace(&fingerprint, &"A".repeat(40)).into());
    assert!(matches!(lab.resolve(&request).await, Err(Error::NoKey { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_indexes_by_hash_is_asked_by_name() {
    let lab = lab!(&[spec("copa-a", "2", &[])]);
    lab.served.fail("by-hash", Fault::Status(404));
    let resolution = lab.resolve(&lab.request(&["copa-a 1"], Wanted::All)).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-a 2"]);
    assert_eq!(lab.served.full_answers("main/binary"), 1);
}
