//! Unpacked layers, each in its own directory, by diff id.

use crate::{
    Error, Store, TempDir,
    lock::is_still,
    meta::{FORMAT, LayerMeta, NOTE_BYTES_MAX},
    temp::{claim, names},
};
use layer::{Extracted, Extractor, Flavor, LayerDir, Limits, Record, Uncompressed, Verified, decompress};
use oci::{DiffId, Digest, media_type::Compression};
use rustix::{
    fd::OwnedFd,
    fs::{
        AtFlags, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, fchmod, flock, fstat,
        mkdirat, openat, renameat, statat, syncfs, utimensat,
    },
    io::Errno,
};
use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const ROOT: &str = "root";
const RECORD: &str = "record";
const META: &str = "meta.json";
/// How often a name is tried that another run holds while it removes what had it.
const NAME_TRIES: u32 = 100;
/// How long between.
const NAME_PAUSE: Duration = Duration::from_millis(50);
/// After so long the kernel has written back what it held, going by its usual settings (30 s).
const WRITTEN_BACK: Duration = Duration::from_secs(90);
const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What a layer's descriptor says of its blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobSpec {
    /// Digest.
    pub digest: Digest,
    /// Exact size.
    pub size: u64,
    /// Compression.
    pub compression: Compression,
}

/// How to add a layer.
pub struct AddOptions<'a> {
    /// Limits of what is unpacked.
    pub limits: Limits,
    /// Keep the blob too.
    pub keep_blob: bool,
    /// Whether to stop. Asked often, but not while the reader blocks: let that end too.
    pub cancel: &'a dyn Fn() -> bool,
    /// Told how many bytes of the blob have arrived, now and then.
    pub progress: &'a dyn Fn(u64),
}

/// An unpacked layer. It stays in the store while this lives.
#[derive(Debug)]
pub struct StoredLayer {
    path: PathBuf,
    meta: LayerMeta,
    flavor: Flavor,
    /// Shared lock: in use.
    dir: OwnedFd,
}

impl StoredLayer {
    /// Its directory tree, for a mount.
    pub fn root_path(&self) -> PathBuf {
        self.path.join(ROOT)
    }

    /// What is known of it.
    pub fn meta(&self) -> &LayerMeta {
        &self.meta
    }

    /// Opens its directory tree.
    pub fn root(&self) -> Result<OwnedFd, Error> {
        openat(&self.dir, ROOT, DIR, Mode::empty()).map_err(|e| Error::io("opening", &self.root_path(), e))
    }

    /// Reads what its directory tree cannot hold.
    pub fn record(&self) -> Result<Record, Error> {
        let shown = self.path.join(RECORD);
        let file = open_note(&self.dir, RECORD).map_err(|e| Error::io("opening", &shown, e))?;
        Record::read(BufReader::new(file)).map_err(|source| Error::Layer {
            item: self.meta.source.clone(),
            path: shown,
            source,
        })
    }

    /// The layer as something to read.
    pub fn layer_dir(&self) -> Result<Arc<LayerDir>, Error> {
        Ok(Arc::new(LayerDir::new(self.root()?, self.record()?, self.flavor)))
    }
}

impl Store {
    /// The layer, if it is there, for as long as the answer lives. One that is not whole is removed.
    pub fn layer(&self, diff_id: &DiffId) -> Result<Option<StoredLayer>, Error> {
        let name = diff_id.0.hex();
        let path = self.layers_path().join(name);
        let Some(dir) = self.use_layer(name, &path)? else { return Ok(None) };
        let meta = read_meta(&dir).filter(|meta| meta.is_sound(diff_id, self.inner.boot.as_ref()));
        let Some(meta) = meta else {
            drop(dir);
            tracing::warn!(path = %path.display(), "removing a layer that is not whole");
            self.remove_layer(name)?;
            return Ok(None);
        };
        touch(&dir, &path)?;
        Ok(Some(StoredLayer { path, meta, flavor: self.flavor(), dir }))
    }

