//! A distroless image and the throw-away repository that its updates are in, both on this machine alone.

use super::{Repositories, layer, layers, os_release, repository_files, scenario};
use crate::Error;
use crate::advisories::Advisories;
use crate::apt_repository::{AptRepository, PackageSpec, SUITE, Served};
use crate::debian_root::{Suite, TAG};
use crate::image::{self, Image, Layout};
use crate::scan::{self, Naming, Scan};
use crate::tar::Entry;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where the image has the keyring of the repository, when it names it.
pub const KEYRING: &str = "/usr/share/keyrings/copa.gpg";

/// What is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// The architecture, as dpkg and images name it.
    pub architecture: String,
    /// Whether the image names the repository.
    pub repositories: Repositories,
    /// The packages of the image.
    pub installed: Vec<PackageSpec>,
    /// The packages of the repository.
    pub offered: Vec<PackageSpec>,
    /// More files of the image, in its last layer: an edited conffile, preferences of apt.
    pub added: Vec<Entry>,
}

impl Default for Options {
    /// The whole [`scenario`], for this machine, the repository named.
    fn default() -> Self {
        Options {
            architecture: image::native_architecture().to_owned(),
            repositories: Repositories::Named,
            installed: scenario::installed(),
            offered: scenario::updates(),
            added: Vec::new(),
        }
    }
}

/// The image, and the repository behind it. All of it is gone when this is dropped.
pub struct Hermetic {
    /// What the repository has; publish it anew to make it bad.
    pub repository: AptRepository,
    /// The repository as it is served; faults and the log of requests are here.
    pub served: Served,
    /// Holds the image as [`TAG`].
    pub layout: Layout,
    folder: TempDir,
}

impl Hermetic {
    /// Makes both.
    pub fn new(options: &Options) -> Result<Hermetic, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let debs = debs(&folder.path().join("installed"), options)?;
        let repository = AptRepository::build_for(
            &folder.path().join("repository"),
            &options.architecture,
            &options.offered,
        )?;
        let served = repository.serve()?;
        let mut added = statics();
        if options.repositories == Repositories::Named {
            added.extend(named(&repository, &served)?);
        }
        added.extend(options.added.iter().cloned());
        let layout = Layout::create(&folder.path().join("layout"))?;
        let config = json!({ "User": "65532", "Entrypoint": ["/usr/bin/copa-as-root"] });
        let image = Image {
            architecture: options.architecture.clone(),
            config,
            ..Image::new(layers(&debs, &added)?)
        };
        layout.add(TAG, &image)?;
        Ok(Hermetic { repository, served, layout, folder })
    }

    /// Sources that name the repository, for an image that does not: a file for it, its key at `keyring`.
    pub fn sources(&self, keyring: &str) -> String {
        sources(&self.served, keyring)
    }

    /// The findings of an image of the layout, with [`scenario::advisories`].
    pub fn scan(&self, tag: &str) -> Result<Scan, Error> {
        let advisories = Advisories::parse(&scenario::advisories(), Suite::Bookworm.release())?;
        scan::with(self.layout.directory(), tag, Naming::default(), &advisories)
    }

    /// A folder that goes with it, for results.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The files of the packages that the image has: built in a repository that nobody is served.
fn debs(folder: &Path, options: &Options) -> Result<Vec<PathBuf>, Error> {
    let repository = AptRepository::build_for(folder, &options.architecture, &options.installed)?;
    let deb = |spec: &PackageSpec| {
        let deb = repository.deb(spec.name(), spec.version());
        deb.ok_or_else(|| Error::malformed(spec.name(), "was not built"))
    };
    options.installed.iter().map(deb).collect()
}

fn statics() -> Vec<Entry> {
    let mut entries = Vec::new();
    layer::add_folders(&mut entries, "etc");
    layer::add_folders(&mut entries, "usr/lib");
    entries.push(Entry::file("etc/debian_version", "12.0\n"));
    entries.push(Entry::file("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\n"));
    entries.push(Entry::file("etc/group", "root:x:0:\n"));
    entries.push(Entry::new("etc/os-release", crate::tar::Kind::Symlink(b"../usr/lib/os-release".to_vec())));
    entries.push(Entry::file("usr/lib/os-release", os_release(Suite::Bookworm)));
    entries
}

fn named(repository: &AptRepository, served: &Served) -> Result<Vec<Entry>, Error> {
    let path = repository.key_path();
    let keyring = fs::read(&path).map_err(Error::io(path))?;
    Ok(repository_files("copa.sources", &sources(served, KEYRING), &[(KEYRING, keyring)]))
}

fn sources(served: &Served, keyring: &str) -> String {
    format!("Types: deb\nURIs: {}\nSuites: {SUITE}\nComponents: main\nSigned-By: {keyring}\n", served.url())
}
