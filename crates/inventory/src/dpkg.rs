//! dpkg's status file: stanzas to [`Package`]s. A bad stanza is noted and passed over; a file that is no status file, or
//! only the beginning of one, is an error.

use crate::{Error, Package, PackageState, check_size, printable};
use version::{PackageName, deb};

/// Largest file taken. A full desktop's has 5 MB.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most packages taken; all of Debian has fewer binaries of one architecture.
const PACKAGES_MAX: usize = 100_000;

/// Most notes kept; a file that is bad throughout should not print a book.
const NOTES_MAX: usize = 20;

/// Longest value kept of a field; names and versions are far shorter.
const VALUE_BYTES_MAX: usize = 1024;

/// What a status file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Packages that are on disk, sorted by name and architecture.
    pub packages: Vec<Package>,
    /// What is in doubt.
    pub notes: Vec<String>,
}

/// Reads a status file.
pub fn parse_status(bytes: &[u8]) -> Result<Status, Error> {
    check_size(bytes, BYTES_MAX)?;
    if bytes.contains(&0) {
        return Err(Error::Malformed("binary, not a dpkg status file".into()));
    }
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        return Err(Error::Malformed("ends in the middle of a line".into()));
    }
    let mut reader = Reader::default();
    let lines = bytes.split(|b| *b == b'\n').enumerate();
    for (index, line) in lines {
        reader.line(index + 1, line)?;
    }
    reader.finish(bytes.ends_with(b"\n\n"))
}

/// What a file of `status.d` that is no package's record ends with.
pub const SUMS_SUFFIX: &str = ".md5sums";

/// Reads the records of images that were made without dpkg: one file a package in `/var/lib/dpkg/status.d`, its control file.
/// What has a record there is installed, even where the record does not say so.
pub fn parse_status_folder<'a>(files: impl Iterator<Item = &'a [u8]>) -> Result<Status, Error> {
    let mut all = Vec::new();
    for bytes in files {
        for mut stanza in crate::deb822::stanzas(bytes, BYTES_MAX)? {
            if stanza.get("status").is_none() {
                stanza.set("Status", "install ok installed", "package");
            }
            all.extend_from_slice(stanza.text().as_bytes());
            all.push(b'\n');
        }
        check_size(&all, BYTES_MAX)?;
    }
    parse_status(&all)
}

/// The state between two lines.
#[derive(Default)]
struct Reader {
    stanza: Stanza,
    status: Status,
    stanzas: usize,
    bad: usize,
    last_bad: Option<String>,
    more_notes: usize,
}

/// The fields of one stanza that we use.
#[derive(Default)]
struct Stanza {
    line: usize,
    fields: Vec<(Field, String)>,
    broken: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Package,
    Status,
    Version,
    Architecture,
    Source,
    Essential,
    Protected,
    MultiArch,
}

impl Field {
    fn of(name: &[u8]) -> Option<Field> {
        let named = [
            ("package", Field::Package),
            ("status", Field::Status),
            ("version", Field::Version),
            ("architecture", Field::Architecture),
            ("source", Field::Source),
            ("essential", Field::Essential),
            ("protected", Field::Protected),
            ("multi-arch", Field::MultiArch),
        ];
        named.iter().find(|(text, _)| name.eq_ignore_ascii_case(text.as_bytes())).map(|(_, field)| *field)
    }
}

