//! The folder for temporary files: ours alone, and gone at the end unless it is to be looked at.

use crate::{error::Failure, exit::Kind, ui::text::printable};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A folder inside the one that was asked for; removed when dropped.
#[derive(Debug)]
pub struct WorkFolder {
    inner: Option<TempDir>,
    made: Option<PathBuf>,
    keep: bool,
}

impl WorkFolder {
    /// Makes one in `parent`, which is made (for its owner alone) where it is not there.
    pub fn within(parent: &Path, keep: bool) -> Result<Self, Failure> {
        let failed = |e: io::Error| {
            Failure::new(
                Kind::Internal,
                format!("cannot use working folder {}", printable(&parent.to_string_lossy())),
            )
            .because(e.to_string())
            .hint("choose a folder that can be written with --working-folder")
        };
        let made = make(parent).map_err(failed)?.then(|| parent.to_owned());
        let private = fs::Permissions::from_mode(0o700);
        let inner = tempfile::Builder::new()
            .prefix("copa-")
            .permissions(private)
            .tempdir_in(parent)
            .map_err(failed)?;
        Ok(WorkFolder { inner: Some(inner), made, keep })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.inner.as_ref().map_or(Path::new("."), TempDir::path)
    }
}

/// Whether the folder had to be made.
fn make(folder: &Path) -> io::Result<bool> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(false),
        Ok(_) => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map(|()| true)
        }
        Err(e) => Err(e),
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        if self.keep {
            let kept = inner.keep();
            tracing::info!(
                "--debug specified, working folder at {} needs to be manually cleaned up",
                kept.display()
            );
            return;
        }
        if let Err(error) = inner.close() {
            tracing::warn!(%error, "working folder not removed");
        }
        // Only if it is empty: what somebody else put there is not ours.
        if let Some(made) = &self.made {
            let _ = fs::remove_dir(made);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_goes_and_the_rest_stays() {
        let home = tempfile::tempdir().unwrap();
        let (mine, old) = (home.path().join("a/new"), home.path().join("old"));
        fs::create_dir(&old).unwrap();
        for (parent, stays) in [(&mine, false), (&old, true)] {
            let folder = WorkFolder::within(parent, false).unwrap();
            fs::write(folder.path().join("x"), "x").unwrap();
            let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            drop(folder);
            assert_eq!(parent.exists(), stays);
        }
        assert_eq!(fs::read_dir(&old).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let failure = WorkFolder::within(file.path(), false).unwrap_err();
        assert!(failure.to_string().contains("--working-folder"), "{failure}");
    }

    #[test]
    fn with_debug_it_stays() {
        let home = tempfile::tempdir().unwrap();
        drop(WorkFolder::within(home.path(), true).unwrap());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
