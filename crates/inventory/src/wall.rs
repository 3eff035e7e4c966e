//! The manifest of chisel: which slices of which packages an image has, with every path. Lines of JSON in order of their bytes,
//! packed with zstd ("Chisel manifest" in chisel's reference; the form of its package `jsonwall`).

use crate::{Error, Package, PackageState, check_size, printable};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};
use version::{PackageName, deb};

/// Where images have it.
pub const PATH: &str = "/var/lib/chisel/manifest.wall";

/// Largest packed file; that of a slice of every package of a server has some hundred kB.
pub const PACKED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest text.
const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most lines.
const LINES_MAX: usize = 500_000;

/// Longest line.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Most names of slices that paths have, all together; real paths have one or two.
const SLICES_MAX: usize = 2_000_000;

/// Longest path or other word.
const WORD_BYTES_MAX: usize = 4096;

/// Base-2 logarithm of the largest zstd window.
const WINDOW_LOG_MAX: u32 = 27;

/// How it is packed; what chisel's library does unless told otherwise.
const LEVEL: i32 = 3;

/// Major version of the form, and of what is in it.
const MAJOR: &str = "1.";

/// What a manifest says. Read and written again it is the same, line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wall {
    schema: String,
    /// Packages by name.
    pub packages: BTreeMap<String, WallPackage>,
    /// Slices, `package_slice`.
    pub slices: BTreeSet<String>,
    /// Which paths a slice lists.
    pub contents: BTreeSet<Content>,
    /// Every path, directories with a slash at their end.
    pub paths: BTreeMap<String, WallPath>,
}

/// A package of which slices are there. Members stand in the order in which chisel writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WallPackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Digest of its file, hexadecimal.
    pub sha256: String,
    /// Architecture in Debian's words.
    pub arch: String,
}

/// A path of a slice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The slice.
    pub slice: String,
    /// The path.
    pub path: String,
}

/// What is at a path. Members stand in the order in which chisel writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WallPath {
    /// The path.
    pub path: String,
    /// Permission bits, octal.
    pub mode: String,
    /// The slices that list it.
    pub slices: Vec<String>,
    /// Digest of the content as the package has it, hexadecimal; nothing for what is no regular file and for the manifest itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Digest after a slice's own program changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_sha256: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// Where a symbolic link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Paths with the same number are names of one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    jsonwall: String,
    schema: String,
    count: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slice {
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Package(WallPackage),
    Slice(Slice),
    Content(Content),
    Path(WallPath),
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Reads a manifest. Strict: a line of an unknown kind, one that is there twice, or a count that is not that of the lines is an
/// error that names it.
pub fn parse(packed: &[u8]) -> Result<Wall, Error> {
    check_size(packed, PACKED_BYTES_MAX)?;
    let malformed = |why: String| Error::Malformed(printable(&why));
    let text = unpacked(packed).map_err(|why| malformed(format!("not packed with zstd: {why}")))?;
    let text = String::from_utf8(text).map_err(|_| malformed("not UTF-8 text".to_owned()))?;
    if !text.ends_with('\n') {
        return Err(malformed("ends in the middle of a line".to_owned()));
    }
    let mut lines = text.lines();
    let header: Header = serde_json::from_str(lines.next().unwrap_or_default())
        .map_err(|why| malformed(format!("line 1: {why}")))?;
    if !header.jsonwall.starts_with(MAJOR) || !header.schema.starts_with(MAJOR) {
        return Err(malformed(format!("of form {} {}, which is not known", header.jsonwall, header.schema)));
    }
    let mut wall = Wall { schema: header.schema, ..Wall::default() };
    let (mut count, mut slices) = (1, 0);
    for line in lines {
        count += 1;
        if count > LINES_MAX {
            return Err(malformed(format!("more than {LINES_MAX} lines")));
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(malformed(format!("line {count}: longer than {LINE_BYTES_MAX} bytes")));
        }
        let parsed = serde_json::from_str(line).map_err(|why| malformed(format!("line {count}: {why}")))?;
        slices += if let Line::Path(path) = &parsed { path.slices.len() } else { 0 };
        if slices > SLICES_MAX {
            return Err(malformed(format!("paths of more than {SLICES_MAX} slices")));
        }
        wall.add(parsed).map_err(|why| malformed(format!("line {count}: {why}")))?;
    }
    match count == header.count {
        true => wall.checked().map_err(malformed),
        false => Err(malformed(format!("{count} lines where {} are announced", header.count))),
    }
}

fn unpacked(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::new(packed)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    let mut text = Vec::new();
    decoder.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text)?;
    match text.len() as u64 > TEXT_BYTES_MAX {
        true => Err(std::io::Error::other(format!("more than {TEXT_BYTES_MAX} bytes"))),
        false => Ok(text),
    }
}

