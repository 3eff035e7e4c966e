//! apt's repository configuration (sources.list(5)): which hosts the image itself is set up to fetch from.

use crate::{Error, check_size, printable};
use std::collections::BTreeSet;

/// Largest file taken. A signing key written into a `.sources` file has a few kilobytes.
pub const BYTES_MAX: usize = 1024 * 1024;

/// Longest host name of DNS.
const HOST_BYTES_MAX: usize = 253;

/// What repository configuration says, gathered over all its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// `host[:port]` of http sources, `https://host[:port]` of https sources; lower case, and a port only where it is
    /// not the scheme's own.
    pub hosts: BTreeSet<String>,
    /// Absolute paths of mirror lists that entries point to (`mirror+file:`).
    pub mirror_lists: BTreeSet<String>,
    /// Entries that are in force, local ones included.
    pub entries: usize,
    /// What cannot be used, or weakens signature checks.
    pub notes: Vec<String>,
}

/// Whether apt reads a file of this name in `sources.list.d`.
pub fn is_read_by_apt(file_name: &str) -> bool {
    let stem = file_name.strip_suffix(".list").or_else(|| file_name.strip_suffix(".sources"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    stem.is_some_and(|s| !s.is_empty() && s.bytes().all(plain))
}

impl Sources {
    /// Adds a file: deb822 where its name ends in `.sources`, one entry a line elsewhere.
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        check_size(bytes, BYTES_MAX)?;
        if bytes.contains(&0) {
            return Err(Error::Malformed("binary, not text".into()));
        }
        let text = String::from_utf8_lossy(bytes);
        match path.ends_with(".sources") {
            true => self.add_deb822(path, &text),
            false => self.add_one_line(path, &text),
        }
        Ok(())
    }

    /// Adds a mirror list: one URI a line, options after it.
    pub fn add_mirror_list(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        check_size(bytes, BYTES_MAX)?;
        for line in String::from_utf8_lossy(bytes).lines() {
            if let Some(uri) = line.split_whitespace().next().filter(|uri| !uri.starts_with('#')) {
                self.uri(path, uri);
            }
        }
        Ok(())
    }

    fn add_one_line(&mut self, path: &str, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or("").trim();
            let Some((kind, rest)) = line.split_once(char::is_whitespace) else { continue };
            if !matches!(kind, "deb" | "deb-src") {
                continue;
            }
            let (options, rest) = split_options(rest.trim_start());
            if options.split_whitespace().any(|o| o.eq_ignore_ascii_case("trusted=yes")) {
                self.unsigned(path);
            }
            self.uri(path, rest.split_whitespace().next().unwrap_or(""));
        }
    }

    fn add_deb822(&mut self, path: &str, text: &str) {
        for stanza in stanzas(text) {
            let get =
                |key: &str| stanza.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str());
            if get("Enabled").is_some_and(is_no) || get("Types").is_none() {
                continue;
            }
            if get("Trusted").is_some_and(|v| v.eq_ignore_ascii_case("yes")) {
                self.unsigned(path);
            }
            for uri in get("URIs").or(get("URI")).unwrap_or("").split_whitespace() {
                self.uri(path, uri);
            }
        }
    }

    fn unsigned(&mut self, path: &str) {
        self.note(format!("{} trusts a repository without a signature (trusted=yes)", printable(path)));
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn uri(&mut self, path: &str, uri: &str) {
        let Some((scheme, rest)) = uri.split_once(':') else {
            return self.note(format!("{}: \"{}\" is no URI", printable(path), printable(uri)));
        };
        self.entries += 1;
        let scheme = scheme.to_ascii_lowercase();
        let plain =
            scheme.strip_prefix("mirror+").unwrap_or(if scheme == "mirror" { "http" } else { &scheme });
        match plain {
            "http" | "https" => self.host(path, uri, plain, rest),
            "file" if plain != scheme => drop(self.mirror_lists.insert(local_path(rest).to_owned())),
            _ => {
                let (at, shown) = (printable(path), printable(&without_credentials(uri)));
                self.note(format!("{at}: {shown} is not fetched over http or https and will not be reached"));
            }
        }
        if scheme.starts_with("mirror") && plain != "file" {
            let shown = printable(&without_credentials(uri));
            self.note(format!(
                "{}: mirrors that {shown} names are reached only if configured too",
                printable(path)
            ));
        }
    }

    fn host(&mut self, path: &str, uri: &str, scheme: &str, rest: &str) {
        match host_of(scheme, rest) {
            Some(host) => drop(self.hosts.insert(host)),
            None => {
                let shown = printable(&without_credentials(uri));
                self.note(format!("{}: \"{shown}\" has no valid host name", printable(path)));
            }
        }
    }
}

/// `[option=value …]` and what follows.
fn split_options(text: &str) -> (&str, &str) {
    match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        Some((options, rest)) => (options, rest),
        None => ("", text),
    }
}

fn is_no(value: &str) -> bool {
    ["no", "false", "without", "off", "disable", "0"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

/// The stanzas of a deb822 file: comments dropped, continuation lines joined with blanks.
fn stanzas(text: &str) -> Vec<Vec<(String, String)>> {
    let mut all: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        if line.trim().is_empty() {
            all.push(Vec::new());
            continue;
        }
        let Some(stanza) = all.last_mut() else { continue };
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            stanza.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    all.retain(|stanza| !stanza.is_empty());
    all
}

/// `[https://]host[:port]` of what follows the scheme and its colon; the scheme's own port is left out.
pub(crate) fn host_of(scheme: &str, rest: &str) -> Option<String> {
    let authority = rest.strip_prefix("//")?.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host.as_str(), None),
    };
    let plain = |n: &str| n.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    let address =
        |n: &str| n.starts_with('[') && n.ends_with(']') && n[1..n.len() - 1].bytes().all(ipv6_byte);
    if name.is_empty() || name.len() > HOST_BYTES_MAX || !(plain(name) || address(name)) {
        return None;
    }
    let (prefix, own) = if scheme == "https" { ("https://", 443) } else { ("", 80) };
    let number: u16 = match port {
        None => own,
        Some(port) => port.parse().ok().filter(|n| *n != 0)?,
    };
    Some(if number == own { format!("{prefix}{name}") } else { format!("{prefix}{name}:{number}") })
}

