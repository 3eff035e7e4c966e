//! A throw-away repository of apk: packages and their signed index, on disk and served on loopback.

use super::member;
use super::package::{ApkSpec, Built};
use super::signing::{self, Keys, Signature};
use crate::Error;
use crate::apt_repository::Served;
use crate::tar::Entry;
use std::fs;
use std::path::{Path, PathBuf};

/// How an index is.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// How it is signed.
    pub signature: Signature,
}

/// A repository on disk.
pub struct ApkRepository {
    folder: PathBuf,
    architecture: String,
    keys: Keys,
    packages: Vec<Built>,
}

impl ApkRepository {
    /// Makes a repository of an architecture, as apk names it, in `folder`, with these packages published.
    pub fn build(folder: &Path, architecture: &str, packages: &[ApkSpec]) -> Result<ApkRepository, Error> {
        let below = folder.join(architecture);
        fs::create_dir_all(&below).map_err(Error::io(below))?;
        let keys = Keys::generate()?;
        let (folder, architecture) = (folder.to_owned(), architecture.to_owned());
        let mut repository = ApkRepository { folder, architecture, keys, packages: Vec::new() };
        repository.add(packages)?;
        Ok(repository)
    }

    /// Publishes more packages. Of each name the last one added is in the index, as Alpine's repositories have it.
    pub fn add(&mut self, packages: &[ApkSpec]) -> Result<(), Error> {
        for spec in packages {
            let built = self.made(spec)?;
            let path = self.file(spec.name(), spec.version());
            fs::write(&path, &built.bytes).map_err(Error::io(path))?;
            self.packages.retain(|other| other.spec.name() != spec.name());
            self.packages.push(built);
        }
        self.publish(&Index::default())
    }

    /// Takes a package out of the index.
    pub fn withdraw(&mut self, name: &str) -> Result<(), Error> {
        self.packages.retain(|package| package.spec.name() != name);
        self.publish(&Index::default())
    }

    /// Writes the index anew, as well or as badly as asked.
    pub fn publish(&self, index: &Index) -> Result<(), Error> {
        let list: String = self.packages.iter().map(|package| format!("{}\n", package.paragraph)).collect();
        let body = member::of(&[Entry::file("DESCRIPTION", "copa\n"), Entry::file("APKINDEX", list)], true)?;
        let bytes = [self.keys.member(&body, index.signature)?, body].concat();
        let path = self.folder.join(&self.architecture).join("APKINDEX.tar.gz");
        fs::write(&path, bytes).map_err(Error::io(path))
    }

    /// Serves it on a free port of loopback.
    pub fn serve(&self) -> Result<Served, Error> {
        Served::start(&self.folder)
    }

    /// The folder that is served; the packages are in one below it, named after the architecture.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The architecture of its packages, as apk names it.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The file of a package that is or was published; write to it to make it another one.
    pub fn file(&self, name: &str, version: &str) -> PathBuf {
        self.folder.join(&self.architecture).join(format!("{name}-{version}.apk"))
    }

    /// The name of its key below `etc/apk/keys`.
    pub fn key_name(&self) -> &'static str {
        signing::NAME
    }

    /// Its public key, in PEM.
    pub fn key(&self) -> Result<Vec<u8>, Error> {
        self.keys.public()
    }

    /// The public half of the key that nobody should trust.
    pub fn strange_key(&self) -> Result<Vec<u8>, Error> {
        self.keys.strange()
    }

    /// A package of it that is not published.
    pub(super) fn made(&self, spec: &ApkSpec) -> Result<Built, Error> {
        spec.build(&self.architecture, &self.keys)
    }
}