impl Wall {
    fn add(&mut self, line: Line) -> Result<(), String> {
        let new = match line {
            Line::Package(package) => {
                package.name.parse::<PackageName>().map_err(|why| why.to_string())?;
                words(&[&package.version, &package.sha256, &package.arch])?;
                self.packages.insert(package.name.clone(), package).is_none()
            }
            Line::Slice(slice) => {
                words(&[&slice.name])?;
                self.slices.insert(slice.name)
            }
            Line::Content(content) => {
                words(&[&content.slice, &content.path])?;
                self.contents.insert(content)
            }
            Line::Path(path) => {
                words(&[&path.path, &path.mode, path.link.as_deref().unwrap_or("/")])?;
                if !path.path.starts_with('/') || path.path.split('/').any(|part| part == "..") {
                    return Err(format!("{} is no absolute path", path.path));
                }
                self.paths.insert(path.path.clone(), path).is_none()
            }
        };
        if new { Ok(()) } else { Err("is there twice".to_owned()) }
    }

    /// A slice without its package, or a content without its path, tells that something is missing.
    fn checked(self) -> Result<Wall, String> {
        if let Some(slice) = self.slices.iter().find(|slice| !self.packages.contains_key(package_of(slice))) {
            return Err(format!("slice {slice} is of no package"));
        }
        for Content { slice, path } in &self.contents {
            if !self.slices.contains(slice) || !self.paths.contains_key(path) {
                return Err(format!("{path} of slice {slice} is not described"));
            }
        }
        Ok(self)
    }

    /// The bytes of the file.
    pub fn packed(&self) -> Result<Vec<u8>, Error> {
        zstd::stream::encode_all(self.text()?.as_bytes(), LEVEL)
            .map_err(|why| Error::Malformed(why.to_string()))
    }

