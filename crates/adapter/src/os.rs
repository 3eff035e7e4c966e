//! Which distribution an image is: what to read for it, and reading it. Comes before any adapter.

use crate::Error;
use engine::{Evidence, Look};
use inventory::{OsRelease, os_release as parser};

/// Both places of os-release(5), the first in force where both are there.
const PATHS: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// What must be read to know the distribution.
pub fn os_looks() -> Vec<Look> {
    PATHS.map(|path| Look::File { path: path.to_owned(), max_bytes: parser::BYTES_MAX as u64 }).into()
}

/// The distribution, from what was read; all empty where the image has no os-release.
pub fn os_release(evidence: &Evidence) -> Result<OsRelease, Error> {
    let found = PATHS.into_iter().find_map(|path| evidence.get(path).map(|bytes| (path, bytes)));
    let Some((path, bytes)) = found else { return Ok(OsRelease::default()) };
    parser::parse(bytes).map_err(|why| Error::database(path, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_etc_comes_first() {
        let evidence = |files: &[(&str, &str)]| -> Evidence {
            files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
        };
        let both = evidence(&[(PATHS[0], "ID=debian\n"), (PATHS[1], "ID=other\n")]);
        assert_eq!(os_release(&both).unwrap().id, "debian");
        assert_eq!(os_release(&evidence(&[(PATHS[1], "ID=other\n")])).unwrap().id, "other");
        assert_eq!(os_release(&Evidence::new()).unwrap(), OsRelease::default());
        let bad = os_release(&evidence(&[(PATHS[0], "ID='\n")])).unwrap_err().to_string();
        assert!(bad.starts_with("/etc/os-release: ID: "), "{bad}");
    }
}
