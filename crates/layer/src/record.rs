//! What a layer directory cannot itself hold: what the user namespace is too narrow for, and which folders are of no layer's
//! own description. Kept beside it, one JSON object per line.

use crate::{EntryPath, Error};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{BufRead, Read, Write},
};

/// Longest line taken: a path, an owner and attributes.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Facts by path. Empty where the files themselves say everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record(BTreeMap<EntryPath, Facts>);

/// The facts about one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
    /// A device that stands as an empty file: `c` or `b`, major, minor.
    pub device: Option<Device>,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A folder that the layer uses without describing it: what it looks like is up to the layers below.
    pub undescribed: bool,
}

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Block device rather than character device.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// One line. Bytes are written as the characters U+0000 to U+00FF, which keeps plain names readable.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    owner: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    device: Option<Device>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    xattrs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    undescribed: bool,
}

impl Record {
    /// The facts about a path.
    pub fn get(&self, path: &EntryPath) -> Option<&Facts> {
        self.0.get(path)
    }

    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The facts about a path, to add to.
    pub fn at(&mut self, path: &EntryPath) -> &mut Facts {
        self.0.entry(path.clone()).or_default()
    }

    /// Forgets a path and everything below it.
    pub fn forget(&mut self, path: &EntryPath) {
        forget_below(&mut self.0, path);
    }

    /// Forgets one path alone.
    pub fn forget_one(&mut self, path: &EntryPath) {
        self.0.remove(path);
    }

    /// Takes a folder for one that the layer describes.
    pub fn describe(&mut self, path: &EntryPath) {
        if let Some(facts) = self.0.get_mut(path) {
            facts.undescribed = false;
            if *facts == Facts::default() {
                self.0.remove(path);
            }
        }
    }

    /// Whether the layer describes what it has at a path.
    pub fn describes(&self, path: &EntryPath) -> bool {
        self.get(path).is_none_or(|facts| !facts.undescribed)
    }

    /// The folders that the layer uses without describing them, parents before children.
    pub fn undescribed(&self) -> impl Iterator<Item = &EntryPath> {
        self.0.iter().filter(|(_, facts)| facts.undescribed).map(|(path, _)| path)
    }

    /// Gives `to` the facts of `from`: another name of the same object. How many bytes more that takes.
    pub fn link(&mut self, from: &EntryPath, to: &EntryPath) -> usize {
        let Some(facts) = self.0.get(from).cloned() else { return 0 };
        let xattrs: usize = facts.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.0.insert(to.clone(), facts);
        to.as_bytes().len() + xattrs
    }

    /// Writes it as lines.
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for (path, facts) in &self.0 {
            let xattrs = facts.xattrs.iter().map(|(k, v)| (characters(k), characters(v))).collect();
            let path = characters(path.as_bytes());
            let Facts { owner, device, undescribed, .. } = *facts;
            let line = Line { path, owner, device, xattrs, undescribed };
            serde_json::to_writer(&mut *out, &line)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Reads what [`Record::write`] wrote.
    pub fn read(mut input: impl BufRead) -> Result<Self, Error> {
        let mut record = Record::default();
        let mut line = Vec::new();
        let fail = |source| Error::Io { doing: "reading the record of a layer".into(), source };
        loop {
            line.clear();
            if input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(fail)? == 0 {
                return Ok(record);
            }
            let (path, facts) =
                parse(&line).ok_or_else(|| Error::Verification("the record of a layer is damaged".into()))?;
            record.0.insert(path, facts);
        }
    }
}

fn parse(line: &[u8]) -> Option<(EntryPath, Facts)> {
    let line: Line = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
    let path = EntryPath::new(&bytes(&line.path)?).ok()?;
    let Line { owner, device, undescribed, .. } = line;
    let mut facts = Facts { owner, device, undescribed, ..Facts::default() };
    for (name, value) in &line.xattrs {
        facts.xattrs.insert(bytes(name)?, bytes(value)?);
    }
    Some((path, facts))
}

fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// Removes a path and everything below it from a map by path.
pub(crate) fn forget_below<T>(map: &mut BTreeMap<EntryPath, T>, path: &EntryPath) {
    map.remove(path);
    let prefix = if path.is_root() { Vec::new() } else { [path.as_bytes(), b"/"].concat() };
    let below = |candidate: &EntryPath| candidate.as_bytes().starts_with(&prefix);
    let first = EntryPath::new(&prefix).unwrap_or_default();
    let doomed: Vec<EntryPath> = map
        .range(first..)
        .map(|(candidate, _)| candidate)
        // Names such as `a-b` sort between `a` and `a/b`.
        .take_while(|candidate| candidate.as_bytes().starts_with(path.as_bytes()))
        .filter(|candidate| below(candidate))
        .cloned()
        .collect();
    for candidate in doomed {
        map.remove(&candidate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &[u8]) -> EntryPath {
        EntryPath::new(text).unwrap()
    }

    #[test]
    fn lines_round_trip_any_bytes() {
        let mut record = Record::default();
        record.at(&path(b"dev/null")).device = Some(Device { block: false, major: 1, minor: 3 });
        record.at(&path(b"a\xff\n\"b")).owner = Some((7, 8));
        record.at(&path(b"x")).xattrs.insert(b"security.\x80".to_vec(), vec![0, 255, 10]);
        record.at(&path(b"")).undescribed = true;
        let mut text = Vec::new();
        record.write(&mut text).unwrap();
        assert_eq!(Record::read(&text[..]).unwrap(), record);
        assert!(Record::read(&text[..text.len() - 3]).is_err(), "cut short");
        assert!(Record::read(&b"{\"path\":\"../x\"}\n"[..]).is_err(), "leaves the root");
    }

    #[test]
    fn a_folder_that_is_described_after_all_keeps_its_other_facts() {
        let mut record = Record::default();
        for name in ["a", "a/b"] {
            record.at(&path(name.as_bytes())).undescribed = true;
        }
        record.at(&path(b"a")).owner = Some((1, 1));
        assert!(!record.describes(&path(b"a")) && record.describes(&path(b"c")));
        for name in ["a", "a/b", "c"] {
            record.describe(&path(name.as_bytes()));
        }
        assert_eq!(record.undescribed().count(), 0);
        assert_eq!(record.0.len(), 1, "{record:?}");
    }

    #[test]
    fn forgetting_takes_what_is_below_and_nothing_else() {
        let mut record = Record::default();
        for name in ["a", "a-b", "a/b", "a/b/c", "ab", "b"] {
            record.at(&path(name.as_bytes())).owner = Some((1, 1));
        }
        record.forget(&path(b"a"));
        let left: Vec<String> = record.0.keys().map(ToString::to_string).collect();
        assert_eq!(left, ["/a-b", "/ab", "/b"]);
    }
}
