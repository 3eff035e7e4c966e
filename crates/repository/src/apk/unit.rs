//! One version of one package as the solver sees it, installed or offered: what it is, provides, needs and cannot be with.

use super::checksum::Checksum;
use inventory::apk::relation::Relation;
use std::collections::BTreeMap;
use version::apk::Version;

/// Dependencies and provisions of one package; the longest real ones are some thousand.
const RELATIONS_MAX: usize = 100_000;

/// A name that is provided.
#[derive(Debug, Clone)]
pub(super) struct Provided {
    pub(super) name: String,
    /// Without one the name is a virtual one: several packages may provide it side by side.
    pub(super) version: Option<Version>,
}

/// A version of a package.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) version: Version,
    /// The checksum that names it, as it is written.
    pub(super) checksum: String,
    pub(super) provides: Vec<Provided>,
    pub(super) needs: Vec<Relation>,
    /// What may not be there with it: written `!x`.
    pub(super) against: Vec<Relation>,
    /// Which of several providers is preferred; without any, a virtual name never brings a package in.
    pub(super) priority: Option<u64>,
}

impl Unit {
    /// From the fields of a record, by their letter.
    pub(super) fn of(fields: &BTreeMap<String, String>) -> Result<Unit, String> {
        let get = |letter: &str| fields.get(letter).map(String::as_str);
        let name: version::PackageName =
            get("P").ok_or("no name")?.parse().map_err(|e: version::NameError| e.to_string())?;
        let version = get("V").ok_or("no version")?;
        let relations = |letter: &str| -> Result<Vec<Relation>, String> {
            let words: Vec<_> =
                get(letter).unwrap_or_default().split_ascii_whitespace().take(RELATIONS_MAX).collect();
            words.into_iter().map(Relation::parse).collect::<Result<_, _>>().map_err(|e| e.to_string())
        };
        let (against, needs) = relations("D")?.into_iter().partition(|relation| relation.conflict);
        let provided = |relation: Relation| Provided {
            version: relation.version.and_then(|(_, version)| version.parse().ok()),
            name: relation.name,
        };
        Ok(Unit {
            name: name.as_str().to_owned(),
            version: version.parse().map_err(|e: version::VersionError| e.to_string())?,
            checksum: get("C").unwrap_or_default().to_owned(),
            provides: relations("p")?.into_iter().map(provided).collect(),
            needs,
            against,
            priority: get("k").and_then(|text| text.parse().ok()),
        })
    }

    /// Whether it is what a relation names, be that `!`.
    pub(super) fn meets(&self, relation: &Relation) -> bool {
        let own = || self.name == relation.name && self.is_at(relation);
        let provided = |p: &Provided| {
            p.name == relation.name
                && match (&relation.version, &p.version) {
                    (None, _) => true,
                    (Some(_), Some(version)) => admits(relation, version),
                    (Some(_), None) => false,
                }
        };
        own() || self.provides.iter().any(provided)
    }

    /// Whether its own version, or checksum, is one that a relation takes.
    pub(super) fn is_at(&self, relation: &Relation) -> bool {
        match &relation.version {
            Some((comparison, checksum)) if comparison.is_checksum() => Checksum::parse(checksum)
                .is_some_and(|wanted| Checksum::parse(&self.checksum) == Some(wanted)),
            _ => admits(relation, &self.version),
        }
    }

    /// Names under which it counts, its own first.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.provides.iter().map(|p| p.name.as_str()))
    }

    /// The name that only one of the two can have: both have it, and one of them at a version.
    pub(super) fn shared<'a>(&'a self, other: &Unit) -> Option<&'a str> {
        let versioned = |unit: &Unit, name: &str| {
            unit.name == name || unit.provides.iter().any(|p| p.name == name && p.version.is_some())
        };
        let has = |unit: &Unit, name: &str| unit.names().any(|own| own == name);
        self.names().find(|name| has(other, name) && (versioned(self, name) || versioned(other, name)))
    }
}

/// Whether a dependency takes a version. One that is written as no version takes nothing.
pub fn admits(relation: &Relation, version: &Version) -> bool {
    let Some((comparison, text)) = &relation.version else { return true };
    let Ok(wanted) = text.parse::<Version>() else { return false };
    if comparison.fuzzy && version.begins_with(&wanted) {
        return comparison.equal;
    }
    match version.cmp(&wanted) {
        std::cmp::Ordering::Less => comparison.less,
        std::cmp::Ordering::Greater => comparison.greater,
        std::cmp::Ordering::Equal => comparison.equal,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn fields(text: &str) -> BTreeMap<String, String> {
        text.lines()
            .map(|line| line.split_once(':').unwrap())
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    pub(crate) fn unit(text: &str) -> Unit {
        Unit::of(&fields(text)).unwrap()
    }

    #[test]
    fn needs_are_met_by_name_version_and_provision() {
        let unit =
            unit("C:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\nP:a\nV:1.2.3-r4\np:so:x.so.1=1.5 virtual\nD:b>1 !c");
        for (word, met) in [
            ("a", true),
            ("a=1.2.3-r4", true),
            ("a=1.2.3", false),
            ("a~1.2", true),
            ("a~1.3", false),
            ("a<1.3", true),
            ("a>1.3", false),
            ("a>=1.2.3-r4", true),
            ("a>~1.1", true),
            ("a<~1.1", false),
            ("so:x.so.1", true),
            ("so:x.so.1=1.5", true),
            ("so:x.so.1>=2", false),
            ("virtual", true),
            ("virtual=1", false),
            ("a><Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=", true),
            ("a><Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=", false),
            ("other", false),
        ] {
            assert_eq!(unit.meets(&Relation::parse(word).unwrap()), met, "{word}");
        }
        assert_eq!((unit.needs.len(), unit.against.len()), (1, 1));
        assert!(Unit::of(&fields("P:a")).is_err() && Unit::of(&fields("P:a\nV:not a version")).is_err());
    }

    #[test]
    fn a_name_at_a_version_is_of_one_only() {
        let shell = |name: &str| unit(&format!("P:{name}\nV:1-r0\np:cmd:sh=1-r0 /bin/sh"));
        assert_eq!(shell("a").shared(&shell("b")), Some("cmd:sh"));
        assert_eq!(unit("P:a\nV:1\np:v").shared(&unit("P:b\nV:1\np:v")), None);
        assert_eq!(unit("P:a\nV:1").shared(&unit("P:b\nV:1\np:a")), Some("a"));
    }
}
