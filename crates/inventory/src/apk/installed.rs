//! apk's database of installed packages: records of lines `X:value`, kept as they are written so that a database can be written
//! again byte for byte.

use crate::{Error, Package, PackageState, check_size, printable};
use version::{PackageName, apk};

/// Largest file taken. All of a desktop's packages have 30 MB with their lists of files.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most packages taken; all of Alpine has fewer of one architecture.
const RECORDS_MAX: usize = 100_000;

/// Longest line taken; the longest real ones are the names that a package of kernel firmware provides.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Most notes kept; a database that is odd throughout should not print a book.
const NOTES_MAX: usize = 20;

/// How the binary files of apk 3 begin: ADB, and what may stand in its place where they are compressed.
const BINARY: &[u8] = b"ADB";

/// The fields of apk 2 and 3. Others are those of a newer apk.
const KNOWN: &[u8] = b"CPVASITULomtcDpikrqsfgFMRaZ";

/// The marks of the field `f`: broken files, script, extended attributes; files identified by the beginning of their SHA-256.
const FLAGS: &[u8] = b"fsxS";

/// The database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    /// Its records, in the order of the file.
    pub records: Vec<Record>,
    /// Fields and marks of an apk newer than those known: such a database may be read, but not be written by us.
    pub unknown: Vec<char>,
}

/// One package's record: its lines, the blank line at the end included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    text: String,
    files: usize,
}

/// What the database says of its packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packages {
    /// Installed packages, sorted by name.
    pub packages: Vec<Package>,
    /// What is in doubt.
    pub notes: Vec<String>,
}

/// One thing a package has in the filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRecord<'a> {
    /// Its folder, relative to the root, without slashes at the ends; empty for the root.
    pub folder: &'a str,
    /// Its name in the folder; none for the folder itself.
    pub name: Option<&'a str>,
    /// `uid:gid:mode` of the fields `M` and `a`, with a digest of extended attributes where it has some; none is the usual.
    pub access: Option<&'a str>,
    /// The digest of the field `Z`, as it is written: `Q1` and SHA-1, `Q2` and SHA-256, in base64.
    pub digest: Option<&'a str>,
}

/// Reads a database.
pub fn parse(bytes: &[u8]) -> Result<Installed, Error> {
    check_size(bytes, BYTES_MAX)?;
    if bytes.starts_with(BINARY) {
        return Err(Error::Malformed("a binary database of apk 3, which no released apk writes".into()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Malformed("not UTF-8 text".into()))?;
    if text.contains('\0') {
        return Err(Error::Malformed("binary, not text".into()));
    }
    let mut reader = Reader { text, ..Reader::default() };
    for (index, line) in text.split_inclusive('\n').enumerate() {
        reader.line(line).map_err(|why| Error::Malformed(format!("line {}: {why}", index + 1)))?;
    }
    if reader.start < text.len() {
        return Err(Error::Malformed("ends in the middle of a package".into()));
    }
    Ok(reader.installed)
}

impl Installed {
    /// The database as apk writes it: of one that was read, what was read.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.records.iter().flat_map(|record| record.text.bytes()).collect()
    }

    /// The packages. Names and versions that are none are an error, because apk itself cannot work with such a database.
    pub fn packages(&self) -> Result<Packages, Error> {
        let mut all = Packages::default();
        let mut more_notes = 0;
        for record in &self.records {
            let (package, notes) = record.package().map_err(Error::Malformed)?;
            all.packages.push(package);
            for note in notes {
                match all.notes.len() < NOTES_MAX {
                    true => all.notes.push(note),
                    false => more_notes += 1,
                }
            }
        }
        if more_notes > 0 {
            all.notes.push(format!("{more_notes} more notes of this kind"));
        }
        all.packages.sort_by(|a, b| a.name.cmp(&b.name));
        match all.packages.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(Error::Malformed(format!("{} is in it twice", pair[0].name))),
            None => Ok(all),
        }
    }
}

impl Record {
    /// A record of lines `X:value`, each ended by a line break; the blank line at the end is added where it is missing.
    pub fn new(lines: &str) -> Result<Record, Error> {
        let text = match lines.ends_with("\n\n") {
            true => lines.to_owned(),
            false => format!("{lines}\n"),
        };
        let mut installed = parse(text.as_bytes())?;
        match (installed.records.pop(), installed.records.is_empty()) {
            (Some(record), true) => Ok(record),
            _ => Err(Error::Malformed("not one record".into())),
        }
    }

