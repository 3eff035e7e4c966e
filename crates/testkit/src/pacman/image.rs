//! An Arch-like image and the throw-away repository behind it.

use super::{PacmanRepository, PacmanSpec, REPOSITORY, root, scenario};
use crate::apt_repository::Served;
use crate::debian_root::TAG;
use crate::distroless::Repositories;
use crate::image::{Compression, Image, Layer, Layout};
use crate::tar::{self, Entry, Reader};
use crate::{Error, chroot, command::argv, image_reader::plain};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether `etc/pacman.conf` names the repository.
    pub repositories: Repositories,
    /// Whether the keyring of the image has the key of the repository.
    pub trusted: bool,
    /// The words of `IgnorePkg`.
    pub ignored: Vec<String>,
    /// The packages of the image.
    pub installed: Vec<PacmanSpec>,
    /// The packages of the repository.
    pub offered: Vec<PacmanSpec>,
    /// More files of the image, in a layer of their own.
    pub added: Vec<Entry>,
}

impl Default for Options {
    /// The whole [`scenario`], the repository named and trusted.
    fn default() -> Self {
        Options {
            repositories: Repositories::Named,
            trusted: true,
            ignored: vec![scenario::HELD.to_owned()],
            installed: scenario::installed(),
            offered: scenario::updates(),
            added: Vec::new(),
        }
    }
}

/// The image, and the repository behind it. All of it is gone when this is dropped.
pub struct Arch {
    /// What the repository has; publish it anew to make it bad.
    pub repository: PacmanRepository,
    /// The repository as it is served; faults and the log of requests are here.
    pub served: Served,
    /// Holds the image as [`TAG`]: the base, the packages, the configuration, and what is added.
    pub layout: Layout,
    folder: TempDir,
}

impl Arch {
    /// Makes both.
    pub fn new(options: &Options) -> Result<Arch, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        // Under a name of its own: ports come again, and caches go by addresses.
        let name = folder.path().file_name().expect("a temporary folder has a name").to_owned();
        let served = folder.path().join("served");
        let repository = PacmanRepository::build(&served.join(name), &options.offered)?;
        let served = Served::start(&served)?;
        let layout = Layout::create(&folder.path().join("layout"))?;
        let made = Arch { repository, served, layout, folder };
        made.add_image(options)?;
        Ok(made)
    }

    /// The address of the folder that has the repository.
    pub fn url(&self) -> String {
        let name = self.repository.folder().file_name().unwrap_or_default();
        format!("{}/{}", self.served.url(), name.to_string_lossy())
    }

    /// A folder that goes with it, for results.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn add_image(&self, options: &Options) -> Result<(), Error> {
        let base = root::root()?;
        let packages = self.installed(&base, &options.installed)?;
        let mut layers = vec![Layer::File(base), Layer::Tar(packages)];
        let configuration = self.configuration(options)?;
        let added = [&configuration, &options.added].into_iter().filter(|entries| !entries.is_empty());
        layers.extend(added.map(|entries| Layer::Tar(tar::write(entries))));
        let image = Image { compression: Compression::None, ..Image::new(layers) };
        self.layout.add(TAG, &image).map(drop)
    }

    /// The layer that installing the packages into the base makes: what is newer than a file made just before.
    fn installed(&self, base: &Path, packages: &[PacmanSpec]) -> Result<Vec<u8>, Error> {
        let scratch = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let (root, mark) = (scratch.path().join("root"), scratch.path().join("mark"));
        chroot::unpack(base, &root)?;
        let built: Result<Vec<PathBuf>, Error> =
            packages.iter().map(|spec| spec.build(scratch.path())).collect();
        fs::write(&mark, "").map_err(Error::io(&mark))?;
        // A file of the same tick of the clock as the mark would not be newer.
        std::thread::sleep(std::time::Duration::from_millis(20));
        root::install(&root, &built?)?;
        let newer = argv("find", ["."]).folder(&root).arg("-mindepth").arg("1").arg("-cnewer").arg(&mark);
        let newer = newer.arg("-not").arg("-path").arg("./dev/*").arg("-print0").stdout()?;
        let pack = argv(
            "tar",
            ["--numeric-owner", "--sort=name", "--no-recursion", "--null", "-T", "-", "-cf", "-"],
        );
        let tar = pack.folder(&root).filter(&newer)?;
        let entries = Reader::new(&tar[..]).collect()?.into_iter().map(|mut entry| {
            entry.path = plain(&entry.path);
            if let tar::Kind::Hardlink(target) = &mut entry.kind {
                *target = plain(target);
            }
            entry
        });
        Ok(tar::write(&entries.collect::<Vec<_>>()))
    }

    fn configuration(&self, options: &Options) -> Result<Vec<Entry>, Error> {
        let ignored = if options.ignored.is_empty() {
            String::new()
        } else {
            format!("IgnorePkg = {}\n", options.ignored.join(" "))
        };
        let mut text = format!(
            "[options]\nArchitecture = {}\nSigLevel = Required DatabaseOptional\nHookDir = /etc/pacman.d/hooks\n{ignored}",
            super::native_architecture()
        );
        if options.repositories == Repositories::Named {
            text.push_str(&format!("\n[{REPOSITORY}]\nServer = {}/$repo\n", self.url()));
        }
        let mut entries = vec![Entry::file("etc/pacman.conf", text)];
        entries.extend(self.keyring(options.trusted)?);
        Ok(entries)
    }

    /// What `pacman-key --init` and `--add` leave, as far as pacman reads it.
    fn keyring(&self, trusted: bool) -> Result<Vec<Entry>, Error> {
        // In the system's own folder: the sockets of gpg's agent have room for a short path only.
        let home = tempfile::Builder::new().prefix("gpg").tempdir().map_err(Error::io("temporary folder"))?;
        let gpg = || {
            argv("gpg", ["--batch", "--quiet", "--no-autostart", "--no-permission-warning", "--homedir"])
                .arg(home.path())
        };
        let ring = home.path().join("pubring.gpg");
        fs::write(&ring, "").map_err(Error::io(&ring))?;
        if trusted {
            gpg().arg("--import").arg(self.repository.key_path()).stdout()?;
            let listing = gpg().arg("--with-colons").arg("--list-keys").text()?;
            let print =
                listing.lines().find_map(|line| line.strip_prefix("fpr:")).map(|rest| rest.trim_matches(':'));
            let print = print.ok_or_else(|| Error::malformed("gpg", "lists no key"))?;
            gpg().arg("--import-ownertrust").filter(format!("{print}:6:\n").as_bytes())?;
        }
        let mut entries = vec![Entry::directory("etc/pacman.d"), Entry::directory("etc/pacman.d/gnupg")];
        for name in ["pubring.gpg", "trustdb.gpg"] {
            if let Ok(bytes) = fs::read(home.path().join(name)) {
                entries.push(Entry::file(&format!("etc/pacman.d/gnupg/{name}"), bytes));
            }
        }
        Ok(entries)
    }
}
