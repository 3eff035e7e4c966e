//! apk versions: grammar of `apk-package(5)` of apk-tools 3, order of its `apk version --test`.
//!
//! `number{.number}[letter]{_suffix[number]}[~hash][-rnumber]`. apk-tools 2 sorts otherwise only among numbers behind a dot that
//! all begin with a zero (`1.02` before `1.010`). `tests/judges` asks the code of apk-tools 3.

use crate::{Scheme, written};
use std::cmp::Ordering;

/// A valid apk version.
#[derive(Clone)]
pub struct Version {
    text: String,
    /// The parts in turn; the last one is [`Part::End`], so that the order of versions is that of the lists.
    parts: Vec<Part>,
}

written::written!(Version, Scheme::Apk);

impl Version {
    /// Whether this version has all parts of `other` at its beginning, as a dependency with `~` asks: `1.2.3-r4` begins with
    /// `1.2`, but `1.23` does not.
    pub fn begins_with(&self, other: &Version) -> bool {
        let wanted = other.parts.strip_suffix(&[Part::End]).unwrap_or(&other.parts);
        self.parts.starts_with(wanted)
    }

    fn order(&self, other: &Version) -> Ordering {
        self.parts.cmp(&other.parts)
    }
}

/// What may stand at one place of a version, the oldest first: `1_rc1` < `1` < `1-r1` < `1~ab` < `1_p1` < `1a` < `1.1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A suffix that is older than none.
    Before(Before),
    End,
    /// Of the package build.
    Revision(u64),
    /// Of the commit it was built from.
    Hash(String),
    /// Of the suffix before it.
    SuffixNumber(u64),
    /// A suffix that is newer than none.
    After(After),
    Letter(u8),
    Number(Number),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Before {
    Alpha,
    Beta,
    Pre,
    Rc,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum After {
    Cvs,
    Svn,
    Git,
    Hg,
    P,
}

/// A number behind a dot; the first number of a version is always `Whole`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Number {
    /// With a leading zero: read like the digits behind a decimal point, so `1.05` < `1.1`.
    Fraction(String),
    Whole(u64),
}

fn parse(text: &str) -> Result<Version, &'static str> {
    let mut rest = Rest(text);
    let mut parts = vec![Part::Number(Number::Whole(rest.number()?))];
    while rest.takes('.') {
        parts.push(Part::Number(rest.fraction()?));
    }
    parts.extend(rest.letter().map(Part::Letter));
    while rest.takes('_') {
        parts.push(rest.suffix()?);
        if rest.0.starts_with(|c: char| c.is_ascii_digit()) {
            parts.push(Part::SuffixNumber(rest.number()?));
        }
    }
    if rest.takes('~') {
        parts.push(Part::Hash(rest.hash()?));
    }
    if rest.takes('-') {
        parts.push(Part::Revision(rest.revision()?));
    }
    parts.push(Part::End);
    match rest.0 {
        "" => Ok(Version { text: text.to_owned(), parts }),
        _ => Err("character not allowed at its place"),
    }
}

