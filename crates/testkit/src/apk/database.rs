//! The installed database of apk, written and read: `lib/apk/db/{installed,scripts.tar,triggers}` as apk-tools 2.14 writes
//! them (`apk_db_fdb_write`, `apk_db_scriptdb_write`, `apk_db_triggers_write` in its `src/database.c`).

use super::member;
use super::package::Built;
use crate::tar::{self, Entry, Kind};
use crate::{Error, image_reader::ImageReader};
use std::collections::BTreeMap;

/// Where apk 2 has its database.
pub const FOLDER: &str = "lib/apk/db";

/// The files of the database of these packages.
pub(super) fn entries(packages: &[Built]) -> Result<Vec<Entry>, Error> {
    let mut installed = String::new();
    let (mut scripts, mut triggers) = (Vec::new(), String::new());
    for package in packages {
        installed.push_str(&paragraph(package)?);
        let (spec, checksum) = (&package.spec, &package.checksum);
        let stem = format!("{}-{}.{checksum}", spec.name(), spec.version());
        let script = |(script, text): &(super::Script, String)| {
            Entry::file(&format!("{stem}.{}", script.name()), text).mode(0o755)
        };
        scripts.extend(spec.scripts().iter().map(script));
        let watched = spec.of("triggers");
        if !watched.is_empty() {
            triggers.push_str(&format!("{checksum} {watched}\n"));
        }
    }
    Ok(vec![
        Entry::directory("lib"),
        Entry::directory("lib/apk"),
        Entry::directory(FOLDER),
        Entry::file(&format!("{FOLDER}/installed"), installed),
        Entry::file(&format!("{FOLDER}/lock"), "").mode(0o600),
        Entry::file(&format!("{FOLDER}/scripts.tar"), tar::write(&scripts)),
        Entry::file(&format!("{FOLDER}/triggers"), triggers),
    ])
}

/// What `installed` says about one package, with the empty line after it.
pub(super) fn paragraph(package: &Built) -> Result<String, Error> {
    let mut text = package.paragraph.clone();
    let replaces = package.spec.of("replaces");
    if !replaces.is_empty() {
        text.push_str(&format!("r:{replaces}\n"));
    }
    for entry in &package.entries {
        let path = String::from_utf8_lossy(&entry.path);
        let owner = format!("{}:{}:{:o}", entry.uid, entry.gid, entry.mode);
        if entry.kind == Kind::Directory {
            text.push_str(&format!("F:{path}\n"));
            if owner != "0:0:755" {
                text.push_str(&format!("M:{owner}\n"));
            }
            continue;
        }
        text.push_str(&format!("R:{}\n", path.rsplit('/').next().unwrap_or_default()));
        if owner != "0:0:644" {
            text.push_str(&format!("a:{owner}\n"));
        }
        if let Some(content) = member::checked(entry, &package.entries) {
            text.push_str(&format!("Z:{}\n", super::checksum(content)?));
        }
    }
    Ok(text + "\n")
}

/// The paragraphs of an image's `installed`, by name.
pub fn paragraphs(image: &ImageReader) -> Result<BTreeMap<String, String>, Error> {
    let is_it = |path: &[u8]| path == b"lib/apk/db/installed" || path == b"usr/lib/apk/db/installed";
    let files = image.files(is_it)?;
    let texts = files
        .values()
        .map(|file| String::from_utf8_lossy(file.entry.content().unwrap_or_default()).into_owned());
    let all: String = texts.collect();
    let paragraphs = all.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    Ok(paragraphs.map(|text| (field(text, "P:"), format!("{text}\n\n"))).collect())
}

/// Name and version of every installed package of an image.
pub fn versions(image: &ImageReader) -> Result<BTreeMap<String, String>, Error> {
    Ok(paragraphs(image)?.into_iter().map(|(name, text)| (name, field(&text, "V:"))).collect())
}

fn field(paragraph: &str, letter: &str) -> String {
    paragraph.lines().find_map(|line| line.strip_prefix(letter)).unwrap_or_default().to_owned()
}
