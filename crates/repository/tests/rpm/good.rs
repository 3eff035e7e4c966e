//! What is taken from repositories that are as they should be.

use crate::lab::{Lab, at, chosen, lab, named};
use layer::Kind;
use repository::{Why, rpm::Wanted};
use std::collections::BTreeMap;
use testkit::{
    command::argv,
    rpm::{Repo, Repositories, Series, scenario},
};

#[tokio::test(flavor = "multi_thread")]
async fn everything_newer_is_taken_and_what_it_newly_needs() {
    let Some(lab) = lab() else { return };
    let resolution = lab.resolve(&lab.usual(Wanted::All)).await.unwrap();
    let library = at(scenario::LIBRARY, scenario::LIBRARY_NEW);
    let extra = at(scenario::EXTRA, scenario::EXTRA_NEW);
    let expected =
        [at(scenario::DAEMON, scenario::NEW), at(scenario::BUGFIX, scenario::BUGFIX_NEW), extra, library];
    assert_eq!(chosen(&resolution), expected);
    assert_eq!(resolution.packages[2].why, Why::Dependency(scenario::LIBRARY.parse().unwrap()));
    assert!(resolution.indexes.iter().all(|index| index.signed_by.is_some()), "{:?}", resolution.indexes);
    // What the daemon needs is in no list of this image, and was not there before.
    assert!(resolution.notes.iter().any(|n| n.contains("not there before either")), "{:?}", resolution.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_wanted_is_taken_and_what_is_excluded_or_held_stays() {
    let Some(lab) = lab() else { return };
    let wanted =
        named(&[(scenario::BUGFIX, scenario::BUGFIX_NEW), ("absent", "1"), (scenario::LIBRARY, "9:9")]);
    let mut request = lab.usual(wanted);
    request.excluded.insert(scenario::LIBRARY.parse().unwrap());
    let resolution = lab.resolve(&request).await.unwrap();
    assert_eq!(chosen(&resolution), [at(scenario::BUGFIX, scenario::BUGFIX_NEW)]);
    assert!(resolution.notes.iter().any(|n| n.contains("below 9:9")), "{:?}", resolution.notes);
    request.installed[1].held = true;
    assert_eq!(chosen(&lab.resolve(&request).await.unwrap()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn security_updates_are_those_of_advisories_and_dependencies_may_be_any() {
    let Some(lab) = lab() else { return };
    let mut request = lab.usual(Wanted::All);
    request.security_only = true;
    let resolution = lab.resolve(&request).await.unwrap();
    let names: Vec<_> = resolution.packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, [scenario::DAEMON, scenario::EXTRA, scenario::LIBRARY]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_back_and_patterns_and_priorities_count() {
    let Some(lab) = lab() else { return };
    let installed = [(scenario::BUGFIX, scenario::BUGFIX_NEW)];
    let names = |resolution: &repository::Resolution| chosen(resolution);
    let both = [lab.section("base", ""), lab.section("updates", "")];
    let newest = lab.request(&both, &installed, Wanted::All);
    assert_eq!(names(&lab.resolve(&newest).await.unwrap()), [""; 0]);
    let old = [(scenario::BUGFIX, scenario::BUGFIX_OLD)];
    for more in ["exclude=exp*", "includepkgs=open*", "priority=100"] {
        let sections = [lab.section("base", ""), lab.section("updates", more)];
        let request = lab.request(&sections, &old, Wanted::All);
        assert_eq!(names(&lab.resolve(&request).await.unwrap()), [""; 0], "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_run_transfers_nothing_but_the_heads_question() {
    let Some(lab) = lab() else { return };
    let request = lab.usual(Wanted::All);
    lab.get(&request).await.unwrap();
    let before = lab.served.log().len();
    lab.resolve(&request).await.unwrap();
    let asked = lab.served.log();
    let again: Vec<_> =
        asked[before..].iter().map(|a| (a.path.rsplit('/').next().unwrap(), a.status)).collect();
    assert!(again.iter().all(|(name, _)| name.starts_with("repomd.xml")), "{again:?}");
}

/// What the real rpm says of a package's file: path, mode, size, link, capabilities.
fn said(lab: &Lab) -> BTreeMap<String, String> {
    let format = "[%{FILENAMES} %{FILEMODES:octal} %{FILESIZES} %{FILECAPS}|%{FILELINKTOS}\\n]";
    let query = argv("rpm", ["--query", "--package", "--nosignature", "--queryformat", format]);
    let text = query.arg(lab.package("updates", scenario::DAEMON, scenario::NEW)).text().unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(path, rest)| (path.to_owned(), rest.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_what_the_real_rpm_says() {
    let Some(lab) = lab() else { return };
    let archives = lab.get(&lab.usual(named(&[(scenario::DAEMON, scenario::NEW)]))).await.unwrap();
    let package = archives[0].open().unwrap();
    assert!(["header", "pre", "post", "posttrans"].iter().all(|name| package.control.contains_key(*name)));
    let said = said(&lab);
    let (mut seen, mut links) = (BTreeMap::new(), 0);
    package
        .entries(&mut |entry, content| {
            let path = entry.path.to_string();
            let mut bytes = Vec::new();
            content.map(|content| content.read_to_end(&mut bytes).unwrap());
            let kind = match &entry.kind {
                Kind::Directory => 0o040_000,
                Kind::Symlink { .. } => 0o120_000,
                _ => 0o100_000,
            };
            let mode = format!("{:o}", kind | entry.mode);
            assert!(said[&path].trim_start_matches('0').starts_with(&mode), "{path} {mode} {}", said[&path]);
            links += usize::from(matches!(entry.kind, Kind::Hardlink { .. }));
            assert_eq!(
                entry.xattrs.contains_key(&b"security.capability"[..]),
                path == scenario::CAPABLE,
                "{path}"
            );
            seen.insert(path, bytes);
            Ok(())
        })
        .unwrap();
    assert_eq!(seen[scenario::CHANGED], b"2\n");
    assert_eq!(
        (links, seen.contains_key(scenario::SCRIPTLET_LOG)),
        (1, false),
        "a link, and nothing of a ghost"
    );
    assert_eq!(seen.len() + 1, said.len(), "everything but the ghost");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installed_versions_header_comes_from_its_own_package() {
    let Some(lab) = lab() else { return };
    // Where nobody must have signed anything it is no evidence of what the image has.
    let sections = ["base", "updates"].map(|name| lab.section(name, "gpgcheck=0"));
    let wanted = || named(&[(scenario::BUGFIX, scenario::BUGFIX_NEW)]);
    let unsigned = lab.request(&sections, &[(scenario::BUGFIX, scenario::BUGFIX_OLD)], wanted());
    assert!(lab.get(&unsigned).await.unwrap()[0].replaced_header().is_none());
    let archives = lab.get(&lab.usual(wanted())).await.unwrap();
    let header = inventory::rpm::Header::parse(archives[0].replaced_header().unwrap()).unwrap();
    assert_eq!(header.text(inventory::rpm::Tag::RELEASE), Ok(Some("1.el9")));
    // One that is not signed is not believed, which is no error.
    let own = Repositories::of(Series::Classic).unwrap();
    let old = lab.package("base", scenario::BUGFIX, scenario::BUGFIX_OLD);
    std::fs::copy(
        own.package(Repo::Base, scenario::BUGFIX, scenario::BUGFIX_OLD, std::env::consts::ARCH),
        &old,
    )
    .unwrap();
    argv("rpmsign", ["--delsign"]).arg(&old).stdout().unwrap();
    let archives = lab.get(&lab.usual(named(&[(scenario::BUGFIX, scenario::BUGFIX_NEW)]))).await.unwrap();
    assert!(archives[0].replaced_header().is_none());
}
