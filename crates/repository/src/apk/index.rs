//! `APKINDEX`: paragraphs of lines `X:value`, one a package (apk-v2(5)). Kept as text; looked up by name and by what is provided.

use crate::limits::INDEX_BYTES_MAX;
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

/// Most packages of one index. Wolfi's, which keeps old versions too, has some hundred thousand.
const RECORDS_MAX: usize = 2_000_000;

/// Longest line.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Files beside the list: `DESCRIPTION`.
pub(super) const FILES_MAX: usize = 16;

/// The name of the list.
pub(super) const NAME: &str = "APKINDEX";

/// One index.
#[derive(Debug, Default)]
pub(super) struct Index {
    text: String,
    records: Vec<Range<usize>>,
    by_name: HashMap<String, Vec<usize>>,
    providers: HashMap<String, Vec<usize>>,
    /// When its newest package was built, in seconds since 1970.
    pub(super) newest: i64,
}

impl Index {
    /// Reads a list.
    pub(super) fn of(bytes: Vec<u8>) -> Result<Index, String> {
        if bytes.len() as u64 > INDEX_BYTES_MAX {
            return Err(format!("more than {INDEX_BYTES_MAX} bytes"));
        }
        let text = String::from_utf8(bytes).map_err(|_| "not UTF-8 text")?;
        let (mut index, mut start, mut at) = (Index::default(), None, 0);
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let begin = at;
            at += line.len();
            let plain = line.trim_end_matches('\n');
            if plain.is_empty() {
                index.end(&text, start.take(), begin)?;
                continue;
            }
            start.get_or_insert(begin);
            let mut bytes = plain.bytes();
            let is_field =
                bytes.next().is_some_and(|b| b.is_ascii_alphabetic()) && bytes.next() == Some(b':');
            if !is_field || plain.len() > LINE_BYTES_MAX {
                let shown: String = plain.chars().take(60).collect();
                return Err(format!("line {}: no field: {}", number + 1, inventory::printable(&shown)));
            }
        }
        index.end(&text, start, at)?;
        index.text = text;
        Ok(index)
    }

    fn end(&mut self, text: &str, start: Option<usize>, end: usize) -> Result<(), String> {
        let Some(start) = start else { return Ok(()) };
        if self.records.len() == RECORDS_MAX {
            return Err(format!("more than {RECORDS_MAX} packages"));
        }
        let (at, range) = (self.records.len(), start..end);
        for (field, value) in lines(&text[range.clone()]) {
            match field {
                'P' => self.by_name.entry(value.to_owned()).or_default().push(at),
                'p' => {
                    for word in value.split_ascii_whitespace() {
                        let name = word.split(['=', '<', '>', '~']).next().unwrap_or(word);
                        let known = self.providers.entry(name.to_owned()).or_default();
                        // Once for a package, however often it says so.
                        if known.last() != Some(&at) {
                            known.push(at);
                        }
                    }
                }
                't' => self.newest = self.newest.max(value.parse().unwrap_or(0)),
                _ => {}
            }
        }
        self.records.push(range);
        Ok(())
    }

    /// Its bytes.
    pub(super) fn size(&self) -> u64 {
        self.text.len() as u64
    }

    /// Records of packages of this name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = BTreeMap<String, String>> {
        self.by_name.get(name).into_iter().flatten().map(|at| self.record(*at))
    }

    /// Names of packages that provide this.
    pub(super) fn providing(&self, name: &str) -> impl Iterator<Item = String> {
        let records = self.providers.get(name).into_iter().flatten().map(|at| self.record(*at));
        records.filter_map(|mut record| record.remove("P"))
    }

    fn record(&self, at: usize) -> BTreeMap<String, String> {
        let text = self.records.get(at).map_or("", |range| &self.text[range.clone()]);
        lines(text).map(|(field, value)| (field.to_string(), value.to_owned())).collect()
    }
}

fn lines(text: &str) -> impl Iterator<Item = (char, &str)> {
    text.lines().filter_map(|line| {
        let (field, value) = line.split_once(':')?;
        Some((field.chars().next()?, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_looked_up_by_name_and_by_what_is_provided() {
        let text = "C:Q1x\nP:a\nV:1-r0\nt:20\np:so:a.so.1=1.2 cmd:a so:a.so.1=1.3\n\n\nP:b\nV:1-r0\nt:10\np:virtual\n\nP:a\nV:2-r0";
        let index = Index::of(text.into()).unwrap();
        let versions: Vec<_> = index.named("a").map(|record| record["V"].clone()).collect();
        assert_eq!(versions, ["1-r0", "2-r0"]);
        assert_eq!(index.providing("so:a.so.1").collect::<Vec<_>>(), ["a"]);
        assert_eq!(index.providing("virtual").collect::<Vec<_>>(), ["b"]);
        assert_eq!((index.newest, index.named("c").count()), (20, 0));
        for (bad, why) in
            [("P:a\nnonsense\n", "line 2: no field: nonsense"), ("\u{e9}:x\n", "line 1: no field: ")]
        {
            assert!(Index::of(bad.into()).unwrap_err().starts_with(why), "{bad}");
        }
        assert!(Index::of(b"P:\xff\n".to_vec()).is_err());
    }
}