    /// Opens a layer's directory and locks it as in use.
    fn use_layer(&self, name: &str, path: &Path) -> Result<Option<OwnedFd>, Error> {
        let dir = match openat(&self.inner.layers, name, DIR, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                self.remove_layer(name)?;
                return Ok(None);
            }
            dir => dir.map_err(|e| Error::io("opening", path, e))?,
        };
        match flock(&dir, FlockOperation::NonBlockingLockShared) {
            // Whoever holds it alone is removing it.
            Err(Errno::WOULDBLOCK) => return Ok(None),
            done => done.map_err(|e| Error::io("locking", path, e))?,
        }
        let owner = fstat(&dir).map_err(|e| Error::io("examining", path, e))?.st_uid;
        if owner != rustix::process::geteuid().as_raw() {
            return Err(Error::Unsafe { path: path.to_owned(), why: "belongs to another user".into() });
        }
        Ok(is_still(&self.inner.layers, name, &dir).then_some(dir))
    }

    /// Takes a layer away from its name and removes it. `false` where it is in use.
    pub(crate) fn remove_layer(&self, name: &str) -> Result<bool, Error> {
        let path = self.layers_path().join(name);
        let stat = statat(&self.inner.layers, name, AtFlags::SYMLINK_NOFOLLOW);
        if stat.is_ok_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode).is_symlink()) {
            let removed = layer::remove_tree(&self.inner.layers, name.as_bytes());
            return removed.map(|()| true).map_err(|e| Error::io("removing", &path, e));
        }
        let claimed = claim(&self.inner.layers, name).map_err(|e| Error::io("locking", &path, e))?;
        let Some(_alone) = claimed else { return Ok(false) };
        let temp = self.temp_dir()?;
        match renameat(&self.inner.layers, name, temp.fd(), "layer") {
            Ok(()) | Err(Errno::NOENT) => temp.close().map(|()| true),
            Err(errno) => Err(Error::io("removing", &path, errno)),
        }
    }

    /// Verifies, unpacks and keeps a layer. Whatever goes wrong, nothing of it remains.
    pub fn add_layer(
        &self,
        blob: &BlobSpec,
        diff_id: &DiffId,
        reader: impl Read + Send,
        options: &AddOptions<'_>,
    ) -> Result<StoredLayer, Error> {
        let temp = self.temp_dir()?;
        let kept = options.keep_blob.then(|| create(&temp, "blob")).transpose()?;
        let (extracted, done) = self.unpack(&temp, blob, diff_id, Tee::new(reader, kept), options)?;
        write_record(&temp, &extracted.record)?;
        let meta = LayerMeta {
            format: FORMAT,
            diff_id: diff_id.clone(),
            source: blob.digest.clone(),
            source_size: blob.size,
            unpacked_bytes: extracted.bytes,
            uncompressed_size: done.bytes,
            entries: extracted.entries,
            opaque_root: extracted.opaque_root,
            boot: self.inner.boot.clone(),
            synced: false,
        };
        let layer = self.keep_layer(&temp, meta, blob, options)?;
        if let Some(size_max) = self.inner.options.size_max {
            self.shrink(size_max)?;
        }
        Ok(layer)
    }

    fn unpack<R: Read + Send>(
        &self,
        temp: &TempDir,
        blob: &BlobSpec,
        diff_id: &DiffId,
        mut reader: Tee<R>,
        options: &AddOptions<'_>,
    ) -> Result<(Extracted, Uncompressed), Error> {
        let root = make_root(temp)?;
        let arrived = Arc::clone(&reader.arrived);
        let polled = || {
            (options.progress)(arrived.load(Ordering::Relaxed));
            (options.cancel)()
        };
        let verified = Verified::new(&mut reader, blob.digest.clone(), blob.size);
        let unpacked = decompress(verified, blob.compression, &options.limits, &polled, |stream| {
            let mut extractor = Extractor::new(root, self.flavor(), options.limits, options.cancel);
            extractor.tar(stream)?;
            extractor.finish()
        });
        let judged = unpacked.and_then(|(extracted, done)| match done.diff_id == *diff_id {
            true => Ok((extracted, done)),
            false => Err(layer::Error::Verification(format!(
                "it unpacks to {}, where the image config says {diff_id}",
                done.diff_id
            ))),
        });
        judged.map_err(|source| match source {
            layer::Error::Cancelled => Error::Cancelled,
            source => Error::Layer { item: blob.digest.clone(), path: self.dir().to_owned(), source },
        })
    }

    /// Gives a finished layer its name.
    fn keep_layer(
        &self,
        temp: &TempDir,
        meta: LayerMeta,
        blob: &BlobSpec,
        options: &AddOptions<'_>,
    ) -> Result<StoredLayer, Error> {
        let shown = temp.path().join("layer");
        let fail = |e: Errno| Error::io("keeping", &shown, e);
        let meta = if self.inner.boot.is_some() { meta } else { self.synced(temp, meta)? };
        write_meta(temp.fd(), "layer", &meta, temp.path())?;
        if options.keep_blob {
            self.keep_blob(temp, "blob", &blob.digest)?;
        }
        let name = meta.diff_id.0.hex().to_owned();
        // In use from the moment that it can be found.
        let dir = openat(temp.fd(), "layer", DIR, Mode::empty()).map_err(fail)?;
        flock(&dir, FlockOperation::NonBlockingLockShared).map_err(fail)?;
        for _ in 0..NAME_TRIES {
            // Onto a directory that has something in it, nothing can be renamed.
            match renameat(temp.fd(), "layer", &self.inner.layers, &name) {
                Ok(()) => {
                    let path = self.layers_path().join(&name);
                    return Ok(StoredLayer { path, meta, flavor: self.flavor(), dir });
                }
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                Err(errno) => return Err(fail(errno)),
            }
            // Another run was quicker, or is just removing one that was not whole.
            if let Some(there) = self.layer(&meta.diff_id)? {
                return Ok(there);
            }
            std::thread::sleep(NAME_PAUSE);
        }
        Err(fail(Errno::EXIST))
    }

    fn synced(&self, temp: &TempDir, meta: LayerMeta) -> Result<LayerMeta, Error> {
        syncfs(temp.fd()).map_err(|e| Error::io("syncing", temp.path(), e))?;
        Ok(LayerMeta { synced: true, ..meta })
    }

    /// Makes layers that were added in this boot survive it. They are not synced when they are added, because that takes longer
    /// than unpacking them; until then they are trusted in the same boot only, and unpacked anew after another.
    pub fn settle(&self) -> Result<(), Error> {
        self.settle_older_than(Duration::ZERO)
    }

    /// The same for those that have surely been written back by now, so that it takes no time.
    pub(crate) fn settle_old(&self) -> Result<(), Error> {
        self.settle_older_than(WRITTEN_BACK)
    }

    fn settle_older_than(&self, age: Duration) -> Result<(), Error> {
        let mut unsettled = Vec::new();
        for name in names(&self.inner.layers, &self.layers_path())? {
            let Ok(dir) = openat(&self.inner.layers, &name, DIR, Mode::empty()) else { continue };
            if let Some(meta) = read_meta(&dir).filter(|m| !m.synced && m.boot == self.inner.boot)
                && meta_age(&dir).is_some_and(|a| a >= age)
            {
                unsettled.push((name, meta));
            }
        }
        if unsettled.is_empty() {
            return Ok(());
        }
        syncfs(&self.inner.layers).map_err(|e| Error::io("syncing", &self.layers_path(), e))?;
        for (name, meta) in unsettled {
            let synced = LayerMeta { synced: true, ..meta };
            match write_meta(&self.inner.layers, &name, &synced, &self.layers_path()) {
                // Another run has removed it since.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                written => written?,
            }
        }
        Ok(())
    }
}

