//! pacman.conf(5): what is ignored, where the repositories are, and what is accepted without a signature.

use super::pattern;
use crate::{
    Error,
    apt_sources::{host_of, without_credentials},
    check_size, printable,
};
use std::collections::{BTreeMap, BTreeSet};

/// Largest file taken; a list of all of Arch's mirrors has 30 kB.
pub const BYTES_MAX: usize = 256 * 1024;

/// How deep files may include each other; as in pacman.
const DEPTH_MAX: usize = 10;

/// Most bytes read in all, each file as often as it is included, so that files that include each other end.
const READ_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What including a file costs of them beside its own bytes.
const INCLUDE_BYTES: usize = 1024;

/// Most notes kept.
const NOTES_MAX: usize = 20;

/// What the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// `IgnorePkg`: patterns of packages that stay.
    pub ignored_packages: Vec<String>,
    /// `IgnoreGroup`: patterns of groups whose packages stay.
    pub ignored_groups: Vec<String>,
    /// `host[:port]` of http servers, `https://host[:port]` of https servers.
    pub hosts: BTreeSet<String>,
    /// Repositories in force, those of local folders included.
    pub repositories: usize,
    /// `DBPath`, where it is set.
    pub database: Option<String>,
    /// `RootDir`, where it is set.
    pub root: Option<String>,
    /// What cannot be used, or weakens signature checks.
    pub notes: Vec<String>,
}

/// One file to read, and the files that it may include.
struct Reader<'a> {
    files: &'a BTreeMap<&'a str, &'a [u8]>,
    conf: Conf,
    section: String,
    read: usize,
    signatures: Signatures,
    own_signatures: Signatures,
}

/// Whether packages are taken without a valid signature.
#[derive(Clone, Copy)]
struct Signatures {
    required: bool,
    anyone: bool,
}

/// Reads a configuration. `files` has its bytes and those of the files it may include, by path.
pub fn read(path: &str, files: &BTreeMap<&str, &[u8]>) -> Result<Conf, Error> {
    // What pacman does without a word on it.
    let signatures = Signatures { required: false, anyone: false };
    let mut reader = Reader {
        files,
        conf: Conf::default(),
        section: String::new(),
        read: 0,
        signatures,
        own_signatures: signatures,
    };
    reader.file(path, 0)?;
    reader.end_section();
    Ok(reader.conf)
}

impl Reader<'_> {
    fn file(&mut self, path: &str, depth: usize) -> Result<(), Error> {
        let wrong = |why: &str| Error::Malformed(format!("{}: {why}", printable(path)));
        let Some(bytes) = self.files.get(path).copied() else {
            self.note(format!("{} is part of pacman's configuration and was not read", printable(path)));
            return Ok(());
        };
        self.read += bytes.len() + INCLUDE_BYTES;
        if depth > DEPTH_MAX || self.read > READ_BYTES_MAX {
            return Err(wrong("included too deep or too often"));
        }
        check_size(bytes, BYTES_MAX).map_err(|error| wrong(&error.to_string()))?;
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("not UTF-8 text"))?;
        if text.contains('\0') {
            return Err(wrong("binary, not text"));
        }
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            self.line(line, depth)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &str, depth: usize) -> Result<(), Error> {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            self.end_section();
            name.clone_into(&mut self.section);
            self.own_signatures = self.signatures;
            return Ok(());
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let (key, value) = (key.trim(), value.trim());
        match (key, self.section.as_str()) {
            ("Include", _) => return self.include(value, depth),
            ("SigLevel", section) => {
                self.own_signatures = self.own_signatures.with(value);
                if section == "options" {
                    self.signatures = self.own_signatures;
                }
            }
            ("IgnorePkg", "options") => self.ignore(value, |conf| &mut conf.ignored_packages),
            ("IgnoreGroup", "options") => self.ignore(value, |conf| &mut conf.ignored_groups),
            ("DBPath", "options") => self.conf.database = Some(value.to_owned()),
            ("RootDir", "options") => self.conf.root = Some(value.to_owned()),
            ("Server" | "CacheServer", section) if section != "options" => self.server(value),
            _ => {}
        }
        Ok(())
    }

    fn include(&mut self, pattern: &str, depth: usize) -> Result<(), Error> {
        if !pattern.contains(['*', '?']) {
            return self.file(pattern, depth + 1);
        }
        let files = self.files;
        for path in files.keys().filter(|path| pattern::fits(pattern, path)) {
            self.file(path, depth + 1)?;
        }
        Ok(())
    }

    fn ignore(&mut self, words: &str, list: impl Fn(&mut Conf) -> &mut Vec<String>) {
        for word in words.split_ascii_whitespace() {
            if pattern::is_strange(word) {
                let note =
                    format!("pacman.conf ignores {}, which is left to pacman to judge", printable(word));
                self.note(note);
            }
            list(&mut self.conf).push(word.to_owned());
        }
    }

    fn server(&mut self, template: &str) {
        // `$arch` stays: it stands in paths, and no host name has it.
        let url = template.replace("$repo", &self.section);
        let shown = || printable(&without_credentials(&url));
        let (scheme, rest) = url.split_once(':').unwrap_or(("", &url));
        let scheme = scheme.to_ascii_lowercase();
        let note = match scheme.as_str() {
            "http" | "https" => match host_of(&scheme, rest) {
                Some(host) => {
                    self.conf.hosts.insert(host);
                    return;
                }
                None => format!("pacman.conf: \"{}\" has no valid host name", shown()),
            },
            "file" => format!("pacman.conf: {} is a local repository", shown()),
            _ => {
                format!("pacman.conf: {} is not fetched over http or https and will not be reached", shown())
            }
        };
        self.note(note);
    }

    fn note(&mut self, note: String) {
        if self.conf.notes.len() < NOTES_MAX && !self.conf.notes.contains(&note) {
            self.conf.notes.push(note);
        }
    }

    fn end_section(&mut self) {
        if self.section.is_empty() || self.section == "options" {
            return;
        }
        self.conf.repositories += 1;
        if !self.own_signatures.required || self.own_signatures.anyone {
            let note = format!(
                "pacman.conf takes packages of the repository {} without a trusted signature (SigLevel)",
                printable(&self.section)
            );
            self.note(note);
        }
    }
}