fn ipv6_byte(b: u8) -> bool {
    b.is_ascii_hexdigit() || b == b':' || b == b'.'
}

/// The path of a `file:` URI.
fn local_path(rest: &str) -> &str {
    rest.strip_prefix("//").unwrap_or(rest)
}

/// The URI without what stands before an `@` in its authority.
pub(crate) fn without_credentials(uri: &str) -> String {
    match uri.split_once("//") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}//{}", &rest[start..])
        }
        None => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, text: &str) -> Sources {
        let mut sources = Sources::default();
        sources.add(path, text.as_bytes()).unwrap();
        sources
    }

    fn hosts(sources: &Sources) -> Vec<&str> {
        sources.hosts.iter().map(String::as_str).collect()
    }

    #[test]
    fn one_line_entries_give_their_hosts() {
        let text = "# deb http://no.example/ x\n\
            deb http://deb.example.org/debian bookworm main # here\n\
            deb [arch=amd64 signed-by=/k.gpg] https://Secure.Example.org:443/ubuntu jammy main\n\
            deb-src http://src.example.org:8080/debian bookworm main\n\
            deb http://both.example.org/ x\ndeb HTTPS://both.example.org/ x\n\
            deb http://plain.example.org:443/ x\ndeb https://odd.example.org:80/ x\n\
            deb https://user:secret@tls.example.org:8443/ x\n\
            deb http://user:secret@private.example.org/x ./\n\
            deb http://[2001:db8::1]:3142/debian bookworm main\n\
            rpm http://rpm.example.org/ x\n";
        let sources = read("/etc/apt/sources.list", text);
        let expected = [
            "[2001:db8::1]:3142",
            "both.example.org",
            "deb.example.org",
            "https://both.example.org",
            "https://odd.example.org:80",
            "https://secure.example.org",
            "https://tls.example.org:8443",
            "plain.example.org:443",
            "private.example.org",
            "src.example.org:8080",
        ];
        assert_eq!(hosts(&sources), expected);
        assert!(sources.notes.is_empty(), "{:?}", sources.notes);
        assert_eq!(sources.entries, 10);
    }

    #[test]
    fn deb822_entries_give_their_hosts() {
        let text = "Types: deb deb-src\n# a comment\nURIs: http://a.example/debian\n  https://b.example/debian\n\
            Suites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n\n\
            Enabled: no\nTypes: deb\nURIs: http://off.example/\nSuites: x\n\n\
            types: deb\nuris: http://c.example:80/\nsuites: x\ntrusted: yes\n";
        let sources = read("/etc/apt/sources.list.d/debian.sources", text);
        assert_eq!(hosts(&sources), ["a.example", "c.example", "https://b.example"]);
        assert_eq!(sources.notes.len(), 1);
        assert!(sources.notes[0].contains("without a signature"));
    }

    #[test]
    fn local_media_and_mirror_lists_are_told_apart() {
        let text = "deb cdrom:[Debian 12]/ bookworm main\ndeb file:/srv/debian bookworm main\n\
            deb mirror+file:/etc/apt/mirrors/debian.list bookworm main\n\
            deb mirror://mirrors.example/list bookworm main\ndeb mirror+https://m.example/l bookworm main\n";
        let mut sources = read("/etc/apt/sources.list", text);
        assert_eq!(hosts(&sources), ["https://m.example", "mirrors.example"]);
        assert_eq!(sources.mirror_lists.iter().collect::<Vec<_>>(), ["/etc/apt/mirrors/debian.list"]);
        assert_eq!(sources.notes.len(), 4, "{:?}", sources.notes);
        sources
            .add_mirror_list("/etc/apt/mirrors/debian.list", b"https://x.example/debian\tpriority:1\n# y\n")
            .unwrap();
        assert!(sources.hosts.contains("https://x.example"));
    }

    #[test]
    fn hostile_entries_are_noted_without_secrets_and_never_become_hosts() {
        for uri in [
            "http:///x",
            "http://a b/",
            "http://a:99999/",
            "http://a:0/",
            "http://ev\u{1b}il/",
            "http://[::1/",
            "x",
        ] {
            let sources = read("/s.list", &format!("deb {uri} suite main\n"));
            let only_plain = |h: &String| h.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
            assert!(sources.hosts.iter().all(only_plain), "{uri}: {:?}", sources.hosts);
            assert!(sources.notes.iter().all(|n| !n.contains('\u{1b}')));
        }
        let secret = read("/s.list", "deb ftp://user:secret@h.example/x y z\n");
        assert!(!secret.notes[0].contains("secret"), "{:?}", secret.notes);
        assert!(Sources::default().add("/s.list", b"\0").is_err());
        assert!(Sources::default().add("/s.list", &vec![b'#'; BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn apt_reads_only_plainly_named_files() {
        for (name, read) in [
            ("debian.sources", true),
            ("my-repo_1.list", true),
            ("old.list.save", false),
            ("a b.list", false),
            (".list", false),
            ("readme", false),
        ] {
            assert_eq!(is_read_by_apt(name), read, "{name}");
        }
    }
}