/// The layer's future root: its mode shows in a merged root, so it is that of any root.
fn make_root(temp: &TempDir) -> Result<OwnedFd, Error> {
    let shown = temp.path().join("layer/root");
    let fail = |e: Errno| Error::io("creating", &shown, e);
    mkdirat(temp.fd(), "layer", Mode::RWXU).map_err(fail)?;
    mkdirat(temp.fd(), "layer/root", Mode::RWXU).map_err(fail)?;
    let root = openat(temp.fd(), "layer/root", DIR, Mode::empty()).map_err(fail)?;
    fchmod(&root, Mode::from_raw_mode(0o755)).map_err(fail)?;
    Ok(root)
}

fn create(temp: &TempDir, name: &str) -> Result<File, Error> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(temp.fd(), name, flags, Mode::RUSR | Mode::WUSR);
    file.map(File::from).map_err(|e| Error::io("creating", &temp.path().join(name), e))
}

fn write_record(temp: &TempDir, record: &Record) -> Result<(), Error> {
    let mut out = BufWriter::new(create(temp, "layer/record")?);
    let written = record.write(&mut out).and_then(|()| out.flush());
    written.map_err(|e| Error::io("writing", &temp.path().join("layer/record"), e))
}

/// Number of the next note that is written.
static NOTES: AtomicU64 = AtomicU64::new(0);

