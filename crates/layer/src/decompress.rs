//! A blob to its uncompressed bytes: inflating runs in its own thread, a few buffers ahead of whoever uses the bytes, while
//! the diff id is taken. Memory is a fixed number of buffers whatever the blob.

use crate::{
    Error,
    failure::{carry, uncarry},
    gunzip::Gunzip,
    limits::{Limits, ZSTD_WINDOW_LOG_MAX},
    verified::Verified,
};
use oci::{DiffId, Hasher, media_type::Compression};
use std::{
    io::{self, BufRead, BufReader, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

/// Bytes of one buffer between the threads.
const BUFFER_BYTES: usize = 256 << 10;
/// How many buffers there are: enough to keep both threads busy over a large file and a run of small ones.
const BUFFERS: usize = 8;

/// What a blob unpacked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncompressed {
    /// The digest of the uncompressed bytes.
    pub diff_id: DiffId,
    /// How many there were.
    pub bytes: u64,
}

/// Lets `consume` read the uncompressed bytes of a blob; afterwards the rest is read too, and the blob has been verified.
/// An error where blob, compression or consumer is not content; the blob's own fault is named first.
pub fn decompress<R: Read + Send, T>(
    blob: Verified<R>,
    compression: Compression,
    limits: &Limits,
    cancel: &dyn Fn() -> bool,
    consume: impl FnOnce(&mut dyn Read) -> Result<T, Error>,
) -> Result<(T, Uncompressed), Error> {
    std::thread::scope(|scope| {
        let (full, filled) = sync_channel(BUFFERS);
        let (empty, emptied) = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            // The channel holds them all.
            let _ = empty.try_send(Vec::new());
        }
        let decoder = scope.spawn(move || decode(blob, compression, limits, &emptied, &full));
        let mut stream = Stream::new(filled, empty, cancel);
        let mut outcome = consume(&mut stream);
        if matches!(outcome, Ok(_) | Err(Error::Malformed { .. })) {
            let rest = stream.drain();
            outcome = outcome.and_then(|value| rest.map(|()| value));
        }
        let done = stream.finish();
        let decoded = decoder
            .join()
            .unwrap_or_else(|_| Err(Error::Malformed { offset: done.bytes, why: "decoder failed".into() }));
        match (outcome, decoded) {
            (_, Err(fault @ Error::Verification(_))) => Err(fault),
            (outcome, decoded) => decoded_or(outcome, decoded).map(|value| (value, done)),
        }
    })
}

/// The consumer's own error tells more than that of a decoder which it stopped.
fn decoded_or<T>(outcome: Result<T, Error>, decoded: Result<(), Error>) -> Result<T, Error> {
    let value = outcome?;
    decoded.map(|()| value)
}

/// The consumer's end: bytes in order, hashed as they pass.
struct Stream<'a> {
    filled: Receiver<Result<Vec<u8>, io::Error>>,
    empty: SyncSender<Vec<u8>>,
    cancel: &'a dyn Fn() -> bool,
    current: Vec<u8>,
    at: usize,
    hasher: Hasher,
    bytes: u64,
}

impl<'a> Stream<'a> {
    fn new(
        filled: Receiver<Result<Vec<u8>, io::Error>>,
        empty: SyncSender<Vec<u8>>,
        cancel: &'a dyn Fn() -> bool,
    ) -> Self {
        Stream { filled, empty, cancel, current: Vec::new(), at: 0, hasher: Hasher::default(), bytes: 0 }
    }

    /// The next buffer; `false` at the end.
    fn advance(&mut self) -> io::Result<bool> {
        if (self.cancel)() {
            return Err(carry(Error::Cancelled));
        }
        let Ok(next) = self.filled.recv() else { return Ok(false) };
        let used = std::mem::replace(&mut self.current, next?);
        // The decoder may be gone already.
        let _ = self.empty.try_send(used);
        self.at = 0;
        self.hasher.update(&self.current);
        self.bytes += self.current.len() as u64;
        Ok(true)
    }

    fn drain(&mut self) -> Result<(), Error> {
        while self.advance().map_err(|e| uncarry(|| "decompressing".into(), e))? {}
        Ok(())
    }

