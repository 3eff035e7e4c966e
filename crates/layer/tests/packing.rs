//! What goes into a packed layer, and with which times: over differences and bases made up in memory.
#![allow(clippy::unwrap_used)]

use layer::{
    Change, Changes, Entry, EntryPath, Error, Kind, Limits, PackOptions, Packed, TarReader, Tree, pack,
};
use oci::media_type::Compression;
use std::{
    collections::BTreeMap,
    io::{Cursor, Read},
};

const OLD: i64 = 1_000;
const NEW: i64 = 2_000;
const RUN: (i64, i64) = (9_000, 9_100);

#[derive(Clone)]
enum Step {
    Set(Entry, &'static str),
    Remove(&'static str),
    Opaque(&'static str),
}

struct Made(Vec<Step>);

impl Changes for Made {
    fn walk(&mut self, visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>) -> Result<(), Error> {
        for step in &self.0 {
            match step {
                Step::Remove(at) => visit(Change::Remove(path(at)))?,
                Step::Opaque(at) => visit(Change::Opaque(path(at)))?,
                Step::Set(entry, text) => {
                    let has = matches!(entry.kind, Kind::File { .. } | Kind::Hardlink { .. });
                    let mut content = text.as_bytes();
                    visit(Change::Set(entry.clone(), has.then_some(&mut content as &mut dyn Read)))?;
                }
            }
        }
        Ok(())
    }
}

/// A base of these entries; links are not followed, which packing never asks for but on the way.
#[derive(Default)]
struct Base(BTreeMap<EntryPath, (Entry, &'static str)>);

impl Tree for Base {
    fn entry(&self, path: &EntryPath, follow: bool) -> Result<Option<Entry>, Error> {
        assert!(!follow);
        Ok(self.0.get(&self.through(path)).map(|(entry, _)| entry.clone()))
    }

    fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, Error> {
        Ok(Box::new(Cursor::new(self.0[&self.through(path)].1)))
    }

    fn list(&self, path: &EntryPath, _: usize) -> Result<Vec<Vec<u8>>, Error> {
        panic!("the base was walked at {path}");
    }
}

impl Base {
    /// One level of links on the way is enough here.
    fn through(&self, at: &EntryPath) -> EntryPath {
        let Some(parent) = at.parent() else { return at.clone() };
        match self.0.get(&parent).map(|(entry, _)| &entry.kind) {
            Some(Kind::Symlink { target }) => EntryPath::new(target).unwrap().join(at.name()).unwrap(),
            _ => at.clone(),
        }
    }
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

fn entry(at: &str, kind: Kind, mtime: i64) -> Entry {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    Entry { path: path(at), kind, mode, uid: 0, gid: 0, mtime: (mtime, 123), xattrs: BTreeMap::new() }
}

fn file(at: &str, text: &'static str, mtime: i64) -> Step {
    Step::Set(entry(at, Kind::File { size: text.len() as u64 }, mtime), text)
}

fn dir(at: &str, mtime: i64) -> Step {
    Step::Set(entry(at, Kind::Directory, mtime), "")
}

fn link(at: &str, target: &str, text: &'static str, mtime: i64) -> Step {
    Step::Set(entry(at, Kind::Hardlink { target: path(target) }, mtime), text)
}

fn symlink(at: &str, target: &str, mtime: i64) -> Step {
    Step::Set(entry(at, Kind::Symlink { target: target.into() }, mtime), "")
}

fn with(step: Step, change: impl FnOnce(&mut Entry)) -> Step {
    let Step::Set(mut entry, text) = step else { panic!("no entry") };
    change(&mut entry);
    Step::Set(entry, text)
}

fn base(steps: &[Step]) -> Base {
    let mut base = Base::default();
    for step in steps {
        let Step::Set(entry, text) = step else { panic!("no entry") };
        base.0.insert(entry.path.clone(), (entry.clone(), text));
    }
    base
}

fn excluded(path: &EntryPath) -> bool {
    path.as_bytes().starts_with(b"cache/") || path.as_bytes() == b"log"
}

fn try_pack(base: &Base, changes: Vec<Step>, epoch: Option<i64>) -> Result<(Vec<String>, Packed), Error> {
    let options = PackOptions {
        excluded: &excluded,
        source_date_epoch: epoch,
        run_window: RUN,
        compression: Compression::None,
        level: None,
        threads: 1,
        cancel: &|| false,
    };
    let mut tar = Vec::new();
    let packed = pack(&mut Made(changes), base, &options, &mut tar)?;
    Ok((list(&tar), packed))
}

fn list(tar: &[u8]) -> Vec<String> {
    let mut reader = TarReader::new(tar, &Limits::default());
    let mut lines = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(entry.mtime.1, 0);
        let what = match &entry.kind {
            Kind::File { .. } => format!("= {text}"),
            Kind::Directory => "/".into(),
            Kind::Hardlink { target } => format!("== {target}"),
            Kind::Symlink { target } => format!("-> {}", target.escape_ascii()),
            other => format!("{other:?}"),
        };
        lines.push(format!("{} {what} @{}", entry.path, entry.mtime.0));
    }
    lines
}

#[track_caller]
fn packs(below: &[Step], changes: Vec<Step>, lines: &[&str]) -> Packed {
    let (found, packed) = try_pack(&base(below), changes, None).unwrap();
    assert_eq!(found, lines);
    assert_eq!((packed.entries + packed.removed) as usize, lines.len());
    packed
}

#[test]
fn what_equals_the_base_is_left_out() {
    let below = [file("a", "same", OLD), file("b", "old", OLD), symlink("l", "x", OLD), dir("d", OLD)];
    let changes =
        vec![file("a", "same", OLD), file("b", "old", 9_050), dir("d", 9_050), symlink("l", "x", 9_050)];
    let packed = packs(&below, changes, &[]);
    assert!(packed.is_empty() && packed.dropped == 4);
    packs(&below, vec![file("a", "sane", OLD)], &["/a = sane @1000"]);
    packs(&below, vec![file("a", "longer", OLD)], &["/a = longer @1000"]);
    packs(&below, vec![file("a", "same", NEW)], &["/a = same @2000"]);
    packs(&below, vec![with(file("a", "same", OLD), |e| e.mode = 0o600)], &["/a = same @1000"]);
    packs(&below, vec![with(file("a", "same", OLD), |e| e.uid = 1)], &["/a = same @1000"]);
    let attribute = |e: &mut Entry| drop(e.xattrs.insert(b"user.x".to_vec(), vec![1]));
    packs(&below, vec![with(file("a", "same", OLD), attribute)], &["/a = same @1000"]);
    packs(&below, vec![symlink("l", "y", OLD)], &["/l -> y @1000"]);
    packs(&below, vec![symlink("a", "y", OLD)], &["/a -> y @1000"]);
    packs(&below, vec![file("l", "", OLD)], &["/l =  @1000"]);
}

#[test]
fn folders_are_kept_for_what_they_hold_or_are() {
    let below = [dir("d", OLD), dir("d/e", OLD), file("d/e/f", "1", OLD)];
    let within = vec![dir("d", 9_050), dir("d/e", 9_050), file("d/e/f", "2", NEW)];
    packs(&below, within, &["/d / @2000", "/d/e / @2000", "/d/e/f = 2 @2000"]);
    packs(&below, vec![dir("d", 9_050), dir("d/e", 9_050), file("d/e/f", "1", OLD)], &[]);
    let mode = |e: &mut Entry| e.mode = 0o700;
    packs(&below, vec![dir("d", OLD), with(dir("d/e", OLD), mode)], &["/d / @1000", "/d/e / @1000"]);
    packs(&below, vec![dir("n", OLD)], &["/n / @1000"]);
    packs(&below, vec![dir("d", OLD), Step::Remove("d/e")], &["/d / @1000", "/d/.wh.e =  @1000"]);
}

#[test]
fn removals_are_of_what_was_there() {
    let below = [dir("cache", OLD), file("cache/x", "", OLD), file("a", "", OLD), file("log", "", OLD)];
    let changes = vec![
        Step::Remove("a"),
        dir("cache", OLD),
        Step::Remove("cache/x"),
        Step::Remove("log"),
        Step::Remove("never"),
    ];
    let packed = packs(&below, changes, &["/.wh.a =  @1000"]);
    assert_eq!((packed.removed, packed.dropped), (1, 4));
}

#[test]
fn opaque_folders_hide_the_base_and_hold_all_they_have() {
    let below = [dir("d", OLD), file("d/a", "same", OLD), dir("cache", OLD), file("cache/x", "", OLD)];
    let emptied = vec![dir("d", OLD), Step::Opaque("d"), file("d/a", "same", OLD), Step::Remove("d/b")];
    packs(&below, emptied, &["/d / @1000", "/d/.wh..wh..opq =  @1000", "/d/a = same @1000"]);
    let new = vec![dir("n", OLD), Step::Opaque("n"), file("n/a", "x", OLD)];
    packs(&below, new, &["/n / @1000", "/n/a = x @1000"]);
    let left_alone = vec![dir("cache", 9_050), Step::Opaque("cache"), file("cache/y", "x", NEW)];
    packs(&below, left_alone, &[]);
}

#[test]
fn nothing_of_the_base_shows_through_a_replaced_folder() {
    let below = [symlink("lib", "usr/lib", OLD), dir("usr/lib", OLD), file("usr/lib/a", "same", OLD)];
    let replaced =
        vec![dir("lib", OLD), Step::Opaque("lib"), file("lib/a", "same", OLD), Step::Remove("lib/b")];
    packs(&below, replaced, &["/lib / @1000", "/lib/a = same @1000"]);
    let below = [dir("d", OLD), file("d/a", "x", OLD)];
    packs(&below, vec![symlink("d", "e", NEW)], &["/d -> e @2000"]);
}

#[test]
fn times_are_settled_by_what_the_run_did_not_make() {
    let below = [file("a", "old", OLD), file("b", "old", OLD + 5)];
    let changes =
        || vec![file("a", "1", 9_050), file("b", "2", NEW), file("c", "3", 8_999), file("d", "4", 1_500)];
    let lines = ["/a = 1 @2000", "/b = 2 @2000", "/c = 3 @2000", "/d = 4 @1500"];
    assert_eq!(packs(&below, changes(), &lines).epoch, NEW);
    let (found, packed) = try_pack(&base(&below), changes(), Some(1_200)).unwrap();
    assert_eq!(found, ["/a = 1 @1200", "/b = 2 @1200", "/c = 3 @1200", "/d = 4 @1200"]);
    assert_eq!(packed.epoch, 1_200);
    // All made by the run: the base's time, which is the same in every run.
    let made = vec![file("a", "1", 9_050), file("b", "2", 9_060), file("c", "3", 9_100)];
    packs(&below, made, &["/a = 1 @1005", "/b = 2 @1005", "/c = 3 @1005"]);
    let future = vec![file("a", "1", 50_000), file("b", "2", NEW)];
    assert_eq!(packs(&below, future, &["/a = 1 @50000", "/b = 2 @2000"]).epoch, 50_000);
}

#[test]
fn links_follow_the_name_that_is_kept() {
    let below = [file("b", "same", OLD)];
    let all = vec![file("a", "new", NEW), link("b", "a", "new", NEW), link("c", "a", "new", NEW)];
    packs(&below, all, &["/a = new @2000", "/b == /a @2000", "/c == /a @2000"]);
    let first_excluded = vec![
        dir("cache", OLD),
        file("cache/a", "new", NEW),
        link("m", "cache/a", "new", NEW),
        link("n", "cache/a", "new", NEW),
    ];
    packs(&[dir("cache", OLD)], first_excluded, &["/m = new @2000", "/n == /m @2000"]);
    let first_same = vec![file("b", "same", OLD), link("c", "b", "same", OLD), link("d", "b", "same", OLD)];
    packs(&below, first_same, &["/c = same @1000", "/d == /c @1000"]);
    let all_same = vec![file("b", "same", OLD), link("c", "b", "same", OLD)];
    packs(&[file("b", "same", OLD), file("c", "same", OLD)], all_same, &[]);
}

#[test]
fn what_a_layer_cannot_say_is_an_error() {
    let fails = |changes: Vec<Step>, why: &str| {
        let error = try_pack(&Base::default(), changes, None).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    fails(vec![file(".wh.a", "x", OLD)], "stand for a removal");
    fails(vec![file("b", "x", OLD), file("a", "x", OLD)], "out of order");
    fails(vec![file("a", "x", OLD), file("a", "x", OLD)], "out of order");
    fails(vec![dir("a", OLD), file("a-b", "x", OLD), file("a/b", "x", OLD)], "out of order");
    packs(
        &[],
        vec![dir("a", OLD), file("a/b", "x", OLD), file("a-b", "x", OLD)],
        &["/a / @1000", "/a/b = x @1000", "/a-b = x @1000"],
    );
    fails(vec![with(file("a", "longer", OLD), |e| e.kind = Kind::File { size: 3 })], "changed its size");
}
