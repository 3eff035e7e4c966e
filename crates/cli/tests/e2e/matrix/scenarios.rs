//! The scenarios, each the same for every family. That an image is as its document says is judged by [`Subject::patched`].

use super::family::{EDITED, Family, Names, Package, Stage, TAG};
use super::subject::{PATCHED, Subject};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn fixed<'a>(packages: &[&'a Package]) -> BTreeMap<&'a str, &'static str> {
    packages.iter().map(|package| (package.name, "fixed")).collect()
}

fn at_new(packages: &[Package]) -> Vec<(&'static str, &'static str)> {
    packages.iter().map(|package| (package.name, package.new)).collect()
}

/// What a report names is fixed, and nothing else is touched but what that needs.
pub fn report(family: &dyn Family) {
    let subject = Subject::new(family, Stage::Updates);
    let Names { library, added, other, .. } = family.names();
    let ran = subject.patched((TAG, PATCHED), Some(&[library, other]), &[]);
    assert_eq!(ran.document["scope"], "report");
    assert_eq!(ran.outcomes(), fixed(&[&library, &other]));
    assert_eq!(ran.changed(), BTreeSet::from([library.name, added.name, other.name]));
    subject.has(PATCHED, &at_new(&[library, added, other]));
    subject.syft_agrees(PATCHED);
}

/// Without a report everything that is newer comes in.
pub fn no_report(family: &dyn Family) {
    let subject = Subject::new(family, Stage::Updates);
    let Names { library, added, other, held, configured, .. } = family.names();
    let ran = subject.patched((TAG, PATCHED), None, &[]);
    assert_eq!(ran.document["scope"], "update-all");
    subject.has(PATCHED, &at_new(&[library, added, other, held, configured]));
    subject.syft_agrees(PATCHED);
}

/// A patched image is patched again: the patch layer is replaced by one with both patches.
pub fn repatch(family: &dyn Family) {
    let subject = Subject::new(family, Stage::Updates);
    let Names { library, added, other, .. } = family.names();
    let first = subject.patched((TAG, PATCHED), Some(&[other]), &[]);
    let second = subject.patched((PATCHED, "again"), Some(&[library]), &[]);
    assert_eq!(second.document["image"]["repatched"], true);
    assert_eq!(second.changed(), BTreeSet::from([library.name, added.name]));
    subject.has("again", &at_new(&[library, added, other]));
    let patch = &first.document["patched"]["layer"]["digest"];
    let again = subject.see("again").image;
    assert!(
        again.layers().iter().all(|layer| layer["digest"] != *patch),
        "the first patch layer is replaced"
    );
    let lineage = |document: &Value| document["patched"]["lineage"]["baseDigest"].clone();
    assert_eq!(lineage(&second.document), lineage(&first.document));
}

/// Where everything is as new as it can be, and as a report wants it, nothing is written.
pub fn nothing_to_do(family: &dyn Family) {
    let subject = Subject::new(family, Stage::UpToDate);
    let other = family.names().other;
    let before = subject.contents();
    let all = subject.run((TAG, PATCHED), None, &[]);
    assert_eq!((all.code, &all.document["status"]), (Some(0), &"up-to-date".into()), "{}", all.stderr);
    let wanted = [(other.name, other.old)];
    let named = subject.run((TAG, PATCHED), Some(&wanted), &["--detailed-exit-code"]);
    assert_eq!((named.code, &named.document["status"]), (Some(20), &"up-to-date".into()), "{}", named.stderr);
    assert_eq!(named.outcomes(), BTreeMap::from([(other.name, "already-fixed")]));
    assert_eq!(subject.contents(), before, "nothing is written");
}

/// A package that the image's administrator holds stays and is told; the others are fixed.
pub fn held(family: &dyn Family) {
    let subject = Subject::new(family, Stage::Held);
    let Names { library, held, .. } = family.names();
    let ran = subject.patched((TAG, PATCHED), Some(&[held, library]), &[]);
    assert_eq!(ran.outcomes(), BTreeMap::from([(held.name, "held"), (library.name, "fixed")]));
    assert!(ran.stderr.contains(held.name), "{}", ran.stderr);
    subject.has(PATCHED, &[(held.name, held.old), (library.name, library.new)]);
}

/// A package that the new version needs comes in and is told as new.
pub fn new_dependency(family: &dyn Family) {
    let subject = Subject::new(family, Stage::Updates);
    let Names { library, added, .. } = family.names();
    let ran = subject.patched((TAG, PATCHED), Some(&[library]), &[]);
    assert_eq!(ran.changed(), BTreeSet::from([library.name, added.name]));
    assert_eq!(ran.came(added.name)["from"], Value::Null);
    assert_eq!(ran.came(added.name)["to"], added.new);
    subject.has(PATCHED, &at_new(&[library, added]));
}

/// A file of configuration that was edited keeps its text.
pub fn edited_config(family: &dyn Family) {
    let subject = Subject::new(family, Stage::Edited);
    let Names { configured, file, .. } = family.names();
    assert_eq!(subject.see(TAG).text(file).as_deref(), Some(EDITED));
    subject.patched((TAG, PATCHED), Some(&[configured]), &[]);
    assert_eq!(subject.see(PATCHED).text(file).as_deref(), Some(EDITED));
    subject.has(PATCHED, &at_new(&[configured]));
}

/// What nobody trusted has signed is refused by name, and no image is made.
pub fn bad_signature(family: &dyn Family) {
    let subject = Subject::new(family, Stage::BadSignature);
    let Names { bad, refusal, .. } = family.names();
    let before = subject.contents();
    let ran = subject.run((TAG, PATCHED), Some(&[(bad.name, bad.new)]), &[]);
    assert_eq!(ran.code, Some(7), "{}", ran.stderr);
    assert_eq!((&ran.document["status"], &ran.document["error"]["exitCode"]), (&"failed".into(), &7.into()));
    let errors = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains(refusal), "{refusal:?} is not in\n{}", ran.stderr);
    assert_eq!(subject.contents(), before, "no tag is moved, nothing is written");
    assert!(!subject.exists(PATCHED));
}
