//! What a package provides, requires, conflicts with and obsoletes, and whether the one meets the other.
//!
//! Sources: rpm's manual on dependencies; libsolv, which dnf asks, for what a provide without version meets.

use super::{
    primary::{word, written},
    xml::{Element, Met, walk},
};
use std::cmp::Ordering;
use version::{Scheme, Version};

/// Relations and files of one package.
const ITEMS_MAX: usize = 250_000;

/// How a version stands to the one named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sense {
    less: bool,
    equal: bool,
    greater: bool,
}

/// Something provided or required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    /// A package, a library, a path, or a whole expression in parentheses.
    pub(super) name: String,
    /// Which versions; none where any will do.
    pub(super) bound: Option<(Sense, String)>,
}

/// What a package's record says beside its head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Details {
    pub(super) provides: Vec<Relation>,
    /// Without what only scripts need, which are never run here.
    pub(super) requires: Vec<Relation>,
    pub(super) conflicts: Vec<Relation>,
    pub(super) obsoletes: Vec<Relation>,
    /// Files, of which the index has those that others may require.
    pub(super) files: Vec<String>,
    /// Where the header ends in the package's file; 0 where that is not said.
    pub(super) header_end: u64,
}

impl Sense {
    /// By the words of the index (`EQ`) and of expressions (`=`).
    pub(super) fn of(word: &str) -> Option<Sense> {
        let (less, equal, greater) = match word {
            "LT" | "<" => (true, false, false),
            "LE" | "<=" => (true, true, false),
            "EQ" | "=" => (false, true, false),
            "GE" | ">=" => (false, true, true),
            "GT" | ">" => (false, false, true),
            _ => return None,
        };
        Some(Sense { less, equal, greater })
    }

    fn word(self) -> &'static str {
        match (self.less, self.equal, self.greater) {
            (true, false, _) => "<",
            (true, true, _) => "<=",
            (false, true, true) => ">=",
            (false, true, false) => "=",
            (false, false, _) => ">",
        }
    }
}

impl Relation {
    /// A name at exactly this version.
    pub(super) fn exactly(name: &str, version: &str) -> Relation {
        let equal = Sense { less: false, equal: true, greater: false };
        Relation { name: name.to_owned(), bound: Some((equal, version.to_owned())) }
    }

    /// Whether what is provided meets what is required: the versions meant have one in common.
    pub(super) fn meets(&self, required: &Relation) -> bool {
        if self.name != required.name {
            return false;
        }
        let (Some((wanted, bound)), provided) = (&required.bound, &self.bound) else { return true };
        let Some((given, version)) = provided else { return false };
        let parse = |text: &str| Scheme::Rpm.parse(text).ok();
        let (Some(version), Some(bound)) = (parse(version), parse(bound)) else { return false };
        overlap(*given, &version, *wanted, &bound)
    }
}

fn overlap(given: Sense, version: &Version, wanted: Sense, bound: &Version) -> bool {
    match version.cmp_to_required(bound) {
        Ordering::Less => given.greater || wanted.less,
        Ordering::Greater => given.less || wanted.greater,
        Ordering::Equal => {
            (given.equal && wanted.equal) || (given.less && wanted.less) || (given.greater && wanted.greater)
        }
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = inventory::printable(&self.name);
        match &self.bound {
            Some((sense, version)) => write!(f, "{shown} {} {}", sense.word(), inventory::printable(version)),
            None => f.write_str(&shown),
        }
    }
}

/// Reads a package's record.
pub(crate) fn details(record: &str) -> Result<Details, String> {
    let mut details = Details::default();
    let (mut list, mut text, mut items) = (None, String::new(), 0_usize);
    walk(record, &mut |met| {
        match met {
            Met::Begin(element) => {
                text.clear();
                match element.name.as_str() {
                    name @ ("provides" | "requires" | "conflicts" | "obsoletes") => {
                        list = Some(name.to_owned())
                    }
                    "header-range" => {
                        details.header_end = element.get("end").and_then(|end| end.parse().ok()).unwrap_or(0);
                    }
                    "entry" => {
                        items += 1;
                        let to = match list.as_deref() {
                            Some("provides") => Some(&mut details.provides),
                            Some("requires") if element.get("pre") != Some("1") => {
                                Some(&mut details.requires)
                            }
                            Some("conflicts") => Some(&mut details.conflicts),
                            Some("obsoletes") => Some(&mut details.obsoletes),
                            _ => None,
                        };
                        let relation = relation(&element)?;
                        if let Some(to) = to {
                            to.push(relation);
                        }
                    }
                    _ => {}
                }
            }
            Met::Text(piece) => text.push_str(piece),
            Met::End("file") => {
                items += 1;
                details.files.push(word(&text)?);
            }
            Met::End(name) if list.as_deref() == Some(name) => list = None,
            Met::End(_) => {}
        }
        match items > ITEMS_MAX {
            true => Err(format!("more than {ITEMS_MAX} relations and files of a package")),
            false => Ok(true),
        }
    })?;
    Ok(details)
}

fn relation(element: &Element) -> Result<Relation, String> {
    let get = |name: &str| element.get(name).unwrap_or_default();
    let name = word(get("name"))?;
    if name.is_empty() {
        return Err("a relation without a name".into());
    }
    let bound = Sense::of(get("flags")).map(|sense| (sense, written(get("epoch"), get("ver"), get("rel"))));
    Ok(Relation { name, bound: bound.filter(|(_, version)| !version.is_empty()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(text: &str) -> Relation {
        let mut words = text.split(' ');
        let name = words.next().unwrap().to_owned();
        let bound = words.next().and_then(Sense::of).zip(words.next().map(str::to_owned));
        Relation { name, bound }
    }

    #[test]
    fn versions_meet_where_they_have_one_in_common() {
        for (provided, required, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a = 1-2", "a", true),
            ("a", "a >= 1", false),
            ("a = 1.2-3", "a = 1.2", true),
            ("a = 1.2-3", "a = 1.2-4", false),
            ("a = 1:1.0-1", "a >= 2.0", true),
            ("a = 1.0-1", "a < 1:0", true),
            ("a = 1.0-1", "a > 1.0-1", false),
            ("a >= 2", "a <= 1", false),
            ("a >= 2", "a < 3", true),
            ("a < 2", "a < 1", true),
            ("a > 2", "a <= 2", false),
        ] {
            assert_eq!(relation(provided).meets(&relation(required)), expected, "{provided} / {required}");
        }
    }

    #[test]
    fn a_record_is_read_without_what_only_scripts_need() {
        let record = "<package type=\"rpm\"><format><rpm:provides><rpm:entry name=\"a\" flags=\"EQ\" epoch=\"0\" ver=\"1\" rel=\"2\"/>\
            </rpm:provides><rpm:requires><rpm:entry name=\"/bin/sh\" pre=\"1\"/><rpm:entry name=\"(x if y)\"/>\
            <rpm:entry name=\"l&lt;\" flags=\"GE\" epoch=\"1\" ver=\"3\"/></rpm:requires><rpm:obsoletes><rpm:entry name=\"o\"/>\
            </rpm:obsoletes><file>/usr/bin/a</file><file type=\"dir\">/etc/a</file></format></package>";
        let details = details(record).unwrap();
        let shown = |list: &[Relation]| list.iter().map(Relation::to_string).collect::<Vec<_>>();
        assert_eq!(shown(&details.provides), ["a = 1-2"]);
        assert_eq!(shown(&details.requires), ["(x if y)", "l< >= 1:3"]);
        assert_eq!((shown(&details.obsoletes), details.files.len()), (vec!["o".to_owned()], 2));
    }
}