    fn text(&self) -> Result<String, Error> {
        let packages = self.packages.values().cloned().map(Line::Package);
        let slices = self.slices.iter().map(|name| Line::Slice(Slice { name: name.clone() }));
        let contents = self.contents.iter().cloned().map(Line::Content);
        let lines =
            packages.chain(slices).chain(contents).chain(self.paths.values().cloned().map(Line::Path));
        let failed = |why: serde_json::Error| Error::Malformed(why.to_string());
        let mut texts =
            lines.map(|line| serde_json::to_string(&line)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        texts.sort_unstable();
        let (jsonwall, schema) = ("1.0".to_owned(), self.schema.clone());
        let header = Header { jsonwall, schema, count: texts.len() + 1 };
        texts.insert(0, serde_json::to_string(&header).map_err(failed)?);
        Ok(texts.into_iter().map(|line| line + "\n").collect())
    }

    /// What is installed, as far as a manifest tells: the source of a package is not in it.
    pub fn inventory(&self) -> Result<Vec<Package>, Error> {
        self.packages.values().map(package).collect()
    }
}

/// The package of a slice.
pub fn package_of(slice: &str) -> &str {
    slice.split_once('_').map_or(slice, |(package, _)| package)
}

fn package(wall: &WallPackage) -> Result<Package, Error> {
    let malformed = |why: String| Error::Malformed(printable(&why));
    let name: PackageName = wall.name.parse().map_err(|why| malformed(format!("{why}")))?;
    wall.version.parse::<deb::Version>().map_err(|why| malformed(format!("{name}: {why}")))?;
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if wall.arch.is_empty() || !wall.arch.bytes().all(good) {
        return Err(malformed(format!("{name} has an invalid architecture \"{}\"", wall.arch)));
    }
    Ok(Package {
        version: wall.version.clone(),
        architecture: wall.arch.clone(),
        source: name.to_string(),
        source_version: wall.version.clone(),
        held: false,
        state: PackageState::Installed,
        essential: false,
        multi_arch_same: false,
        install_only: false,
        name,
    })
}

fn words(words: &[&str]) -> Result<(), String> {
    match words.iter().find(|word| word.len() > WORD_BYTES_MAX || word.is_empty()) {
        None => Ok(()),
        Some(word) => Err(format!("a word of {} bytes", word.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = concat!(
        r#"{"jsonwall":"1.0","schema":"1.0","count":7}"#,
        "\n",
        r#"{"kind":"content","slice":"a_libs","path":"/usr/lib/a.so"}"#,
        "\n",
        r#"{"kind":"content","slice":"a_libs","path":"/usr/lib/a.so.1"}"#,
        "\n",
        r#"{"kind":"package","name":"a","version":"1.0","sha256":"0123","arch":"amd64"}"#,
        "\n",
        r#"{"kind":"path","path":"/usr/lib/a.so","mode":"0777","slices":["a_libs"],"link":"a.so.1"}"#,
        "\n",
        r#"{"kind":"path","path":"/usr/lib/a.so.1","mode":"0644","slices":["a_libs"],"sha256":"45","size":3,"inode":1}"#,
        "\n",
        r#"{"kind":"slice","name":"a_libs"}"#,
        "\n",
    );

    fn packed(text: &str) -> Vec<u8> {
        zstd::stream::encode_all(text.as_bytes(), 3).unwrap()
    }

    #[test]
    fn a_manifest_is_read_and_written_line_by_line() {
        let wall = parse(&packed(TEXT)).unwrap();
        assert_eq!(wall.text().unwrap(), TEXT);
        assert_eq!(parse(&wall.packed().unwrap()), Ok(wall.clone()));
        let packages = wall.inventory().unwrap();
        assert_eq!(packages.len(), 1);
        assert_eq!((packages[0].version.as_str(), packages[0].architecture.as_str()), ("1.0", "amd64"));
    }

    #[test]
    fn what_is_no_manifest_is_an_error_that_says_why() {
        let cases = [
            (TEXT.replace("\"count\":7", "\"count\":8"), "7 lines where 8 are announced"),
            (TEXT.replace("\"1.0\",\"schema\"", "\"2.0\",\"schema\""), "of form 2.0 1.0, which is not known"),
            (TEXT.replace("\"kind\":\"slice\"", "\"kind\":\"slab\""), "line 7: unknown variant"),
            (TEXT.replace("\"name\":\"a_libs\"", "\"name\":\"b_libs\""), "slice b_libs is of no package"),
            (TEXT.replace(",\"size\":3", ",\"bytes\":3"), "line 6: unknown field"),
            (TEXT.replace("\"name\":\"a\"", "\"name\":\"--a\""), "line 4: invalid package name"),
            (
                TEXT.replace("\"path\":\"/usr/lib/a.so.1\",\"mode\"", "\"path\":\"/../x\",\"mode\""),
                "line 6: /../x",
            ),
            (TEXT.trim_end().to_owned(), "ends in the middle of a line"),
            (String::new(), "ends in the middle"),
        ];
        for (text, why) in cases {
            let error = parse(&packed(&text)).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error} / {why}");
        }
        assert!(parse(b"no zstd").is_err());
        let many = TEXT.replace(
            r#""slices":["a_libs"],"link""#,
            &format!(r#""slices":["a"{}],"link""#, r#","a""#.repeat(300_000)),
        );
        assert!(parse(&packed(&many)).unwrap_err().to_string().contains("line 5: longer than"));
        let bomb = vec![b' '; 80 << 20];
        assert!(parse(&zstd::stream::encode_all(&bomb[..], 3).unwrap()).is_err());
    }

    #[test]
    fn damaged_bytes_never_panic() {
        let good = packed(TEXT);
        for at in 0..good.len() {
            for value in [0, 0xff, good[at] ^ 1, good[at] ^ 0x80] {
                let mut bad = good.clone();
                bad[at] = value;
                drop(parse(&bad).map(|wall| wall.packed()));
            }
            assert!(parse(&good[..at]).is_err(), "cut at {at}");
        }
        for at in 0..TEXT.len() {
            let mut bad = TEXT.as_bytes().to_vec();
            bad[at] = b'"';
            drop(parse(&zstd::stream::encode_all(&bad[..], 1).unwrap()).map(|wall| wall.inventory()));
        }
    }
}
