//! Data to standard output and to files: whole or not at all.

use crate::{error::Failure, exit::Kind, ui::text::printable};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Standard output by the name that tools give it.
pub const STDOUT: &str = "-";

/// Writes to a file, or to standard output where the path is `-`.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let written = match path.as_os_str() == STDOUT {
        true => stdout(content),
        false => file(path, content),
    };
    written.map_err(|e| {
        let shown = path.to_string_lossy();
        Failure::new(Kind::Internal, format!("cannot write {}", printable(&shown))).because(e.to_string())
    })
}

/// Writes to standard output. A reader that went away is no error: it has what it wanted.
pub fn stdout(content: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(content).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Says something on standard error; if nobody listens, so be it.
pub fn say(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes());
    let _ = err.write_all(if text.ends_with('\n') || text.is_empty() { b"" } else { b"\n" });
}

/// A regular file is replaced in one step; a link, a pipe or a device is written to.
fn file(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return fs::File::options().write(true).truncate(true).open(path)?.write_all(content);
        }
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let modes = fs::Permissions::from_mode(0o666);
    let mut temp = tempfile::Builder::new().prefix(".copa-").permissions(modes).tempfile_in(folder)?;
    temp.write_all(content)?;
    temp.as_file().sync_all()?;
    temp.persist(path).map(|_| ()).map_err(|e| e.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("new"), b"one").unwrap();
        write(&at("new"), b"two").unwrap();
        assert_eq!(fs::read(at("new")).unwrap(), b"two");
        std::os::unix::fs::symlink(at("new"), at("link")).unwrap();
        write(&at("link"), b"3").unwrap();
        assert_eq!(fs::read(at("new")).unwrap(), b"3");
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let failure = write(Path::new("/nonexistent/x\u{7}"), b"").unwrap_err();
        assert!(failure.what.contains("/nonexistent/x\\u{7}"), "{failure}");
    }
}
