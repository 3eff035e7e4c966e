//! A throw-away apt repository: real packages, real indexes, a real signature, on disk and served on loopback.
//!
//! Packages are built by `dpkg-deb` and signed for by `gpg` with a key that lives as long as the repository. The indexes
//! are written here. What is published can be changed at any time: newer packages, an index that has expired, a bad signature.

mod client;
mod index;
mod package;
pub mod scenario;
mod served;
mod signing;

pub use client::Apt;
pub use index::Release;
pub use package::{PackageSpec, Script};
pub use served::{Asked, Fault, Served};
pub(crate) use signing::Key as SigningKey;
pub use signing::Signature;

use crate::{Error, command::argv, tools};
use package::Built;
use signing::Key;
use std::fs;
use std::path::{Path, PathBuf};

/// The suite that every such repository has.
pub const SUITE: &str = "copa";

/// What must be installed to make one; a reason to skip where it is not.
pub fn needs() -> Result<(), String> {
    tools::need(&["dpkg", "dpkg-deb", "gpg", "gpgconf", "date"])
}

/// A repository on disk.
pub struct AptRepository {
    folder: PathBuf,
    architecture: String,
    key: Key,
    stranger: Key,
    packages: Vec<Built>,
}

impl AptRepository {
    /// Makes a repository of this machine's architecture in `folder`, with these packages published.
    pub fn build(folder: &Path, packages: &[PackageSpec]) -> Result<AptRepository, Error> {
        let architecture = argv("dpkg", ["--print-architecture"]).text()?;
        AptRepository::build_for(folder, architecture.trim(), packages)
    }

    /// Makes a repository of any architecture, as dpkg names it.
    pub fn build_for(
        folder: &Path,
        architecture: &str,
        packages: &[PackageSpec],
    ) -> Result<AptRepository, Error> {
        let (key, stranger) = (Key::generate("Repository")?, Key::generate("Stranger")?);
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        key.export(&folder.join("key"))?;
        let (folder, architecture) = (folder.to_owned(), architecture.to_owned());
        let mut repository = AptRepository { folder, architecture, key, stranger, packages: Vec::new() };
        repository.add(packages)?;
        Ok(repository)
    }

    /// Publishes more packages beside those that are there.
    pub fn add(&mut self, packages: &[PackageSpec]) -> Result<(), Error> {
        for spec in packages {
            let built = spec.build(&self.folder, &self.architecture)?;
            self.packages.push(built);
        }
        self.publish(&Release::default())
    }

    /// Takes a package out of the index, at every version.
    pub fn withdraw(&mut self, name: &str) -> Result<(), Error> {
        self.packages.retain(|package| package.name != name);
        self.publish(&Release::default())
    }

    /// Writes the index anew, as well or as badly as asked.
    pub fn publish(&self, release: &Release) -> Result<(), Error> {
        let lists =
            self.packages.iter().map(|package| package.paragraph.as_str()).collect::<Vec<_>>().join("\n");
        let key = match release.signature {
            Signature::Stranger => &self.stranger,
            _ => &self.key,
        };
        index::write(&self.folder, &self.architecture, &lists, release, key)
    }

    /// Serves it on a free port of loopback.
    pub fn serve(&self) -> Result<Served, Error> {
        Served::start(&self.folder)
    }

    /// The folder that is served.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The architecture of its native packages, as dpkg names it.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The public key, as a binary keyring for `Signed-By`.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("key.gpg")
    }

    /// The public key in armour, as `Signed-By` in a deb822 source or a `.asc` file takes it.
    pub fn armoured_key_path(&self) -> PathBuf {
        self.folder.join("key.asc")
    }

    /// The file of a package that is or was published.
    pub fn deb(&self, name: &str, version: &str) -> Option<PathBuf> {
        let found =
            self.packages.iter().find(|package| package.name == name && package.version == version)?;
        Some(self.folder.join(&found.path))
    }

    /// The `deb` line of a source list: served at `url`, the key at `keyring` as the image sees it.
    pub fn source_line(&self, url: &str, keyring: &str) -> String {
        format!("deb [signed-by={keyring}] {url} {SUITE} main\n")
    }
}
