//! `Packages.db`: the database of SUSE's rpm. Slots at the front say where the blob of each package lies.
//!
//! Source: rpm's `lib/backend/ndb/rpmpkg.c`. All numbers are little-endian.

use super::wire::le32;
use super::{Each, HEADER_BYTES_MAX, corrupt, newer};
use crate::Error;

/// What the file begins with.
pub(super) const MAGIC: &[u8; 4] = b"RpmP";

const PAGE_BYTES: usize = 4096;
const SLOT_BYTES: usize = 16;
const BLOCK_BYTES: usize = 16;

/// The header of the file takes the place of the first slots.
const FILE_HEADER_BYTES: usize = 32;

const BLOB_HEAD_BYTES: usize = 16;
const BLOB_TAIL_BYTES: usize = 12;

/// Where a blob lies, in blocks.
struct Slot {
    package: u32,
    start: usize,
    blocks: usize,
}

/// Gives each blob to `each`, in the order of the packages' numbers.
pub(super) fn blobs(bytes: &[u8], each: &mut Each<'_>) -> Result<Vec<String>, Error> {
    if bytes.get(..4) != Some(MAGIC) || bytes.len() < FILE_HEADER_BYTES {
        return Err(corrupt("no ndb database"));
    }
    if le32(bytes, 4) != Some(0) {
        return Err(newer("ndb"));
    }
    let mut slots = slots(bytes)?;
    slots.sort_by_key(|slot| slot.start);
    if slots.windows(2).any(|pair| pair[0].start + pair[0].blocks > pair[1].start) {
        return Err(corrupt("packages overlap"));
    }
    slots.sort_by_key(|slot| slot.package);
    if let Some(pair) = slots.windows(2).find(|pair| pair[0].package == pair[1].package) {
        return Err(corrupt(format!("package {} is there twice", pair[0].package)));
    }
    for slot in &slots {
        each(blob(bytes, slot)?)?;
    }
    Ok(Vec::new())
}

/// The slots that are in use.
fn slots(bytes: &[u8]) -> Result<Vec<Slot>, Error> {
    let pages = le32(bytes, 12).unwrap_or(0) as usize;
    let end = pages.checked_mul(PAGE_BYTES).filter(|end| *end <= bytes.len() && pages > 0);
    let end = end.ok_or_else(|| corrupt(format!("it is cut off within its {pages} pages of slots")))?;
    let mut slots = Vec::new();
    for slot in bytes[FILE_HEADER_BYTES..end].chunks_exact(SLOT_BYTES) {
        let number = |at| le32(slot, at).unwrap_or(0);
        if &slot[..4] != b"Slot" {
            return Err(corrupt("a slot is none"));
        }
        let (package, start, blocks) = (number(4), number(8) as usize, number(12) as usize);
        if start == 0 {
            continue;
        }
        if package == 0 || blocks == 0 || start < end / BLOCK_BYTES {
            return Err(corrupt(format!("the slot of package {package} is broken")));
        }
        if (start + blocks) > bytes.len() / BLOCK_BYTES {
            return Err(corrupt(format!("it is cut off: package {package} is missing")));
        }
        slots.push(Slot { package, start, blocks });
    }
    Ok(slots)
}

fn blob<'a>(bytes: &'a [u8], slot: &Slot) -> Result<&'a [u8], Error> {
    let broken = |what: &str| corrupt(format!("package {} {what}", slot.package));
    let whole = &bytes[slot.start * BLOCK_BYTES..][..slot.blocks * BLOCK_BYTES];
    let number = |at| le32(whole, at).unwrap_or(0);
    let length = number(12) as usize;
    let blocks = (BLOB_HEAD_BYTES + length + BLOB_TAIL_BYTES).div_ceil(BLOCK_BYTES);
    if &whole[..4] != b"BlbS"
        || number(4) != slot.package
        || blocks != slot.blocks
        || length > HEADER_BYTES_MAX
    {
        return Err(broken("is not where its slot says"));
    }
    let tail = whole.len() - BLOB_TAIL_BYTES;
    if number(tail + 4) as usize != length || &whole[tail + 8..] != b"BlbE" {
        return Err(broken("has no end"));
    }
    if number(tail) != adler32(&whole[..tail]) {
        return Err(broken("has a wrong checksum"));
    }
    Ok(&whole[BLOB_HEAD_BYTES..BLOB_HEAD_BYTES + length])
}

/// The checksum of RFC 1950.
fn adler32(bytes: &[u8]) -> u32 {
    /// Most bytes whose sums stay within 32 bits.
    const RUN: usize = 5552;
    let (mut first, mut second) = (1u32, 0u32);
    for run in bytes.chunks(RUN) {
        for byte in run {
            first += u32::from(*byte);
            second += first;
        }
        (first, second) = (first % 65521, second % 65521);
    }
    second << 16 | first
}

#[cfg(test)]
mod tests {
    use super::super::testing::{blobs as sample, ndb};
    use super::*;

    #[test]
    fn damage_is_told() {
        let good = ndb(&sample());
        let count = |bytes: &[u8]| {
            let mut count = 0;
            let each = &mut |_: &[u8]| {
                count += 1;
                Ok(())
            };
            blobs(bytes, each).map(|_| count).map_err(|e| e.to_string())
        };
        assert_eq!(count(&good), Ok(sample().len()));
        assert_eq!(count(&ndb(&[])), Ok(0));
        for (at, new, why) in [
            (0, 0, "no ndb database"),
            (4, 1, "newer than we know"),
            (12, 9, "cut off within its 9 pages"),
            (32, 0, "a slot is none"),
            (32 + 4, 2, "package 2 is there twice"),
            (32 + 4, 0, "slot of package 0 is broken"),
            (32 + 12, 255, "packages overlap"),
            (32 + 14, 255, "package 1 is missing"),
            (4096, 0, "not where its slot says"),
            (4096 + 40, 0xee, "wrong checksum"),
        ] {
            let mut bytes = good.clone();
            bytes[at] = new;
            let error = count(&bytes).unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
        assert!(count(&good[..good.len() - 16]).unwrap_err().contains("missing"));
    }
}