impl Reader {
    fn line(&mut self, number: usize, line: &[u8]) -> Result<(), Error> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.first() {
            None => return self.end_stanza(),
            // Continuation lines belong to fields that we do not read.
            Some(b' ' | b'\t') => return Ok(()),
            Some(_) => {}
        }
        if self.stanza.line == 0 {
            self.stanza.line = number;
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            self.stanza.broken = Some(format!("line {number} is no field"));
            return Ok(());
        };
        if let Some(field) = Field::of(&line[..colon]) {
            self.stanza.set(field, &line[colon + 1..], number);
        }
        Ok(())
    }

    fn end_stanza(&mut self) -> Result<(), Error> {
        if self.stanza.line == 0 {
            return Ok(());
        }
        let stanza = std::mem::take(&mut self.stanza);
        self.stanzas += 1;
        self.last_bad = None;
        match stanza.package(&mut self.status.notes) {
            Ok(None) => {}
            Ok(Some(_)) if self.status.packages.len() == PACKAGES_MAX => {
                return Err(Error::Malformed(format!("more than {PACKAGES_MAX} packages")));
            }
            Ok(Some(package)) => self.status.packages.push(package),
            Err(why) => {
                let note =
                    format!("package at line {} of the dpkg status file is left out: {why}", stanza.line);
                self.bad += 1;
                self.status.notes.push(note);
                self.last_bad = Some(why);
            }
        }
        if self.status.notes.len() > NOTES_MAX {
            self.more_notes += self.status.notes.len() - NOTES_MAX;
            self.status.notes.truncate(NOTES_MAX);
        }
        Ok(())
    }

    fn finish(mut self, ends_with_blank_line: bool) -> Result<Status, Error> {
        self.end_stanza()?;
        // dpkg ends each stanza with a blank line: a last stanza that lacks both that and a field was cut off.
        if let Some(why) = self.last_bad.filter(|_| !ends_with_blank_line) {
            return Err(Error::Malformed(format!("ends in the middle of a package: {why}")));
        }
        if self.bad * 2 > self.stanzas {
            let (bad, all) = (self.bad, self.stanzas);
            return Err(Error::Malformed(format!(
                "not a dpkg status file: {bad} of {all} entries are unreadable"
            )));
        }
        if self.more_notes > 0 {
            self.status.notes.push(format!("{} more notes of this kind", self.more_notes));
        }
        sort(&mut self.status);
        Ok(self.status)
    }
}

/// Sorts, and of two entries of one package keeps the later, as dpkg does.
fn sort(status: &mut Status) {
    let key = |p: &Package| (p.name.clone(), p.architecture.clone());
    status.packages.reverse();
    status.packages.sort_by_cached_key(key);
    let before = status.packages.len();
    status.packages.dedup_by(|a, b| a.name == b.name && a.architecture == b.architecture);
    let twice = before - status.packages.len();
    if twice > 0 {
        status
            .notes
            .push(format!("{twice} entries of the dpkg status file are there twice; the later ones count"));
    }
}

impl Stanza {
    fn set(&mut self, field: Field, value: &[u8], number: usize) {
        let value = value.trim_ascii();
        match std::str::from_utf8(value) {
            Ok(text) if text.len() <= VALUE_BYTES_MAX => self.fields.push((field, text.to_owned())),
            Ok(_) => self.broken = Some(format!("line {number} is too long")),
            Err(_) => self.broken = Some(format!("line {number} is not UTF-8")),
        }
    }

    fn get(&self, wanted: Field) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == wanted).map(|(_, value)| value.as_str())
    }

    fn yes(&self, field: Field) -> bool {
        self.get(field).is_some_and(|v| v.eq_ignore_ascii_case("yes"))
    }

    /// The package, where it is on disk.
    fn package(&self, notes: &mut Vec<String>) -> Result<Option<Package>, String> {
        if let Some(why) = &self.broken {
            return Err(why.clone());
        }
        let name: PackageName =
            self.get(Field::Package).ok_or("no package name")?.parse().map_err(|e| format!("{e}"))?;
        let missing = |what: &str| format!("{name} has no {what}");
        let triple = Triple::parse(self.get(Field::Status).ok_or_else(|| missing("status"))?)
            .ok_or_else(|| format!("{name} has a status of a form unknown to dpkg"))?;
        let Some(state) = triple.state else { return Ok(None) };
        let version = self.get(Field::Version).filter(|v| !v.is_empty()).ok_or_else(|| missing("version"))?;
        let architecture = self.get(Field::Architecture).ok_or_else(|| missing("architecture"))?;
        if !architecture.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') || architecture.is_empty() {
            return Err(format!("{name} has an invalid architecture \"{}\"", printable(architecture)));
        }
        if let Err(error) = version.parse::<deb::Version>() {
            notes.push(format!("{name}: {error}"));
        }
        if triple.reinstall {
            notes.push(format!("{name} is marked as broken and to be installed again"));
        }
        let (source, source_version) = source(self.get(Field::Source), name.as_str(), version);
        Ok(Some(Package {
            version: printable(version),
            architecture: architecture.to_owned(),
            source,
            source_version,
            held: triple.held,
            state,
            essential: self.yes(Field::Essential) || self.yes(Field::Protected),
            multi_arch_same: self.get(Field::MultiArch).is_some_and(|v| v.eq_ignore_ascii_case("same")),
            install_only: false,
            name,
        }))
    }
}