    /// The record as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its fields in order: the letter and the value.
    pub fn fields(&self) -> impl Iterator<Item = (char, &str)> {
        fields(&self.text)
    }

    /// The value of a field of the package itself; where there are several, of the last, as apk takes it.
    pub fn get(&self, field: char) -> Option<&str> {
        fields(&self.text[..self.files]).filter(|(name, _)| *name == field).last().map(|(_, value)| value)
    }

    /// Folders and files, in order.
    pub fn files(&self) -> Vec<FileRecord<'_>> {
        let mut files: Vec<FileRecord<'_>> = Vec::new();
        for (field, value) in fields(&self.text[self.files..]) {
            let folder = files.last().map_or("", |last| last.folder);
            match (field, files.last_mut()) {
                ('F', _) => files.push(FileRecord { folder: value, name: None, access: None, digest: None }),
                ('R', _) => files.push(FileRecord { folder, name: Some(value), access: None, digest: None }),
                ('M' | 'a', Some(last)) => last.access = Some(value),
                ('Z', Some(last)) => last.digest = Some(value),
                _ => {}
            }
        }
        files
    }

    fn package(&self) -> Result<(Package, Vec<String>), String> {
        let name = self.get('P').ok_or("a package without a name")?;
        let name: PackageName = name.parse().map_err(|error| format!("{error}"))?;
        let version =
            self.get('V').filter(|v| !v.is_empty()).ok_or_else(|| format!("{name} has no version"))?;
        let mut notes = Vec::new();
        if let Err(error) = version.parse::<apk::Version>() {
            notes.push(format!("{name}: {error}"));
        }
        let architecture = self.get('A').unwrap_or_default();
        if !architecture.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
            return Err(format!("{name} has an invalid architecture \"{}\"", printable(architecture)));
        }
        let source = self.get('o').filter(|origin| !origin.is_empty()).unwrap_or(name.as_str());
        let package = Package {
            version: printable(version),
            architecture: architecture.to_owned(),
            source: printable(source),
            source_version: printable(version),
            held: false,
            state: state(self.get('f').unwrap_or_default()),
            essential: false,
            multi_arch_same: false,
            install_only: false,
            name,
        };
        Ok((package, notes))
    }
}

/// What apk remembers of an installation that went wrong.
fn state(flags: &str) -> PackageState {
    let broken = [('f', "broken-files"), ('s', "broken-script"), ('x', "broken-xattr")];
    let found = broken.into_iter().find(|(flag, _)| flags.contains(*flag));
    found.map_or(PackageState::Installed, |(_, state)| PackageState::Unfinished(state))
}

fn fields(text: &str) -> impl Iterator<Item = (char, &str)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.chars().next()?, value))
    })
}

/// The state between two lines.
#[derive(Default)]
struct Reader<'a> {
    text: &'a str,
    installed: Installed,
    /// Where the record begins, and how far the text was read.
    start: usize,
    at: usize,
    /// Where the record's first folder is.
    files: Option<usize>,
    named: bool,
    in_file: bool,
}

