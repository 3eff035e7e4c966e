//! Blobs by digest. One is hashed again at use unless its file is just as it was when it was hashed last, in the same boot of
//! the machine. That makes syncing needless: what a power cut spoils is found and dropped.

use crate::{
    Error, Store, TempDir,
    meta::{NOTE_BYTES_MAX, Seal},
};
use layer::Verified;
use oci::{Digest, Hasher};
use rustix::{
    fd::OwnedFd,
    fs::{FileType, Mode, OFlags, fstat, openat, renameat},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// A blob in the store, verified.
#[derive(Debug)]
pub struct Blob {
    /// Open at its beginning.
    pub file: File,
    /// Its bytes.
    pub size: u64,
    /// Where it is.
    pub path: PathBuf,
}

impl Store {
    /// The blob, if it is there and whole. One that was changed is removed.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Blob>, Error> {
        let path = self.blobs_path().join(digest.hex());
        let file = match self.open_blob(digest) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return self.drop_blob(digest, &path),
            file => file.map_err(|e| Error::io("opening", &path, e))?,
        };
        let stat = fstat(&file).map_err(|e| Error::io("examining", &path, e))?;
        let ours = stat.st_uid == rustix::process::geteuid().as_raw();
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || !ours {
            return self.drop_blob(digest, &path);
        }
        let seal = Seal::of(&stat, self.inner.boot.as_ref());
        let mut file = File::from(file);
        if self.seal(digest) != Some(seal.clone()) {
            if hash(&mut file).map_err(|e| Error::io("reading", &path, e))? != *digest {
                return self.drop_blob(digest, &path);
            }
            self.write_seal(digest, &seal)?;
        }
        Ok(Some(Blob { file, size: stat.st_size.cast_unsigned(), path }))
    }

    /// Verifies and keeps a blob.
    pub fn add_blob(&self, reader: impl Read, digest: &Digest, size: u64) -> Result<(), Error> {
        let temp = self.temp_dir()?;
        let shown = temp.path().join("blob");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(temp.fd(), "blob", flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(file.map_err(|e| Error::io("creating", &shown, e))?);
        let mut verified = Verified::new(reader, digest.clone(), size);
        io::copy(&mut verified, &mut file).map_err(|e| match e.downcast::<layer::Error>() {
            Ok(ours) => Error::Blob(ours),
            Err(e) => Error::io("writing", &shown, e),
        })?;
        verified.finish().map_err(Error::Blob)?;
        self.keep_blob(&temp, "blob", digest)
    }

    /// Keeps a file of one of our temporary directories as a blob. Its content is trusted to be what was hashed while it was
    /// written.
    pub fn put_blob_file(&self, temp: &TempDir, name: &str, digest: &Digest) -> Result<(), Error> {
        self.keep_blob(temp, name, digest)
    }

    pub(crate) fn keep_blob(&self, temp: &TempDir, name: &str, digest: &Digest) -> Result<(), Error> {
        let shown = temp.path().join(name);
        let fail = |e: Errno| Error::io("keeping", &shown, e);
        let file =
            openat(temp.fd(), name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let file = file.map_err(fail)?;
        renameat(temp.fd(), name, &self.inner.blobs, digest.hex()).map_err(fail)?;
        // After the rename, which changes the change time.
        let stat = fstat(&file).map_err(fail)?;
        self.write_seal(digest, &Seal::of(&stat, self.inner.boot.as_ref()))
    }

    fn open_blob(&self, digest: &Digest) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&self.inner.blobs, digest.hex(), flags, Mode::empty())
    }

    fn drop_blob(&self, digest: &Digest, path: &Path) -> Result<Option<Blob>, Error> {
        tracing::warn!(path = %path.display(), "removing a blob that was changed");
        self.remove_blob(digest.hex()).map(|()| None)
    }

    pub(crate) fn remove_blob(&self, name: &str) -> Result<(), Error> {
        for name in [name.to_owned(), seal_name(name)] {
            let removed = layer::remove_tree(&self.inner.blobs, name.as_bytes());
            removed.map_err(|e| Error::io("removing", &self.blobs_path().join(&name), e))?;
        }
        Ok(())
    }

    fn seal(&self, digest: &Digest) -> Option<Seal> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.inner.blobs, seal_name(digest.hex()), flags, Mode::empty()).ok()?;
        let mut bytes = Vec::new();
        File::from(file).take(NOTE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn write_seal(&self, digest: &Digest, seal: &Seal) -> Result<(), Error> {
        let temp = self.temp_dir()?;
        let shown = temp.path().join("seal");
        let fail = |e: io::Error| Error::io("writing", &shown, e);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(temp.fd(), "seal", flags, Mode::RUSR | Mode::WUSR).map_err(|e| fail(e.into()))?;
        File::from(file).write_all(&serde_json::to_vec(seal).map_err(|e| fail(e.into()))?).map_err(fail)?;
        renameat(temp.fd(), "seal", &self.inner.blobs, seal_name(digest.hex())).map_err(|e| fail(e.into()))
    }
}

pub(crate) fn seal_name(hex: &str) -> String {
    format!("{hex}.json")
}

fn hash(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    file.rewind()?;
    Ok(hasher.finish())
}
