//! A layout directory as an open descriptor: files inside it by fixed names and digests only.

use crate::Error;
use oci::Digest;
use rustix::{
    fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RawDir},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read, Write},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How our unfinished files are called; those of a run that was killed are removed by the next.
const TEMP_PREFIX: &str = ".copa-tmp-";
/// Flags of everything opened here. `NONBLOCK`, so that a named pipe in place of a file cannot hold us.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

/// An open layout directory.
pub(crate) struct LayoutDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl LayoutDir {
    /// Opens a directory; `None` where there is none. The path itself is the user's and may hold links.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(LayoutDir { fd, path: path.to_owned() })),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(io_error(format!("opening {}", path.display()), e.into())),
        }
    }

    /// The directory's path, for messages.
    pub(crate) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    pub(crate) fn wrong(&self, why: impl Into<String>) -> Error {
        Error::Layout { dir: self.shown(), why: why.into() }
    }

    fn io(&self, doing: &str, name: &str, error: impl Into<io::Error>) -> Error {
        io_error(format!("{doing} {}/{name}", self.shown()), error.into())
    }

    /// The folder of the blobs.
    fn blobs(&self) -> Result<OwnedFd, Error> {
        let blobs = self.folder(self.fd.as_fd(), "blobs")?;
        self.folder(blobs.as_fd(), "sha256")
    }

    fn folder(&self, at: impl AsFd, name: &str) -> Result<OwnedFd, Error> {
        rustix::fs::openat(at, name, FOLDER, Mode::empty()).map_err(|e| match e {
            Errno::LOOP | Errno::NOTDIR => self.wrong(format!("{name} is not a folder of its own")),
            Errno::NOENT => self.wrong(format!("it has no folder {name}")),
            e => self.io("opening", name, e),
        })
    }

    /// A regular file right in a folder; `None` where nothing has the name.
    fn file(&self, at: impl AsFd, name: &str) -> Result<Option<File>, Error> {
        let fd = match rustix::fs::openat(at, name, READ, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(self.wrong(format!("{name} is a symbolic link"))),
            Err(e) => return Err(self.io("opening", name, e)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| self.io("looking at", name, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.wrong(format!("{name} is not a regular file")));
        }
        Ok(Some(File::from(fd)))
    }

    /// The whole of a small file of the directory itself.
    pub(crate) fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.file(self.fd.as_fd(), name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(max + 1).read_to_end(&mut bytes).map_err(|e| self.io("reading", name, e))?;
        if bytes.len() as u64 > max {
            return Err(self.wrong(format!("{name} is larger than {max} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Opens a blob; `None` where it is not there. An error where its size is not `size`.
    pub(crate) fn blob(&self, digest: &Digest, size: u64) -> Result<Option<File>, Error> {
        let Some(file) = self.file(self.blobs()?, digest.hex())? else { return Ok(None) };
        let found = file.metadata().map_err(|e| self.io("looking at", digest.hex(), e))?.len();
        if found != size {
            let why = format!("it has {found} bytes where {size} are expected");
            return Err(Error::Corrupt { item: format!("blob {digest} in {}", self.shown()), why });
        }
        Ok(Some(file))
    }

    /// The whole of a small blob whose size nobody has said; `None` where it is not there or larger than `max`. Not verified.
    pub(crate) fn small_blob(&self, digest: &Digest, max: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.file(self.blobs()?, digest.hex())? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(max + 1).read_to_end(&mut bytes).map_err(|e| self.io("reading", digest.hex(), e))?;
        Ok((bytes.len() as u64 <= max).then_some(bytes))
    }

    /// Makes the folders of a layout where they are missing.
    pub(crate) fn make_folders(&self) -> Result<(), Error> {
        self.make_folder(self.fd.as_fd(), "blobs")?;
        let blobs = self.folder(self.fd.as_fd(), "blobs")?;
        self.make_folder(blobs.as_fd(), "sha256")
    }

    fn make_folder(&self, at: impl AsFd, name: &str) -> Result<(), Error> {
        match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(self.io("making", name, e)),
        }
    }

    /// Takes the lock of the directory for writing, if it is free. It is held as long as this value lives.
    pub(crate) fn try_lock(&self) -> Result<bool, Error> {
        match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(e) => Err(self.io("locking", "", e)),
        }
    }

    /// Removes unfinished files of runs that were killed. To be called with the lock held.
    pub(crate) fn remove_leftovers(&self) -> Result<(), Error> {
        let list = rustix::fs::openat(&self.fd, ".", FOLDER, Mode::empty())
            .map_err(|e| self.io("listing", "", e))?;
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(list, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|e| self.io("listing", "", e))?;
            if entry.file_name().to_bytes().starts_with(TEMP_PREFIX.as_bytes()) {
                // Somebody else may be faster; what cannot be removed does no harm.
                let _ = rustix::fs::unlinkat(&self.fd, entry.file_name(), AtFlags::empty());
            }
        }
        Ok(())
    }

    /// A new file that is not there until it is finished.
    pub(crate) fn temp(self: &Arc<Self>) -> Result<Temp, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{TEMP_PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name.as_str(), flags, Mode::from_raw_mode(0o644))
            .map_err(|e| self.io("creating", &name, e))?;
        Ok(Temp { dir: self.clone(), name, file: Some(File::from(fd)) })
    }

    /// Writes a small file of the directory itself whole, in place of one that is there.
    pub(crate) fn replace(self: &Arc<Self>, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut temp = self.temp()?;
        temp.write(bytes)?;
        temp.finish(self.fd.as_fd(), name)
    }
}

/// A file on its way into the layout; removed unless it is finished.
pub(crate) struct Temp {
    dir: Arc<LayoutDir>,
    name: String,
    file: Option<File>,
}

impl Temp {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let file = self.file.as_mut().expect("a file is open until it is finished");
        file.write_all(bytes).map_err(|e| self.dir.io("writing", &self.name, e))
    }

    /// Makes it the blob of a digest. The bytes must be verified.
    pub(crate) fn finish_blob(self, digest: &Digest) -> Result<(), Error> {
        let blobs = self.dir.blobs()?;
        self.finish(blobs, digest.hex())
    }

    fn finish(mut self, at: impl AsFd, name: &str) -> Result<(), Error> {
        let io = |e: io::Error| self.dir.io("writing", name, e);
        if let Some(file) = &self.file {
            file.sync_all().map_err(io)?;
        }
        rustix::fs::renameat(&self.dir.fd, self.name.as_str(), &at, name).map_err(|e| io(e.into()))?;
        self.file = None;
        // A directory opened for reading can be synced like a file.
        rustix::fs::fsync(&at).map_err(|e| self.dir.io("syncing", name, e))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing can be done here about a file that does not go; the next run removes it.
            let _ = rustix::fs::unlinkat(&self.dir.fd, self.name.as_str(), AtFlags::empty());
        }
    }
}

pub(crate) fn io_error(doing: String, source: io::Error) -> Error {
    Error::Io { doing, source }
}