impl Reader<'_> {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let begin = self.at;
        self.at += line.len();
        let Some(line) = line.strip_suffix('\n') else { return Err("has no end".into()) };
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("longer than {LINE_BYTES_MAX} bytes"));
        }
        // As in apk, a line of one character ends a record too.
        if line.len() < 2 {
            return self.end_record(begin);
        }
        let mut bytes = line.bytes();
        let (Some(field), Some(b':')) = (bytes.next(), bytes.next()) else {
            return Err(format!("no field: {}", printable(line)));
        };
        self.field(field, &line[2..], begin)
    }

    fn field(&mut self, field: u8, value: &str, begin: usize) -> Result<(), String> {
        let misplaced = || Err(format!("the field {} has no place here", char::from(field)));
        match field {
            b'P' => self.named = true,
            b'F' if !self.named => return misplaced(),
            b'F' => {
                self.files.get_or_insert(begin);
                self.in_file = false;
                check_path(value)?;
            }
            b'M' | b'R' if self.files.is_none() => return misplaced(),
            b'R' => {
                self.in_file = true;
                check_name(value)?;
            }
            b'a' | b'Z' if !self.in_file => return misplaced(),
            b'f' => value.bytes().filter(|flag| !FLAGS.contains(flag)).for_each(|flag| self.unknown(flag)),
            _ if !KNOWN.contains(&field) => self.unknown(field),
            _ => {}
        }
        Ok(())
    }

    fn unknown(&mut self, letter: u8) {
        let letter = char::from(letter);
        if !self.installed.unknown.contains(&letter) {
            self.installed.unknown.push(letter);
        }
    }

    /// Ends a record. Blank lines before the first and between two belong to the record that follows or precedes.
    fn end_record(&mut self, begin: usize) -> Result<(), String> {
        if !self.named {
            return match self.text[self.start..begin].bytes().any(|b| b == b':') {
                true => Err("a package without a name".into()),
                false => self.blank(),
            };
        }
        if self.installed.records.len() == RECORDS_MAX {
            return Err(format!("more than {RECORDS_MAX} packages"));
        }
        let text = self.text[self.start..self.at].to_owned();
        let files = self.files.unwrap_or(self.at) - self.start;
        self.installed.records.push(Record { text, files });
        (self.start, self.files, self.named, self.in_file) = (self.at, None, false, false);
        Ok(())
    }

    fn blank(&mut self) -> Result<(), String> {
        let Some(last) = self.installed.records.last_mut() else {
            return Err("blank, and no package before it".into());
        };
        last.text.push_str(&self.text[self.start..self.at]);
        self.start = self.at;
        Ok(())
    }
}

