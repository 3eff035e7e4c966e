//! Dates of heads of indexes: `Sat, 21 Nov 2026 13:53:17 UTC`.

use jiff::{civil::DateTime, tz::TimeZone};

/// Seconds since 1970, or nothing where the text is no such date. The day of the week is not looked at.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let rest = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = rest.split_ascii_whitespace();
    let day: i8 = number(words.next()?)?;
    let month = words.next()?;
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = i8::try_from(MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1).ok()?;
    let year: i16 = number(words.next()?)?;
    let mut clock = words.next()?.split(':');
    let mut part = || clock.next().and_then(number::<i8>);
    let (hour, minute, second) = (part()?, part()?, part()?);
    let zone = words.next().unwrap_or("UTC");
    let universal = ["UTC", "GMT", "Z", "+0000", "-0000"].iter().any(|name| zone.eq_ignore_ascii_case(name));
    if clock.next().is_some() || words.next().is_some() || !universal {
        return None;
    }
    let date = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A time for messages.
pub(crate) fn shown(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_real_heads_are_read() {
        for (text, seconds) in [
            ("Sat, 21 Nov 2026 13:53:17 UTC", Some(1_795_269_197)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Tue, 1 Feb 2000 9:05:07 +0000", Some(949_395_907)),
            ("Sat, 31 Feb 2026 13:53:17 UTC", None),
            ("Sat, 21 Nov 2026 13:53:17 PST", None),
            ("Sat, 21 Nov 2026 25:00:00 UTC", None),
            ("2026-11-21T13:53:17Z", None),
            ("Sat, +1 Nov 2026 13:53:17 UTC", None),
            ("", None),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
    }
}
