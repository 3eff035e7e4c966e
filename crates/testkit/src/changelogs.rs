//! Derives advisories from Debian's own changelogs: what the updates of a vulnerable image say that they fix.

use crate::debian_root::{self, Suite, TAG};
use crate::dpkg::{self, Installed, Order};
use crate::tar::Reader;
use crate::{Error, app_image, command::Argv, command::argv, image_reader::ImageReader, mirror::Mirror};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A title is one line of a report.
const TITLE_CHARACTERS: usize = 120;

/// An entry of a changelog names a CVE.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mention {
    id: String,
    version: String,
    urgency: String,
    title: String,
}

/// Adds to `document` what the updates of the images of `suite` fix; gives how many are new.
pub fn refresh(document: &mut Value, suite: Suite) -> Result<usize, Error> {
    let release = suite.release();
    let mut added = 0;
    for layout in [debian_root::image(suite)?, app_image::image(suite)?] {
        let image = ImageReader::open(layout.directory(), TAG)?;
        let installed = dpkg::installed(&image)?;
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        for package in downloads(folder.path(), &image, suite)? {
            added += add_fixes(&mut document[format!("debian {release}")], &package, &installed)?;
        }
    }
    Ok(added)
}

/// Downloads the updates of an image; gives the packages.
fn downloads(folder: &Path, image: &ImageReader, suite: Suite) -> Result<Vec<PathBuf>, Error> {
    let status = image.files(|path| path == b"var/lib/dpkg/status")?.into_values().next();
    let status = status.ok_or_else(|| Error::malformed("image", "has no dpkg status"))?;
    let write =
        |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).map_err(Error::io(folder.join(name)));
    write("status", status.entry.content().unwrap_or_default())?;
    write("sources.list", Mirror::of_this_machine()?.sources_list(suite.name()).as_bytes())?;
    for name in ["lists/partial", "cache/archives/partial", "etc"] {
        fs::create_dir_all(folder.join(name)).map_err(Error::io(folder.join(name)))?;
    }
    apt(folder, &["update"]).stdout()?;
    apt(folder, &["--yes", "--download-only", "upgrade"]).stdout()?;
    let archives = folder.join("cache/archives");
    let entries = fs::read_dir(&archives).map_err(Error::io(&archives))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect())
}

/// apt of this machine, with everything that it knows and keeps in `folder`.
fn apt(folder: &Path, words: &[&str]) -> Argv {
    let place = |name: &str, below: &str| format!("{name}={}", folder.join(below).display());
    let places = [
        place("Dir::Etc::sourcelist", "sources.list"),
        place("Dir::Etc::sourceparts", "etc"),
        place("Dir::Etc::preferencesparts", "etc"),
        place("Dir::State", "."),
        place("Dir::State::lists", "lists"),
        place("Dir::State::status", "status"),
        place("Dir::Cache", "cache"),
        "Acquire::Languages=none".to_owned(),
        "Debug::NoLocking=true".to_owned(),
        "APT::Sandbox::User=root".to_owned(),
    ];
    let command = places.iter().fold(argv("apt-get", ["-qq"]), |command, place| command.arg("-o").arg(place));
    words.iter().fold(command, |command, word| command.arg(word))
}

/// Adds what one update fixes that the installed version lacks. A rebuild for a release (`2-1~deb12u1`) stands above the entry
/// of what it rebuilds (`2-1`) but sorts below it: then the rebuild is the fix.
fn add_fixes(
    sources: &mut Value,
    package: &Path,
    installed: &BTreeMap<String, (Installed, usize)>,
) -> Result<usize, Error> {
    let control = argv("dpkg-deb", ["--field"]).arg(package).text()?;
    let Some(update) = dpkg::parse(&control).pop() else { return Ok(0) };
    let Some((old, _)) = installed.get(&update.name) else { return Ok(0) };
    let mut order = Order::default();
    let mut added = 0;
    for mention in mentions(&changelog(package)?) {
        let is_rebuilt = order.is_below(&update.source_version, &mention.version)?;
        let fixed = if is_rebuilt { &update.source_version } else { &mention.version };
        let known = &mut sources[&old.source];
        if known[&mention.id].is_null() && order.is_below(&old.source_version, fixed)? {
            known[&mention.id] =
                json!({ "fixed": fixed, "title": mention.title, "urgency": mention.urgency });
            added += 1;
        }
    }
    Ok(added)
}

