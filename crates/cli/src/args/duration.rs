//! Durations as Go writes them (`1h2m3.5s`, `300ms`), with days and weeks added.

use std::time::Duration;

const UNITS: [(&str, u128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
    ("w", 604_800 * 1_000_000_000),
];

/// Ten years: longer ones are slips of the finger, and sums with the clock stay far from overflow.
const NANOSECONDS_MAX: u128 = 10 * 366 * 86_400 * 1_000_000_000;

/// More digits than any sensible number has.
const DIGITS_MAX: usize = 18;

/// Reads a duration of more than 0.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (number, after) = split_at_first(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, after) = split_at_first(after, |c| c.is_ascii_digit() || c == '.');
        total += part(number, unit)?;
        rest = after;
    }
    match u64::try_from(total) {
        Ok(0) => Err("must be more than 0".to_owned()),
        Ok(nanoseconds) if total <= NANOSECONDS_MAX => Ok(Duration::from_nanos(nanoseconds)),
        _ => Err("longer than ten years".to_owned()),
    }
}

fn part(number: &str, unit: &str) -> Result<u128, String> {
    let known = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, nanoseconds)| *nanoseconds);
    let Some(nanoseconds) = known else {
        return Err("want number and unit, as 90s, 10m, 1h30m, 7d".to_owned());
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit()) && t.len() <= DIGITS_MAX;
    if !digits(whole) || !digits(fraction) || number.len() == usize::from(number.contains('.')) {
        return Err(format!("\"{}\" is not a number", number.escape_default()));
    }
    let value = |t: &str| if t.is_empty() { 0 } else { t.parse::<u128>().unwrap_or(u128::MAX >> 64) };
    let scale = 10_u128.pow(fraction.len() as u32);
    Ok(value(whole) * nanoseconds + value(fraction) * nanoseconds / scale)
}

fn split_at_first(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

/// A duration as Go prints it: `5m0s`, `1h0m30s`, `1.5s`, `250ms`.
pub fn go_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let rest = duration.subsec_millis();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("{rest}ms"),
        (0, 0, s) => format!("{}s", decimal(s, rest)),
        (0, m, s) => format!("{m}m{}s", decimal(s, rest)),
        (h, m, s) => format!("{h}h{m}m{}s", decimal(s, rest)),
    }
}

fn decimal(seconds: u64, milliseconds: u32) -> String {
    let text = format!("{seconds}.{milliseconds:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, milliseconds, printed) in [
            ("5m", 300_000, "5m0s"),
            ("1h2m3s", 3_723_000, "1h2m3s"),
            ("300ms", 300, "300ms"),
            ("1.5s", 1_500, "1.5s"),
            (".5m", 30_000, "30s"),
            ("90s", 90_000, "1m30s"),
            ("1h", 3_600_000, "1h0m0s"),
            ("7d", 604_800_000, "168h0m0s"),
            ("2w", 1_209_600_000, "336h0m0s"),
            ("1000us", 1, "1ms"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(go_text(duration), printed, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "5", "m", "0s", "-5m", "5 m", "5m ", "1e3s", ".s", "1..5s", "99999999999h", "5x", "５m"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_duration(&"9".repeat(400)).is_err());
        assert!(parse_duration(&format!("{}s", "9".repeat(19))).is_err());
    }
}
