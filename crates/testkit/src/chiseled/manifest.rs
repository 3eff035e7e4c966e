//! The manifest of chisel: `jsonwall` lines, packed with zstd. Written and read here as chisel's reference says
//! (documentation.ubuntu.com/chisel, "Chisel manifest"; header and order of lines as its package `jsonwall` writes them).

use crate::tar::{Entry, Kind};
use crate::{Error, command::argv, image};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where the slice `base-files_chisel` has it.
pub const PATH: &str = "var/lib/chisel/manifest.wall";

/// What a manifest says.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// Lines without their header, not yet in order.
    lines: BTreeSet<String>,
    /// How many groups of hard links there are.
    links: u64,
}

impl Manifest {
    /// A package, of which only slices are there.
    pub fn package(&mut self, name: &str, version: &str, architecture: &str, sha256: &str) {
        let words = [("name", name), ("version", version), ("sha256", sha256), ("arch", architecture)];
        self.add("package", &words.map(|(key, word)| (key, json!(word))));
    }

    /// The files of one slice, `package_slice`. A file may be in several slices only if it is added in one call for each.
    pub fn slice(&mut self, name: &str, entries: &[&Entry]) {
        self.add("slice", &[("name", json!(name))]);
        let groups = self.groups(entries);
        let by_path: BTreeMap<&[u8], &Entry> =
            entries.iter().map(|entry| (&entry.path[..], *entry)).collect();
        for entry in entries {
            let text = String::from_utf8_lossy(&entry.path);
            let path = if entry.kind == Kind::Directory { format!("/{text}/") } else { format!("/{text}") };
            self.add("content", &[("slice", json!(name)), ("path", json!(path))]);
            let mode = format!("0{:o}", entry.mode & 0o1777);
            let mut members = vec![("path", json!(path)), ("mode", json!(mode)), ("slices", json!([name]))];
            members.extend(kind_members(entry, &by_path));
            members.extend(groups.get(&entry.path).map(|group| ("inode", json!(group))));
            self.add("path", &members);
        }
    }

    /// A file that chisel makes itself: the manifest.
    pub fn generated(&mut self, slice: &str, path: &str) {
        self.add("slice", &[("name", json!(slice))]);
        self.add("content", &[("slice", json!(slice)), ("path", json!(path))]);
        self.add("path", &[("path", json!(path)), ("mode", json!("0644")), ("slices", json!([slice]))]);
    }

    /// The bytes of the file.
    pub fn packed(&self) -> Result<Vec<u8>, Error> {
        let header =
            format!("{{\"jsonwall\":\"1.0\",\"schema\":\"1.0\",\"count\":{}}}\n", self.lines.len() + 1);
        let lines: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        argv("zstd", ["-q", "--stdout"]).filter((header + &lines).as_bytes())
    }

    /// Members stand in the order of chisel's own structures, and lines are found by it.
    fn add(&mut self, kind: &str, members: &[(&str, Value)]) {
        let members: String = members.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
        self.lines.insert(format!("{{\"kind\":\"{kind}\"{members}}}"));
    }

    /// Numbers for the paths that are names of one file, from 1 on.
    fn groups(&mut self, entries: &[&Entry]) -> BTreeMap<Vec<u8>, u64> {
        let mut groups = BTreeMap::new();
        for entry in entries {
            if let Kind::Hardlink(target) = &entry.kind {
                let links = &mut self.links;
                let group = *groups.entry(target.clone()).or_insert_with(|| {
                    *links += 1;
                    *links
                });
                groups.insert(entry.path.clone(), group);
            }
        }
        groups
    }
}

fn kind_members(entry: &Entry, by_path: &BTreeMap<&[u8], &Entry>) -> Vec<(&'static str, Value)> {
    match &entry.kind {
        Kind::Symlink(target) => vec![("link", json!(String::from_utf8_lossy(target)))],
        Kind::Hardlink(target) => {
            by_path.get(&target[..]).map_or_else(Vec::new, |file| kind_members(file, by_path))
        }
        Kind::File(content) => {
            let mut members = vec![("sha256", json!(image::digest(content).trim_start_matches("sha256:")))];
            members.extend((!content.is_empty()).then(|| ("size", json!(content.len()))));
            members
        }
        _ => Vec::new(),
    }
}

/// The records of a manifest in a file, its header first.
pub fn read(packed: &Path) -> Result<Vec<Value>, Error> {
    lines(&argv("zstd", ["-q", "-d", "--stdout"]).arg(packed).stdout()?)
}

/// The records of a manifest's bytes, its header first.
pub fn read_bytes(packed: &[u8]) -> Result<Vec<Value>, Error> {
    lines(&argv("zstd", ["-q", "-d", "--stdout"]).filter(packed)?)
}

fn lines(plain: &[u8]) -> Result<Vec<Value>, Error> {
    let lines = plain.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let record =
        |line: &[u8]| serde_json::from_slice(line).map_err(|error| Error::malformed("manifest.wall", error));
    lines.map(record).collect()
}
