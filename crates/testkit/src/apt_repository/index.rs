//! The index: the list of packages, plain and packed, under its name and under its hash, and the signed head over it.

use super::SUITE;
use super::signing::{Key, Signature};
use crate::{Error, command::argv, image, tree};
use flate2::{Compression, GzBuilder};
use std::fs;
use std::io::Write;
use std::path::Path;

/// How the head of an index is.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its date, in seconds since 1970.
    pub date: i64,
    /// Until when it may be used, if that is limited.
    pub valid_until: Option<i64>,
    /// How it is signed.
    pub signature: Signature,
    /// More fields of the head, `NotAutomatic` for one; a `Label` takes the place of the usual one.
    pub fields: Vec<(String, String)>,
}

impl Default for Release {
    /// Dated in the past, without end, well signed.
    fn default() -> Self {
        Release { date: tree::EPOCH, valid_until: None, signature: Signature::Good, fields: Vec::new() }
    }
}

/// Replaces the index of a repository.
pub(super) fn write(
    repository: &Path,
    architecture: &str,
    list: &str,
    release: &Release,
    key: &Key,
) -> Result<(), Error> {
    let suite = repository.join("dists").join(SUITE);
    if suite.exists() {
        fs::remove_dir_all(&suite).map_err(Error::io(&suite))?;
    }
    let below = format!("main/binary-{architecture}");
    let by_hash = suite.join(&below).join("by-hash/SHA256");
    fs::create_dir_all(&by_hash).map_err(Error::io(&by_hash))?;
    let mut listed = String::new();
    for (name, bytes) in [("Packages", list.as_bytes().to_vec()), ("Packages.gz", packed(list)?)] {
        let digest = image::digest(&bytes);
        let hash = digest.trim_start_matches("sha256:");
        put(&suite.join(&below).join(name), &bytes)?;
        put(&by_hash.join(hash), &bytes)?;
        listed.push_str(&format!(" {hash} {} {below}/{name}\n", bytes.len()));
    }
    let head = head(architecture, release, &listed)?;
    put(&suite.join("Release"), head.as_bytes())?;
    key.sign(&suite, release.signature)
}

fn head(architecture: &str, release: &Release, listed: &str) -> Result<String, Error> {
    let named = |name: &str| release.fields.iter().any(|(other, _)| other == name);
    let label = if named("Label") { "" } else { "Label: copa\n" };
    let mut text = format!(
        "Origin: copa\n{label}Suite: {SUITE}\nCodename: {SUITE}\nDate: {}\n",
        http_date(release.date)?
    );
    if let Some(end) = release.valid_until {
        text.push_str(&format!("Valid-Until: {}\n", http_date(end)?));
    }
    for (name, value) in &release.fields {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push_str(&format!(
        "Architectures: all {architecture}\nComponents: main\nAcquire-By-Hash: yes\nSHA256:\n{listed}"
    ));
    Ok(text)
}

/// A time as heads of indexes and of HTTP messages have it.
pub(super) fn http_date(seconds: i64) -> Result<String, Error> {
    let date = argv("date", ["--utc", &format!("--date=@{seconds}"), "+%a, %d %b %Y %H:%M:%S GMT"]);
    Ok(date.env("LC_ALL", "C").text()?.trim().to_owned())
}

/// Packed, the same way every time: no name and no time in it.
fn packed(text: &str) -> Result<Vec<u8>, Error> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).map_err(Error::io("Packages.gz"))?;
    encoder.finish().map_err(Error::io("Packages.gz"))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(Error::io(path))
}
