//! A tar stream to entries: ustar, PAX and GNU long names, read strictly and in one way only. What two readers could take
//! differently is refused.

use crate::{
    Entry, EntryPath, Error, Kind,
    failure::uncarry,
    limits::{EXTENSION_BYTES_MAX, Limits, NAME_BYTES_MAX, PATH_BYTES_MAX, SPARSE_PARTS_MAX},
    pax::{self, Pax},
    sparse::{Content, Lines, Piece, Sparse, bad_map},
    tar_header::{BLOCK, Header, sparse_extension},
};
use std::io::{self, Read};

/// Largest major device number of Linux.
const MAJOR_MAX: u64 = 0xfff;
/// Largest minor device number of Linux.
const MINOR_MAX: u64 = 0xf_ffff;

/// A reader of entries; after [`TarReader::next_entry`] it is itself the reader of that entry's content.
pub struct TarReader<R> {
    input: R,
    offset: u64,
    content: u64,
    padding: u64,
    entries: u64,
    entries_max: u64,
    /// Whether sparse files are taken.
    takes_sparse: bool,
    /// How the content goes on, where it is that of a sparse file.
    sparse: Option<Content>,
}

/// An entry whose header was read.
struct Begun {
    entry: Entry,
    /// Bytes of it in the archive.
    stored: u64,
    sparse: Option<Sparse>,
}

/// Extension headers met before an entry.
#[derive(Default)]
struct Extensions {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

impl<R: Read> TarReader<R> {
    /// A stream from its beginning. Sparse files are refused: what an entry holds is its bytes in the stream.
    pub fn new(input: R, limits: &Limits) -> Self {
        TarReader {
            input,
            offset: 0,
            content: 0,
            padding: 0,
            entries: 0,
            entries_max: limits.entries,
            takes_sparse: false,
            sparse: None,
        }
    }

    /// The same with sparse files, whose size is that with their holes, which are read as zeros.
    pub fn with_sparse(input: R, limits: &Limits) -> Self {
        TarReader { takes_sparse: true, ..TarReader::new(input, limits) }
    }

