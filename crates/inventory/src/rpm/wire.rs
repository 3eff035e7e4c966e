//! Numbers at offsets of a record, never past its end.

/// A big-endian number of two bytes.
pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// A big-endian number of four bytes.
pub(super) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A little-endian number of two bytes.
pub(super) fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    be16(bytes, at).map(u16::swap_bytes)
}

/// A little-endian number of four bytes.
pub(super) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    be32(bytes, at).map(u32::swap_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_within_the_bytes_only() {
        let bytes = [1, 2, 3, 4, 5];
        assert_eq!((be16(&bytes, 3), be16(&bytes, 4)), (Some(0x0405), None));
        assert_eq!((le16(&bytes, 0), be32(&bytes, 1)), (Some(0x0201), Some(0x0203_0405)));
        assert_eq!(
            (le32(&bytes, 1), le32(&bytes, 2), be32(&bytes, usize::MAX)),
            (Some(0x0504_0302), None, None)
        );
    }
}
