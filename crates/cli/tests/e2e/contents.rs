//! What is in the patch layer, entry by entry: everything that the package tool did, and nothing else.

use crate::throwaway::{Extra, Throwaway, needs};
use serde_json::json;
use std::collections::BTreeMap;
use testkit::apt_repository::scenario;
use testkit::image_reader::ImageReader;
use testkit::skip;
use testkit::tar::{Entry, Kind};

#[test]
fn probe_it() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let (ran, image) = subject.patched(&subject.wanting(&[scenario::BASE]), &[]);
    eprintln!("{}\n{:#}", ran.stderr, ran.document);
    for entry in image.layer_entries(image.layers().len() - 1).unwrap() {
        eprintln!(
            "{:?} {:o} {} {} {:?}",
            String::from_utf8_lossy(&entry.path),
            entry.mode,
            entry.uid,
            entry.mtime,
            entry.kind
        );
    }
    let _ = (
        json!({}),
        BTreeMap::<String, Entry>::new(),
        Kind::Directory,
        Extra::default(),
        ImageReader::open(subject.layout.directory(), "v1").unwrap(),
    );
}
