//! apk's notation of a dependency or constraint: `[!]name[@tag][<>~=version]`.

use crate::{Error, printable};
use std::fmt;
use version::PackageName;

/// Longest constraint taken; checksums and names of libraries stay far below.
const BYTES_MAX: usize = 1024;

/// One dependency or constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// `!`: nothing that fits must be installed.
    pub conflict: bool,
    /// What it names: a package, or something provided (`so:libc.musl-x86_64.so.1`, `/bin/sh`, `cmd:sh`).
    pub name: String,
    /// The repositories that may provide it beside the untagged ones.
    pub tag: Option<String>,
    /// Which versions fit; none takes all.
    pub version: Option<(Comparison, String)>,
}

/// How a version is compared: all that are set may hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Comparison {
    /// `<`.
    pub less: bool,
    /// `>`.
    pub greater: bool,
    /// `=` and `~`.
    pub equal: bool,
    /// `~`: only the beginning of the version counts.
    pub fuzzy: bool,
}

impl Comparison {
    /// `><`: the version is a checksum of one very package.
    pub fn is_checksum(self) -> bool {
        self.less && self.greater && !self.equal
    }

    /// Only one version fits: `=`, or a checksum.
    pub fn is_exact(self) -> bool {
        self.is_checksum() || (self.equal && !self.less && !self.greater && !self.fuzzy)
    }

    /// There are higher versions that do not fit.
    pub fn is_bounded(self) -> bool {
        !self.greater || self.is_checksum()
    }
}

impl Relation {
    /// The relation a word is.
    pub fn parse(word: &str) -> Result<Relation, Error> {
        let bad = || Error::Malformed(format!("not a constraint: {}", printable(word)));
        if word.len() > BYTES_MAX || !word.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad());
        }
        let (conflict, rest) = word.strip_prefix('!').map_or((false, word), |rest| (true, rest));
        let operator = |c: char| "<>~=".contains(c);
        let start = rest.find(operator).unwrap_or(rest.len());
        let end = rest[start..].find(|c| !operator(c)).map_or(rest.len(), |at| start + at);
        let (name, tag) = match rest[..start].split_once('@') {
            Some((_, "")) => return Err(bad()),
            Some((name, tag)) => (name, Some(tag.to_owned())),
            None => (&rest[..start], None),
        };
        let operators = &rest[start..end];
        let comparison = Comparison {
            less: operators.contains('<'),
            greater: operators.contains('>'),
            equal: operators.contains(['=', '~']),
            fuzzy: operators.contains('~'),
        };
        let version = (!operators.is_empty()).then(|| (comparison, rest[end..].to_owned()));
        match name.is_empty() || version.as_ref().is_some_and(|(_, version)| version.is_empty()) {
            true => Err(bad()),
            false => Ok(Relation { conflict, name: name.to_owned(), tag, version }),
        }
    }

    /// The package it names, where it names one and not something provided.
    pub fn package(&self) -> Option<PackageName> {
        self.name.parse().ok().filter(|name: &PackageName| name.architecture().is_none())
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.conflict { "!" } else { "" })?;
        f.write_str(&self.name)?;
        self.tag.iter().try_for_each(|tag| write!(f, "@{tag}"))?;
        self.version.iter().try_for_each(|(comparison, version)| write!(f, "{comparison}{version}"))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.greater { ">" } else { "" })?;
        f.write_str(if self.less { "<" } else { "" })?;
        f.write_str(match (self.equal, self.fuzzy) {
            (true, true) => "~",
            (true, false) => "=",
            _ => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_taken_apart() {
        for (word, name, tag, operators, version) in [
            ("busybox", "busybox", None, "", ""),
            ("busybox@edge", "busybox", Some("edge"), "", ""),
            ("busybox=1.6.1-r0", "busybox", None, "=", "1.6.1-r0"),
            ("busybox@edge>=1.6.1", "busybox", Some("edge"), ">=", "1.6.1"),
            ("busybox~1.6", "busybox", None, "~=", "1.6"),
            ("busybox=~1.6", "busybox", None, "~=", "1.6"),
            (
                "busybox><Q12l/v/T0pPK3aQaUWmI9djiLpF+g=",
                "busybox",
                None,
                "<>",
                "Q12l/v/T0pPK3aQaUWmI9djiLpF+g=",
            ),
            ("!unwanted", "unwanted", None, "", ""),
            ("so:libc.musl-x86_64.so.1", "so:libc.musl-x86_64.so.1", None, "", ""),
            (".build-deps=20240101.1", ".build-deps", None, "=", "20240101.1"),
        ] {
            let read = Relation::parse(word).unwrap();
            assert_eq!((read.name.as_str(), read.tag.as_deref()), (name, tag), "{word}");
            assert_eq!(read.conflict, word.starts_with('!'));
            let has = |c: char| operators.contains(c);
            let comparison =
                Comparison { less: has('<'), greater: has('>'), equal: has('='), fuzzy: has('~') };
            let expected = (!operators.is_empty()).then(|| (comparison, version.to_owned()));
            assert_eq!(read.version, expected, "{word}");
            assert_eq!(read.to_string(), word.replace("=~", "~"));
        }
        for word in ["", "!", "=1", "a=", "a@", "@x", "a\u{1b}", "a b", &"x".repeat(2000)] {
            assert!(Relation::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn what_pins_a_package_and_what_bounds_it() {
        for (word, exact, bounded) in [
            ("a=1-r0", true, true),
            ("a><Q1xx=", true, true),
            ("a<2", false, true),
            ("a<=2", false, true),
            ("a~1.2", false, true),
            ("a<~1.2", false, true),
            ("a>1", false, false),
            ("a>=1", false, false),
            ("a>~1", false, false),
        ] {
            let (comparison, _) = Relation::parse(word).unwrap().version.unwrap();
            assert_eq!((comparison.is_exact(), comparison.is_bounded()), (exact, bounded), "{word}");
        }
        assert!(Relation::parse("so:libx.so.1").unwrap().package().is_none());
        assert!(Relation::parse("/bin/busybox").unwrap().package().is_none());
    }
}
