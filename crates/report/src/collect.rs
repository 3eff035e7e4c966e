//! Rows of any format to findings: counted, bounded, each once, checked when the whole report is known.

use crate::{
    Error, Finding, Findings, Subject,
    error::shown,
    grammar::{self, Grammar},
    guard::{Limit, limit_error, limits},
};
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use std::{
    collections::{BTreeMap, HashMap, hash_map::DefaultHasher},
    fmt,
    hash::{Hash, Hasher},
};

/// Allocator's share for each text kept, and the entry that tells doubles.
const OVERHEAD_BYTES: usize = 16;

/// One vulnerability as the report writes it, nothing checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) vulnerability: String,
    pub(crate) package: String,
    pub(crate) installed: String,
    pub(crate) fixed: String,
    pub(crate) severity: Option<String>,
    /// Kind of package, where the row and not its list says it.
    pub(crate) kind: Option<String>,
}

impl Row {
    fn kept_bytes(&self) -> usize {
        let texts = [&self.vulnerability, &self.package, &self.installed, &self.fixed];
        let optional = [&self.severity, &self.kind].into_iter().flatten();
        let text: usize = texts.into_iter().chain(optional).map(|t| t.capacity() + OVERHEAD_BYTES).sum();
        text + size_of::<Row>() + size_of::<(u64, usize)>()
    }

    fn into_finding(self, versions: Grammar) -> Result<Finding, Error> {
        let package = match self.package.parse() {
            Ok(package) => package,
            Err(error) => return Err(self.refused(error)),
        };
        let texts = grammar::vulnerability(&self.vulnerability)
            .and_then(|()| grammar::installed(&self.installed))
            .and_then(|()| self.severity.as_deref().map_or(Ok(()), grammar::severity))
            .and_then(|()| grammar::fixed(&self.fixed, versions));
        match texts {
            Err(why) => Err(self.refused(why)),
            Ok(fixed) => Ok(Finding {
                vulnerability: self.vulnerability,
                package,
                installed: self.installed,
                fixed,
                severity: self.severity,
            }),
        }
    }

    fn refused(&self, why: impl fmt::Display) -> Error {
        let or_none = |text: &str| if text.is_empty() { "(none)".to_owned() } else { shown(text) };
        Error::Finding {
            vulnerability: or_none(&self.vulnerability),
            package: or_none(&self.package),
            why: why.to_string(),
        }
    }
}

/// The bounds over a whole report, and how much of them is used up.
#[derive(Default)]
pub(crate) struct Budget {
    seen: u64,
    kept: usize,
}

impl Budget {
    fn count(&mut self) -> Result<(), Limit> {
        self.seen += 1;
        if self.seen > limits::VULNERABILITIES_MAX { Err(Limit::Vulnerabilities) } else { Ok(()) }
    }

    /// Gives back what rows took that are not kept after all.
    pub(crate) fn release(&mut self, rows: &Rows) {
        self.kept -= rows.kept;
    }

    fn keep(&mut self, bytes: usize) -> Result<(), Limit> {
        self.kept += bytes;
        if self.kept > limits::KEPT_BYTES_MAX { Err(Limit::Kept) } else { Ok(()) }
    }
}

/// The rows of one list. A row that is there again says nothing new and is dropped.
#[derive(Default)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    by_hash: HashMap<u64, usize>,
    /// Rows read, doubles included.
    pub(crate) count: u64,
    /// What they took of the budget.
    kept: usize,
}

impl Rows {
    fn add(&mut self, row: Row, budget: &mut Budget) -> Result<(), Limit> {
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        let index = *self.by_hash.entry(hasher.finish()).or_insert(self.rows.len());
        if self.rows.get(index) == Some(&row) {
            return Ok(());
        }
        let bytes = row.kept_bytes();
        budget.keep(bytes)?;
        self.kept += bytes;
        self.rows.push(row);
        Ok(())
    }

    pub(crate) fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Reads a list of rows of some format, one at a time.
pub(crate) struct RowsSeed<'a, T> {
    pub(crate) budget: &'a mut Budget,
    /// One element to a row.
    pub(crate) to_row: fn(T) -> Row,
}

impl<'de, T: serde::Deserialize<'de>> DeserializeSeed<'de> for RowsSeed<'_, T> {
    type Value = Rows;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Rows, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for RowsSeed<'_, T> {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of vulnerabilities")
    }

    fn visit_unit<E>(self) -> Result<Rows, E> {
        Ok(Rows::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows, A::Error> {
        let mut rows = Rows::default();
        while let Some(element) = list.next_element::<T>()? {
            rows.count += 1;
            self.budget.count().map_err(limit_error)?;
            rows.add((self.to_row)(element), self.budget).map_err(limit_error)?;
        }
        Ok(rows)
    }
}

/// A report read to its end.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) subject: Subject,
    /// Lists of operating-system findings, each with its family where the list says it.
    pub(crate) os: Vec<(Option<String>, Rows)>,
    /// Numbers of other vulnerabilities by kind.
    pub(crate) other: BTreeMap<String, u64>,
}

impl Collected {
    /// Counts vulnerabilities of packages that are not the distribution's.
    pub(crate) fn count_other(&mut self, kind: Option<&str>, number: u64) {
        if number > 0 {
            *self.other.entry(shown(kind.filter(|k| !k.is_empty()).unwrap_or("unknown"))).or_default() +=
                number;
        }
    }

    /// The findings, each checked by the grammar of its distribution.
    pub(crate) fn findings(self) -> Result<Findings, Error> {
        let mut findings = Findings { subject: self.subject, os: Vec::new(), other: self.other };
        let report_family = findings.subject.os_family.clone().unwrap_or_default();
        for (family, rows) in self.os {
            let versions = Grammar::of(family.as_deref().filter(|f| !f.is_empty()).unwrap_or(&report_family));
            for row in rows.into_rows() {
                findings.os.push(row.into_finding(versions)?);
            }
        }
        Ok(findings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_dropped_and_everything_is_bounded() {
        let row = |id: &str| Row { vulnerability: id.into(), package: "a".into(), ..Row::default() };
        let (mut rows, mut budget) = (Rows::default(), Budget::default());
        for id in ["1", "2", "1", "1", "3", "2"] {
            rows.add(row(id), &mut budget).unwrap();
        }
        let ids: Vec<_> = rows.into_rows().into_iter().map(|r| r.vulnerability).collect();
        assert_eq!(ids, ["1", "2", "3"]);
        let mut seen = Budget { seen: limits::VULNERABILITIES_MAX - 1, kept: 0 };
        assert_eq!((seen.count(), seen.count()), (Ok(()), Err(Limit::Vulnerabilities)));
        let mut kept = Budget { seen: 0, kept: limits::KEPT_BYTES_MAX };
        assert_eq!(Rows::default().add(row("1"), &mut kept), Err(Limit::Kept));
    }
}
