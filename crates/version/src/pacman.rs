//! pacman versions: `[epoch:]pkgver[-pkgrel]`, order of `vercmp(8)`, which is that of libalpm's `alpm_pkg_vercmp`.
//!
//! vercmp ignores the releases where one side has none, and finds no order among texts with separators at their end
//! (`1.` is newer than `1..a`, which is newer than `1.1`, which is newer than `1.`). So that versions have one order,
//! such texts are refused, and no release sorts before any; [`Version::vercmp`] is the rule for two. `tests/judges`
//! asks libalpm.

use crate::{Scheme, written};
use std::cmp::Ordering;

/// A valid pacman version. No epoch is epoch 0.
#[derive(Clone)]
pub struct Version {
    text: String,
    epoch: u32,
    /// Where the version part begins and ends in the text; the release follows its end and a dash.
    version: (usize, usize),
    /// The release it is compared with: its own, or one it was lent.
    release: Option<String>,
}

written::written!(Version, Scheme::Pacman);

impl Version {
    /// Compares as vercmp does: releases count only where both have one. No order by itself: `1-1` and `1-2` are both
    /// equal to `1`.
    pub fn vercmp(&self, other: &Version) -> Ordering {
        let releases = || match (&self.release, &other.release) {
            (Some(own), Some(others)) => compare(own, others),
            _ => Ordering::Equal,
        };
        self.without_release(other).then_with(releases)
    }

    /// This version with the release of `other` where it has none of its own.
    pub(crate) fn or_release_of(self, other: &Version) -> Version {
        Version { release: self.release.or_else(|| other.release.clone()), ..self }
    }

    fn order(&self, other: &Version) -> Ordering {
        let releases = || match (&self.release, &other.release) {
            (Some(own), Some(others)) => compare(own, others),
            (own, others) => own.is_some().cmp(&others.is_some()),
        };
        self.without_release(other).then_with(releases)
    }

    fn without_release(&self, other: &Version) -> Ordering {
        self.epoch.cmp(&other.epoch).then_with(|| compare(self.version(), other.version()))
    }

    fn version(&self) -> &str {
        &self.text[self.version.0..self.version.1]
    }
}

fn parse(text: &str) -> Result<Version, &'static str> {
    let (epoch, rest) = written::epoch(text, u32::MAX)?;
    let (version, release) = match rest.rsplit_once('-') {
        Some((version, release)) => (version, Some(release)),
        None => (rest, None),
    };
    check_part(version, "version is not a word of letters, digits and inner ._+~^")?;
    if let Some(release) = release {
        check_part(release, "release is not a word of letters, digits and inner ._+~^")?;
    }
    let start = text.len() - rest.len();
    Ok(Version {
        text: text.to_owned(),
        epoch: epoch.unwrap_or(0),
        version: (start, start + version.len()),
        release: release.map(str::to_owned),
    })
}

/// Begins and ends with a letter or digit.
fn check_part(part: &str, why: &'static str) -> Result<(), &'static str> {
    let ends = part.starts_with(|c: char| c.is_ascii_alphanumeric())
        && part.ends_with(|c: char| c.is_ascii_alphanumeric());
    match ends && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+~^".contains(&b)) {
        true => Ok(()),
        false => Err(why),
    }
}

/// One run of digits or of letters, with what stands before it.
struct Segment<'a> {
    /// How many characters part it from the one before.
    separators: usize,
    text: &'a str,
}

impl<'a> Segment<'a> {
    /// The first one, and the rest of the text.
    fn first_of(text: &'a str) -> Option<(Segment<'a>, &'a str)> {
        let start = text.find(|c: char| c.is_ascii_alphanumeric())?;
        let run = &text[start..];
        let digits = run.starts_with(|c: char| c.is_ascii_digit());
        let end = run.find(|c: char| !c.is_ascii_alphanumeric() || c.is_ascii_digit() != digits);
        let (text, rest) = run.split_at(end.unwrap_or(run.len()));
        Some((Segment { separators: start, text }, rest))
    }

    fn is_number(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_digit())
    }

    /// More separators are newer, then numbers newer than letters, then by value.
    fn compare(&self, other: &Segment<'_>) -> Ordering {
        let kinds = || self.is_number().cmp(&other.is_number());
        let values = || match self.is_number() {
            true => compare_numbers(self.text, other.text),
            false => self.text.cmp(other.text),
        };
        self.separators.cmp(&other.separators).then_with(kinds).then_with(values)
    }

    /// This one against nothing: letters right behind a number (`1.0rc`) are older, all else is newer.
    fn against_nothing(&self) -> Ordering {
        match self.separators == 0 && !self.is_number() {
            true => Ordering::Less,
            false => Ordering::Greater,
        }
    }
}

/// Compares two version or release parts, segment by segment.
fn compare(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let order = match (Segment::first_of(a), Segment::first_of(b)) {
            (None, None) => return Ordering::Equal,
            (Some((segment, _)), None) => return segment.against_nothing(),
            (None, Some((segment, _))) => return segment.against_nothing().reverse(),
            (Some((left, a_rest)), Some((right, b_rest))) => {
                (a, b) = (a_rest, b_rest);
                left.compare(&right)
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// By value. Never parsed, so no length overflows.
fn compare_numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn order_is_that_of_vercmp() {
        // The first eight are the examples of vercmp(8).
        for (low, high) in [
            ("1.0a", "1.0b"),
            ("1.0b", "1.0beta"),
            ("1.0beta", "1.0p"),
            ("1.0p", "1.0pre"),
            ("1.0pre", "1.0rc"),
            ("1.0rc", "1.0"),
            ("1.0", "1.0.a"),
            ("1.0.a", "1.0.1"),
            ("1.9-1", "1:0.1-1"),
            ("1.0-1", "1.0-1.1"),
            ("1.0-9", "1.0-10"),
            ("1.0.1", "1.0..1"),
            ("1.0", "1.0~1"),
            ("1.18446744073709551615", "1.18446744073709551616"),
        ] {
            assert!(version(low) < version(high), "{low} {high}");
            assert_eq!(version(high).vercmp(&version(low)), Ordering::Greater, "{high} {low}");
        }
    }

    #[test]
    fn a_missing_release_counts_in_the_order_only() {
        assert!(version("1.0") < version("1.0-1"));
        for (a, b) in [("1.0", "1.0-1"), ("1.0-7", "1.0"), ("0:1.0", "1_00-2")] {
            assert_eq!(version(a).vercmp(&version(b)), Ordering::Equal, "{a} {b}");
            assert_eq!(version(a).or_release_of(&version(b)), version(b).or_release_of(&version(a)));
        }
    }

    #[test]
    fn what_is_no_version_is_refused_with_the_rule() {
        let (part, release) = (
            "version is not a word of letters, digits and inner ._+~^",
            "release is not a word of letters, digits and inner ._+~^",
        );
        for (text, why) in [
            ("", "empty"),
            ("1:", part),
            ("-1", part),
            ("1.", part),
            ("1.-1", part),
            ("1.0-", release),
            ("1.0-1.", release),
            ("1-2-3", part),
            ("1.0;id-1", part),
            ("..", part),
            (":1", "epoch is not a number"),
            ("4294967296:1", "epoch is too large"),
            ("\u{661}", part),
        ] {
            assert_eq!(text.parse::<Version>().unwrap_err().why, why, "{text:?}");
        }
        assert_eq!("1".repeat(257).parse::<Version>().unwrap_err().why, "too long");
    }
}
