//! The head of an index: what it says of itself, and whether it may be used now.

use super::{date, deb822, settings::Settings, source::Source};
use crate::Error;
use oci::Digest;
use std::collections::HashMap;

/// How far a head may be ahead of our clock, unless the image's configuration says otherwise: apt's own limit.
const AHEAD_SECONDS_MAX: i64 = 10;

/// A head.
#[derive(Debug, Clone, Default)]
pub(crate) struct Release {
    pub(crate) origin: String,
    pub(crate) label: String,
    pub(crate) suite: String,
    pub(crate) codename: String,
    pub(crate) version: String,
    pub(crate) date: i64,
    valid_until: Option<i64>,
    pub(crate) not_automatic: bool,
    pub(crate) but_automatic_upgrades: bool,
    pub(crate) by_hash: bool,
    architectures: Vec<String>,
    no_support_for_all: bool,
    files: HashMap<String, (Digest, u64)>,
}

/// What a head is judged by.
pub(crate) struct Judge<'a> {
    pub(crate) url: &'a str,
    pub(crate) source: &'a Source,
    pub(crate) settings: &'a Settings,
    pub(crate) now: i64,
    pub(crate) allow_archived: bool,
    /// The newest date seen from there before.
    pub(crate) newest: Option<i64>,
}

impl Release {
    /// Reads a head whose signature has been checked.
    pub(crate) fn parse(text: &str) -> Result<Release, String> {
        let mut fields = deb822::fields(text.as_bytes())?;
        let mut take = |name: &str| fields.remove(name).unwrap_or_default();
        let time = |text: String| match text.is_empty() {
            true => Ok(None),
            false => date::parse(&text)
                .map(Some)
                .ok_or_else(|| format!("not a date: {}", inventory::printable(&text))),
        };
        let yes = |text: String| super::truth(&text) == Some(true);
        Ok(Release {
            date: time(take("date"))?.ok_or("no date")?,
            valid_until: time(take("valid-until"))?,
            not_automatic: yes(take("notautomatic")),
            but_automatic_upgrades: yes(take("butautomaticupgrades")),
            by_hash: yes(take("acquire-by-hash")),
            architectures: take("architectures").split_ascii_whitespace().map(str::to_owned).collect(),
            no_support_for_all: take("no-support-for-architecture-all").eq_ignore_ascii_case("Packages"),
            files: files(&take("sha256"))?,
            origin: take("origin"),
            label: take("label"),
            suite: take("suite"),
            codename: take("codename"),
            version: take("version"),
        })
    }

    /// Digest and size of a file of the index, by its path.
    pub(crate) fn file(&self, path: &str) -> Option<&(Digest, u64)> {
        self.files.get(path)
    }

    /// Whether packages for all architectures have an index of their own.
    pub(crate) fn has_index_for_all(&self) -> bool {
        self.architectures.iter().any(|name| name == "all") && !self.no_support_for_all
    }

    /// Whether it may be used; what is said beside that is for the user.
    pub(crate) fn judge(&self, judge: &Judge<'_>) -> Result<Vec<String>, Error> {
        let mut notes = Vec::new();
        self.check_suite(judge)?;
        self.check_date(judge)?;
        self.check_end(judge, &mut notes)?;
        if let Some(newest) = judge.newest.filter(|newest| *newest > self.date) {
            let (date, seen) = (date::shown(self.date), date::shown(newest));
            return Err(Error::Rollback { url: judge.url.to_owned(), date, seen });
        }
        Ok(notes)
    }

    /// Mirrors may not pass off one suite as another. A flat repository has none.
    fn check_suite(&self, judge: &Judge<'_>) -> Result<(), Error> {
        let asked = judge.source.suite.trim_end_matches('/');
        if judge.source.is_flat() || (self.suite.is_empty() && self.codename.is_empty()) {
            return Ok(());
        }
        // Old security suites are called `buster/updates`, their heads `buster`.
        let shortened = asked.rsplit_once('/').map_or(asked, |(start, _)| start);
        let names = [self.suite.as_str(), self.codename.as_str()];
        if names.contains(&asked) || names.contains(&shortened) {
            return Ok(());
        }
        let got = inventory::printable(&format!("{} ({})", self.suite, self.codename));
        Err(Error::WrongSuite { url: judge.url.to_owned(), asked: asked.to_owned(), got })
    }

    fn check_date(&self, judge: &Judge<'_>) -> Result<(), Error> {
        let checked =
            judge.source.check_date.or_else(|| judge.settings.truth("Acquire::Check-Date")).unwrap_or(true);
        let ahead = judge.settings.get("Acquire::Max-FutureTime").and_then(|text| text.parse().ok());
        if checked && self.date > judge.now.saturating_add(ahead.unwrap_or(AHEAD_SECONDS_MAX)) {
            return Err(Error::NotYetValid { url: judge.url.to_owned(), date: date::shown(self.date) });
        }
        Ok(())
    }

    fn check_end(&self, judge: &Judge<'_>, notes: &mut Vec<String>) -> Result<(), Error> {
        let Some(end) = self.valid_until.filter(|end| *end < judge.now) else { return Ok(()) };
        let until = date::shown(end);
        let setting = || judge.settings.truth("Acquire::Check-Valid-Until");
        if judge.source.check_valid_until.or_else(setting) == Some(false) {
            notes.push(format!(
                "{} has expired on {until}; the image's configuration says not to mind",
                judge.url
            ));
            return Ok(());
        }
        if judge.allow_archived {
            notes.push(format!("{} has expired on {until}; archived suites are allowed", judge.url));
            return Ok(());
        }
        Err(Error::Expired { url: judge.url.to_owned(), until })
    }
}

fn files(text: &str) -> Result<HashMap<String, (Digest, u64)>, String> {
    let mut files = HashMap::new();
    for line in text.lines().filter(|line| !line.trim_ascii().is_empty()) {
        let mut words = line.split_ascii_whitespace();
        let (Some(hash), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!("malformed list of files: {}", inventory::printable(line)));
        };
        let digest = format!("sha256:{}", hash.to_ascii_lowercase()).parse().map_err(|e| format!("{e}"))?;
        let size = size.parse().map_err(|_| format!("malformed size of {}", inventory::printable(path)))?;
        files.insert(path.to_owned(), (digest, size));
    }
    Ok(files)
}
