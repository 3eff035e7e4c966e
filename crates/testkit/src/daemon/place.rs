//! A folder where the kernel mounts overlays: the temporary folder of a container, an overlay itself, is none.

use crate::command::argv;
use crate::{Error, workspace};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A new folder that goes when it is dropped, where overlays can be mounted.
pub(super) fn folder() -> Result<TempDir, Error> {
    let mut reason = String::new();
    for parent in [std::env::temp_dir(), workspace::cache(), PathBuf::from("/dev/shm")] {
        let folder = tempfile::Builder::new().prefix("daemon-").tempdir_in(&parent);
        match folder
            .map_err(Error::io(&parent))
            .and_then(|folder| mounts_overlays(folder.path()).map(|()| folder))
        {
            Ok(folder) => return Ok(folder),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(Error::Unavailable(format!("no overlay can be mounted: {reason}")))
}

/// Whether there is such a folder; a reason to skip where there is none.
pub(super) fn needs() -> Result<(), String> {
    folder().map(drop).map_err(|error| error.to_string())
}

fn mounts_overlays(folder: &Path) -> Result<(), Error> {
    let [lower, upper, work, merged] =
        ["lower", "upper", "work", "merged"].map(|name| folder.join("overlay").join(name));
    for path in [&lower, &upper, &work, &merged] {
        fs::create_dir_all(path).map_err(Error::io(path))?;
    }
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let mount = argv("unshare", ["--mount", "mount", "-t", "overlay", "overlay", "-o", &options]);
    mount.arg(&merged).stdout()?;
    let tried = folder.join("overlay");
    fs::remove_dir_all(&tried).map_err(Error::io(tried))
}
