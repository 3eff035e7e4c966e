//! A throw-away repository for pacman: signed packages and a signed database, on disk and served on loopback.

use super::{PacmanSpec, REPOSITORY};
use crate::apt_repository::{Served, Signature, SigningKey};
use crate::{Error, command::Argv, command::argv};
use std::fs;
use std::path::{Path, PathBuf};

/// How packages and database are signed.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// Every package.
    pub packages: Signature,
    /// The database.
    pub database: Signature,
}

impl Default for Published {
    fn default() -> Self {
        Published { packages: Signature::Good, database: Signature::Good }
    }
}

/// A repository on disk.
pub struct PacmanRepository {
    folder: PathBuf,
    key: SigningKey,
    stranger: SigningKey,
    packages: Vec<PathBuf>,
}

impl PacmanRepository {
    /// Makes a repository of this machine's architecture in `folder`, with these packages published.
    pub fn build(folder: &Path, packages: &[PacmanSpec]) -> Result<PacmanRepository, Error> {
        let below = folder.join(REPOSITORY);
        fs::create_dir_all(&below).map_err(Error::io(below))?;
        let (key, stranger) = (SigningKey::generate("Repository")?, SigningKey::generate("Stranger")?);
        key.export(&folder.join("key"))?;
        let mut repository =
            PacmanRepository { folder: folder.to_owned(), key, stranger, packages: Vec::new() };
        repository.add(packages)?;
        Ok(repository)
    }

    /// Publishes more packages. Of each name the last one added is in the database.
    pub fn add(&mut self, packages: &[PacmanSpec]) -> Result<(), Error> {
        for spec in packages {
            self.packages.push(spec.build(&self.folder.join(REPOSITORY))?);
        }
        self.publish(Published::default())
    }

    /// Signs everything anew, as well or as badly as asked, and writes the database anew.
    pub fn publish(&self, published: Published) -> Result<(), Error> {
        let folder = self.folder.join(REPOSITORY);
        let database = folder.join(format!("{REPOSITORY}.db.tar.gz"));
        for extension in ["db", "files"] {
            let base = folder.join(format!("{REPOSITORY}.{extension}"));
            for name in ["", ".tar.gz", ".sig"] {
                let _ = fs::remove_file(format!("{}{name}", base.display()));
            }
        }
        self.packages.iter().try_for_each(|package| self.sign(package, package, published.packages))?;
        let add = argv("repo-add", ["--quiet"]).arg(&database);
        self.packages.iter().fold(add, Argv::arg).stdout()?;
        self.sign(&database, &folder.join(format!("{REPOSITORY}.db")), published.database)
    }

    /// Writes the signature of `file` beside `name`.
    fn sign(&self, file: &Path, name: &Path, signature: Signature) -> Result<(), Error> {
        let target = PathBuf::from(format!("{}.sig", name.display()));
        let _ = fs::remove_file(&target);
        match signature {
            Signature::Missing => Ok(()),
            Signature::Stranger => self.stranger.detach(file, &target, &[]),
            Signature::Weak => self.key.detach(file, &target, &["--digest-algo", "SHA1"]),
            Signature::Good => self.key.detach(file, &target, &[]),
            Signature::Tampered => self.key.detach(&self.folder.join("key.asc"), &target, &[]),
        }
    }

    /// Serves it on a free port of loopback.
    pub fn serve(&self) -> Result<Served, Error> {
        Served::start(&self.folder)
    }

    /// The folder that is served; packages and database are in one below it, [`REPOSITORY`].
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The public key.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("key.gpg")
    }
}
