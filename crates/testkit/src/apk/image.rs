//! Alpine-like images: files and database of packages written here, with no program at all, or with a busybox of Debian and a
//! stand-in for apk that writes down what it is asked.

use super::{ApkRepository, ApkSpec, database, scenario};
use crate::apt_repository::Served;
use crate::debian_root::{Suite, TAG};
use crate::distroless::{Repositories, layer};
use crate::image::{self, Image, Layer, Layout};
use crate::image_reader::ImageReader;
use crate::tar::{self, Entry, Kind};
use crate::{Error, debs, debs::Wanted, probe};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;

/// `os-release` of Alpine 3.19.
pub const OS_RELEASE: &str = "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.19.1\nPRETTY_NAME=\"Alpine Linux v3.19\"\n\
    HOME_URL=\"https://alpinelinux.org/\"\n";

/// Where the stand-in writes down its command lines, one a line.
pub const ARGV: &str = "var/lib/apk-stand-in/argv";

/// The stand-in for apk; it says itself what it does not do.
const STAND_IN: &str = include_str!("../../fixtures/apk-stand-in");

/// The programs of busybox that scripts and the stand-in use.
const APPLETS: &[&str] = &[
    "ash", "awk", "base64", "cat", "chmod", "chroot", "cp", "cut", "echo", "env", "find", "grep", "gunzip",
    "head", "ls", "mkdir", "mktemp", "mv", "paste", "printf", "readlink", "rm", "rmdir", "sed", "sh",
    "sha1sum", "sleep", "sort", "stat", "tail", "tar", "touch", "tr", "true", "uniq", "wc", "wget", "xxd",
];

/// What can install packages in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Nothing; there is no shell either.
    None,
    /// `sbin/apk`, a stand-in, over a real shell.
    StandIn,
}

/// What is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// The architecture, as images name it: `amd64`, `arm64`.
    pub architecture: String,
    /// What can install packages in it.
    pub tool: Tool,
    /// Whether `etc/apk/repositories` names the repository, and its key lies in `etc/apk/keys`.
    pub repositories: Repositories,
    /// Whether the key that lies there is one that signs nothing good.
    pub strange_key: bool,
    /// The packages of the image.
    pub installed: Vec<ApkSpec>,
    /// The packages of the repository.
    pub offered: Vec<ApkSpec>,
    /// The lines of `etc/apk/world`.
    pub world: Vec<String>,
    /// More files of the image, in a layer of their own.
    pub added: Vec<Entry>,
}

impl Default for Options {
    /// The whole [`scenario`] for this machine, the repository named, nothing that could install.
    fn default() -> Self {
        Options {
            architecture: image::native_architecture().to_owned(),
            tool: Tool::None,
            repositories: Repositories::Named,
            strange_key: false,
            installed: scenario::installed(),
            offered: scenario::updates(),
            world: scenario::WORLD.map(str::to_owned).to_vec(),
            added: Vec::new(),
        }
    }
}

/// The image, and the repository behind it. All of it is gone when this is dropped.
pub struct Alpine {
    /// What the repository has; publish it anew to make it bad.
    pub repository: ApkRepository,
    /// The repository as it is served; faults and the log of requests are here.
    pub served: Served,
    /// Holds the image as [`TAG`].
    pub layout: Layout,
    folder: TempDir,
}

