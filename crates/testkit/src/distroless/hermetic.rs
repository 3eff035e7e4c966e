//! An image without a shell and the throw-away repository that its updates are in, both on this machine alone.

use super::{Repositories, layer, layers, os_release, repository_files, scenario};
use crate::apt_repository::{AptRepository, PackageSpec, SUITE, Served};
use crate::debian_root::{Suite, TAG};
use crate::image::{self, Image, Layer, Layout};
use crate::scan::{self, Naming, Scan};
use crate::tar::{self, Entry, Kind};
use crate::{Error, chiseled};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where the image has the keyring of the repository, when it names it.
pub const KEYRING: &str = "/usr/share/keyrings/copa.gpg";

/// How the image came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A distroless Debian 12: a layer for each package.
    Distroless,
    /// An Ubuntu 22.04 of slices.
    Chiseled(chiseled::Record),
}

/// What is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the image came to be. A chiseled one has `base-files` beside its packages.
    pub form: Form,
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
            form: Form::Distroless,
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
        // Under a name of its own: ports come again, and caches go by addresses.
        let name = folder.path().file_name().expect("a temporary folder has a name").to_owned();
        let own = matches!(options.form, Form::Chiseled(_)).then(chiseled::base_files);
        let with_own =
            |packages: &[PackageSpec]| packages.iter().cloned().chain(own.clone()).collect::<Vec<_>>();
        let debs = debs(&folder.path().join("installed"), options, &with_own(&options.installed))?;
        let offered = with_own(&options.offered);
        let served = folder.path().join("served");
        let repository = AptRepository::build_for(&served.join(name), &options.architecture, &offered)?;
        let served = Served::start(&served)?;
        let layout = Layout::create(&folder.path().join("layout"))?;
        let made = Hermetic { repository, served, layout, folder };
        made.add_image(options, &debs)?;
        Ok(made)
    }

    fn add_image(&self, options: &Options, debs: &[PathBuf]) -> Result<(), Error> {
        let mut added = statics(options.form);
        if options.repositories == Repositories::Named {
            added.extend(self.named()?);
        }
        added.extend(options.added.iter().cloned());
        let added = once_each(added);
        let layers = match options.form {
            Form::Distroless => layers(debs, &added)?,
            Form::Chiseled(record) => {
                let slices = chiseled::entries(debs, record)?;
                [slices, added].iter().map(|entries| Layer::Tar(tar::write(entries))).collect()
            }
        };
        let config = json!({ "User": "65532", "Entrypoint": [scenario::SETUID] });
        let image = Image { architecture: options.architecture.clone(), config, ..Image::new(layers) };
        self.layout.add(TAG, &image).map(drop)
    }

    /// The address of the repository.
    pub fn url(&self) -> String {
        let name = self.repository.folder().file_name().unwrap_or_default();
        format!("{}/{}", self.served.url(), name.to_string_lossy())
    }

    /// A deb822 source of the repository, its keyring at `keyring`.
    pub fn sources(&self, keyring: &str) -> String {
        format!("Types: deb\nURIs: {}\nSuites: {SUITE}\nComponents: main\nSigned-By: {keyring}\n", self.url())
    }

    /// The findings of an image of the layout, with [`scenario::advisories`].
    pub fn scan(&self, tag: &str) -> Result<Scan, Error> {
        scan::with(self.layout.directory(), tag, Naming::default(), &scenario::advisories())
    }

    /// A folder that goes with it, for results.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn named(&self) -> Result<Vec<Entry>, Error> {
        let path = self.repository.key_path();
        let keyring = fs::read(&path).map_err(Error::io(path))?;
        Ok(repository_files("copa.sources", &self.sources(KEYRING), &[(KEYRING, keyring)]))
    }
}

/// Daemons refuse a layer that has a path twice; the last one counts, in the place of the first.
fn once_each(entries: Vec<Entry>) -> Vec<Entry> {
    let mut once: Vec<Entry> = Vec::new();
    for entry in entries {
        match once.iter_mut().find(|earlier| earlier.path == entry.path) {
            Some(earlier) => *earlier = entry,
            None => once.push(entry),
        }
    }
    once
}

/// The files of the packages that the image has: built in a repository that nobody is served.
fn debs(folder: &Path, options: &Options, installed: &[PackageSpec]) -> Result<Vec<PathBuf>, Error> {
    let repository = AptRepository::build_for(folder, &options.architecture, installed)?;
    let deb = |spec: &PackageSpec| {
        let deb = repository.deb(spec.name(), spec.version());
        deb.ok_or_else(|| Error::malformed(spec.name(), "was not built"))
    };
    installed.iter().map(deb).collect()
}

fn statics(form: Form) -> Vec<Entry> {
    let mut entries = Vec::new();
    layer::add_folders(&mut entries, "etc");
    entries.push(Entry::file("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\n"));
    entries.push(Entry::file("etc/group", "root:x:0:\n"));
    if form == Form::Distroless {
        layer::add_folders(&mut entries, "usr/lib");
        entries.push(Entry::file("etc/debian_version", "12.0\n"));
        entries.push(Entry::new("etc/os-release", Kind::Symlink(b"../usr/lib/os-release".to_vec())));
        entries.push(Entry::file("usr/lib/os-release", os_release(Suite::Bookworm)));
    }
    entries
}
