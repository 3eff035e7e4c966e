//! The write-ahead log beside a SQLite database (`-wal`): the pages of its committed transactions.
//!
//! As SQLite does, frames are taken while their salts and running checksums are right, up to the last commit. Source:
//! <https://www.sqlite.org/fileformat2.html#walformat>.

use super::wire::{be32, le32};
use super::{corrupt, newer};
use crate::Error;
use std::collections::HashMap;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// The one version of the format.
const VERSION: u32 = 3_007_000;

/// What a log says.
#[derive(Default)]
pub(super) struct Log<'a> {
    /// The newest committed bytes of each page in it.
    pub pages: HashMap<u32, &'a [u8]>,
    /// Bytes of a page.
    pub page_size: usize,
    /// Pages of the database after the last commit; none where there is no commit.
    pub count: Option<u32>,
}

/// The running checksum.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum {
    big_endian: bool,
    value: (u32, u32),
}

impl Sum {
    fn add(mut self, bytes: &[u8]) -> Sum {
        for pair in bytes.chunks_exact(8) {
            let word = |at| if self.big_endian { be32(pair, at) } else { le32(pair, at) }.unwrap_or(0);
            let (first, second) = self.value;
            let first = first.wrapping_add(word(0)).wrapping_add(second);
            self.value = (first, second.wrapping_add(word(4)).wrapping_add(first));
        }
        self
    }

    fn is_at(self, bytes: &[u8], at: usize) -> bool {
        (be32(bytes, at), be32(bytes, at + 4)) == (Some(self.value.0), Some(self.value.1))
    }
}

/// The committed pages of a log, and notes on what of it does not count.
pub(super) fn committed(bytes: &[u8]) -> Result<(Log<'_>, Vec<String>), Error> {
    let nothing = |notes| Ok((Log::default(), notes));
    let Some(head) = bytes.get(..HEADER_BYTES) else { return nothing(Vec::new()) };
    let number = |at| be32(head, at).unwrap_or(0);
    let big_endian = number(0) & 1 == 1;
    let sum = Sum { big_endian, value: (0, 0) }.add(&head[..24]);
    if number(0) & !1 != 0x377f_0682 || !sum.is_at(head, 24) {
        return nothing(vec![
            "the log beside the rpm database is none of SQLite's and does not count".into(),
        ]);
    }
    if number(4) != VERSION {
        return Err(newer("SQLite's log"));
    }
    let page_size = number(8) as usize;
    if !(512..=65536).contains(&page_size) || !page_size.is_power_of_two() {
        return Err(corrupt(format!("its log has pages of {page_size} bytes")));
    }
    let (log, left) = frames(&bytes[HEADER_BYTES..], &head[16..24], sum, page_size);
    let note = || "the last change of the rpm database was never finished and does not count".to_owned();
    Ok((log, (left > 0).then(note).into_iter().collect()))
}

/// The committed pages, and how many frames of an unfinished transaction follow them.
fn frames<'a>(bytes: &'a [u8], salts: &[u8], mut sum: Sum, page_size: usize) -> (Log<'a>, usize) {
    let mut log = Log { page_size, ..Log::default() };
    let mut pending = Vec::new();
    for frame in bytes.chunks_exact(FRAME_HEADER_BYTES + page_size) {
        let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
        sum = sum.add(&head[..8]).add(page);
        let (number, count) = (be32(head, 0).unwrap_or(0), be32(head, 4).unwrap_or(0));
        if &head[8..16] != salts || !sum.is_at(head, 16) || number == 0 {
            break;
        }
        pending.push((number, page));
        if count > 0 {
            log.pages.extend(pending.drain(..));
            log.count = Some(count);
        }
    }
    (log, pending.len())
}