impl Signatures {
    fn with(self, words: &str) -> Self {
        words.split_ascii_whitespace().fold(self, |so_far, word| match word {
            "Required" | "PackageRequired" => Signatures { required: true, ..so_far },
            "Optional" | "PackageOptional" | "Never" | "PackageNever" => {
                Signatures { required: false, ..so_far }
            }
            "TrustAll" | "PackageTrustAll" => Signatures { anyone: true, ..so_far },
            "TrustedOnly" | "PackageTrustedOnly" => Signatures { anyone: false, ..so_far },
            _ => so_far,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(files: &[(&str, &str)]) -> Result<Conf, Error> {
        let files = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
        read("/etc/pacman.conf", &files)
    }

    const ARCH: &str = "# comment\n[options]\nHoldPkg = pacman glibc\nArchitecture = auto\nIgnorePkg = linux linux-*\n\
        IgnorePkg=openssl\nIgnoreGroup = gnome\nCheckSpace\nSigLevel    = Required DatabaseOptional\n\n\
        [core]\nInclude = /etc/pacman.d/mirrorlist\n\n[extra]\nInclude = /etc/pacman.d/mirrorlist\n\
        [own]\nSigLevel = Optional TrustAll\nServer = file:///srv/own\n";
    const MIRRORS: &str = "## Worldwide\nServer = https://geo.mirror.example/$repo/os/$arch\n#Server = http://off.example/\n\
        Server = http://$repo.example:8080/$arch\n";

    #[test]
    fn repositories_holds_and_signatures_are_told() {
        let read = conf(&[("/etc/pacman.conf", ARCH), ("/etc/pacman.d/mirrorlist", MIRRORS)]).unwrap();
        assert_eq!(read.ignored_packages, ["linux", "linux-*", "openssl"]);
        assert_eq!(read.ignored_groups, ["gnome"]);
        let hosts: Vec<_> = read.hosts.iter().map(String::as_str).collect();
        assert_eq!(hosts, ["core.example:8080", "extra.example:8080", "https://geo.mirror.example"]);
        assert_eq!(read.repositories, 3);
        assert_eq!(
            read.notes,
            [
                "pacman.conf: file:///srv/own is a local repository",
                "pacman.conf takes packages of the repository own without a trusted signature (SigLevel)",
            ]
        );
    }

    #[test]
    fn includes_are_followed_within_bounds() {
        let glob = "[options]\nInclude = /etc/pacman.d/*.conf\n";
        let read = conf(&[
            ("/etc/pacman.conf", glob),
            ("/etc/pacman.d/a.conf", "IgnorePkg = a\nDBPath = /db\n"),
            ("/etc/pacman.d/b.conf", "IgnorePkg = b"),
            ("/etc/pacman.d/c", "IgnorePkg = c"),
        ]);
        let read = read.unwrap();
        assert_eq!(read.ignored_packages, ["a", "b"]);
        assert_eq!(read.database.as_deref(), Some("/db"));
        let absent =
            conf(&[("/etc/pacman.conf", "[core]\nSigLevel=Required\nInclude = /elsewhere\n")]).unwrap();
        assert_eq!(absent.notes, ["/elsewhere is part of pacman's configuration and was not read"]);
        let endless = "Include = /etc/pacman.conf\n";
        assert!(conf(&[("/etc/pacman.conf", endless)]).is_err());
        let wide = endless.repeat(1000);
        assert!(conf(&[("/etc/pacman.conf", &wide)]).is_err());
        for text in ["\0", &"#".repeat(BYTES_MAX + 1)] {
            assert!(conf(&[("/etc/pacman.conf", text)]).is_err());
        }
    }

    #[test]
    fn hostile_servers_are_noted_without_secrets_and_never_become_hosts() {
        for server in ["ftp://u:secret@h.example/", "http:///x", "http://ev\u{1b}il/", "$arch"] {
            let text = format!("[core]\nSigLevel = Required\nServer = {server}\n");
            let read = conf(&[("/etc/pacman.conf", &text)]).unwrap();
            assert!(read.hosts.is_empty(), "{server}");
            assert_eq!(read.notes.len(), 1, "{server}");
            assert!(!read.notes[0].contains("secret") && !read.notes[0].contains('\u{1b}'));
        }
    }
}
