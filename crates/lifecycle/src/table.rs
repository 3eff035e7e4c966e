//! The table that comes with the program: `data/releases.tsv`, whose head says where its dates are from.

use crate::{Date, Release, Support, release::numbers};
use std::sync::OnceLock;

const TEXT: &str = include_str!("../data/releases.tsv");

/// The line that says the day of the table's state.
const STATE: &str = "# state: ";

/// Dates of releases.
#[derive(Debug)]
pub struct Table {
    state: Date,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    product: &'static str,
    numbers: Vec<u16>,
    until: Option<Date>,
}

/// The embedded table, read at first use.
pub fn embedded() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| parse(TEXT).expect("the embedded table is read by a test"))
}

impl Table {
    /// The day whose knowledge it has.
    pub fn state(&self) -> Date {
        self.state
    }

    /// What it knows of a release. `now` is in seconds since 1970. `None` where the release is not in it.
    pub fn support(&self, release: &Release, now: i64) -> Option<Support> {
        let row =
            self.rows.iter().find(|row| row.product == release.product() && release.is(&row.numbers))?;
        let ended = row.until.is_some_and(|last| day(now) > last);
        Some(Support { ended, until: row.until })
    }
}

/// The day of a time, in UTC.
fn day(seconds: i64) -> Date {
    let far = if seconds < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(far);
    time.to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn parse(text: &'static str) -> Result<Table, String> {
    let state = text.lines().find_map(|line| line.strip_prefix(STATE)).ok_or("no line says the state")?;
    let state = state.parse().map_err(|e| format!("state: {e}"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let row = |line| parse_row(line).ok_or_else(|| format!("not product, release, day: {line}"));
    Ok(Table { state, rows: lines.map(row).collect::<Result<_, _>>()? })
}

fn parse_row(line: &'static str) -> Option<Row> {
    let mut columns = line.split('\t');
    let (product, release, until) = (columns.next()?, columns.next()?, columns.next()?);
    let until = match until {
        "-" => None,
        day => Some(day.parse().ok()?),
    };
    let row = Row { product, numbers: numbers(release)?, until };
    columns.next().is_none().then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory::{OsRelease, family::FAMILIES};
    use std::collections::BTreeSet;

    /// Products whose dates nobody publishes in this form.
    const WITHOUT_DATES: [&str; 1] = ["azure-linux"];

    fn seconds(day: &str) -> i64 {
        let day: Date = day.parse().unwrap();
        day.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second()
    }

    fn support(id: &str, version: &str, now: i64) -> Option<Support> {
        let os = OsRelease { id: id.into(), version_id: version.into(), ..OsRelease::default() };
        embedded().support(&Release::of(&os)?, now)
    }

    #[test]
    fn a_release_ends_when_its_last_day_is_over() {
        let midnight = seconds("2022-09-11");
        let buster = |now| support("debian", "10", now).unwrap();
        assert!(!buster(midnight - 1).ended);
        assert!(buster(midnight).ended);
        assert_eq!(buster(midnight).until.unwrap().to_string(), "2022-09-10");
        assert!(buster(i64::MAX).ended && !buster(i64::MIN).ended);
    }

    #[test]
    fn an_end_that_is_not_announced_never_comes_and_unknown_releases_are_unknown() {
        assert_eq!(support("photon", "5.0", i64::MAX), Some(Support { ended: false, until: None }));
        assert_eq!(support("debian", "99", 0), None);
        assert_eq!(support("sles", "15", 0), support("sles", "15.0", 0));
    }

    #[test]
    fn every_family_that_has_releases_has_dates() {
        let products: BTreeSet<&str> = embedded().rows.iter().map(|row| row.product).collect();
        for product in FAMILIES.iter().filter_map(|f| f.lifecycle) {
            assert_eq!(products.contains(product), !WITHOUT_DATES.contains(&product), "{product}");
        }
        let known: BTreeSet<&str> =
            FAMILIES.iter().filter_map(|f| f.lifecycle).chain(["centos-stream"]).collect();
        assert!(products.is_subset(&known), "{products:?}");
    }

    #[test]
    fn no_release_is_there_twice() {
        let mut keys: Vec<_> = embedded().rows.iter().map(|row| (row.product, &row.numbers)).collect();
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }

    #[test]
    fn a_table_with_a_bad_line_is_no_table() {
        for text in [
            "debian\t1\t-\n",
            "# state: soon\n",
            "# state: 2026-01-01\ndebian\t1\n",
            "# state: 2026-01-01\ndebian\tx\t-\n",
            "# state: 2026-01-01\ndebian\t1\t2026-13-01\n",
            "# state: 2026-01-01\ndebian\t1\t-\tmore\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("# state: 2026-01-01\ndebian\t1\t-\n").is_ok());
    }
}
