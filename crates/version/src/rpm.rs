//! RPM versions: `[epoch:]version[-release]` as rpm's manual on package versions has it, order of `rpmvercmp`.
//!
//! The order of the parts is that of the crate `rpm-version`; `tests/judges` asks rpm itself.

use crate::{Scheme, written};
use rpm_version::Evr;
use std::cmp::Ordering;

/// A valid RPM version. No epoch is epoch 0; a version without release is older than the same version with any.
#[derive(Clone)]
pub struct Version {
    text: String,
    epoch: Option<u32>,
    /// Where the version part begins and ends in the text; the release follows its end and a dash.
    version: (usize, usize),
}

written::written!(Version, Scheme::Rpm);

impl Version {
    /// The epoch, where it is written.
    pub fn epoch(&self) -> Option<u32> {
        self.epoch
    }

    /// The version part, without epoch and release.
    pub fn version(&self) -> &str {
        &self.text[self.version.0..self.version.1]
    }

    /// The release, where there is one.
    pub fn release(&self) -> Option<&str> {
        self.text.get(self.version.1 + 1..)
    }

    /// This version with the epoch of `other` where it has none of its own.
    pub(crate) fn or_epoch_of(self, other: &Version) -> Version {
        Version { epoch: self.epoch.or(other.epoch), ..self }
    }

    /// As rpm compares the versions of dependencies: releases count only where both have one.
    pub(crate) fn cmp_to_required(&self, required: &Version) -> Ordering {
        match self.release().is_some() == required.release().is_some() {
            true => self.cmp(required),
            false => self.without_release(required),
        }
    }

    fn without_release(&self, other: &Version) -> Ordering {
        let epochs = self.epoch.unwrap_or(0).cmp(&other.epoch.unwrap_or(0));
        epochs.then_with(|| compare(self.version(), other.version()))
    }

    fn order(&self, other: &Version) -> Ordering {
        let releases = || compare(self.release().unwrap_or_default(), other.release().unwrap_or_default());
        self.without_release(other).then_with(releases)
    }
}

/// The parts between the marks; a release that is there begins with a letter or digit, so no release is older than any.
fn parse(text: &str) -> Result<Version, &'static str> {
    let (epoch, rest) = written::epoch(text, u32::MAX)?;
    let start = text.len() - rest.len();
    let end = rest.rfind('-').map_or(text.len(), |dash| start + dash);
    check_part(&text[start..end])?;
    if end < text.len() {
        check_part(&text[end + 1..]).map_err(|_| "release is not a word of letters, digits and ._+~^")?;
    }
    Ok(Version { text: text.to_owned(), epoch, version: (start, end) })
}

/// Compares two version or release parts. Only the crate's order is used: its equality is that of the texts.
fn compare(a: &str, b: &str) -> Ordering {
    Evr::new("", a, "").cmp(&Evr::new("", b, ""))
}

/// What rpmbuild lets into a version or a release.
fn check_part(part: &str) -> Result<(), &'static str> {
    let first = part.starts_with(|c: char| c.is_ascii_alphanumeric());
    match first && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+~^".contains(&b)) {
        true => Ok(()),
        false => Err("version is not a word of letters, digits and ._+~^"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn order_is_that_of_rpm() {
        for (low, high) in [
            ("1.0~rc1-1", "1.0-1"),
            ("1.0-1", "1.0^20240101git-1"),
            ("1.0^20240101git-1", "1.0.1-1"),
            ("1.0", "1.0-1"),
            ("9.9-1", "1:0.1-1"),
            ("2.9-1", "2.10-1"),
            ("1.0a-1", "1.0.1-1"),
            ("1.0-1.el9", "1.0-1.el9_4"),
            ("1.0-1.el9_4.9", "1.0-1.el9_4.10"),
            ("3.0.7-27.el9", "3.0.7-27.el9_4.1"),
            ("1.18446744073709551615", "1.18446744073709551616"),
        ] {
            assert!(version(low) < version(high), "{low} {high}");
            assert!(version(high) > version(low), "{high} {low}");
        }
    }

    #[test]
    fn equality_agrees_with_order() {
        for (a, b) in [("1.0-1", "0:1.0-1"), ("1.00-1", "1.0-1"), ("1.0_1", "1.0+1"), ("1.0.", "1.0")] {
            assert_eq!(version(a), version(b));
        }
        assert_ne!(version("1.0"), version("1.0-0"));
    }

    #[test]
    fn parts_are_those_written() {
        let openssl = version("1:3.0.7-27.el9");
        assert_eq!(
            (openssl.epoch(), openssl.version(), openssl.release()),
            (Some(1), "3.0.7", Some("27.el9"))
        );
        let bare = version("fd431d51");
        assert_eq!((bare.epoch(), bare.version(), bare.release()), (None, "fd431d51", None));
    }

    #[test]
    fn what_is_no_version_is_refused_with_the_rule() {
        let (part, release) = (
            "version is not a word of letters, digits and ._+~^",
            "release is not a word of letters, digits and ._+~^",
        );
        for (text, why) in [
            ("", "empty"),
            ("1:", part),
            ("-1", part),
            ("1.0-", release),
            ("1-2-3", part),
            ("1.0-1;id", release),
            ("1.0 || 2", part),
            ("..", part),
            ("~1", part),
            ("(none):1.0-1", "epoch is not a number"),
            (":1", "epoch is not a number"),
            ("1:2:3", part),
            ("4294967296:1", "epoch is too large"),
            ("\u{661}", part),
        ] {
            assert_eq!(text.parse::<Version>().unwrap_err().why, why, "{text:?}");
        }
        assert_eq!("1".repeat(257).parse::<Version>().unwrap_err().why, "too long");
        assert_eq!(version("4294967295:1").epoch(), Some(u32::MAX));
    }
}