    fn finish(self) -> Uncompressed {
        Uncompressed { diff_id: DiffId(self.hasher.finish()), bytes: self.bytes }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let count = out.len().min(self.current.len() - self.at);
        out[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// The decoder's thread.
fn decode<R: Read>(
    blob: Verified<R>,
    compression: Compression,
    limits: &Limits,
    emptied: &Receiver<Vec<u8>>,
    full: &SyncSender<Result<Vec<u8>, io::Error>>,
) -> Result<(), Error> {
    let mut decoder = match Decoder::new(blob, compression, limits) {
        Ok(decoder) => decoder,
        Err(error) => {
            let _ = full.send(Err(error));
            return Ok(());
        }
    };
    let mut made = 0;
    loop {
        let Ok(mut buffer) = emptied.recv() else { return Ok(()) };
        match fill(&mut decoder, &mut buffer).and_then(|()| bound(&mut made, buffer.len(), &decoder, limits))
        {
            Ok(()) if buffer.is_empty() => return decoder.into_blob().finish(),
            Ok(()) => {
                if full.send(Ok(buffer)).is_err() {
                    return Ok(());
                }
            }
            Err(error) => return fail(decoder, error, full),
        }
    }
}

/// Tells the consumer of an error; where it is one of content, says first whether the blob is the right one at all.
fn fail<R: Read>(
    decoder: Decoder<R>,
    error: io::Error,
    full: &SyncSender<Result<Vec<u8>, io::Error>>,
) -> Result<(), Error> {
    let of_content = error.get_ref().is_none_or(|inner| inner.downcast_ref::<Error>().is_none());
    let judged = if of_content { decoder.into_blob().drain() } else { Ok(()) };
    let _ = full.send(Err(error));
    judged
}

fn fill(decoder: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize(BUFFER_BYTES, 0);
    let mut at = 0;
    while at < buffer.len() {
        match decoder.read(&mut buffer[at..]) {
            Ok(0) => break,
            Ok(count) => at += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    buffer.truncate(at);
    Ok(())
}

/// Stops a bomb: by the bytes that came out and by how many went in for them.
fn bound<R: Read>(made: &mut u64, more: usize, decoder: &Decoder<R>, limits: &Limits) -> io::Result<()> {
    *made += more as u64;
    if *made > limits.unpacked_bytes {
        return Err(carry(Error::Limit(format!(
            "layer unpacks to more than {} bytes",
            limits.unpacked_bytes
        ))));
    }
    if *made > limits.ratio_free_bytes && *made / limits.ratio > decoder.consumed() {
        let ratio = limits.ratio;
        return Err(carry(Error::Limit(format!("layer unpacks to more than {ratio} times its size"))));
    }
    Ok(())
}

enum Decoder<R: Read> {
    None(BufReader<Verified<R>>),
    Gzip(Box<Gunzip<BufReader<Verified<R>>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Verified<R>>>>),
}

impl<R: Read> Decoder<R> {
    fn new(blob: Verified<R>, compression: Compression, limits: &Limits) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(BUFFER_BYTES, blob);
        // A layer of no bytes at all is an empty one, whatever its type says.
        let compression = if input.fill_buf()?.is_empty() { Compression::None } else { compression };
        Ok(match compression {
            Compression::None => Decoder::None(input),
            Compression::Gzip => Decoder::Gzip(Box::new(Gunzip::new(input, limits))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Decoder::Zstd(Box::new(decoder))
            }
        })
    }

    fn consumed(&self) -> u64 {
        match self {
            Decoder::None(input) => input.get_ref().position(),
            Decoder::Gzip(gunzip) => gunzip.input().get_ref().position(),
            Decoder::Zstd(decoder) => decoder.get_ref().get_ref().position(),
        }
    }

    /// The blob behind it. What was buffered and not decoded is lost, so this is for the end only.
    fn into_blob(self) -> Verified<R> {
        match self {
            Decoder::None(input) => input.into_inner(),
            Decoder::Gzip(gunzip) => gunzip.into_input().into_inner(),
            Decoder::Zstd(decoder) => decoder.finish().into_inner(),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Decoder::None(input) => input.read(out),
            Decoder::Gzip(gunzip) => gunzip.read(out),
            Decoder::Zstd(decoder) => decoder.read(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::Digest;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        io::Write::write_all(&mut gz, bytes).unwrap();
        gz.finish().unwrap()
    }

    fn run(
        blob: &[u8],
        digest: Digest,
        compression: Compression,
        limits: Limits,
    ) -> Result<(Vec<u8>, Uncompressed), Error> {
        let verified = Verified::new(blob, digest, blob.len() as u64);
        decompress(verified, compression, &limits, &|| false, |stream| {
            let mut content = Vec::new();
            stream.read_to_end(&mut content).map_err(|e| uncarry(|| "test".into(), e))?;
            Ok(content)
        })
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(next).collect()
    }

    #[test]
    fn every_compression_gives_the_same_diff_id() {
        let content = noise(3 * BUFFER_BYTES + 17);
        let blobs = [
            (Compression::None, content.clone()),
            (Compression::Gzip, gzip(&content)),
            (Compression::Zstd, zstd::encode_all(&content[..], 1).unwrap()),
        ];
        for (compression, blob) in blobs {
            let (out, done) = run(&blob, Digest::of(&blob), compression, Limits::default()).unwrap();
            assert!(out == content && done.bytes == content.len() as u64);
            assert_eq!(done.diff_id, DiffId(Digest::of(&content)));
        }
    }

    #[test]
    fn an_empty_blob_is_an_empty_layer() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let (out, done) = run(b"", Digest::of(b""), compression, Limits::default()).unwrap();
            assert!(out.is_empty() && done.bytes == 0, "{compression:?}");
        }
    }

    #[test]
    fn a_wrong_blob_is_named_before_its_broken_content() {
        let content = noise(BUFFER_BYTES * 2);
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            let mut blob = match compression {
                Compression::Gzip => gzip(&content),
                Compression::Zstd => zstd::encode_all(&content[..], 1).unwrap(),
                Compression::None => content.clone(),
            };
            let digest = Digest::of(&blob);
            let middle = blob.len() / 2;
            blob[middle] ^= 0xff;
            let error = run(&blob, digest, compression, Limits::default()).unwrap_err();
            assert!(matches!(error, Error::Verification(_)), "{compression:?}: {error}");
        }
    }

    #[test]
    fn bytes_after_the_end_are_refused() {
        let content = noise(1000);
        for (compression, mut blob) in [
            (Compression::Gzip, gzip(&content)),
            (Compression::Zstd, zstd::encode_all(&content[..], 1).unwrap()),
        ] {
            blob.extend_from_slice(b"trailing garbage");
            assert!(
                run(&blob, Digest::of(&blob), compression, Limits::default()).is_err(),
                "{compression:?}"
            );
        }
    }

    #[test]
    fn bombs_stop_at_the_limits() {
        let zeros = vec![0; 8 << 20];
        let limits = Limits { ratio_free_bytes: 1 << 20, ..Limits::default() };
        let blob = gzip(&zeros);
        let error = run(&blob, Digest::of(&blob), Compression::Gzip, limits).unwrap_err();
        assert!(matches!(&error, Error::Limit(why) if why.contains("times its size")), "{error}");
        let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
        let error = run(&blob, Digest::of(&blob), Compression::Gzip, limits).unwrap_err();
        assert!(matches!(&error, Error::Limit(why) if why.contains("1048576 bytes")), "{error}");
        assert!(
            run(&blob, Digest::of(&blob), Compression::Gzip, Limits::default()).is_ok(),
            "small zeros are fine"
        );
    }

    #[test]
    fn a_huge_zstd_window_is_refused() {
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
        assert!(run(&frame, Digest::of(&frame), Compression::Zstd, Limits::default()).is_err());
        let small = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 10 << 3, 0x01, 0x00, 0x00];
        assert!(run(&small, Digest::of(&small), Compression::Zstd, Limits::default()).is_ok());
    }

    #[test]
    fn cancelling_stops_it() {
        let blob = gzip(&noise(BUFFER_BYTES * 20));
        let verified = Verified::new(&blob[..], Digest::of(&blob), blob.len() as u64);
        let consume =
            |stream: &mut dyn Read| io::copy(stream, &mut io::sink()).map_err(|e| uncarry(String::new, e));
        let outcome = decompress(verified, Compression::Gzip, &Limits::default(), &|| true, consume);
        assert!(matches!(outcome, Err(Error::Cancelled)));
    }
}
