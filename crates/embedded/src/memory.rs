//! How much memory the changes of a run may take, so that all runs of this process together leave enough.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

/// At most so much: an upgrade of a whole distribution stays below, and a machine with much memory keeps it.
const BYTES_MAX: u64 = 4 << 30;
/// Less is not worth it.
const BYTES_MIN: u64 = 64 << 20;

/// What runs of this process have been given and may still fill. The machine has one memory, whatever engine a run is of.
static GIVEN: AtomicU64 = AtomicU64::new(0);

/// Memory that one run may fill. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Share(u64);

impl Share {
    /// Half of what is free and given to nobody, at most what is wanted; `None` where the disk must do.
    pub(crate) fn take(wanted: Option<u64>) -> Option<Share> {
        let free = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text)).unwrap_or(0);
        let mut share = None;
        let took = GIVEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, |given| {
            share = bound(wanted, free, given);
            share.map(|bytes| given.saturating_add(bytes))
        });
        took.ok().and(share).map(Share)
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        GIVEN.fetch_sub(self.0, Ordering::AcqRel);
    }
}

fn bound(wanted: Option<u64>, free: u64, given: u64) -> Option<u64> {
    let bound = wanted.unwrap_or(BYTES_MAX).min(free.saturating_sub(given) / 2);
    (bound >= BYTES_MIN).then_some(bound)
}

fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_free_and_no_more_than_asked() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
        let (gib, mib) = (1u64 << 30, 1u64 << 20);
        let cases = [
            (Some(0), 64 * gib, 0, None),
            (None, 64 * gib, 0, Some(BYTES_MAX)),
            (None, 4 * gib, 0, Some(2 * gib)),
            (None, 4 * gib, 2 * gib, Some(gib)),
            (None, 4 * gib, 3 * gib, Some(512 * mib)),
            (None, 4 * gib, 4 * gib - 100 * mib, None),
            (None, 4 * gib, 9 * gib, None),
            (Some(BYTES_MIN), gib, 0, Some(BYTES_MIN)),
        ];
        for (wanted, free, given, want) in cases {
            assert_eq!(bound(wanted, free, given), want, "{wanted:?} of {free}, {given} given");
        }
    }

    #[test]
    fn what_is_given_comes_back() {
        let shares: Vec<Share> = (0..20).map_while(|_| Share::take(Some(BYTES_MIN))).collect();
        let given: u64 = shares.iter().map(Share::bytes).sum();
        assert!(GIVEN.load(Ordering::Acquire) >= given);
        drop(shares);
        assert_eq!(GIVEN.load(Ordering::Acquire), 0);
    }
}
