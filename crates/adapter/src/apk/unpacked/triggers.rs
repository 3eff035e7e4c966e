//! `triggers`: for each package that watches folders a line of its checksum and the patterns (`apk_db_triggers_write`).

use super::{Next, patterns};
use std::collections::BTreeSet;

/// The file with the lines of the packages that there are now.
pub(super) fn rewritten(old: &str, next: &[Next<'_>]) -> String {
    let mut out = String::new();
    for one in next {
        let checksum = one.record.get('C').unwrap_or_default();
        match one.incoming {
            Some(incoming) => {
                let patterns = incoming.triggers();
                if !patterns.is_empty() {
                    out.push_str(&format!("{checksum} {}\n", patterns.join(" ")));
                }
            }
            None => lines_of(old, checksum).for_each(|line| out.push_str(&format!("{line}\n"))),
        }
    }
    out
}

fn lines_of<'t>(text: &'t str, checksum: &str) -> impl Iterator<Item = &'t str> {
    text.lines().filter(move |line| !checksum.is_empty() && line.split(' ').next() == Some(checksum))
}

/// The packages whose trigger would run because of changes in these folders.
pub(super) fn pulled<'n>(old: &str, next: &'n [Next<'_>], changed: &BTreeSet<String>) -> Vec<&'n str> {
    let fits = |pattern: &str| {
        // apk 3 marks with `+` what is to be told only where something really changed.
        let pattern = pattern.trim_start_matches('+');
        changed.iter().any(|folder| patterns::fits(pattern, folder))
    };
    let is_pulled = |one: &&Next<'_>| match one.incoming {
        Some(incoming) => incoming.triggers().into_iter().any(fits),
        None => {
            let checksum = one.record.get('C').unwrap_or_default();
            lines_of(old, checksum).any(|line| line.split(' ').skip(1).any(fits))
        }
    };
    next.iter().filter(is_pulled).filter_map(|one| one.record.get('P')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory::apk::installed::Record;

    #[test]
    fn lines_of_packages_that_stay_are_kept() {
        let record = |name: &str| Record::new(&format!("C:Q1{name}=\nP:{name}\nV:1-r0\n")).unwrap();
        let next = ["a", "b"].map(|name| Next { record: record(name), incoming: None });
        let old = "Q1b= /usr/lib /usr/share/*\nQ1gone= /bin\nQ1a= +/bin\n";
        assert_eq!(rewritten(old, &next), "Q1a= +/bin\nQ1b= /usr/lib /usr/share/*\n");
        for (folder, expected) in [("usr/share/x", &["b"][..]), ("bin", &["a"]), ("usr", &[])] {
            assert_eq!(pulled(old, &next, &[folder.to_owned()].into()), expected, "{folder}");
        }
    }
}