    /// The next entry, or `None` at the end of the archive. What was not read of the content before is skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_rest()?;
            let start = self.offset;
            let malformed = |why: String| Error::Malformed { offset: start, why };
            let Some(block) = self.block()? else {
                if extensions.is_empty() {
                    return Ok(None);
                }
                return Err(malformed("extension header without an entry".into()));
            };
            let header = Header::new(&block).map_err(malformed)?;
            match header.type_flag() {
                flag @ (b'x' | b'g' | b'L' | b'K') => {
                    let size = header.size().map_err(malformed)?;
                    let body = self.extension(size, start)?;
                    extensions.take(flag, &body).map_err(malformed)?;
                }
                _ => {
                    self.count(start)?;
                    let begun = self.entry(&header, extensions).map_err(malformed)?;
                    return self.begin(begun).map(Some);
                }
            }
        }
    }

    fn count(&mut self, offset: u64) -> Result<(), Error> {
        self.entries += 1;
        if self.entries > self.entries_max {
            return Err(Error::Limit(format!("more than {} entries (at byte {offset})", self.entries_max)));
        }
        Ok(())
    }

    /// The next header block; `None` at the end, which is two blocks of zeros, or the end of the stream instead of either.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        if !self.exact_or_end(&mut block)? {
            return Ok(None);
        }
        if block.iter().any(|b| *b != 0) {
            return Ok(Some(block));
        }
        self.only_zeros_follow()?;
        Ok(None)
    }

    /// After the end there is padding. Anything else would be read by some and not by others.
    fn only_zeros_follow(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 8 * BLOCK];
        loop {
            let start = self.offset;
            let count = self.some(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            if buffer[..count].iter().any(|b| *b != 0) {
                let why = "data after the end of the archive".into();
                return Err(Error::Malformed { offset: start, why });
            }
        }
    }

    fn extension(&mut self, size: u64, offset: u64) -> Result<Vec<u8>, Error> {
        if size > EXTENSION_BYTES_MAX {
            return Err(Error::Malformed { offset, why: format!("extension header of {size} bytes") });
        }
        self.begin_content(size);
        let mut body = Vec::new();
        self.read_to_end(&mut body).map_err(|e| uncarry(|| "reading a layer".into(), e))?;
        Ok(body)
    }

    /// Goes on to the content of an entry.
    fn begin(&mut self, begun: Begun) -> Result<Entry, Error> {
        let Begun { entry, stored, sparse } = begun;
        let (Some(sparse), Kind::File { size }) = (sparse, &entry.kind) else {
            self.begin_content(stored);
            return Ok(entry);
        };
        let start = self.offset;
        let map = match sparse {
            Sparse::InContent => {
                self.begin_content(stored);
                self.map_in_content()?
            }
            Sparse::Known(map) => {
                self.begin_content(stored);
                map
            }
            Sparse::Continued(map) => {
                let map = self.rest_of_map(map)?;
                self.begin_content(stored);
                map
            }
        };
        let malformed = |why| Error::Malformed { offset: start, why: format!("{}: {why}", entry.path) };
        self.sparse = Some(Content::new(&map, *size, self.content).map_err(malformed)?);
        Ok(entry)
    }

    /// The map of a sparse file in blocks after its header.
    fn rest_of_map(&mut self, mut map: Vec<u64>) -> Result<Vec<u64>, Error> {
        loop {
            let (mut block, offset) = ([0; BLOCK], self.offset);
            let malformed = |why| Error::Malformed { offset, why };
            if !self.exact_or_end(&mut block)? {
                return Err(self.cut_short());
            }
            let (more, goes_on) = sparse_extension(&block).map_err(malformed)?;
            map.extend(more);
            if map.len() > 2 * SPARSE_PARTS_MAX {
                let why = format!("a sparse file of more than {SPARSE_PARTS_MAX} parts");
                return Err(Error::Malformed { offset, why });
            }
            if !goes_on {
                return Ok(map);
            }
        }
    }

    /// The map of a sparse file in the first blocks of its content.
    fn map_in_content(&mut self) -> Result<Vec<u64>, Error> {
        let mut lines = Lines::default();
        loop {
            let (mut block, offset) = ([0; BLOCK], self.offset);
            let malformed = |why| Error::Malformed { offset, why };
            if self.content < BLOCK as u64 {
                return Err(malformed(bad_map()));
            }
            self.read_exact(&mut block).map_err(|e| uncarry(|| "reading a layer".into(), e))?;
            if let Some(map) = lines.take(&block).map_err(malformed)? {
                return Ok(map);
            }
        }
    }

    fn begin_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    fn entry(&self, header: &Header<'_>, extensions: Extensions) -> Result<Begun, String> {
        let Extensions { pax, long_name, long_link } = extensions;
        let mut pax = pax.unwrap_or_default();
        let sparse_name = pax.sparse.name.take();
        let name = sparse_name.or(pax.path).or(long_name).unwrap_or_else(|| header.name());
        let link = pax.link_path.or(long_link).unwrap_or_else(|| header.link_name());
        let stored = pax.size.map_or_else(|| header.size(), Ok)?;
        if stored > u64::MAX - BLOCK as u64 {
            return Err("size is out of range".into());
        }
        let path = checked_path(&name)?;
        let sparse = match (header.type_flag(), pax.sparse.is_empty()) {
            (b'S', true) => Some(of_header(header)?),
            (0 | b'0', false) => Some(pax.sparse.settled().map_err(|why| format!("{path}: {why}"))?),
            (_, false) => return Err(format!("{path}: sparse file of two kinds, or no file")),
            (_, true) => None,
        };
        if sparse.is_some() && !self.takes_sparse {
            return Err(format!("{path}: unsupported: sparse file"));
        }
        let (size, sparse) = sparse.map_or((stored, None), |(size, sparse)| (size, Some(sparse)));
        let kind = kind(header, &name, link, size).map_err(|why| format!("{path}: {why}"))?;
        let id = |pax: Option<u64>, own: Result<u64, String>| pax.map_or(own, Ok).and_then(checked_id);
        let entry = Entry {
            kind,
            mode: header.mode()?,
            uid: id(pax.uid, header.uid()).map_err(|why| format!("{path}: {why}"))?,
            gid: id(pax.gid, header.gid()).map_err(|why| format!("{path}: {why}"))?,
            mtime: pax.mtime.map_or_else(|| header.mtime().map(|seconds| (seconds, 0)), Ok)?,
            xattrs: pax.xattrs,
            path,
        };
        Ok(Begun { entry, stored, sparse })
    }

    fn skip_rest(&mut self) -> Result<(), Error> {
        self.sparse = None;
        let mut buffer = [0; 8 * BLOCK];
        while self.content + self.padding > 0 {
            let most = (self.content + self.padding).min(buffer.len() as u64) as usize;
            let count = self.some(&mut buffer[..most])?;
            if count == 0 {
                return Err(self.cut_short());
            }
            let of_content = self.content.min(count as u64);
            self.content -= of_content;
            self.padding -= count as u64 - of_content;
        }
        Ok(())
    }

    fn cut_short(&self) -> Error {
        Error::Malformed { offset: self.offset, why: "the stream is cut short".into() }
    }

    /// Fills the buffer; `false` if the stream ends right before it.
    fn exact_or_end(&mut self, buffer: &mut [u8]) -> Result<bool, Error> {
        let mut at = 0;
        while at < buffer.len() {
            match self.some(&mut buffer[at..])? {
                0 if at == 0 => return Ok(false),
                0 => return Err(self.cut_short()),
                count => at += count,
            }
        }
        Ok(true)
    }

    fn some(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.input.read(buffer) {
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.of_stream(e)),
            }
        }
    }

    /// A broken compressed stream is a malformed layer; what our own rooms say stays as it is.
    fn of_stream(&self, error: io::Error) -> Error {
        let offset = self.offset;
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Error::Malformed { offset, why: error.to_string() }
            }
            _ => uncarry(|| format!("reading a layer at byte {offset}"), error),
        }
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(sparse) = &self.sparse else { return self.stored(out) };
        let count = match sparse.next(out.len()) {
            None => return Ok(0),
            Some(Piece::Hole(count)) => {
                out[..count].fill(0);
                count
            }
            Some(Piece::Data(count)) => self.stored(&mut out[..count])?,
        };
        if let Some(sparse) = &mut self.sparse {
            sparse.advance(count);
        }
        Ok(count)
    }
}

