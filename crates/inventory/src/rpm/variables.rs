//! The variables of repository configuration (`$releasever`, `$basearch`, those of `/etc/dnf/vars`) and their values.

use std::collections::BTreeMap;

/// Folders with a file a variable, in the order in which they are read: a later value takes an earlier one's place.
pub const FOLDERS: [&str; 3] = ["/etc/yum/vars", "/etc/dnf/vars", "/etc/zypp/vars.d"];

/// Longest name or value of a variable.
const VALUE_BYTES_MAX: usize = 1024;

/// Longest text made by putting values in.
const EXPANDED_BYTES_MAX: usize = 16 * 1024;

/// Variables and their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// `$releasever` (with `_major` and `_minor`), `$arch` and `$basearch` of an image.
    pub fn new(release: &str, architecture: &str) -> Variables {
        let mut all = Variables::default();
        let (major, minor) = release.split_once('.').unwrap_or((release, ""));
        all.set("releasever", release);
        all.set("releasever_major", major);
        all.set("releasever_minor", minor);
        all.set("arch", architecture);
        all.set("basearch", base_architecture(architecture));
        all
    }

    /// Sets a variable. What is no name or too long is passed over.
    pub fn set(&mut self, name: &str, value: &str) {
        let plain = !name.is_empty() && name.bytes().all(is_of_name);
        if plain && name.len() <= VALUE_BYTES_MAX && value.len() <= VALUE_BYTES_MAX {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Adds the variable of a file: its name is the file's, its value the first line.
    pub fn add_file(&mut self, file_name: &str, bytes: &[u8]) {
        let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        if let Ok(value) = std::str::from_utf8(line) {
            self.set(file_name, value.trim());
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        // yum has lower-case names only and takes `$BASEARCH` for one of them.
        self.0.get(name).or_else(|| self.0.get(&name.to_ascii_lowercase())).map(String::as_str)
    }

    /// The text with values in place of `$name`, `${name}`, `${name:-instead}` and `${name:+instead}`. A variable
    /// without value stays as it is written.
    pub fn expand(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$').filter(|_| out.len() < EXPANDED_BYTES_MAX) {
            out.push_str(&rest[..at]);
            let (length, value) = self.at(&rest[at..]);
            out.push_str(value.unwrap_or(&rest[at..at + length]));
            rest = &rest[at + length..];
        }
        out.push_str(rest);
        out
    }

    /// How much of a text that begins with `$` is a variable, and its value.
    fn at<'v>(&'v self, text: &'v str) -> (usize, Option<&'v str>) {
        let name_of = |text: &'v str| &text[..text.bytes().take_while(|b| is_of_name(*b)).count()];
        let Some(inner) = text.strip_prefix("${") else {
            let name = name_of(&text[1..]);
            return (1 + name.len(), self.get(name));
        };
        let Some(end) = inner.find('}') else { return (1, None) };
        let name = name_of(&inner[..end]);
        let set = self.get(name).filter(|value| !value.is_empty());
        let value = match &inner[name.len()..end] {
            "" => self.get(name),
            rest if rest.starts_with(":-") => set.or(Some(&rest[2..])),
            rest if rest.starts_with(":+") => Some(set.map_or("", |_| &rest[2..])),
            _ => None,
        };
        (2 + end + 1, value)
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// `$basearch` of an architecture.
pub fn base_architecture(architecture: &str) -> &str {
    match architecture {
        "i386" | "i486" | "i586" | "i686" | "athlon" | "geode" => "i386",
        "amd64" | "x86_64" | "x86_64_v2" | "x86_64_v3" | "x86_64_v4" | "ia32e" => "x86_64",
        "armv7l" | "armv7hl" | "armv7hnl" | "armv8hl" => "armhfp",
        "arm64" | "aarch64" => "aarch64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_place_of_names() {
        let mut variables = Variables::new("9.4", "x86_64");
        variables.add_file("contentdir", b"pub/rocky\nmore\n");
        variables.add_file("stream", b"\n");
        variables.add_file("not/a name", b"x");
        for (text, expected) in [
            ("http://a/$contentdir/$releasever/$basearch/os", "http://a/pub/rocky/9.4/x86_64/os"),
            ("${releasever_major}.${releasever_minor}x", "9.4x"),
            ("$BASEARCH-$arch", "x86_64-x86_64"),
            ("$releasever$stream.", "9.4."),
            ("${stream:-9}${x:-y}${releasever:-n}", "9y9.4"),
            ("${stream:+a}${releasever:+b}", "b"),
            ("$unknown ${unknown} $ ${ ${} $$arch", "$unknown ${unknown} $ ${ ${} $x86_64"),
            ("plain", "plain"),
        ] {
            assert_eq!(variables.expand(text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_does_not_grow_without_end() {
        let mut variables = Variables::default();
        variables.set("a", &"x".repeat(VALUE_BYTES_MAX));
        variables.set("b", &"x".repeat(VALUE_BYTES_MAX + 1));
        let expanded = variables.expand(&"$a$b".repeat(10_000));
        assert!(expanded.len() < EXPANDED_BYTES_MAX + VALUE_BYTES_MAX + 40_000);
    }
}
