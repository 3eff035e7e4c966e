//! `--repositories`: a folder of repository configuration and keys, read as the files of an image would be.

use crate::{error::Failure, ui::text::printable};
use engine::Evidence;
use std::{fs, io, path::Path};

/// Most files of such a folder.
const FILES_MAX: usize = 1024;
/// Largest of them.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// How deep it may be.
const DEPTH_MAX: usize = 8;

/// Every regular file below the folder, by its path as an image has it.
pub fn read(folder: &Path) -> Result<Evidence, Failure> {
    let mut files = Evidence::new();
    let mut open = vec![(folder.to_path_buf(), String::new())];
    while let Some((at, path)) = open.pop() {
        let depth = path.matches('/').count();
        let entries = fs::read_dir(&at).map_err(|e| unreadable(&at, &e))?;
        for entry in entries {
            let entry = entry.map_err(|e| unreadable(&at, &e))?;
            let name =
                entry.file_name().into_string().map_err(|_| refused(&at, "a name that is not UTF-8"))?;
            let (on_disk, path) = (entry.path(), format!("{path}/{name}"));
            // Links are followed: keys are often links, and the folder is the user's own.
            let facts = fs::metadata(&on_disk).map_err(|e| unreadable(&on_disk, &e))?;
            if facts.is_dir() && depth < DEPTH_MAX {
                open.push((on_disk, path));
            } else if facts.is_file() {
                files.insert(path, content(&on_disk)?);
            }
            if files.len() + open.len() > FILES_MAX {
                return Err(refused(folder, &format!("more than {FILES_MAX} files")));
            }
        }
    }
    match files.is_empty() {
        true => Err(refused(folder, "no file in it")),
        false => Ok(files),
    }
}

fn content(path: &Path) -> Result<Vec<u8>, Failure> {
    crate::settings::bounded(path, FILE_BYTES_MAX).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    refused(path, &error.to_string())
}

fn refused(path: &Path, why: &str) -> Failure {
    let path = path.to_string_lossy();
    let shown = printable(&path);
    Failure::usage(format!("cannot use the repository configuration in {shown}"))
        .because(why.to_owned())
        .hint("want a folder with etc/apt, etc/yum.repos.d or etc/apk in it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_paths_of_an_image() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).is_err(), "nothing in it");
        fs::create_dir_all(folder.path().join("etc/apk/keys")).unwrap();
        fs::write(folder.path().join("etc/apk/repositories"), "http://mirror.example/v3.20/main\n").unwrap();
        fs::write(folder.path().join("etc/apk/keys/a.rsa.pub"), "key").unwrap();
        let files = read(folder.path()).unwrap();
        let paths: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(paths, ["/etc/apk/keys/a.rsa.pub", "/etc/apk/repositories"]);
        assert_eq!(files["/etc/apk/keys/a.rsa.pub"], b"key");
        assert!(read(&folder.path().join("absent")).is_err());
    }
}
