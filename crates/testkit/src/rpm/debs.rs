//! The packages of Debian that a synthetic distribution is made of, fetched by the real apt without touching this machine's state.

use crate::command::{Argv, argv};
use crate::{Error, image, mirror::Mirror, workspace};
use std::fs;
use std::path::{Path, PathBuf};

/// Fetches what `groups` need, each on an empty system of `suite`, and gives the folder that has it all. Done once.
pub(super) fn fetch(suite: &str, groups: &[&[&str]]) -> Result<PathBuf, Error> {
    let fingerprint = &image::digest(format!("{groups:?}").as_bytes())["sha256:".len()..][..6];
    let folder = workspace::cache().join("rpm").join(format!("debs-{suite}-{fingerprint}"));
    workspace::once(&folder, |unfinished| {
        let apt = Apt::prepare(suite, unfinished)?;
        groups.iter().try_for_each(|packages| apt.download(packages))
    })?;
    Ok(folder)
}

/// An apt that knows one suite and has nothing installed.
struct Apt {
    folder: tempfile::TempDir,
    archives: PathBuf,
}

impl Apt {
    fn prepare(suite: &str, archives: &Path) -> Result<Apt, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let apt = Apt { folder, archives: archives.to_owned() };
        for path in [apt.archives.join("partial"), apt.at("lists/partial")] {
            fs::create_dir_all(&path).map_err(Error::io(&path))?;
        }
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let archive = Mirror::of_this_machine()?.archive;
        apt.write("sources", &format!("deb [signed-by={keyring}] {archive} {suite} main\n"))?;
        apt.write("status", "")?;
        apt.run().arg("update").stdout()?;
        Ok(apt)
    }

    fn download(&self, packages: &[&str]) -> Result<(), Error> {
        let install = ["--no-install-recommends", "--yes", "--download-only", "install"];
        install.iter().chain(packages).fold(self.run(), Argv::arg).stdout().map(drop)
    }

    fn run(&self) -> Argv {
        let settings = [
            ("Dir::Etc::SourceList", self.at("sources")),
            ("Dir::Etc::SourceParts", PathBuf::from("/dev/null")),
            ("Dir::State::Lists", self.at("lists")),
            ("Dir::State::status", self.at("status")),
            ("Dir::Cache", self.at("cache")),
            ("Dir::Cache::Archives", self.archives.clone()),
            ("APT::Sandbox::User", PathBuf::from("root")),
            ("Acquire::Languages", PathBuf::from("none")),
            ("Debug::NoLocking", PathBuf::from("1")),
        ];
        settings.iter().fold(argv("apt-get", ["-qq"]), |run, (name, value)| {
            run.arg("-o").arg(format!("{name}={}", value.display()))
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.at(name);
        fs::write(&path, text).map_err(Error::io(&path))
    }
}