/// Writes a layer's note whole or not at all. Until it is whole it has a name that nobody else uses, because several runs
/// write the same note at once.
fn write_meta(
    parent: impl rustix::fd::AsFd,
    layer: &str,
    meta: &LayerMeta,
    shown: &Path,
) -> Result<(), Error> {
    let shown = shown.join(layer).join(META);
    let number = NOTES.fetch_add(1, Ordering::Relaxed);
    let (new, name) = (format!("{layer}/{META}.{}-{number}", std::process::id()), format!("{layer}/{META}"));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fail = |e: io::Error| Error::io("writing", &shown, e);
    let file = openat(&parent, &new, flags, Mode::RUSR | Mode::WUSR).map_err(|e| fail(e.into()))?;
    let bytes = serde_json::to_vec(meta).map_err(|e| fail(e.into()))?;
    File::from(file).write_all(&bytes).map_err(fail)?;
    renameat(&parent, &new, &parent, &name).map_err(|e| fail(e.into()))
}

fn read_meta(dir: &OwnedFd) -> Option<LayerMeta> {
    let mut bytes = Vec::new();
    open_note(dir, META).ok()?.take(NOTE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

pub(crate) fn meta_of(layers: &OwnedFd, name: &str) -> Option<LayerMeta> {
    read_meta(&openat(layers, name, DIR, Mode::empty()).ok()?)
}

fn open_note(dir: &OwnedFd, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty()).map(File::from)
}

/// Notes that a layer was used.
fn touch(dir: &OwnedFd, path: &Path) -> Result<(), Error> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    utimensat(dir, c"", &times, AtFlags::EMPTY_PATH).map_err(|e| Error::io("touching", path, e))
}

/// How long ago a layer's note was written. A clock that was set back gives no time at all.
fn meta_age(dir: &OwnedFd) -> Option<Duration> {
    let written = open_note(dir, META).ok()?.metadata().ok()?.modified().ok()?;
    Some(written.elapsed().unwrap_or_default())
}

/// A reader that counts what passes, and copies it to a file where asked.
struct Tee<R> {
    from: R,
    to: Option<File>,
    arrived: Arc<AtomicU64>,
}

impl<R> Tee<R> {
    fn new(from: R, to: Option<File>) -> Self {
        Tee { from, to, arrived: Arc::default() }
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(out)?;
        if let Some(to) = &mut self.to {
            to.write_all(&out[..count])?;
        }
        self.arrived.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
