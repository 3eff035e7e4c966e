//! The file of a package of form 2 (apk-v2(5)): signature, control part, data, a gzip member each.
//!
//! The index names the control part by its checksum, the control part names the data by its SHA-256, so that what the index's
//! signature covers is the whole package. The package's own signature adds nothing to that, and apk does not ask for it where
//! the index has named the package.

use super::{checksum::Checksum, member, signature::is_signature};
use crate::{
    Chosen, Error, Package,
    archive::Form,
    inflate::Packing,
    limits::{CONTROL_BYTES_MAX, CONTROL_FILES_MAX},
    section::Section,
};
use oci::Hasher;
use std::io::{self, Read};

/// The name of the file that says what the package is.
pub(super) const INFORMATION: &str = ".PKGINFO";
/// Lines of it; the longest real ones are those of packages with thousands of provisions.
const LINES_MAX: usize = 200_000;
/// Bytes read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Opens the file of a package, and sees that it is the one that was chosen.
pub(crate) fn open(file: &Section, chosen: &Chosen, item: &str) -> Result<Package, Error> {
    let refuse = |why: String| Error::Archive { item: item.to_owned(), why: inventory::printable(&why) };
    let (control, plain, data) = parts(file).map_err(refuse)?;
    let expected = chosen.record.get("C").and_then(|text| Checksum::parse(text));
    let expected = expected.ok_or_else(|| refuse("the index has no checksum of it that is known".into()))?;
    let found = Checksum::of(control, expected.kind()).map_err(|e| refuse(e.to_string()))?;
    if found != expected {
        return Err(mismatch(item, format!("checksum {found} where {expected} is expected")));
    }
    let control = member::files(&plain, CONTROL_FILES_MAX).map_err(refuse)?;
    let information = control.get(INFORMATION).ok_or_else(|| refuse(format!("no {INFORMATION}")))?;
    let fields = information_of(information).map_err(refuse)?;
    let get = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let must = |name: &str| get(name).ok_or_else(|| refuse(format!("no {name} in {INFORMATION}")));
    let (expected, found) = (must("datahash")?, sha256(&data).map_err(|e| refuse(e.to_string()))?);
    if found != expected {
        let expected = inventory::printable(&expected);
        return Err(mismatch(item, format!("its data has SHA-256 {found} where {expected} is expected")));
    }
    // The index says of such a package that it is of the architecture that it is published for.
    let own = must("arch")?;
    let architecture = if own == "noarch" { chosen.architecture.clone() } else { own };
    Ok(Package {
        name: must("pkgname")?.parse().map_err(|e: version::NameError| refuse(e.to_string()))?,
        version: must("pkgver")?,
        architecture,
        control,
        packing: Packing::Gzip,
        form: Form::Tar,
        content: data,
    })
}

fn mismatch(item: &str, why: String) -> Error {
    Error::Mismatch { url: item.to_owned(), why }
}

/// The control part, what it unpacks to, and the data.
fn parts(file: &Section) -> Result<(Section, Vec<u8>, Section), String> {
    let mut beginning = Vec::new();
    file.clone().take(4).read_to_end(&mut beginning).map_err(|e| e.to_string())?;
    if member::is_binary(&beginning) {
        return Err("a package of apk 3's own form, which is newer than is known".into());
    }
    let (plain, control, rest) = member::first(file, CONTROL_BYTES_MAX)?;
    let names = member::files(&plain, CONTROL_FILES_MAX)?;
    match names.keys().next().is_some_and(|name| is_signature(name)) {
        true => {
            let (plain, control, data) = member::first(&rest, CONTROL_BYTES_MAX)?;
            Ok((control, plain, data))
        }
        false => Ok((control, plain, rest)),
    }
}

/// Lines `name = value` of `.PKGINFO`, in order; a name may come several times.
pub fn information_of(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{INFORMATION} is not UTF-8 text"))?;
    let mut fields = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once('=').ok_or_else(|| format!("{INFORMATION}: no field: {line}"))?;
        fields.push((name.trim().to_owned(), value.trim().to_owned()));
        if fields.len() > LINES_MAX {
            return Err(format!("{INFORMATION} has more than {LINES_MAX} lines"));
        }
    }
    Ok(fields)
}

fn sha256(data: &Section) -> io::Result<String> {
    let (mut data, mut hasher, mut buffer) = (data.clone(), Hasher::default(), vec![0; BUFFER_BYTES]);
    while let count @ 1.. = data.read(&mut buffer)? {
        hasher.update(&buffer[..count]);
    }
    Ok(hasher.finish().hex().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::checksum::Kind;
    use super::*;
    use crate::{Format, Why, section::testing::section};
    use oci::Digest;

    fn chosen(bytes: &[u8], record: &[(&str, String)]) -> Chosen {
        Chosen {
            name: "rekor-cli".parse().unwrap(),
            version: "1".into(),
            architecture: "x86_64".into(),
            urls: vec![],
            format: Format::Apk,
            size: bytes.len() as u64,
            digest: Digest::of(bytes),
            why: Why::Asked,
            record: record.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        }
    }

    #[test]
    fn a_package_that_alpine_made_is_opened_and_its_change_is_seen() {
        let Ok(bytes) = testkit::apk::genuine() else { testkit::skip!("needs a source of Debian") };
        let file = section(&bytes);
        let (control, ..) = parts(&file).unwrap();
        let sum = Checksum::of(control, Kind::Sha1).unwrap().to_string();
        let package = open(&file, &chosen(&bytes, &[("C", sum.clone())]), "a").unwrap();
        let mut files = 0;
        package
            .entries(&mut |_, content| {
                files += usize::from(content.is_some());
                Ok(())
            })
            .unwrap();
        assert!(files > 0 && !package.version.is_empty(), "{package:?}");
        let other = chosen(&bytes, &[("C", "Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=".into())]);
        assert!(matches!(open(&file, &other, "a"), Err(Error::Mismatch { .. })));
        assert!(matches!(open(&file, &chosen(&bytes, &[]), "a"), Err(Error::Archive { .. })));
        let mut changed = bytes.clone();
        let last = changed.len() - 20;
        changed[last] ^= 1;
        let error = open(&section(&changed), &chosen(&changed, &[("C", sum)]), "a").unwrap_err();
        assert!(error.to_string().contains("its data has SHA-256"), "{error}");
    }

    #[test]
    fn what_is_newer_or_no_package_is_named() {
        for (bytes, why) in [
            (&b"ADBd\0\0"[..], "a package of apk 3's own form, which is newer than is known"),
            (b"nonsense", "not whole gzip"),
            (b"", "not whole gzip"),
        ] {
            let error = open(&section(bytes), &chosen(bytes, &[]), "a").unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(information_of(b"a = b\nnonsense\n").is_err() && information_of(b"\xff").is_err());
        assert_eq!(information_of(b"# x\n a = b = c\n").unwrap(), [("a".to_owned(), "b = c".to_owned())]);
    }
}
