//! `primary.xml`: the packages of a repository. Their heads are read at once, what they need and provide when it is asked for.

use super::{
    repomd::digest,
    xml::{Met, walk},
};
use memchr::memmem;
use oci::Digest;
use std::ops::Range;

/// Packages of one repository. Those of Fedora have some 70 000 of one architecture.
const UNITS_MAX: usize = 400_000;

/// Bytes of one package's record. Those of packages with very many provides have 2 MB.
const UNIT_BYTES_MAX: usize = 16 << 20;

/// Longest word taken as name, version, architecture or path.
const WORD_BYTES_MAX: usize = 4096;

/// The head of a package's record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(super) name: String,
    pub(super) architecture: String,
    /// `[epoch:]version-release`, an epoch of 0 left out.
    pub(super) version: String,
    /// Where its file is, relative to the repository.
    pub(super) location: String,
    /// Its file is elsewhere.
    pub(super) elsewhere: bool,
    pub(super) size: u64,
    /// Its digest, or why there is none.
    pub(super) digest: Option<Result<Digest, String>>,
    /// Where its record is in the document.
    pub(super) span: Range<usize>,
}

/// The packages of a document that `accepts` takes by architecture.
pub(crate) fn units(document: &str, accepts: &dyn Fn(&str) -> bool) -> Result<Vec<Unit>, String> {
    check(document)?;
    let (begin, end) = (memmem::Finder::new("<package "), memmem::Finder::new("</package>"));
    let (mut units, mut at, mut seen) = (Vec::new(), 0, 0_usize);
    while let Some(start) = begin.find(&document.as_bytes()[at..]).map(|found| at + found) {
        let length = end.find(&document.as_bytes()[start..]).ok_or("a package's record breaks off")?;
        let span = start..start + length + "</package>".len();
        if span.len() > UNIT_BYTES_MAX {
            return Err(format!("a package's record of more than {UNIT_BYTES_MAX} bytes"));
        }
        at = span.end;
        seen += 1;
        if seen > UNITS_MAX {
            return Err(format!("more than {UNITS_MAX} packages"));
        }
        let unit = head(document, span)?;
        if accepts(&unit.architecture) {
            units.push(unit);
        }
    }
    Ok(units)
}

/// Records are found by their first and last bytes, which nothing else may hold.
fn check(document: &str) -> Result<(), String> {
    let has = |what: &str| memmem::find(document.as_bytes(), what.as_bytes()).is_some();
    let top = document.get(..document.len().min(WORD_BYTES_MAX)).unwrap_or(document);
    let top = top.trim_start_matches('\u{feff}').trim_start();
    match () {
        () if !(top.starts_with("<?xml") || top.starts_with("<metadata")) || !has("<metadata") => {
            Err("not a list of packages".into())
        }
        () if has("<!") => Err("it has comments, unparsed text or a document type".into()),
        () if !document.trim_end().ends_with("</metadata>") && !document.trim_end().ends_with("/>") => {
            Err("it breaks off".into())
        }
        () => Ok(()),
    }
}

fn head(document: &str, span: Range<usize>) -> Result<Unit, String> {
    let mut unit = Unit { span: span.clone(), ..Unit::default() };
    let (mut text, mut kind) = (String::new(), String::new());
    walk(&document[span], &mut |met| {
        match met {
            Met::Begin(element) => {
                text.clear();
                let get = |name: &str| element.get(name).unwrap_or_default();
                match element.name.as_str() {
                    "version" => unit.version = written(get("epoch"), get("ver"), get("rel")),
                    "checksum" => kind = get("type").to_owned(),
                    "size" => unit.size = get("package").parse().map_err(|_| "a size that is none")?,
                    "location" => {
                        unit.location = get("href").to_owned();
                        unit.elsewhere = element.get("xml:base").is_some();
                    }
                    "format" => return Ok(false),
                    _ => {}
                }
            }
            Met::Text(piece) => text.push_str(piece),
            Met::End(name) => match name {
                "name" => unit.name = word(&text)?,
                "arch" => unit.architecture = word(&text)?,
                "checksum" => unit.digest = Some(digest(&(kind.clone(), text.clone()))),
                _ => {}
            },
        }
        Ok(true)
    })?;
    match unit.name.is_empty() || unit.version.is_empty() || unit.architecture.is_empty() {
        true => Err("a package without name, version or architecture".into()),
        false => Ok(unit),
    }
}

/// `[epoch:]version-release`, as far as it is there.
pub(super) fn written(epoch: &str, version: &str, release: &str) -> String {
    let mut text = String::new();
    if !matches!(epoch, "" | "0") {
        text.push_str(epoch);
        text.push(':');
    }
    text.push_str(version);
    if !release.is_empty() {
        text.push('-');
        text.push_str(release);
    }
    text
}

pub(super) fn word(text: &str) -> Result<String, String> {
    match text.trim() {
        word if word.len() > WORD_BYTES_MAX => Err("a word that is too long".into()),
        word => Ok(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "<?xml version=\"1.0\"?>\n<metadata xmlns:rpm=\"r\" packages=\"2\">\
        <package type=\"rpm\"><name>a</name><arch>noarch</arch><version epoch=\"1\" ver=\"2\" rel=\"3\"/>\
        <checksum type=\"sha256\" pkgid=\"YES\">aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</checksum>\
        <size package=\"7\"/><location href=\"p/a.rpm\"/><format><rpm:requires/></format></package>\
        <package type=\"rpm\"><name>b</name><arch>s390x</arch><version epoch=\"0\" ver=\"2\" rel=\"3\"/>\
        <checksum type=\"sha\">x</checksum><size package=\"7\"/><location href=\"b.rpm\"/></package></metadata>\n";

    #[test]
    fn heads_are_read_and_other_architectures_left() {
        let all = units(TWO, &|_| true).unwrap();
        let shown: Vec<_> = all.iter().map(|u| (u.name.as_str(), u.version.as_str(), u.size)).collect();
        assert_eq!(shown, [("a", "1:2-3", 7), ("b", "2-3", 7)]);
        assert!(matches!(all[0].digest, Some(Ok(_))) && matches!(all[1].digest, Some(Err(_))));
        assert!(TWO[all[0].span.clone()].ends_with("</package>"));
        assert_eq!(units(TWO, &|a| a == "noarch").unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_list_or_breaks_off_is_refused() {
        for text in [
            "",
            "<html>",
            "<metadata><package type='rpm'>",
            "<metadata><!-- --></metadata>",
            "<metadata><package >x</package></metadata>",
            &TWO[..TWO.len() - 20],
        ] {
            assert!(units(text, &|_| true).is_err(), "{text}");
        }
    }
}
