//! A difference to a layer: what equals the base is left out, times are settled, and the bytes depend on nothing else.

use crate::{
    Change, Changes, Entry, EntryPath, Error, Kind, Tree,
    compress::{Compress, Compressor, Counted},
    extract::{OPAQUE, WHITEOUT},
    failure::{bad_entry, carry, uncarry},
    select::{Choice, Selection, select},
    tar_writer::TarWriter,
};
use oci::{DiffId, Digest, media_type::Compression};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

/// How many paths are named in [`Packed::sample`].
const SAMPLE: usize = 20;

/// How to pack.
pub struct PackOptions<'a> {
    /// Which paths never go into the layer. Where it covers everything inside a folder, the folder is not made opaque.
    pub excluded: &'a dyn Fn(&EntryPath) -> bool,
    /// The latest time that an entry may carry; else the latest that was not made by the run itself.
    pub source_date_epoch: Option<i64>,
    /// Seconds since 1970 between which the run took place.
    pub run_window: (i64, i64),
    /// How to compress.
    pub compression: Compression,
    /// How hard, within [`levels`](crate::levels); [`GZIP_LEVEL`](crate::GZIP_LEVEL) or [`ZSTD_LEVEL`](crate::ZSTD_LEVEL) where
    /// not said.
    pub level: Option<i32>,
    /// How many threads compress. The bytes do not depend on it.
    pub threads: usize,
    /// Whether to stop.
    pub cancel: &'a dyn Fn() -> bool,
}

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Digest of its tar.
    pub diff_id: DiffId,
    /// Digest of its blob.
    pub digest: Digest,
    /// Bytes of its blob.
    pub size: u64,
    /// Bytes of its tar.
    pub uncompressed_size: u64,
    /// Entries that set something, folders that only lead to others included.
    pub entries: u64,
    /// Removals, opaque folders included.
    pub removed: u64,
    /// Changes left out because they are none or are excluded.
    pub dropped: u64,
    /// The latest time in it.
    pub epoch: i64,
    /// Some of its paths.
    pub sample: Vec<EntryPath>,
}

impl Packed {
    /// Whether there was nothing to put into it.
    pub fn is_empty(&self) -> bool {
        self.entries + self.removed == 0
    }
}

/// Writes the layer that turns `base` into what `changes` says. The changes are walked twice, the base only looked up. Where
/// nothing is left of the changes the layer is an empty archive and says so.
pub fn pack(
    changes: &mut dyn Changes,
    base: &dyn Tree,
    options: &PackOptions<'_>,
    out: &mut dyn Write,
) -> Result<Packed, Error> {
    let selection = select(changes, base, options)?;
    let how = Compress { compression: options.compression, level: options.level, threads: options.threads };
    let compressor = Compressor::new(Counted::new(out), how).map_err(writing)?;
    let mut tar = TarWriter::new(Counted::new(Stoppable { out: compressor, cancel: options.cancel }));
    let mut index = 0;
    changes.walk(&mut |change| {
        if (options.cancel)() {
            return Err(Error::Cancelled);
        }
        let choice = selection.choices.get(index).ok_or_else(|| changed(path_of(&change)))?;
        index += 1;
        write(&mut tar, change, choice, selection.epoch)
    })?;
    let (plain, uncompressed_size, compressor) = tar.finish()?.finish();
    let (digest, size, _) = compressor.out.finish().map_err(writing)?.finish();
    Ok(summary(&selection, (DiffId(plain), uncompressed_size), (digest, size)))
}

fn summary(selection: &Selection, plain: (DiffId, u64), blob: (Digest, u64)) -> Packed {
    let kept = |wanted: fn(&Choice) -> bool| selection.choices.iter().filter(|c| wanted(c)).count() as u64;
    let named = selection.choices.iter().filter(|c| !matches!(c.what, crate::select::What::Drop));
    Packed {
        diff_id: plain.0,
        digest: blob.0,
        size: blob.1,
        uncompressed_size: plain.1,
        entries: kept(|c| c.is_set()),
        removed: kept(|c| c.is_removal()),
        dropped: kept(|c| !c.is_set() && !c.is_removal()),
        epoch: selection.epoch,
        sample: named.map(|c| c.path.clone()).take(SAMPLE).collect(),
    }
}

fn write(
    tar: &mut TarWriter<impl Write>,
    change: Change<'_>,
    choice: &Choice,
    epoch: i64,
) -> Result<(), Error> {
    if *path_of(&change) != choice.path {
        return Err(changed(path_of(&change)));
    }
    match (&choice.what, change) {
        (crate::select::What::Drop, _) => Ok(()),
        (crate::select::What::Set(kind, mtime), Change::Set(entry, content)) => {
            let content = content.filter(|_| matches!(kind, Kind::File { .. }));
            tar.entry(&Entry { kind: kind.clone(), mtime: (*mtime, 0), ..entry }, content)
        }
        (crate::select::What::Remove, Change::Remove(path)) => {
            let name = [WHITEOUT, path.name()].concat();
            tar.entry(&mark(path.parent().unwrap_or_default().join(&name)?, epoch), None)
        }
        (crate::select::What::Opaque, Change::Opaque(path)) => {
            tar.entry(&mark(path.join(OPAQUE)?, epoch), None)
        }
        (_, change) => Err(changed(path_of(&change))),
    }
}

/// The empty file that says that something is gone.
fn mark(path: EntryPath, epoch: i64) -> Entry {
    let kind = Kind::File { size: 0 };
    Entry { path, kind, mode: 0, uid: 0, gid: 0, mtime: (epoch, 0), xattrs: BTreeMap::new() }
}

pub(crate) fn path_of<'a>(change: &'a Change<'_>) -> &'a EntryPath {
    match change {
        Change::Set(entry, _) => &entry.path,
        Change::Remove(path) | Change::Opaque(path) => path,
    }
}

fn changed(path: &EntryPath) -> Error {
    bad_entry(path, "changed while it was packed")
}

fn writing(error: io::Error) -> Error {
    uncarry(|| "writing a layer".into(), error)
}

/// Stops in the middle of a file too, which may be as large as the image likes.
struct Stoppable<'a, W> {
    out: W,
    cancel: &'a dyn Fn() -> bool,
}

impl<W: Write> Write for Stoppable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.cancel)() {
            return Err(carry(Error::Cancelled));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether two streams hold the same bytes.
pub(crate) fn same_content(a: &mut dyn Read, b: &mut dyn Read) -> io::Result<bool> {
    let (mut one, mut two) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = a.read(&mut one)?;
        if count == 0 {
            return Ok(b.read(&mut two)? == 0);
        }
        match b.read_exact(&mut two[..count]) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            done => done?,
        }
        if one[..count] != two[..count] {
            return Ok(false);
        }
    }
}