/// The changelog that Debian keeps of a package; empty where the package carries none.
fn changelog(package: &Path) -> Result<String, Error> {
    let files = argv("dpkg-deb", ["--fsys-tarfile"]).arg(package).stdout()?;
    let mut reader = Reader::new(&files[..]);
    while let Some(entry) = reader.next_entry()? {
        let name = entry.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if name == b"changelog.Debian.gz" || name == b"changelog.gz" {
            let mut text = Vec::new();
            MultiGzDecoder::new(&reader.content()?[..]).read_to_end(&mut text).map_err(Error::io(package))?;
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ok(String::new())
}

/// Every CVE with the newest entry that names it.
fn mentions(changelog: &str) -> Vec<Mention> {
    let mut found: Vec<Mention> = Vec::new();
    let mut entry = None;
    for line in changelog.lines() {
        entry = heading(line).or(entry);
        let Some((version, urgency)) = &entry else { continue };
        for id in ids(line).filter(|id| !found.iter().any(|mention| mention.id == *id)).collect::<Vec<_>>() {
            let title = line.trim_matches([' ', '*', '-', '+']).chars().take(TITLE_CHARACTERS).collect();
            found.push(Mention { id, version: version.clone(), urgency: urgency.clone(), title });
        }
    }
    found
}

/// `SOURCE (VERSION) SUITE; urgency=URGENCY`
fn heading(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix(|character: char| character.is_ascii_alphanumeric())?;
    let (version, rest) = rest.split_once(" (")?.1.split_once(')')?;
    let urgency = rest.split_once("urgency=")?.1.split([',', ' ']).next()?.to_lowercase();
    let urgency = match urgency.as_str() {
        "medium" | "low" => urgency,
        _ => "high".to_owned(),
    };
    Some((version.to_owned(), urgency))
}

fn ids(line: &str) -> impl Iterator<Item = String> {
    let words = line.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    let is_id = |word: &&str| {
        let parts: Vec<&str> = word.split('-').collect();
        let number = |text: &str| text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        matches!(parts[..], ["CVE", year, rest] if year.len() == 4 && number(year) && number(rest))
    };
    words.filter(is_id).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "openssl (3.0.9-1) bookworm-security; urgency=medium

  * CVE-2023-1111, CVE-2023-22222 (a pointer)
    no CVE-20231-1 and no CVE-2023-12

 -- A <a@b>  Mon, 01 May 2023 00:00:00 +0000

openssl (3.0.8-1) unstable; urgency=emergency, binary-only=yes

  * Again CVE-2023-1111; fix (CVE-2023-3333).
";

    #[test]
    fn entries_name_what_they_fix() {
        let found: Vec<(String, String, String)> = mentions(CHANGELOG)
            .into_iter()
            .map(|mention| (mention.id, mention.version, mention.urgency))
            .collect();
        let expected = [
            ("CVE-2023-1111", "3.0.9-1", "medium"),
            ("CVE-2023-22222", "3.0.9-1", "medium"),
            ("CVE-2023-3333", "3.0.8-1", "high"),
        ];
        assert_eq!(
            found,
            expected.map(|(id, version, urgency)| (id.to_owned(), version.to_owned(), urgency.to_owned()))
        );
        assert_eq!(mentions(CHANGELOG)[0].title, "CVE-2023-1111, CVE-2023-22222 (a pointer)");
    }
}
