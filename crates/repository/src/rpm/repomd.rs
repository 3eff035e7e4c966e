//! `repodata/repomd.xml`: which indexes a repository has, with their sizes and checksums, and when it was made.
//!
//! Source: createrepo_c's documentation and the RELAX NG schemas that libdnf and openSUSE publish.

use super::xml::{Met, walk};
use oci::Digest;
use std::collections::BTreeMap;

/// Kinds of index taken of one repository; real ones have some dozen.
const DATA_MAX: usize = 64;

/// Revisions and timestamps before this are numbers of another kind (9 September 2001).
const DATES_FROM: i64 = 1_000_000_000;

/// What a repository says of its indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Repomd {
    revision: String,
    /// By kind: `primary`, `updateinfo`.
    pub(super) data: BTreeMap<String, Data>,
}

/// One index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Data {
    /// Where it is, relative to the repository.
    pub(super) location: String,
    checksum: (String, String),
    open_checksum: (String, String),
    size: Option<u64>,
    open_size: Option<u64>,
    timestamp: i64,
}

impl Repomd {
    /// Reads it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Repomd, String> {
        let document = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
        let mut reading = Reading::default();
        walk(document, &mut |met| reading.met(met).map(|()| true))?;
        match reading.is_repomd {
            true => Ok(reading.repomd),
            false => Err("not a repomd".into()),
        }
    }

    /// When it was made, as far as it says so: its revision where that is a time, else its newest index.
    pub(super) fn date(&self) -> i64 {
        let revision = self.revision.parse().ok().filter(|date| *date >= DATES_FROM);
        revision.unwrap_or_else(|| self.data.values().map(|data| data.timestamp).max().unwrap_or(0))
    }
}

impl Data {
    /// Digest and size of its file.
    pub(super) fn packed(&self) -> Result<(Digest, u64), String> {
        let size = self.size.ok_or("an index without a size")?;
        Ok((digest(&self.checksum)?, size))
    }

    /// Digest and size of the index itself, where they are said.
    pub(super) fn plain(&self) -> Result<Option<(Digest, u64)>, String> {
        match (self.open_checksum.1.is_empty(), self.open_size) {
            (false, Some(size)) => Ok(Some((digest(&self.open_checksum)?, size))),
            _ => Ok(None),
        }
    }
}

/// A checksum that is taken: SHA-256 alone, since all that is kept is kept by it.
pub(super) fn digest((kind, hex): &(String, String)) -> Result<Digest, String> {
    let hex = hex.trim();
    match kind.as_str() {
        "sha256" => format!("sha256:{hex}").parse().map_err(|e: oci::DigestError| e.to_string()),
        other => Err(format!("a checksum of kind \"{}\", not sha256", inventory::printable(other))),
    }
}

#[derive(Default)]
struct Reading {
    repomd: Repomd,
    is_repomd: bool,
    /// The kind that is being read.
    kind: Option<String>,
    text: String,
}

impl Reading {
    fn met(&mut self, met: Met<'_>) -> Result<(), String> {
        match met {
            Met::Begin(element) => {
                self.text.clear();
                self.is_repomd |= element.name == "repomd";
                let kind_of = |e: &super::xml::Element| e.get("type").unwrap_or_default().to_owned();
                match element.name.as_str() {
                    "data" if self.repomd.data.len() == DATA_MAX => {
                        return Err(format!("more than {DATA_MAX} indexes"));
                    }
                    "data" => {
                        let kind = kind_of(&element);
                        self.repomd.data.insert(kind.clone(), Data::default());
                        self.kind = Some(kind);
                    }
                    "location" => {
                        let href = element.get("href").unwrap_or_default().to_owned();
                        if let Some(data) = self.data() {
                            data.location = href;
                        }
                    }
                    "checksum" => {
                        if let Some(data) = self.data() {
                            data.checksum.0 = kind_of(&element)
                        }
                    }
                    "open-checksum" => {
                        if let Some(data) = self.data() {
                            data.open_checksum.0 = kind_of(&element)
                        }
                    }
                    _ => {}
                }
            }
            Met::Text(text) => self.text.push_str(text),
            Met::End(name) => self.end(name)?,
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), String> {
        let text = std::mem::take(&mut self.text).trim().to_owned();
        let number = || text.split('.').next().and_then(|n| n.parse::<u64>().ok());
        let size = || number().ok_or_else(|| "a size that is none".to_owned()).map(Some);
        match (name, self.data()) {
            ("revision", None) => self.repomd.revision = text,
            ("data", _) => self.kind = None,
            ("checksum", Some(data)) => data.checksum.1 = text,
            ("open-checksum", Some(data)) => data.open_checksum.1 = text,
            ("size", Some(data)) => data.size = size()?,
            ("open-size", Some(data)) => data.open_size = size()?,
            ("timestamp", Some(data)) => {
                data.timestamp = number().and_then(|n| i64::try_from(n).ok()).unwrap_or(0);
            }
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self) -> Option<&mut Data> {
        self.kind.as_ref().and_then(|kind| self.repomd.data.get_mut(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(revision: &str, kind: &str) -> String {
        let hex = "a".repeat(64);
        format!(
            "<?xml version=\"1.0\"?><repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>{revision}</revision>\
             <data type=\"primary\"><checksum type=\"{kind}\">{hex}</checksum><open-checksum type=\"{kind}\">{hex}</open-checksum>\
             <location href=\"repodata/x-primary.xml.gz\"/><timestamp>1700000000.5</timestamp><size>7</size>\
             <open-size>9</open-size></data></repomd>"
        )
    }

    #[test]
    fn indexes_and_dates_are_read() {
        let repomd = Repomd::parse(text("1710000000", "sha256").as_bytes()).unwrap();
        let primary = &repomd.data["primary"];
        assert_eq!((repomd.date(), primary.location.as_str()), (1_710_000_000, "repodata/x-primary.xml.gz"));
        assert_eq!(primary.packed().unwrap().1, 7);
        assert_eq!(primary.plain().unwrap().unwrap().1, 9);
        assert_eq!(Repomd::parse(text("3", "sha256").as_bytes()).unwrap().date(), 1_700_000_000);
    }

    #[test]
    fn what_is_no_repomd_or_has_weak_checksums_is_refused() {
        for bytes in [&b"<html/>"[..], b"", b"\xff", b"<repomd><data type='x'><size>y</size></data></repomd>"]
        {
            assert!(Repomd::parse(bytes).is_err());
        }
        for kind in ["sha", "md5", "sha1", "sha512"] {
            let repomd = Repomd::parse(text("1", kind).as_bytes()).unwrap();
            assert!(repomd.data["primary"].packed().unwrap_err().contains("not sha256"));
        }
    }
}