impl Alpine {
    /// Makes both.
    pub fn new(options: &Options) -> Result<Alpine, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        // Under a name of its own: ports come again, and caches go by addresses.
        let name = folder.path().file_name().expect("a temporary folder has a name").to_owned();
        let served = folder.path().join("served");
        let architecture = of_apk(&options.architecture);
        let repository = ApkRepository::build(&served.join(name), architecture, &options.offered)?;
        let served = Served::start(&served)?;
        let layout = Layout::create(&folder.path().join("layout"))?;
        let made = Alpine { repository, served, layout, folder };
        let layers = [made.root(options)?, options.added.clone()];
        let layers = layers.iter().filter(|entries| !entries.is_empty());
        let layers = layers.map(|entries| Layer::Tar(tar::write(entries))).collect();
        let config = json!({ "Cmd": ["/bin/ash"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] });
        let image = Image { architecture: options.architecture.clone(), config, ..Image::new(layers) };
        made.layout.add(TAG, &image)?;
        Ok(made)
    }

    /// The address of the repository, as `etc/apk/repositories` has it.
    pub fn url(&self) -> String {
        let name = self.repository.folder().file_name().unwrap_or_default();
        format!("{}/{}", self.served.url(), name.to_string_lossy())
    }

    /// What `installed` says about a package that is made as the repository makes it: what it must say after an update.
    pub fn paragraph(&self, spec: &ApkSpec) -> Result<String, Error> {
        database::paragraph(&self.repository.made(spec)?)
    }

    /// The command lines that the stand-in of an image was given.
    pub fn asked(&self, tag: &str) -> Result<Vec<String>, Error> {
        let image = ImageReader::open(self.layout.directory(), tag)?;
        let file = image.files(|path| path == ARGV.as_bytes())?.into_values().next();
        let text =
            file.map(|file| String::from_utf8_lossy(file.entry.content().unwrap_or_default()).into_owned());
        Ok(text.unwrap_or_default().lines().map(str::to_owned).collect())
    }

    /// A folder that goes with it, for results.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn root(&self, options: &Options) -> Result<Vec<Entry>, Error> {
        let packages = options.installed.iter().map(|spec| self.repository.made(spec));
        let packages = packages.collect::<Result<Vec<_>, _>>()?;
        let mut entries = base();
        entries.extend(packages.iter().flat_map(|package| package.entries.iter().cloned()));
        entries.extend(database::entries(&packages)?);
        let world: String = options.world.iter().map(|line| format!("{line}\n")).collect();
        entries.push(Entry::file("etc/apk/world", world));
        entries.push(Entry::file("etc/apk/arch", format!("{}\n", self.repository.architecture())));
        if options.repositories == Repositories::Named {
            let repository = &self.repository;
            let key = if options.strange_key { repository.strange_key() } else { repository.key() };
            entries.push(Entry::file("etc/apk/repositories", format!("{}\n", self.url())));
            entries.push(Entry::file(&format!("etc/apk/keys/{}", repository.key_name()), key?));
        }
        if options.tool == Tool::StandIn {
            probe::report_stand_in("apk");
            entries.extend(tools(&options.architecture)?);
        }
        Ok(once(entries))
    }
}

/// apk's word for an architecture of images.
fn of_apk(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

fn base() -> Vec<Entry> {
    let mut entries = Vec::new();
    for folder in [
        "etc/apk/keys",
        "usr/bin",
        "usr/lib",
        "usr/share",
        "bin",
        "sbin",
        "lib",
        "var/cache/apk",
        "proc",
        "dev",
        "sys",
    ] {
        layer::add_folders(&mut entries, folder);
    }
    entries.push(Entry::directory("tmp").mode(0o1777));
    entries.push(Entry::directory("root").mode(0o700));
    entries.push(Entry::new("etc/os-release", Kind::Symlink(b"../usr/lib/os-release".to_vec())));
    entries.push(Entry::file("usr/lib/os-release", OS_RELEASE));
    entries.push(Entry::file("etc/alpine-release", "3.19.1\n"));
    entries.push(Entry::file("etc/passwd", "root:x:0:0:root:/root:/bin/ash\n"));
    entries.push(Entry::file("etc/group", "root:x:0:root\n"));
    entries
}

/// A static busybox of Debian, and the stand-in. No package of the image has them.
fn tools(architecture: &str) -> Result<Vec<Entry>, Error> {
    let wanted = Wanted {
        name: "busybox",
        suite: Suite::Bookworm,
        architecture,
        packages: &["busybox-static"],
        closed: false,
    };
    let deb = debs::of(&wanted)?.pop().ok_or_else(|| Error::Unavailable("no busybox-static".to_owned()))?;
    let files = layer::files(&deb)?;
    let busybox = files.into_iter().find(|entry| entry.path.ends_with(b"bin/busybox"));
    let mut busybox = busybox.ok_or_else(|| Error::malformed("busybox-static", "has no busybox"))?;
    busybox.path = b"bin/busybox".to_vec();
    let mut entries = vec![busybox, Entry::file("sbin/apk", STAND_IN).mode(0o755)];
    let link = |name: &&str| Entry::new(format!("bin/{name}"), Kind::Symlink(b"busybox".to_vec()));
    entries.extend(APPLETS.iter().map(link));
    Ok(entries)
}

/// Each path once; the first entry counts, as folders that several packages have are the same.
fn once(entries: Vec<Entry>) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    entries.into_iter().filter(|entry| seen.insert(entry.path.clone())).collect()
}
