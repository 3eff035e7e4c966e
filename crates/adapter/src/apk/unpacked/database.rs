//! `installed` written again as apk writes it (`apk_db_fdb_write` and `apk_pkg_write_index_entry` of apk-tools 2.14): the new
//! versions' records in the places of the old ones', what is new at the end, everything else byte for byte.

use super::{incoming::Incoming, place::Placed};
use crate::Error;
use inventory::apk::installed::Record;
use std::{collections::BTreeSet, fmt::Write as _};

/// Fields that the index has, in apk's order; the first ones are there even where they are empty.
const FIELDS: [&str; 17] =
    ["C", "P", "V", "A", "S", "I", "T", "U", "L", "o", "m", "t", "c", "k", "D", "p", "i"];
const ALWAYS: [&str; 3] = ["T", "U", "L"];

/// The record of a package that was placed; without files that another one took over.
pub(super) fn record(
    incoming: &Incoming<'_>,
    placed: &Placed,
    passed: Option<&BTreeSet<String>>,
) -> Result<Record, Error> {
    let mut text = String::new();
    let mut line = |letter: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{letter}:{value}");
    };
    for letter in FIELDS {
        match incoming.record(letter) {
            Some(value) => line(letter, value),
            None if ALWAYS.contains(&letter) => line(letter, ""),
            None => {}
        }
    }
    let replaces =
        incoming.all("replaces").flat_map(str::split_ascii_whitespace).collect::<Vec<_>>().join(" ");
    let priority = incoming.all("replaces_priority").last();
    let tag = incoming.old.and_then(|old| old.get('s'));
    for (letter, value) in [("r", Some(replaces.as_str())), ("q", priority), ("s", tag)] {
        if let Some(value) = value.filter(|value| !value.is_empty() && *value != "0") {
            line(letter, value);
        }
    }
    for folder in &placed.folders {
        line("F", &folder.path);
        folder.access.iter().for_each(|access| line("M", access));
        for file in &folder.files {
            let path = super::owners::joined(&folder.path, &file.name);
            if passed.is_some_and(|passed| passed.contains(&path)) {
                continue;
            }
            line("R", &file.name);
            file.access.iter().for_each(|access| line("a", access));
            file.digest.iter().for_each(|digest| line("Z", &digest.to_string()));
        }
    }
    Record::new(&text).map_err(|why| incoming.error(format!("its record would be wrong: {why}")))
}

/// A record that stays, without files that were taken over.
pub(super) fn without(record: &Record, taken: &BTreeSet<String>) -> Result<Record, inventory::Error> {
    let (mut text, mut folder, mut drop_it) = (String::new(), "", false);
    for line in record.as_str().split_inclusive('\n') {
        let value = line.get(2..).unwrap_or_default().trim_end_matches('\n');
        match line.as_bytes().first() {
            Some(b'F') => (folder, drop_it) = (value, false),
            Some(b'R') => drop_it = taken.contains(&super::owners::joined(folder, value)),
            Some(b'a' | b'Z') => {}
            _ => drop_it = false,
        }
        if !drop_it {
            text.push_str(line);
        }
    }
    Record::new(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_over_is_no_more_in_the_record() {
        let text = "P:a\nV:1\nF:etc\nR:x\na:0:0:600\nZ:Q1\nR:y\nZ:Q1\nF:usr\nR:x\nF:\nR:z\n\n";
        let record = Record::new(text).unwrap();
        let taken = ["etc/x".to_owned(), "z".to_owned()].into();
        assert_eq!(
            without(&record, &taken).unwrap().as_str(),
            "P:a\nV:1\nF:etc\nR:y\nZ:Q1\nF:usr\nR:x\nF:\n\n"
        );
        assert_eq!(without(&record, &BTreeSet::new()).unwrap().as_str(), text);
    }
}
