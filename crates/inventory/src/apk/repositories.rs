//! apk's list of repositories (apk-repositories(5)): what it fetches from, and which hosts that are.

use crate::{
    Error,
    apt_sources::{host_of, without_credentials},
    check_size, printable,
};
use std::collections::{BTreeMap, BTreeSet};

/// Largest file taken; real ones have two lines.
pub const BYTES_MAX: usize = 256 * 1024;

/// Most repositories taken; apk itself takes fewer.
const REPOSITORIES_MAX: usize = 1000;

/// Most notes kept.
const NOTES_MAX: usize = 20;

/// Longest line after variables were put in.
const LINE_BYTES_MAX: usize = 8192;

/// The repositories, gathered over all files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repositories {
    /// In order, without duplicates.
    pub list: Vec<Repository>,
    /// `host[:port]` of http, `https://host[:port]` of https.
    pub hosts: BTreeSet<String>,
    /// What cannot be used.
    pub notes: Vec<String>,
    variables: BTreeMap<String, String>,
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// What its URL leads to.
    pub layout: Layout,
    /// Its URL or path, without a slash at the end.
    pub url: String,
    /// Packages are taken from it for constraints with this tag only.
    pub tag: Option<String>,
}

/// What a repository's URL leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A folder: the index is at `<arch>/APKINDEX.tar.gz`.
    V2,
    /// A folder: the index is at `<arch>/Packages.adb`.
    V3,
    /// The index itself.
    Index,
}

/// Whether apk reads a file of this name in `repositories.d`.
pub fn is_read_by_apk(file_name: &str) -> bool {
    file_name.ends_with(".list") && !file_name.starts_with('.')
}

impl Repositories {
    /// Begins a list for images whose packages are of this architecture (`${APK_ARCH}`).
    pub fn new(architecture: &str) -> Self {
        let variables = [("APK_ARCH".to_owned(), architecture.to_owned())].into();
        Repositories { variables, ..Repositories::default() }
    }

    /// Adds a file. Lines that apk does not understand are noted; apk passes over them as well.
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        check_size(bytes, BYTES_MAX)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Error::Malformed("not UTF-8 text".into()))?;
        if text.contains('\0') {
            return Err(Error::Malformed("binary, not text".into()));
        }
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            if let Err(why) = self.line(path, line) {
                let shown = printable(&without_credentials(line));
                self.note(format!("{}: {why}: {shown}", printable(path)));
            }
            if self.list.len() > REPOSITORIES_MAX {
                return Err(Error::Malformed(format!("more than {REPOSITORIES_MAX} repositories")));
            }
        }
        Ok(())
    }

    fn line(&mut self, path: &str, line: &str) -> Result<(), &'static str> {
        let mut words = line.split_ascii_whitespace().peekable();
        let mut layout = None;
        if let Some(keyword) = words.next_if(|word| !word.starts_with(['@', '$']) && !is_url(word)) {
            layout = match keyword {
                "set" => return self.set(words),
                "v2" => Some(Layout::V2),
                "v3" => Some(Layout::V3),
                "ndx" => Some(Layout::Index),
                _ => return Err("an unknown keyword"),
            };
        }
        let tag = words.next_if(|word| word.starts_with('@')).map(|tag| tag[1..].to_owned());
        let word = words.next().ok_or("no URL")?;
        let own =
            if word.ends_with(".adb") || word.ends_with(".tar.gz") { Layout::Index } else { Layout::V2 };
        let layout = layout.unwrap_or(own);
        let url = self.expand(word)?.trim_end_matches('/').to_owned();
        // One line may name any number of them, each as long as its variables are; beyond these the file is refused.
        let words = words.take(REPOSITORIES_MAX + 1);
        let components: Vec<_> = words.map(|word| self.expand(word)).collect::<Result<_, _>>()?;
        if components.is_empty() {
            self.repository(path, Repository { layout, url, tag });
            return Ok(());
        }
        for component in components {
            let (url, tag) = (format!("{url}/{component}"), tag.clone());
            self.repository(path, Repository { layout, url, tag });
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        }
    }

    fn set<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> Result<(), &'static str> {
        let mut overwrite = true;
        for word in words {
            if word == "-default" {
                overwrite = false;
                continue;
            }
            let (key, value) = word.split_once('=').ok_or("not an assignment")?;
            let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !plain || !key.starts_with(|c: char| c.is_ascii_alphabetic()) || key.starts_with("APK_") {
                return Err("an invalid variable");
            }
            let value = self.expand(value)?;
            if overwrite || !self.variables.contains_key(key) {
                self.variables.insert(key.to_owned(), value);
            }
            return Ok(());
        }
        Err("not an assignment")
    }

    /// The text with `${variable}` replaced.
    fn expand(&self, text: &str) -> Result<String, &'static str> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("a variable without an end")?;
            out.push_str(before);
            out.push_str(self.variables.get(name).ok_or("an undefined variable")?);
            rest = after;
            if out.len() > LINE_BYTES_MAX {
                return Err("too long with its variables");
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn repository(&mut self, path: &str, repository: Repository) {
        if self.list.contains(&repository) {
            return;
        }
        let url = &repository.url;
        let shown = || printable(&without_credentials(url));
        let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "http" | "https" => match host_of(&scheme, rest) {
                Some(host) => drop(self.hosts.insert(host)),
                None => {
                    let note = format!("{}: \"{}\" has no valid host name", printable(path), shown());
                    return self.note(note);
                }
            },
            _ if url.starts_with('/') || scheme == "file" || scheme == "test" => {
                let note = format!("{}: {} is a local repository", printable(path), shown());
                self.note(note);
            }
            _ => {
                let note = format!("{}: {} is not fetched over http or https", printable(path), shown());
                return self.note(note);
            }
        }
        self.list.push(repository);
    }
}

