//! Packages of a Debian release as files, of any architecture, by an apt that knows nothing of this machine but its mirror.
//! Kept under `.testkit`.

use crate::debian_root::Suite;
use crate::{Error, command::Argv, command::argv, mirror::Mirror, probe, tools, workspace};
use std::fs;
use std::path::{Path, PathBuf};

/// The keyring that a real Debian verifies its archive with.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Which packages, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What the folder that keeps them is called, beside release and architecture.
    pub name: &'a str,
    /// The release; its updates are not asked.
    pub suite: Suite,
    /// The architecture, as dpkg names it.
    pub architecture: &'a str,
    /// Names of packages.
    pub packages: &'a [&'a str],
    /// Whether all that they depend on comes too.
    pub closed: bool,
}

/// Whether packages can be had here; a reason to skip where they cannot.
pub fn needs() -> Result<(), String> {
    tools::need(&["apt-get", "dpkg-deb"])?;
    let keyring = if Path::new(KEYRING).exists() { Ok(()) } else { Err(format!("{KEYRING} is missing")) };
    probe::first_reason([keyring, Mirror::of_this_machine().map(drop).map_err(|error| error.to_string())])
}

/// The files of packages, by name; downloaded if they are not there yet.
pub fn of(wanted: &Wanted<'_>) -> Result<Vec<PathBuf>, Error> {
    let Wanted { name, suite, architecture, .. } = wanted;
    let folder = workspace::cache().join("debs").join(format!("{name}-{}-{architecture}", suite.name()));
    workspace::once(&folder, |unfinished| {
        fs::create_dir_all(unfinished).map_err(Error::io(unfinished))?;
        download(wanted, unfinished)
    })?;
    listed(&folder, is_deb)
}

/// Unpacks packages below `folder`, which is made; their files are not kept.
pub(crate) fn unpack(wanted: &Wanted<'_>, folder: &Path) -> Result<(), Error> {
    let scratch = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
    download(wanted, scratch.path())?;
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    listed(scratch.path(), is_deb)?
        .iter()
        .try_for_each(|deb| argv("dpkg-deb", ["--extract"]).arg(deb).arg(folder).stdout().map(drop))
}

/// The files of a source package of a release, sorted; downloaded if they are not there yet.
pub fn source(suite: Suite, package: &str) -> Result<Vec<PathBuf>, Error> {
    let folder = workspace::cache().join("debs").join(format!("source-{package}-{}", suite.name()));
    workspace::once(&folder, |unfinished| {
        fs::create_dir_all(unfinished).map_err(Error::io(unfinished))?;
        let scratch = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let apt = Apt { folder: scratch.path(), kind: "deb-src", architecture: "amd64" };
        apt.settle(suite)?;
        apt.run(&["update"]).stdout()?;
        apt.run(&["source", "--download-only", package]).folder(unfinished).stdout().map(drop)
    })?;
    listed(&folder, |_| true)
}

fn download(wanted: &Wanted<'_>, target: &Path) -> Result<(), Error> {
    let scratch = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
    let apt = Apt { folder: scratch.path(), kind: "deb", architecture: wanted.architecture };
    apt.settle(wanted.suite)?;
    apt.run(&["update"]).stdout()?;
    if !wanted.closed {
        let download = apt.run(&["download"]).folder(target);
        return wanted.packages.iter().fold(download, Argv::arg).stdout().map(drop);
    }
    let install = apt.run(&["--yes", "--download-only", "--no-install-recommends", "install"]);
    wanted.packages.iter().fold(install, Argv::arg).stdout()?;
    listed(&scratch.path().join("cache/archives"), is_deb)?.into_iter().try_for_each(|from| {
        let to = target.join(from.file_name().expect("a listed file has a name"));
        fs::copy(&from, &to).map(drop).map_err(Error::io(to))
    })
}

fn is_deb(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "deb")
}

/// The files of a folder that are wanted, sorted.
fn listed(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(Error::io(folder))?;
    paths.retain(|path| wanted(path));
    paths.sort();
    Ok(paths)
}

/// An apt with everything that it knows and keeps in `folder`.
struct Apt<'a> {
    folder: &'a Path,
    /// `deb` or `deb-src`.
    kind: &'a str,
    architecture: &'a str,
}

impl Apt<'_> {
    fn settle(&self, suite: Suite) -> Result<(), Error> {
        for name in ["lists/partial", "cache/archives/partial", "etc"] {
            let path = self.folder.join(name);
            fs::create_dir_all(&path).map_err(Error::io(path))?;
        }
        let archive = Mirror::of_this_machine()?.archive;
        let line = format!("{} [signed-by={KEYRING}] {archive} {} main\n", self.kind, suite.name());
        for (name, text) in [("status", ""), ("sources.list", line.as_str())] {
            let path = self.folder.join(name);
            fs::write(&path, text).map_err(Error::io(path))?;
        }
        Ok(())
    }

    fn run(&self, words: &[&str]) -> Argv {
        let place = |name: &str, below: &str| format!("{name}={}", self.folder.join(below).display());
        let settings = [
            place("Dir::Etc::sourcelist", "sources.list"),
            place("Dir::Etc::sourceparts", "etc"),
            place("Dir::Etc::preferencesparts", "etc"),
            place("Dir::State", "."),
            place("Dir::State::lists", "lists"),
            place("Dir::State::status", "status"),
            place("Dir::Cache", "cache"),
            format!("APT::Architecture={}", self.architecture),
            format!("APT::Architectures={}", self.architecture),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Debug::NoLocking=true".to_owned(),
        ];
        let apt = settings.iter().fold(argv("apt-get", ["-qq"]), |apt, word| apt.arg("-o").arg(word));
        words.iter().fold(apt, Argv::arg)
    }
}