/// What is still to be read of a version.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Whether `mark` comes next; it is taken then.
    fn takes(&mut self, mark: char) -> bool {
        let rest = self.0.strip_prefix(mark);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn run(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let (run, rest) = self.0.split_at(self.0.find(|c| !wanted(c)).unwrap_or(self.0.len()));
        self.0 = rest;
        run
    }

    fn digits(&mut self) -> Result<&'a str, &'static str> {
        match self.run(|c| c.is_ascii_digit()) {
            "" => Err("a number is missing"),
            digits => Ok(digits),
        }
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        // apk-tools lets longer numbers wrap around.
        self.digits()?.parse().map_err(|_| "a number is too large")
    }

    fn fraction(&mut self) -> Result<Number, &'static str> {
        match self.digits()? {
            digits if digits.starts_with('0') => Ok(Number::Fraction(digits.to_owned())),
            digits => digits.parse().map(Number::Whole).map_err(|_| "a number is too large"),
        }
    }

    fn letter(&mut self) -> Option<u8> {
        let letter = self.0.bytes().next().filter(u8::is_ascii_lowercase)?;
        self.0 = &self.0[1..];
        Some(letter)
    }

    fn suffix(&mut self) -> Result<Part, &'static str> {
        Ok(match self.run(|c| c.is_ascii_lowercase()) {
            "alpha" => Part::Before(Before::Alpha),
            "beta" => Part::Before(Before::Beta),
            "pre" => Part::Before(Before::Pre),
            "rc" => Part::Before(Before::Rc),
            "cvs" => Part::After(After::Cvs),
            "svn" => Part::After(After::Svn),
            "git" => Part::After(After::Git),
            "hg" => Part::After(After::Hg),
            "p" => Part::After(After::P),
            _ => return Err("unknown suffix"),
        })
    }

    fn hash(&mut self) -> Result<String, &'static str> {
        match self.run(|c| matches!(c, '0'..='9' | 'a'..='f')) {
            "" => Err("the hash of the commit is missing"),
            hash => Ok(hash.to_owned()),
        }
    }

    fn revision(&mut self) -> Result<u64, &'static str> {
        match self.takes('r') {
            true => self.number(),
            false => Err("the revision does not begin with -r"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn order_is_that_of_apk() {
        for (low, high) in [
            ("1.0_alpha", "1.0_alpha1"),
            ("1.0_alpha_pre2", "1.0_alpha"),
            ("1.0_alpha9", "1.0_beta"),
            ("1.0_beta", "1.0_pre"),
            ("1.0_pre", "1.0_rc1"),
            ("1.0_rc1-r3", "1.0"),
            ("1.0", "1.0-r0"),
            ("1.0-r9", "1.0-r10"),
            ("1.0-r1", "1.0~ab"),
            ("1.0~ab", "1.0~b"),
            ("1.0~ab-r1", "1.0_cvs"),
            ("1.0_cvs20", "1.0_svn"),
            ("1.0_svn", "1.0_git20240101"),
            ("1.0_git20240101", "1.0_hg"),
            ("1.0_hg", "1.0_p1"),
            ("1.0_p1-r0", "1.0_p2-r0"),
            ("1.0_p1", "1.0a"),
            ("1.0a", "1.0b"),
            ("1.0z", "1.0.0"),
            ("1.05", "1.1"),
            ("1.09", "1.1"),
            ("1.0", "1.00"),
            ("1.9", "1.10"),
            ("2", "10"),
            ("1.1.1q-r0", "1.1.1w-r1"),
        ] {
            assert!(version(low) < version(high), "{low} {high}");
            assert!(version(high) > version(low), "{high} {low}");
        }
        assert_eq!(version("01.2"), version("1.2"));
        assert_ne!(version("1.2"), version("1.2-r0"));
    }

    #[test]
    fn versions_begin_with_whole_parts() {
        for (whole, start, expected) in [
            ("1.2.3-r4", "1.2", true),
            ("1.2.3-r4", "1.2.3-r4", true),
            ("1.2_rc1", "1.2", true),
            ("1.2b-r0", "1.2", true),
            ("1.2~0fae", "1.2~0fae", true),
            ("01.2", "1", true),
            ("1.23", "1.2", false),
            ("1.2", "1.2.0", false),
            ("1.2~0fae", "1.2~0f", false),
            ("1.2-r10", "1.2-r1", false),
        ] {
            assert_eq!(version(whole).begins_with(&version(start)), expected, "{whole} {start}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused_with_the_rule() {
        for (text, why) in [
            ("", "empty"),
            ("a", "a number is missing"),
            ("-r1", "a number is missing"),
            ("1..2", "a number is missing"),
            ("1.", "a number is missing"),
            ("1ab", "character not allowed at its place"),
            ("1a1", "character not allowed at its place"),
            ("1A", "character not allowed at its place"),
            ("1.0-1", "the revision does not begin with -r"),
            ("1.0-r", "a number is missing"),
            ("1.0-r1-r2", "character not allowed at its place"),
            ("1.0_foo", "unknown suffix"),
            ("1.0_P1", "unknown suffix"),
            ("1.0~", "the hash of the commit is missing"),
            ("1.0~xyz", "the hash of the commit is missing"),
            ("1.0_p1.2", "character not allowed at its place"),
            ("1:1.0", "character not allowed at its place"),
            ("1.0;id", "character not allowed at its place"),
            ("1.0\n", "character not allowed at its place"),
            ("18446744073709551616", "a number is too large"),
            ("1.18446744073709551616", "a number is too large"),
            ("\u{661}", "a number is missing"),
        ] {
            assert_eq!(text.parse::<Version>().unwrap_err().why, why, "{text:?}");
        }
        assert_eq!("1".repeat(257).parse::<Version>().unwrap_err().why, "too long");
        assert_eq!(version("18446744073709551615").to_string(), "18446744073709551615");
    }
}
