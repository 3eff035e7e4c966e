//! The images that are measured, in a registry, each with a report on two packages.

use crate::failure::Failure;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use testkit::debian_root::{self, Suite, TAG};
use testkit::image::{Image, Layer, Layout};
use testkit::registry::Registry;
use testkit::scan::{self, Naming};
use testkit::tar::{self, Entry};

/// How many packages are patched.
const PACKAGES: usize = 2;

/// Into how many layers the ballast is cut.
const BALLAST_LAYERS: u64 = 4;

/// Bytes of one file of the ballast.
const FILE_BYTES: usize = 64 << 10;

/// The images.
pub struct Images {
    /// The registry that has them, each as `NAME:vulnerable`.
    pub registry: Registry,
    /// The smallest Debian.
    pub small: Layout,
    /// The packages that every report names.
    pub packages: Vec<String>,
    layouts: BTreeMap<String, Layout>,
    reports: BTreeMap<String, PathBuf>,
}

impl Images {
    /// Makes and pushes `small` (one layer), `layered` (a few more) and `large` (with ballast).
    pub fn make(folder: &Path, ballast_mb: u64) -> Result<Images, Failure> {
        let base = debian_root::root(Suite::Bookworm, &[])?;
        let mut layers = vec![Layer::File(base.clone())];
        for number in 0..BALLAST_LAYERS {
            layers.push(Layer::File(ballast(folder, number, (ballast_mb << 20) / BALLAST_LAYERS)?));
        }
        let texts = ["dir srv", "file srv/a text=a", "file srv/b text=b"];
        let layered = std::iter::once(Layer::File(base.clone())).chain(texts.map(Layer::text));
        let stacks = [("small", vec![Layer::File(base)]), ("layered", layered.collect()), ("large", layers)];
        let registry = Registry::start()?;
        let mut images = Images {
            registry,
            small: Layout::create(&folder.join("small"))?,
            packages: Vec::new(),
            layouts: BTreeMap::new(),
            reports: BTreeMap::new(),
        };
        for (name, layers) in stacks {
            images.add(folder, name, layers)?;
        }
        Ok(images)
    }

    /// The layout of an image.
    pub fn layout(&self, name: &str) -> &Layout {
        &self.layouts[name]
    }

    /// The report on an image.
    pub fn report(&self, name: &str) -> &Path {
        &self.reports[name]
    }

    fn add(&mut self, folder: &Path, name: &str, layers: Vec<Layer>) -> Result<(), Failure> {
        let layout = Layout::create(&folder.join(name))?;
        layout.add(TAG, &Image::new(layers))?;
        let reference = self.registry.push(&layout, TAG, &format!("{name}:vulnerable"))?;
        let naming = Naming { reference: Some(&reference), ignore_unfixed: true };
        let mut scan = scan::named(layout.directory(), TAG, naming)?;
        if self.packages.is_empty() {
            self.packages = choose(&scan.report);
        }
        keep_only(&mut scan.report, &self.packages);
        let report = folder.join(format!("{name}.json"));
        scan.write(&report)?;
        self.layouts.insert(name.to_owned(), layout);
        self.reports.insert(name.to_owned(), report);
        Ok(())
    }
}

/// The first packages of a report that come from different sources.
fn choose(report: &Value) -> Vec<String> {
    let mut sources = BTreeSet::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let vulnerable: BTreeSet<String> =
        list(report, "Vulnerabilities").map(|entry| text(&entry["PkgName"])).collect();
    let packages = list(report, "Packages").filter(|package| vulnerable.contains(&text(&package["Name"])));
    let of_new_source = packages.filter(|package| sources.insert(text(&package["SrcName"])));
    of_new_source.map(|package| text(&package["Name"])).take(PACKAGES).collect()
}

fn keep_only(report: &mut Value, packages: &[String]) {
    if let Some(entries) = report["Results"][0]["Vulnerabilities"].as_array_mut() {
        entries.retain(|entry| packages.iter().any(|package| entry["PkgName"] == package.as_str()));
    }
}

fn list<'a>(report: &'a Value, what: &str) -> impl Iterator<Item = &'a Value> {
    report["Results"][0][what].as_array().into_iter().flatten()
}

/// A layer of files that compress to about a third, as programs do.
fn ballast(folder: &Path, number: u64, bytes: u64) -> Result<PathBuf, Failure> {
    let path = folder.join(format!("ballast-{number}.tar"));
    let mut out = BufWriter::new(File::create(&path).map_err(Failure::file(&path))?);
    let mut state = number + 1;
    let write =
        |out: &mut BufWriter<File>, entry: Entry| tar::append(out, &entry).map_err(Failure::file(&path));
    write(&mut out, Entry::directory(&format!("ballast-{number}")))?;
    for file in 0..bytes / FILE_BYTES as u64 {
        write(&mut out, Entry::file(&format!("ballast-{number}/{file}"), content(&mut state)))?;
    }
    tar::finish(&mut out).and_then(|()| out.flush()).map_err(Failure::file(&path))?;
    Ok(path)
}

/// Words of a small vocabulary in random order.
fn content(state: &mut u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    while bytes.len() < FILE_BYTES {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        bytes.extend_from_slice(&(*state & 0xfff).to_le_bytes()[..2]);
        bytes.extend_from_slice(b"\x48\x89");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_packages_of_two_sources_are_chosen() {
        let package = |name: &str, source: &str| json!({ "Name": name, "SrcName": source });
        let finding = |name: &str| json!({ "PkgName": name });
        let mut report = json!({ "Results": [{
            "Packages": [package("a", "s"), package("b", "s"), package("c", "t"), package("d", "u"), package("e", "v")],
            "Vulnerabilities": [finding("a"), finding("b"), finding("d"), finding("e")],
        }]});
        let chosen = choose(&report);
        assert_eq!(chosen, ["a", "d"]);
        keep_only(&mut report, &chosen);
        assert_eq!(list(&report, "Vulnerabilities").count(), 2);
    }
}