impl<R: Read> TarReader<R> {
    /// Bytes of the content that are in the stream.
    fn stored(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.content).unwrap_or(usize::MAX).min(out.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.some(&mut out[..most]).map_err(crate::failure::carry)?;
        if count == 0 {
            return Err(crate::failure::carry(self.cut_short()));
        }
        self.content -= count as u64;
        Ok(count)
    }
}

impl Extensions {
    fn take(&mut self, flag: u8, body: &[u8]) -> Result<(), String> {
        let fresh = match flag {
            // A global header between an entry and its own extensions would be read differently by different readers.
            b'g' => {
                return if self.is_empty() {
                    pax::check_global(body)
                } else {
                    Err("misplaced global header".into())
                };
            }
            b'x' => self.pax.replace(Pax::parse(body)?).is_none(),
            b'L' => self.long_name.replace(long_text(body)?).is_none(),
            _ => self.long_link.replace(long_text(body)?).is_none(),
        };
        let mixed = self.pax.is_some() && (self.long_name.is_some() || self.long_link.is_some());
        match (fresh, mixed) {
            (false, _) => Err("two extension headers of one kind for one entry".into()),
            (_, true) => Err("PAX and GNU extensions for one entry".into()),
            _ => Ok(()),
        }
    }
}

/// A sparse file of GNU's old headers.
fn of_header(header: &Header<'_>) -> Result<(u64, Sparse), String> {
    let (size, map, goes_on) = header.sparse()?;
    Ok((size, if goes_on { Sparse::Continued(map) } else { Sparse::Known(map) }))
}

/// A GNU long name: text up to a NUL, and nothing but NULs after it.
fn long_text(body: &[u8]) -> Result<Vec<u8>, String> {
    let end = body.iter().position(|b| *b == 0).unwrap_or(body.len());
    if end == 0 || body[end..].iter().any(|b| *b != 0) {
        return Err("malformed long name".into());
    }
    Ok(body[..end].to_vec())
}

fn kind(header: &Header<'_>, name: &[u8], link: Vec<u8>, size: u64) -> Result<Kind, String> {
    let kind = match header.type_flag() {
        // Before POSIX a directory was a file whose name ends in a slash.
        0 if name.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => {
            if name.ends_with(b"/") {
                return Err("regular file whose name ends in a slash".into());
            }
            return Ok(Kind::File { size });
        }
        b'1' => Kind::Hardlink { target: checked_path(&link)? },
        b'2' => Kind::Symlink { target: checked_target(link)? },
        b'3' => device(header).map(|(major, minor)| Kind::Char { major, minor })?,
        b'4' => device(header).map(|(major, minor)| Kind::Block { major, minor })?,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => return Err(format!("unsupported: entry of type \"{}\"", other.escape_ascii())),
    };
    // Some readers would skip such content and others take it for the next header.
    if size > 0 { Err(format!("{size} bytes of content in an entry that can have none")) } else { Ok(kind) }
}

fn device(header: &Header<'_>) -> Result<(u32, u32), String> {
    let (major, minor) = header.device()?;
    if major > MAJOR_MAX || minor > MINOR_MAX {
        return Err(format!("device number {major}:{minor} is out of range"));
    }
    Ok((major as u32, minor as u32))
}

fn checked_target(target: Vec<u8>) -> Result<Vec<u8>, String> {
    match target.len() {
        0 => Err("symbolic link without a target".into()),
        1..=PATH_BYTES_MAX => Ok(target),
        _ => Err("symbolic link target is too long".into()),
    }
}

fn checked_path(name: &[u8]) -> Result<EntryPath, String> {
    if name.is_empty() {
        return Err("entry without a name".into());
    }
    let path = EntryPath::new(name).map_err(|e| e.to_string())?;
    let too_long = path.as_bytes().len() > PATH_BYTES_MAX
        || path.as_bytes().split(|b| *b == b'/').any(|part| part.len() > NAME_BYTES_MAX);
    if too_long {
        let start = path.as_bytes()[..60.min(path.as_bytes().len())].escape_ascii();
        return Err(format!("/{start}…: name too long"));
    }
    Ok(path)
}

/// The highest number means "leave as it is" to the system, so it is no id.
fn checked_id(id: u64) -> Result<u32, String> {
    u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(|| format!("id {id} is out of range"))
}