fn is_url(word: &str) -> bool {
    word.starts_with('/') || word.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Repositories {
        let mut repositories = Repositories::new("x86_64");
        repositories.add("/etc/apk/repositories", text.as_bytes()).unwrap();
        repositories
    }

    fn urls(repositories: &Repositories) -> Vec<&str> {
        repositories.list.iter().map(|r| r.url.as_str()).collect()
    }

    #[test]
    fn the_lists_of_alpine_and_wolfi_give_their_hosts() {
        let text = "#/media/cdrom/apks\nhttp://dl-cdn.example/alpine/v3.18/main\n\
            https://dl-cdn.example/alpine/v3.18/community/\n@edge https://user:secret@edge.example:8443/main\n\
            /media/cdrom/apks\nhttp://dl-cdn.example/alpine/v3.18/main\n";
        let read = read(text);
        assert_eq!(
            urls(&read),
            [
                "http://dl-cdn.example/alpine/v3.18/main",
                "https://dl-cdn.example/alpine/v3.18/community",
                "https://user:secret@edge.example:8443/main",
                "/media/cdrom/apks",
            ]
        );
        assert_eq!(read.list[2].tag.as_deref(), Some("edge"));
        let hosts: Vec<_> = read.hosts.iter().map(String::as_str).collect();
        assert_eq!(hosts, ["dl-cdn.example", "https://dl-cdn.example", "https://edge.example:8443"]);
        assert_eq!(read.notes, ["/etc/apk/repositories: /media/cdrom/apks is a local repository"]);
    }

    #[test]
    fn the_notation_of_apk_3_is_understood() {
        let text = "set -default mirror=https://mirror.example/alpine\nset -default mirror=https://other.example\n\
            set release=v3.23\nv3 ${mirror}/${release} main community\n${mirror}/edge/${APK_ARCH}/x.adb\n\
            v2 @t ${mirror}/old\nndx https://index.example/APKINDEX.tar.gz\n";
        let read = read(text);
        let expected = [
            (Layout::V3, "https://mirror.example/alpine/v3.23/main"),
            (Layout::V3, "https://mirror.example/alpine/v3.23/community"),
            (Layout::Index, "https://mirror.example/alpine/edge/x86_64/x.adb"),
            (Layout::V2, "https://mirror.example/alpine/old"),
            (Layout::Index, "https://index.example/APKINDEX.tar.gz"),
        ];
        let shown: Vec<_> = read.list.iter().map(|r| (r.layout, r.url.as_str())).collect();
        assert_eq!(shown, expected);
        assert!(read.notes.is_empty(), "{:?}", read.notes);
        assert_eq!(read.list[3].tag.as_deref(), Some("t"));
    }

    #[test]
    fn hostile_lines_are_noted_without_secrets_and_never_become_hosts() {
        let doubled = "set a=x\n".to_owned() + &"set a=${a}${a}\n".repeat(40) + "http://${a}/\n";
        for text in [
            "ftp://user:secret@h.example/x",
            "http:///x",
            "http://a:99999/",
            "http://ev\u{1b}il/",
            "deb http://h.example x",
            "${none}/x",
            "${mirror",
            "set APK_ARCH=x",
            "set 1=x",
            "v3",
            &doubled,
        ] {
            let read = read(text);
            assert!(read.list.is_empty() && read.hosts.is_empty(), "{text}: {read:?}");
            assert!(!read.notes.is_empty() && read.notes.iter().all(|n| !n.contains("secret")), "{text}");
            assert!(read.notes.iter().all(|n| !n.contains('\u{1b}')), "{text}");
        }
        let mut all = Repositories::new("x");
        assert!(all.add("/x", b"\0").is_err() && all.add("/x", b"\xff").is_err());
        let many: String = (0..=REPOSITORIES_MAX).map(|n| format!("http://h.example/{n}\n")).collect();
        assert!(all.add("/x", many.as_bytes()).is_err());
        let mut wide = Repositories::new("x");
        let line: String = (0..50_000).map(|n| format!(" c{n}")).collect();
        assert!(wide.add("/x", format!("http://h.example{line}\n").as_bytes()).is_err());
        assert!(wide.list.len() <= REPOSITORIES_MAX + 1);
        let mut noisy = Repositories::new("x");
        noisy.add("/x", "v3\n".repeat(1000).as_bytes()).unwrap();
        assert_eq!(noisy.notes.len(), NOTES_MAX);
    }
}