/// A folder of the database is relative, and leads nowhere else.
fn check_path(path: &str) -> Result<(), String> {
    let parts = || path.split('/');
    match path.is_empty() || parts().all(|part| !part.is_empty() && part != "." && part != "..") {
        true => Ok(()),
        false => Err(format!("not a folder's path: {}", printable(path))),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    match !name.is_empty() && name != "." && name != ".." && !name.contains('/') {
        true => Ok(()),
        false => Err(format!("not a file's name: {}", printable(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "C:Q1p78yvTLG094tHE1+dToJGbmYzQE=\nP:alpine-baselayout\nV:3.4.3-r1\nA:x86_64\nS:8911\nI:331776\n\
        T:Alpine base dir structure and init scripts\nU:https://git.example/\nL:GPL-2.0-only\no:alpine-baselayout\n\
        m:Someone <a@b.example>\nt:1683642107\nc:65502ca9379dd29d1ac4b0bf0dcf03a3dd1b324a\n\
        D:alpine-baselayout-data=3.4.3-r1 /bin/sh\nq:1000\nF:dev\nF:etc\nR:motd\nZ:Q1SLkS9hBidUbPwwrw+XR0Whv3ww8=\n\
        F:root\nM:0:0:700\nF:usr/bin\nR:su\na:0:0:4755:Q1abc=\nZ:Q1Kja2+POZKxEkUOZqwSjC6kmaED4=\n\n\
        C:Q1aaaa=\nP:libssl3\nV:3.1.0-r4\nA:x86_64\no:openssl\nf:s\np:so:libssl.so.3=3\n\n";

    #[test]
    fn a_database_is_read_and_written_again_byte_for_byte() {
        for text in [TWO, "", &format!("{TWO}\n\n"), &TWO.replace("\n\nC", "\n\n\nC"), "P:a\nV:1-r0\n\n"] {
            assert_eq!(parse(text.as_bytes()).unwrap().to_bytes(), text.as_bytes());
        }
        let read = parse(TWO.as_bytes()).unwrap();
        let (second, lines) = (&read.records[1], "P:b\nV:2\n");
        assert_eq!(second.get('p'), Some("so:libssl.so.3=3"));
        assert_eq!(second.as_str().lines().count(), 8);
        assert_eq!(Record::new(lines).unwrap().as_str(), "P:b\nV:2\n\n");
        assert!(Record::new("P:b\n\nP:c\n\n").is_err() && Record::new("").is_err());
        assert_eq!(second.fields().next(), Some(('C', "Q1aaaa=")));
    }

    #[test]
    fn packages_have_their_origin_and_what_went_wrong() {
        let all = parse(TWO.as_bytes()).unwrap().packages().unwrap();
        let shown: Vec<_> = all
            .packages
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.source.as_str(), p.state))
            .collect();
        assert_eq!(
            shown,
            [
                ("alpine-baselayout", "3.4.3-r1", "alpine-baselayout", PackageState::Installed),
                ("libssl3", "3.1.0-r4", "openssl", PackageState::Unfinished("broken-script")),
            ]
        );
        assert!(all.notes.is_empty());
        let odd = parse(b"P:a\nV:not a version\n\n").unwrap().packages().unwrap();
        assert_eq!(odd.notes.len(), 1);
    }

    #[test]
    fn files_are_told_with_folder_access_and_digest() {
        let read = parse(TWO.as_bytes()).unwrap();
        let files = read.records[0].files();
        assert_eq!(files.len(), 6);
        let row = |folder, name, access, digest| FileRecord { folder, name, access, digest };
        assert_eq!(files[2], row("etc", Some("motd"), None, Some("Q1SLkS9hBidUbPwwrw+XR0Whv3ww8=")));
        assert_eq!(files[3], row("root", None, Some("0:0:700"), None));
        let su = row("usr/bin", Some("su"), Some("0:0:4755:Q1abc="), Some("Q1Kja2+POZKxEkUOZqwSjC6kmaED4="));
        assert_eq!(files[5], su);
    }

    #[test]
    fn what_is_no_database_is_refused_with_the_line() {
        let long = format!("P:a\nD:{}\n\n", "x".repeat(LINE_BYTES_MAX));
        for (text, why) in [
            ("P:a\nV:1\n", "ends in the middle of a package"),
            ("P:a\nV:1", "line 2: has no end"),
            ("P:a\nnonsense\n\n", "line 2: no field: nonsense"),
            ("V:1\n\n", "line 2: a package without a name"),
            ("\nP:a\n\n", "line 1: blank, and no package before it"),
            ("F:etc\nP:a\n\n", "line 1: the field F has no place here"),
            ("P:a\nR:x\n\n", "line 2: the field R has no place here"),
            ("P:a\nF:etc\nZ:Q1\n\n", "line 3: the field Z has no place here"),
            ("P:a\nF:../etc\n\n", "line 2: not a folder's path: ../etc"),
            ("P:a\nF:/etc\n\n", "line 2: not a folder's path: /etc"),
            ("P:a\nF:\nR:a/b\n\n", "line 3: not a file's name: a/b"),
            ("ADB.pckg", "a binary database of apk 3, which no released apk writes"),
            ("P:a\0\n\n", "binary, not text"),
            (&long, "line 2: longer than 1048576 bytes"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), why, "{:.40}", text);
        }
        assert!(parse(b"P:\xff\n\n").is_err());
        for text in ["P:--x\nV:1\n\n", "P:a\n\n", "P:a\nV:1\nA:x/y\n\n", "P:a\nV:1\n\nP:a\nV:2\n\n"] {
            assert!(parse(text.as_bytes()).unwrap().packages().is_err(), "{text}");
        }
    }

    #[test]
    fn a_newer_database_says_what_is_new_in_it() {
        let newer = TWO.replace("f:s", "f:sY\nX:new\nb:new");
        assert_eq!(parse(newer.as_bytes()).unwrap().unknown, ['Y', 'X', 'b']);
        assert!(parse(TWO.replace("f:s", "f:S").as_bytes()).unwrap().unknown.is_empty());
    }

    #[test]
    fn mutations_never_panic_and_what_is_taken_is_written_again() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let mut taken = 0;
        for _ in 0..20_000 {
            let mut bytes = TWO.as_bytes().to_vec();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = random(256) as u8,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"\n:FRZaMP\0"[random(9)]),
                    _ => bytes.truncate(at.max(16)),
                }
            }
            if let Ok(read) = parse(&bytes) {
                assert_eq!(read.to_bytes(), bytes);
                read.records.iter().for_each(|record| drop(record.files()));
                taken += usize::from(read.packages().is_ok());
            }
        }
        assert!(taken > 1000, "{taken}");
    }
}