/// The three words of a `Status` field.
struct Triple {
    held: bool,
    reinstall: bool,
    /// None where nothing of the package is on disk but configuration files.
    state: Option<PackageState>,
}

impl Triple {
    fn parse(text: &str) -> Option<Triple> {
        let mut words = text.split_whitespace();
        let (want, flag, state) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() || !matches!(want, "unknown" | "install" | "hold" | "deinstall" | "purge") {
            return None;
        }
        let state = match state {
            "not-installed" | "config-files" => None,
            "installed" => Some(PackageState::Installed),
            other => Some(PackageState::Unfinished(unfinished(other)?)),
        };
        match flag {
            "ok" | "reinstreq" => {
                Some(Triple { held: want == "hold", reinstall: flag == "reinstreq", state })
            }
            _ => None,
        }
    }
}

fn unfinished(word: &str) -> Option<&'static str> {
    let words = ["unpacked", "half-installed", "half-configured", "triggers-awaited", "triggers-pending"];
    words.into_iter().find(|w| *w == word)
}

/// `Source: name (version)`, each part optional.
fn source(field: Option<&str>, name: &str, version: &str) -> (String, String) {
    let field = field.unwrap_or(name);
    let (source, rest) = field.split_once('(').unwrap_or((field, ""));
    let given = rest.trim_end().trim_end_matches(')').trim();
    (printable(source.trim()), printable(if given.is_empty() { version } else { given }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_a_status_are_of_installed_packages() {
        let files = [
            "Package: b\nArchitecture: amd64\nVersion: 2\n",
            "Package: a\nArchitecture: all\nVersion: 1\n\n",
        ];
        let status = parse_status_folder(files.iter().map(|f| f.as_bytes())).unwrap();
        let names: Vec<_> = status.packages.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect();
        assert_eq!(names, [("a", "1"), ("b", "2")]);
        assert!(parse_status_folder([&b"junk"[..]].into_iter()).is_err());
    }

    const GOOD: &str = "Package: libc6\nEssential: no\nStatus: install ok installed\nPriority: optional\n\
        Architecture: amd64\nMulti-Arch: same\nSource: glibc\nVersion: 2.36-9+deb12u4\nConffiles:\n /etc/ld.so.conf.d/x abc\n\
        Description: GNU C Library\n Shared libraries.\n .\n Package: not-a-field\n\n";

    fn stanza(name: &str, status: &str, more: &str) -> String {
        format!("Package: {name}\nStatus: {status}\nArchitecture: amd64\nVersion: 1.0\n{more}\n")
    }

    #[test]
    fn a_package_is_read_whole() {
        let status = parse_status(GOOD.as_bytes()).unwrap();
        let [package] = &status.packages[..] else { panic!("{status:?}") };
        assert_eq!((package.name.as_str(), package.version.as_str()), ("libc6", "2.36-9+deb12u4"));
        assert_eq!((package.source.as_str(), package.source_version.as_str()), ("glibc", "2.36-9+deb12u4"));
        assert!(package.multi_arch_same && !package.essential && !package.held);
        assert_eq!(package.state, PackageState::Installed);
        assert!(status.notes.is_empty());
    }

    #[test]
    fn the_status_triple_says_what_is_on_disk() {
        for (status, expected) in [
            ("install ok installed", Some((false, PackageState::Installed))),
            ("hold ok installed", Some((true, PackageState::Installed))),
            ("deinstall ok installed", Some((false, PackageState::Installed))),
            ("install ok half-configured", Some((false, PackageState::Unfinished("half-configured")))),
            ("install ok triggers-awaited", Some((false, PackageState::Unfinished("triggers-awaited")))),
            ("install reinstreq half-installed", Some((false, PackageState::Unfinished("half-installed")))),
            ("deinstall ok config-files", None),
            ("unknown ok not-installed", None),
            ("purge ok not-installed", None),
        ] {
            let read = parse_status(stanza("a", status, "").as_bytes()).unwrap();
            assert_eq!(read.packages.first().map(|p| (p.held, p.state)), expected, "{status}");
        }
    }

    #[test]
    fn fields_are_named_in_any_case_and_sources_carry_versions() {
        let text = "package: a\nSTATUS: install ok installed\narchitecture: all\nversion: 1:2-3+b1\n\
            source: b (1:2-3)\nprotected: YES\n\n";
        let status = parse_status(text.as_bytes()).unwrap();
        let package = &status.packages[0];
        assert_eq!((package.source.as_str(), package.source_version.as_str()), ("b", "1:2-3"));
        assert!(package.essential);
    }

    #[test]
    fn a_bad_stanza_is_noted_and_the_rest_is_read() {
        for bad in [
            "Status: install ok installed\nVersion: 1\n\n",
            "Package: ../x\nStatus: install ok installed\n\n",
            "Package: x\nStatus: what is this\n\n",
            "Package: x\nStatus: install ok installed\nArchitecture: amd64\n\n",
            "Package: x\nStatus: install ok installed\nArchitecture: a/../b\nVersion: 1\n\n",
            "Package: x\nno field at all\n\n",
        ] {
            let text = format!("{bad}{GOOD}{}", stanza("z", "install ok installed", ""));
            let status = parse_status(text.as_bytes()).unwrap();
            assert_eq!(status.packages.len(), 2, "{bad}");
            assert!(status.notes[0].contains("line 1 "), "{:?}", status.notes);
        }
        let odd =
            parse_status(stanza("a", "install ok installed", "").replace("1.0", "v1").as_bytes()).unwrap();
        assert!(odd.packages.len() == 1 && odd.notes[0].contains("invalid Debian version"), "{odd:?}");
    }

    #[test]
    fn what_is_no_status_file_or_cut_off_is_an_error() {
        let cut = &GOOD[..GOOD.find("Version").unwrap()];
        for (bytes, why) in [
            (&b"\x7fELF\x02\0\0\0"[..], "binary"),
            (&GOOD.as_bytes()[..GOOD.len() - 8], "middle of a line"),
            (cut.as_bytes(), "middle of a package"),
            (b"hello world\n\nthis is not dpkg\n\n", "not a dpkg status file"),
        ] {
            let error = parse_status(bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        // The benign twins: empty, and ending with one newline only.
        let one_newline = format!("{}\n", GOOD.trim_end());
        assert_eq!(parse_status(b"").unwrap(), Status::default());
        assert_eq!(parse_status(one_newline.as_bytes()).unwrap().packages.len(), 1);
    }

    #[test]
    fn many_packages_sort_and_later_entries_win() {
        let all: String =
            (0..3000).rev().map(|n| stanza(&format!("p{n:04}"), "install ok installed", "")).collect();
        let text = all + &stanza("p0007", "install ok installed", "").replace("1.0", "2.0");
        let status = parse_status(text.as_bytes()).unwrap();
        assert_eq!(status.packages.len(), 3000);
        assert!(status.packages.is_sorted_by_key(|p| p.name.clone()));
        assert_eq!(status.packages[7].version, "2.0");
        assert!(status.notes[0].contains("twice"));
    }
}
