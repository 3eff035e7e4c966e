//! Unpacking within bounds: by what comes out, by how much that is for what went in, and by the decoder's memory.

use crate::limits::{RATIO_FREE_BYTES, RATIO_MAX, XZ_MEMORY_KIB_MAX, ZSTD_WINDOW_LOG_MAX};
use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

/// Bytes read at once.
const BUFFER_BYTES: usize = 128 << 10;

/// How something is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

impl Packing {
    /// By the end of a file name; a name without a known end is not packed.
    pub(crate) fn of_name(name: &str) -> Packing {
        match name.rsplit_once('.').map(|(_, end)| end) {
            Some("gz") => Packing::Gzip,
            Some("xz") => Packing::Xz,
            Some("zst") => Packing::Zstd,
            _ => Packing::None,
        }
    }
}

/// What comes out of a packed stream, until the end of both; an error where there is more of either.
pub(crate) struct Inflate<'a> {
    decoder: Box<dyn Read + 'a>,
    consumed: Rc<Cell<u64>>,
    made: u64,
    made_max: u64,
    finished: bool,
}

impl<'a> Inflate<'a> {
    /// Of a stream from its beginning; at most so many bytes may come out.
    pub(crate) fn new(input: impl Read + 'a, packing: Packing, made_max: u64) -> io::Result<Self> {
        let consumed = Rc::new(Cell::new(0));
        let counted = Counted { input, count: Rc::clone(&consumed) };
        let input = BufReader::with_capacity(BUFFER_BYTES, counted);
        Ok(Inflate { decoder: decoder(input, packing)?, consumed, made: 0, made_max, finished: false })
    }

    fn judge(&self) -> io::Result<()> {
        let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        if self.made > self.made_max {
            return refuse(format!("unpacks to more than {} bytes", self.made_max));
        }
        if self.made > RATIO_FREE_BYTES && self.made / RATIO_MAX > self.consumed.get() {
            return refuse(format!("unpacks to more than {RATIO_MAX} times its size"));
        }
        Ok(())
    }
}

impl Read for Inflate<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.finished || out.is_empty() {
            return Ok(0);
        }
        let count = self.decoder.read(out)?;
        self.made += count as u64;
        self.finished = count == 0;
        self.judge().map(|()| count)
    }
}

fn decoder<'a>(input: impl BufRead + 'a, packing: Packing) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match packing {
        Packing::None => Box::new(input),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Packing::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, XZ_MEMORY_KIB_MAX)),
    })
}

struct Counted<R> {
    input: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(out)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}
