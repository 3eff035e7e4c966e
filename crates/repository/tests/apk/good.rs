//! What is chosen, fetched and opened, and what is not asked for twice.

use crate::lab::{Lab, REPOSITORIES, WORLD, chosen, named};
use repository::{Error, Why, apk::Wanted};
use std::io::Read;
use testkit::{
    apk::{self, ApkSpec, Index, Script, Signature},
    skip,
};

fn spec(name: &str, version: &str, fields: &[(&str, &str)]) -> ApkSpec {
    fields.iter().fold(ApkSpec::new(name, version), |spec, (name, value)| spec.field(name, value))
}

macro_rules! lab {
    ($packages:expr) => {{
        if let Err(reason) = apk::needs() {
            skip!("{reason}");
        }
        Lab::new($packages)
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_newer_is_chosen_fetched_once_and_opened() {
    let lab = lab!(&[
        spec("copa-a", "1.1-r0", &[("depend", "copa-b>=2")])
            .file("/usr/share/a", "new")
            .script(Script::PostUpgrade, "#!/bin/sh\n"),
        spec("copa-b", "2-r0", &[]).link("/usr/share/l", "b"),
        spec("copa-same", "1-r0", &[]),
        spec("copa-older", "1-r0", &[]),
    ]);
    let installed =
        ["copa-a 1.0-r0;D:copa-b", "copa-b 1-r0", "copa-same 1-r0", "copa-gone 1-r0", "copa-older 2-r0"];
    let request = lab.request(&installed, Wanted::All);
    for signature in [Signature::Sha256, Signature::Good] {
        lab.repository.publish(&Index { signature }).unwrap();
        let resolution = lab.resolve(&request).await.unwrap();
        assert_eq!(chosen(&resolution), ["copa-a 1.1-r0", "copa-b 2-r0"]);
        assert_eq!((resolution.indexes.len(), resolution.notes.len()), (1, 0), "{:?}", resolution.notes);
        assert_eq!(resolution.indexes[0].signed_by.as_deref(), Some(lab.repository.key_name()));
        assert!(resolution.indexes[0].date > 0);
    }
    let resolution = lab.resolve(&request).await.unwrap();
    let archives = repository::download(&resolution, &lab.session()).await.unwrap();
    let package = archives[0].open().unwrap();
    assert!(package.control.contains_key(".post-upgrade") && package.control.contains_key(".PKGINFO"));
    let mut entries = Vec::new();
    let visit = &mut |entry: layer::Entry, content: Option<&mut dyn Read>| {
        let mut text = String::new();
        content.map(|content| content.read_to_string(&mut text).unwrap());
        entries.push(format!("{} {text}", entry.path));
        Ok(())
    };
    package.entries(visit).unwrap();
    assert!(entries.contains(&"/usr/share/a new".to_owned()), "{entries:?}");
    let before = lab.served.log().len();
    let again = lab.resolve(&request).await.unwrap();
    repository::download(&again, &lab.session()).await.unwrap();
    let asked: Vec<_> = lab.served.log().split_off(before).into_iter().map(|ask| ask.status).collect();
    assert_eq!(asked, [304], "only the index, and it is unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_are_closed_by_name_provision_and_preference() {
    let lab = lab!(&[
        spec(
            "copa-a",
            "2-r0",
            &[("depend", "so:libx.so.1"), ("depend", "copa-virtual"), ("depend", "copa-left-out")]
        ),
        spec("copa-lib", "5-r0", &[("provides", "so:libx.so.1=1.0"), ("depend", "copa-deep~1")]),
        spec("copa-deep", "1.4-r0", &[]),
        spec("copa-by-chance", "1-r0", &[("provides", "copa-virtual")]),
        spec("copa-left-out", "1-r0", &[]),
        spec("copa-along", "1-r0", &[("install_if", "copa-a copa-lib")]),
    ]);
    let installed = ["copa-a 1-r0;D:copa-left-out", "copa-mine 1-r0;p:copa-virtual"];
    let resolution = lab.resolve(&lab.request(&installed, named(&[("copa-a", "2-r0")]))).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-a 2-r0", "copa-deep 1.4-r0", "copa-lib 5-r0"]);
    let why: Vec<_> = resolution.packages.iter().map(|p| p.why.clone()).collect();
    let by = |name: &str| Why::Dependency(name.parse().unwrap());
    assert_eq!(why, [Why::Asked, by("copa-lib"), by("copa-a")]);
    let error = lab.resolve(&lab.request(&["copa-a 1-r0"], named(&[("copa-a", "")]))).await.unwrap_err();
    assert!(
        matches!(&error, Error::Unsatisfied { dependency, .. } if dependency == "copa-virtual"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_another_brings_it_along_or_is_refused() {
    let lab = lab!(&[
        spec("copa-a", "2-r0", &[("depend", "!copa-b<2")]),
        spec("copa-b", "2-r0", &[]),
        spec("copa-lib", "2-r0", &[("provides", "so:libx.so.2=2")]),
        spec("copa-user", "2-r0", &[("depend", "so:libx.so.2")]),
        spec("copa-c", "2-r0", &[("depend", "!copa-d")]),
        spec("copa-e", "2-r0", &[]),
        spec("copa-f", "1-r0", &[]),
        spec("copa-sh", "2-r0", &[("provides", "cmd:sh=2-r0")]),
    ]);
    let installed = [
        "copa-a 1-r0",
        "copa-b 1-r0",
        "copa-lib 1-r0;p:so:libx.so.1=1",
        "copa-user 1-r0;D:so:libx.so.1",
        "copa-c 1-r0",
        "copa-d 1-r0",
        "copa-e 1-r0",
        "copa-f 1-r0;D:copa-e=1-r0",
        "copa-sh 1-r0",
        "copa-other-sh 1-r0;p:cmd:sh=1-r0",
    ];
    let of = async |names: &[(&str, &str)]| lab.resolve(&lab.request(&installed, named(names))).await;
    assert_eq!(chosen(&of(&[("copa-a", "2-r0")]).await.unwrap()), ["copa-a 2-r0", "copa-b 2-r0"]);
    assert_eq!(chosen(&of(&[("copa-lib", "2-r0")]).await.unwrap()), ["copa-lib 2-r0", "copa-user 2-r0"]);
    for (name, words) in [
        ("copa-c", "copa-c 2-r0 cannot be together with copa-d: it says !copa-d"),
        ("copa-e", "copa-f 1-r0 needs copa-e=1-r0: the repositories have no version of copa-e that fits"),
        ("copa-sh", "copa-sh 2-r0 cannot be together with copa-other-sh: both have the name cmd:sh"),
    ] {
        assert_eq!(of(&[(name, "2-r0")]).await.unwrap_err().to_string(), words);
    }
    let all = lab.resolve(&lab.request(&installed, Wanted::All)).await.unwrap();
    assert_eq!(chosen(&all), ["copa-a 2-r0", "copa-b 2-r0", "copa-lib 2-r0", "copa-user 2-r0"]);
    assert_eq!(all.notes.iter().filter(|note| note.contains("kept back")).count(), 3, "{:?}", all.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_world_is_honoured_and_excluded_packages_stay() {
    let lab = lab!(&["copa-a", "copa-b", "copa-c", "copa-d", "copa-e"].map(|name| spec(name, "2-r0", &[])));
    let installed = ["copa-a 1-r0", "copa-b 1-r0", "copa-c 1-r0", "copa-d 1-r0", "copa-e 1-r0;p:copa-old"];
    let mut request = lab.request(&installed, Wanted::All);
    request.excluded = ["copa-b".parse().unwrap()].into();
    request.files.insert(WORLD.into(), b"copa-a=1-r0\ncopa-c<2\ncopa-d>1\ncopa-old\n".to_vec());
    let resolution = lab.resolve(&request).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-d 2-r0"]);
    let expected = [
        "copa-b stays at 1-r0: it is excluded",
        "copa-e is kept back: /etc/apk/world: it needs copa-old: the repositories have no such package",
    ];
    assert_eq!(resolution.notes, expected);
    request.wanted = named(&[("copa-d", "3-r0"), ("copa-x", "1-r0"), ("copa-a", "2-r0")]);
    let resolution = lab.resolve(&request).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-d 2-r0"]);
    let expected = [
        "copa-d cannot reach 3-r0: of what may be taken the repositories have 2-r0",
        "copa-x is not installed",
        "copa-a cannot reach 2-r0: of what may be taken the repositories have none",
    ];
    assert_eq!(resolution.notes, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn tagged_repositories_are_for_what_the_world_tags() {
    let lab = lab!(&["copa-a", "copa-b"].map(|name| spec(name, "2-r0", &[])));
    let mut request = lab.request(&["copa-a 1-r0", "copa-b 1-r0"], Wanted::All);
    request.files.insert(REPOSITORIES.into(), format!("@edge {}\n", lab.served.url()).into_bytes());
    assert!(lab.resolve(&request).await.unwrap().packages.is_empty());
    request.files.insert(WORLD.into(), b"copa-a@edge\ncopa-b\n".to_vec());
    assert_eq!(chosen(&lab.resolve(&request).await.unwrap()), ["copa-a 2-r0"]);
    let index = format!("ndx {}/{}/APKINDEX.tar.gz\n", lab.served.url(), apk::native_architecture());
    request.files.insert(REPOSITORIES.into(), index.into_bytes());
    let resolution = lab.resolve(&request).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-a 2-r0", "copa-b 2-r0"], "a tag adds to what has none");
    assert!(repository::download(&resolution, &lab.session()).await.is_ok());
}
