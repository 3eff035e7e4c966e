//! When and how long to wait before a request is repeated.

use super::ClientOptions;
use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Whether a status passes by itself: too early, too many, or the server's own trouble.
pub(crate) fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 429) || ((500..600).contains(&status) && !matches!(status, 501 | 505))
}

/// The pauses of one request.
pub(crate) struct Pauses {
    left: u32,
    next: Duration,
    max: Duration,
}

impl Pauses {
    pub(crate) fn new(options: &ClientOptions) -> Self {
        Pauses { left: options.retries, next: options.backoff, max: options.pause_max }
    }

    pub(crate) fn none() -> Self {
        Pauses { left: 0, next: Duration::ZERO, max: Duration::ZERO }
    }

    /// The next pause, or `None` where it is enough. What the server asks for counts up to the longest pause.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let own = jittered(self.next);
        self.next = (self.next * 2).min(self.max);
        Some(asked.map_or(own, |a| a.max(own)).min(self.max))
    }
}

/// Half to all of a duration, so that many clients do not come back at one moment.
fn jittered(whole: Duration) -> Duration {
    // Every RandomState has fresh keys; hashing nothing with them is a random number without a further crate.
    let random = RandomState::new().hash_one(()) as u32;
    whole / 2 + (whole / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// `Retry-After` in seconds. The form with a date is not read: it would lean on two clocks being equal.
pub(crate) fn retry_after(value: Option<&str>) -> Option<Duration> {
    value?.trim().parse::<u32>().ok().map(|s| Duration::from_secs(s.into()))
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
    fn retry_after_is_seconds() {
        assert_eq!(retry_after(Some(" 7 ")), Some(Duration::from_secs(7)));
        for text in ["", "-1", "99999999999999999999", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(retry_after(Some(text)), None, "{text}");
        }
    }
}
