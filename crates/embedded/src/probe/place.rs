//! Where to try things: on the filesystem of the store, in a folder that is gone afterwards.

use crate::failure::{Doing as _, Failure};
use rustix::fs::{Mode, OFlags, mkdirat, open};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// The folder itself, or the nearest above it that is there.
pub(super) fn existing(folder: &Path) -> PathBuf {
    folder.ancestors().find(|f| f.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// A folder of our own, removed when dropped.
pub(super) struct Place {
    parent: OwnedFd,
    name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Place {
    /// A new one in this folder.
    pub(super) fn within(folder: &Path) -> Result<Place, Failure> {
        let doing = format!("making a folder in {}", folder.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = open(folder, flags, Mode::empty()).doing(&doing)?;
        let name = format!(".copa-probe-{}", std::process::id());
        mkdirat(&parent, &*name, Mode::RWXU).doing(&doing)?;
        Ok(Place { parent, path: folder.join(&name), name })
    }

    /// A folder in it, opened.
    pub(super) fn folder(&self, name: &str) -> Result<OwnedFd, Failure> {
        let (path, doing) = (self.path.join(name), format!("making a folder in {}", self.path.display()));
        std::fs::create_dir(&path).doing(&doing)?;
        open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).doing(&doing)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = layer::remove_tree(&self.parent, self.name.as_bytes()) {
            tracing::warn!(%error, path = %self.path.display(), "a folder of the probe stays");
        }
    }
}
