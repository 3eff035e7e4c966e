//! Relations between packages (Debian policy 7): `Depends`, `Conflicts`, `Provides` and their kin.

use std::{cmp::Ordering, fmt};
use version::deb::Version;

/// Bytes of one field. The longest real ones have some 30 kB.
const FIELD_BYTES_MAX: usize = 256 << 10;

/// How versions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Below,
    AtMost,
    Exactly,
    AtLeast,
    Above,
}

/// One package name with what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Atom {
    pub(crate) name: String,
    /// `any`, `native` or an architecture.
    pub(crate) qualifier: Option<String>,
    pub(crate) bound: Option<(Operator, Version)>,
}

/// Alternatives: one of them is enough.
pub(crate) type Group = Vec<Atom>;

impl Operator {
    fn of(text: &str) -> Option<Operator> {
        Some(match text {
            "<<" => Operator::Below,
            // The single signs are of old, and mean what they say with the equals sign.
            "<=" | "<" => Operator::AtMost,
            "=" => Operator::Exactly,
            ">=" | ">" => Operator::AtLeast,
            ">>" => Operator::Above,
            _ => return None,
        })
    }

    pub(crate) fn holds(self, version: &Version, bound: &Version) -> bool {
        let order = version.cmp(bound);
        match self {
            Operator::Below => order == Ordering::Less,
            Operator::AtMost => order != Ordering::Greater,
            Operator::Exactly => order == Ordering::Equal,
            Operator::AtLeast => order != Ordering::Less,
            Operator::Above => order == Ordering::Greater,
        }
    }
}

impl Atom {
    /// Whether a version of that name is as asked.
    pub(crate) fn admits(&self, version: &Version) -> bool {
        self.bound.as_ref().is_none_or(|(operator, bound)| operator.holds(version, bound))
    }

    /// Whether whatever `other` admits, this admits too; both are of one name.
    pub(crate) fn is_no_stronger_than(&self, other: &Atom) -> bool {
        use Operator::{Above, AtLeast, AtMost, Below, Exactly};
        let Some((mine, bound)) = &self.bound else { return true };
        let Some((theirs, other)) = &other.bound else { return false };
        match (mine, theirs) {
            // Packages of one source name each other's version, which is another in each.
            (Exactly, Exactly) => true,
            (_, Exactly) => mine.holds(other, bound),
            (AtLeast, AtLeast | Above) | (Above, Above) => other >= bound,
            (Above, AtLeast) => other > bound,
            (AtMost, AtMost | Below) | (Below, Below) => other <= bound,
            (Below, AtMost) => other < bound,
            _ => false,
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        let Some((operator, bound)) = &self.bound else { return Ok(()) };
        let sign = match operator {
            Operator::Below => "<<",
            Operator::AtMost => "<=",
            Operator::Exactly => "=",
            Operator::AtLeast => ">=",
            Operator::Above => ">>",
        };
        write!(f, " ({sign} {bound})")
    }
}

/// Alternatives as the field writes them.
pub(crate) fn shown(group: &[Atom]) -> String {
    group.iter().map(Atom::to_string).collect::<Vec<_>>().join(" | ")
}

/// A field of groups separated by commas.
pub(crate) fn groups(field: &str) -> Result<Vec<Group>, String> {
    if field.len() > FIELD_BYTES_MAX {
        return Err(format!("a relation field of {} bytes", field.len()));
    }
    let parts = field.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.split('|').map(|text| atom(text.trim())).collect()).collect()
}

/// A field without alternatives.
pub(crate) fn atoms(field: &str) -> Result<Vec<Atom>, String> {
    Ok(groups(field)?.into_iter().flatten().collect())
}

fn atom(text: &str) -> Result<Atom, String> {
    let refuse = || format!("malformed relation {}", inventory::printable(text));
    let (head, bound) = match text.split_once('(') {
        Some((head, rest)) => (head.trim_end(), Some(rest.trim_end().strip_suffix(')').ok_or_else(refuse)?)),
        None => (text, None),
    };
    let (name, qualifier) = match head.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
        None => (head, None),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-._".contains(&b);
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(plain);
    if !is_word(name) || qualifier.as_deref().is_some_and(|text| !is_word(text)) {
        return Err(refuse());
    }
    let bound = bound.map(|text| {
        let text = text.trim();
        let end = text.find(|c: char| !"<>=".contains(c)).unwrap_or(text.len());
        let operator = Operator::of(&text[..end]).ok_or_else(refuse)?;
        let version = text[end..].trim().parse().map_err(|_| refuse())?;
        Ok::<_, String>((operator, version))
    });
    Ok(Atom { name: name.to_owned(), qualifier, bound: bound.transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Atom {
        atom(text).unwrap()
    }

    #[test]
    fn fields_are_read_and_shown_as_they_are_written() {
        for text in ["a", "a:any", "a (>= 1:2.0-1)", "a:amd64 (<< 2) | b | c (= 3)", "lib-x.1+2 (>> 1~)"] {
            assert_eq!(groups(text).unwrap().iter().map(|g| shown(g)).collect::<Vec<_>>(), [text]);
        }
        let field = "a,\nb(>=1)|c,, d ( = 2 ) ,";
        let shown: Vec<_> = groups(field).unwrap().iter().map(|g| shown(g)).collect();
        assert_eq!(shown, ["a", "b (>= 1) | c", "d (= 2)"]);
    }

    #[test]
    fn what_is_no_relation_is_refused() {
        for text in [
            "a b",
            "a (1)",
            "a (>= )",
            "a (>= 1",
            "a (?? 1)",
            "|",
            "a |",
            "-a b",
            "a:(>= 1)",
            "\u{1b}[2J",
            "a (>= 1) x",
        ] {
            assert!(groups(text).is_err(), "{text}");
        }
        assert!(groups(&"a,".repeat(FIELD_BYTES_MAX)).is_err());
    }

    #[test]
    fn a_need_is_compared_with_an_earlier_one() {
        for (new, old, no_stronger) in [
            ("a", "a (>= 1)", true),
            ("a (>= 1)", "a", false),
            ("a (>= 1)", "a (>= 1)", true),
            ("a (>= 1)", "a (>= 2)", true),
            ("a (>= 2)", "a (>= 1)", false),
            ("a (>> 1)", "a (>= 1)", false),
            ("a (>> 1)", "a (>= 2)", true),
            ("a (= 2)", "a (= 1)", true),
            ("a (>= 1)", "a (= 2)", true),
            ("a (<< 2)", "a (<= 1)", true),
            ("a (<< 2)", "a (>= 1)", false),
        ] {
            assert_eq!(one(new).is_no_stronger_than(&one(old)), no_stronger, "{new} after {old}");
        }
    }
}
