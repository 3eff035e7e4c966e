//! How much memory the changes of a run may take.

use std::fs;

/// At most so much: an upgrade of a whole distribution stays below, and a machine with much memory keeps it.
const BYTES_MAX: u64 = 4 << 30;
/// Less is not worth it.
const BYTES_MIN: u64 = 64 << 20;

/// The bound, or `None` where the disk must do.
pub(crate) fn bound(wanted: Option<u64>) -> Option<u64> {
    let free = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text)).unwrap_or(0);
    let bound = wanted.unwrap_or(BYTES_MAX).min(free / 2);
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
        assert_eq!(bound(Some(0)), None);
        assert!(bound(None).is_none_or(|b| b <= BYTES_MAX));
        assert!(bound(Some(BYTES_MIN)).is_none_or(|b| b == BYTES_MIN));
    }
}
