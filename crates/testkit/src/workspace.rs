//! Where the workspace is, and the folder in it that keeps what is slow to make.

use crate::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The root of the workspace this was built from.
pub fn root() -> PathBuf {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    room.ancestors().nth(2).expect("the room lies two levels below the workspace root").to_owned()
}

/// The folder for downloaded tools and made images: `.testkit` in the workspace, or `$TESTKIT_DIR`. Safe to delete.
pub fn cache() -> PathBuf {
    std::env::var_os("TESTKIT_DIR").map_or_else(|| root().join(".testkit"), PathBuf::from)
}

/// Makes `target` once: under a lock that other processes wait for, `make` fills a temporary path that then takes the
/// place of `target`. A `target` that is there already is taken as it is.
pub fn once(target: &Path, make: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    if target.exists() {
        return Ok(());
    }
    let parent = target.parent().expect("a cached thing lies in a folder");
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    let _lock = lock(&sibling(target, ".lock"))?;
    if target.exists() {
        return Ok(());
    }
    let unfinished = sibling(target, ".unfinished");
    remove(&unfinished)?;
    make(&unfinished)?;
    fs::rename(&unfinished, target).map_err(Error::io(target))
}

/// Takes an exclusive lock on `path`, waiting for it; it is held until the file is dropped.
pub fn lock(path: &Path) -> Result<File, Error> {
    let file = File::options().create(true).append(true).open(path).map_err(Error::io(path))?;
    file.lock().map_err(Error::io(path))?;
    Ok(file)
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().expect("a cached thing has a name").to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn remove(path: &Path) -> Result<(), Error> {
    let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match gone {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path)(source)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_made_once_and_leftovers_of_a_broken_try_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("made/thing");
        assert!(once(&target, |_| Err(Error::Unavailable("no".into()))).is_err());
        fs::write(dir.path().join("made/thing.unfinished"), "half").unwrap();
        once(&target, |path| fs::write(path, "whole").map_err(Error::io(path))).unwrap();
        once(&target, |_| panic!("made twice")).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
    }

    #[test]
    fn the_root_holds_the_manifest_of_the_workspace() {
        assert!(fs::read_to_string(root().join("Cargo.toml")).unwrap().contains("[workspace]"));
    }
}
