//! A layer's blob in another compression: the same tar, so the same diff id, under a new digest. In bounded memory.

use crate::{
    Error, Limits, Uncompressed, Verified,
    compress::{Compress, Compressor, Counted},
    decompress,
    failure::uncarry,
};
use oci::{DiffId, Digest, media_type::Compression};
use std::io::{self, Read, Write};

/// Bytes copied at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// How to compress a layer anew.
pub struct RecompressOptions<'a> {
    /// How it shall be compressed.
    pub compression: Compression,
    /// How hard, within [`levels`](crate::levels); the same as for packing where not said.
    pub level: Option<i32>,
    /// How many threads compress. The bytes do not depend on it.
    pub threads: usize,
    /// Limits of what it unpacks to.
    pub limits: Limits,
    /// Whether to stop.
    pub cancel: &'a dyn Fn() -> bool,
}

/// A layer that was compressed anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recompressed {
    /// Digest of its tar, as before.
    pub diff_id: DiffId,
    /// Digest of its new blob.
    pub digest: Digest,
    /// Bytes of its new blob.
    pub size: u64,
    /// Bytes of its tar.
    pub uncompressed_size: u64,
}

/// Reads a blob of compression `from`, and writes the same layer as another blob to `out`. What was written is only good where
/// this succeeds: then the blob read was the one of its descriptor, whole and with nothing after it, and its tar the one of
/// `diff_id`. The tar itself is not looked into.
pub fn recompress<R: Read + Send>(
    blob: Verified<R>,
    (from, diff_id): (Compression, &DiffId),
    options: &RecompressOptions<'_>,
    out: &mut dyn Write,
) -> Result<Recompressed, Error> {
    let RecompressOptions { compression, level, threads, .. } = *options;
    let how = Compress { compression, level, threads };
    let copied = decompress(blob, from, &options.limits, options.cancel, |stream| {
        let mut compressor = Compressor::new(Counted::new(out), how).map_err(writing)?;
        copy(stream, &mut compressor)?;
        Ok(compressor.finish().map_err(writing)?.finish())
    });
    let ((digest, size, _), Uncompressed { diff_id: found, bytes }) = copied?;
    if found != *diff_id {
        let why = format!("it unpacks to {found}, where the image config says {diff_id}");
        return Err(Error::Verification(why));
    }
    Ok(Recompressed { diff_id: found, digest, size, uncompressed_size: bytes })
}

fn copy(from: &mut dyn Read, to: &mut impl Write) -> Result<(), Error> {
    let (mut buffer, mut offset) = (vec![0; BUFFER_BYTES], 0);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count]).map_err(writing)?;
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(reading(offset, error)),
        }
    }
}

/// A broken compressed stream is a malformed layer; what our own rooms say stays as it is.
fn reading(offset: u64, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Error::Malformed { offset, why: error.to_string() }
        }
        _ => uncarry(|| format!("reading a layer at byte {offset}"), error),
    }
}

fn writing(error: io::Error) -> Error {
    uncarry(|| "writing a layer".into(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

    fn content(len: usize) -> Vec<u8> {
        (0u64..).flat_map(|i| format!("{} {i} ", i * i % 977).into_bytes()).take(len).collect()
    }

    fn options(compression: Compression) -> RecompressOptions<'static> {
        let limits = Limits::default();
        RecompressOptions { compression, level: None, threads: 1, limits, cancel: &|| false }
    }

    fn run(
        blob: &[u8],
        from: (Compression, &DiffId),
        options: &RecompressOptions<'_>,
    ) -> Result<(Vec<u8>, Recompressed), Error> {
        let mut out = Vec::new();
        let verified = Verified::new(blob, Digest::of(blob), blob.len() as u64);
        recompress(verified, from, options, &mut out).map(|done| (out, done))
    }

    #[test]
    fn every_compression_becomes_every_other_and_the_tar_stays() {
        let tar = content(3 << 20);
        let diff_id = DiffId(Digest::of(&tar));
        for from in ALL {
            let (blob, _) = run(&tar, (Compression::None, &diff_id), &options(from)).unwrap();
            for to in ALL {
                let (one, done) = run(&blob, (from, &diff_id), &options(to)).unwrap();
                assert_eq!(
                    (done.digest.clone(), done.size),
                    (Digest::of(&one), one.len() as u64),
                    "{from:?} {to:?}"
                );
                assert_eq!((done.diff_id.clone(), done.uncompressed_size), (diff_id.clone(), 3 << 20));
                for threads in [2, 5] {
                    let again = run(&blob, (from, &diff_id), &RecompressOptions { threads, ..options(to) });
                    assert!(again.unwrap().0 == one, "{from:?} {to:?} on {threads} threads");
                }
                let (back, _) = run(&one, (to, &diff_id), &options(Compression::None)).unwrap();
                assert!(back == tar);
            }
        }
    }

    #[test]
    fn levels_count_and_are_kept_within_what_there_is() {
        let tar = content(1 << 20);
        let diff_id = DiffId(Digest::of(&tar));
        for to in [Compression::Gzip, Compression::Zstd] {
            let size = |level| {
                let options = RecompressOptions { level, ..options(to) };
                run(&tar, (Compression::None, &diff_id), &options).unwrap().1.size
            };
            let range = crate::levels(to).unwrap();
            assert!(size(Some(*range.end())) < size(Some(*range.start())), "{to:?}");
            assert_eq!(size(Some(i32::MAX)), size(Some(*range.end())));
            assert_eq!(size(Some(i32::MIN)), size(Some(*range.start())));
        }
        assert_eq!(crate::levels(Compression::None), None);
    }

    #[test]
    fn what_is_not_the_layer_is_refused() {
        let tar = content(1 << 20);
        let diff_id = DiffId(Digest::of(&tar));
        let to = options(Compression::Zstd);
        let (blob, _) = run(&tar, (Compression::None, &diff_id), &options(Compression::Gzip)).unwrap();
        let other = DiffId(Digest::of(b"other"));
        let error = run(&blob, (Compression::Gzip, &other), &to).unwrap_err();
        assert!(error.to_string().contains("where the image config says"), "{error}");
        let cut = run(&blob[..blob.len() - 9], (Compression::Gzip, &diff_id), &to).unwrap_err();
        assert!(matches!(cut, Error::Malformed { .. }), "{cut}");
        let mut flipped = blob.clone();
        flipped[5000] ^= 1;
        let verified = Verified::new(&flipped[..], Digest::of(&blob), blob.len() as u64);
        let error = recompress(verified, (Compression::Gzip, &diff_id), &to, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, Error::Verification(_)), "{error}");
        let small =
            RecompressOptions { limits: Limits { unpacked_bytes: 1 << 19, ..Limits::default() }, ..to };
        assert!(matches!(run(&blob, (Compression::Gzip, &diff_id), &small), Err(Error::Limit(_))));
        let stopped = RecompressOptions { cancel: &|| true, ..options(Compression::Zstd) };
        assert!(matches!(run(&blob, (Compression::Gzip, &diff_id), &stopped), Err(Error::Cancelled)));
    }

    #[test]
    fn a_full_disk_is_told() {
        let tar = content(1 << 20);
        let diff_id = DiffId(Digest::of(&tar));
        let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let verified = Verified::new(&tar[..], Digest::of(&tar), tar.len() as u64);
        let error =
            recompress(verified, (Compression::None, &diff_id), &options(Compression::Gzip), &mut full);
        match error {
            Err(Error::Io { source, .. }) => assert_eq!(source.kind(), io::ErrorKind::StorageFull),
            other => panic!("{other:?}"),
        }
    }
}
