//! When and how long to wait before a request is repeated.

use super::ClientOptions;
use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};
use tokio::time::Instant;

/// Whether a status passes by itself: too early, too many, or the server's own trouble.
pub(crate) fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 429) || ((500..600).contains(&status) && !matches!(status, 501 | 505))
}

/// The pauses between the tries of one thing: each twice as long as the one before, jittered, bounded in number, length
/// and sum.
pub struct Pauses {
    left: u32,
    next: Duration,
    max: Duration,
    whole: Duration,
    /// When the last try may begin; known from the first failure on.
    until: Option<Instant>,
}

impl Pauses {
    /// The pauses that the settings allow.
    pub fn new(options: &ClientOptions) -> Self {
        let (left, next) = (options.retries, options.backoff);
        Pauses { left, next, max: options.pause_max, whole: options.retry_for, until: None }
    }

    pub(crate) fn none() -> Self {
        let zero = Duration::ZERO;
        Pauses { left: 0, next: zero, max: zero, whole: zero, until: None }
    }

    /// The next pause after a failure, or `None` where it is enough. What the server asks for counts up to the longest pause.
    pub fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let own = jittered(self.next);
        self.next = (self.next * 2).min(self.max);
        let pause = asked.map_or(own, |a| a.max(own)).min(self.max);
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + self.whole);
        (now + pause <= until).then_some(pause)
    }
}

/// Half to all of a duration, so that many clients do not come back at one moment.
fn jittered(whole: Duration) -> Duration {
    // Every RandomState has fresh keys; hashing nothing with them is a random number without a further crate.
    let random = RandomState::new().hash_one(()) as u32;
    whole / 2 + (whole / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date. A date is measured against the `Date` of the same answer, so that
/// no clock but the server's own counts; without one it says nothing.
pub(crate) fn retry_after(value: Option<&str>, date: Option<&str>) -> Option<Duration> {
    let value = value?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(date?.trim()).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_transient() {
        for (status, transient) in [
            (200, false),
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (408, true),
            (413, false),
            (429, true),
            (500, true),
            (501, false),
            (502, true),
            (503, true),
            (504, true),
            (505, false),
        ] {
            assert_eq!(is_transient_status(status), transient, "{status}");
        }
    }

    #[test]
    fn pauses_grow_are_bounded_and_end() {
        let options = ClientOptions { retries: 3, backoff: Duration::from_secs(20), ..Default::default() };
        let mut pauses = Pauses::new(&options);
        let first = pauses.next(None).unwrap();
        assert!(first >= Duration::from_secs(10) && first <= Duration::from_secs(20));
        assert_eq!(pauses.next(Some(Duration::from_secs(86_400))), Some(Duration::from_secs(60)));
        assert!(pauses.next(Some(Duration::ZERO)).unwrap() >= Duration::from_secs(30));
        assert_eq!(pauses.next(None), None);
    }

    #[test]
    fn pauses_end_with_their_time() {
        let options = ClientOptions {
            retries: 1000,
            pause_max: Duration::from_secs(60),
            retry_for: Duration::from_secs(90),
            ..Default::default()
        };
        let mut pauses = Pauses::new(&options);
        assert_eq!(pauses.next(Some(Duration::from_secs(60))), Some(Duration::from_secs(60)));
        let mut pauses = Pauses::new(&ClientOptions { retry_for: Duration::from_secs(59), ..options });
        assert_eq!(pauses.next(Some(Duration::from_secs(60))), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_of_the_same_clock() {
        const NOW: &str = "Wed, 21 Oct 2015 07:27:30 GMT";
        for (value, date, seconds) in [
            (" 7 ", None, Some(7)),
            ("7", Some(NOW), Some(7)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(NOW), Some(30)),
            ("Wednesday, 21-Oct-15 07:28:00 GMT", Some(NOW), Some(30)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(NOW), Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None, None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some("now"), None),
            ("Wed, 99 Oct 2015 07:28:00 GMT", Some(NOW), None),
            ("", Some(NOW), None),
            ("-1", Some(NOW), None),
            ("99999999999999999999", None, None),
        ] {
            let want = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(Some(value), date), want, "{value} {date:?}");
        }
        assert_eq!(retry_after(None, Some(NOW)), None);
    }
}
