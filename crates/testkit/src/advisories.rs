//! Which version of a Debian source package fixes which CVE: the knowledge of the scanner that judges images here.

use crate::Error;
use serde_json::Value;
use std::collections::BTreeMap;

/// The advisories that come with the project; `fixtures/ORIGIN.md` says from where.
const BUILT_IN: &str = include_str!("../fixtures/advisories.json");

/// One vulnerability of one source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory {
    /// `CVE-…`
    pub id: String,
    /// The version that fixes it; none where there is no fix.
    pub fixed: Option<String>,
    /// Trivy's word for how it stands.
    pub status: &'static str,
    /// `low`, `medium`, `high`.
    pub urgency: String,
    /// One line.
    pub title: String,
}

/// Advisories of one Debian release by source package.
#[derive(Debug, Clone, Default)]
pub struct Advisories {
    by_source: BTreeMap<String, Vec<Advisory>>,
}

impl FromIterator<(String, Vec<Advisory>)> for Advisories {
    fn from_iter<T: IntoIterator<Item = (String, Vec<Advisory>)>>(sources: T) -> Self {
        Advisories { by_source: sources.into_iter().collect() }
    }
}

impl Advisories {
    /// The advisories that come with the project for a release such as `12`; none for one that is not known.
    pub fn built_in(release: &str) -> Result<Advisories, Error> {
        Advisories::parse(BUILT_IN, release)
    }

    /// Reads `{"debian 12": {SOURCE: {CVE: {fixed, status, urgency, title}}}}`.
    pub fn parse(text: &str, release: &str) -> Result<Advisories, Error> {
        let document: Value =
            serde_json::from_str(text).map_err(|error| Error::malformed("advisories", error))?;
        let sources = document[format!("debian {release}")].as_object().cloned().unwrap_or_default();
        let read = sources.into_iter().map(|(source, entries)| (source, read_source(&entries)));
        Ok(Advisories { by_source: read.collect() })
    }

    /// Those of one source package.
    pub fn of_source(&self, source: &str) -> &[Advisory] {
        self.by_source.get(source).map_or(&[], Vec::as_slice)
    }
}

fn read_source(entries: &Value) -> Vec<Advisory> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = entries.as_object().into_iter().flatten();
    let advisory = |(id, entry): (&String, &Value)| {
        let fixed = Some(text(&entry["fixed"])).filter(|version| !version.is_empty());
        let status = if fixed.is_some() { "fixed" } else { status_word(entry["status"].as_u64()) };
        Advisory {
            id: id.clone(),
            fixed,
            status,
            urgency: text(&entry["urgency"]),
            title: text(&entry["title"]),
        }
    };
    entries.map(advisory).collect()
}

/// Trivy counts statuses from 0.
fn status_word(number: Option<u64>) -> &'static str {
    const WORDS: [&str; 8] = [
        "unknown",
        "not_affected",
        "affected",
        "fixed",
        "under_investigation",
        "will_not_fix",
        "fix_deferred",
        "end_of_life",
    ];
    number.and_then(|number| WORDS.get(number as usize).copied()).unwrap_or("affected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_advisories_cover_the_suites() {
        for release in ["11", "12", "13"] {
            let advisories = Advisories::built_in(release).unwrap();
            let all: Vec<&Advisory> = advisories.by_source.values().flatten().collect();
            assert!(all.iter().filter(|advisory| advisory.fixed.is_some()).count() > 10, "{release}");
            assert!(all.iter().any(|advisory| advisory.fixed.is_none()), "{release}");
        }
        assert!(Advisories::built_in("3").unwrap().by_source.is_empty());
    }

    #[test]
    fn what_has_no_fix_has_a_status() {
        let text = r#"{"debian 12": {"tar": {"CVE-1": {"fixed": "", "status": 5, "urgency": "low", "title": "t"}}}}"#;
        let advisories = Advisories::parse(text, "12").unwrap();
        assert_eq!(advisories.of_source("tar")[0].status, "will_not_fix");
        assert_eq!(advisories.of_source("bzip2"), []);
    }
}
