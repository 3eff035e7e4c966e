//! The real apt, in folders of its own: it knows one repository, and nothing of this machine.

use super::AptRepository;
use crate::Error;
use crate::command::{Argv, Ran, argv};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An apt with nothing installed and nothing downloaded. It can update its lists and download packages, not install.
pub struct Apt {
    folder: TempDir,
}

impl Apt {
    /// An apt for a repository that is served at `url`; through a proxy where one is given, else directly.
    pub fn new(repository: &AptRepository, url: &str, proxy: Option<&str>) -> Result<Apt, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let apt = Apt { folder };
        for name in ["etc/apt.conf.d", "lists/partial", "cache/archives/partial"] {
            let path = apt.at(name);
            fs::create_dir_all(&path).map_err(Error::io(path))?;
        }
        let keyring = repository.key_path().display().to_string();
        apt.write("etc/sources.list", &repository.source_line(url, &keyring))?;
        apt.write("status", "")?;
        apt.write("apt.conf", &apt.settings(repository.architecture(), proxy.unwrap_or("DIRECT")))?;
        Ok(apt)
    }

    /// Makes it believe that these packages are installed: paragraphs of a status file.
    pub fn believe(&self, status: &str) -> Result<(), Error> {
        self.write("status", status)
    }

    /// Gives it preferences: pins.
    pub fn prefer(&self, preferences: &str) -> Result<(), Error> {
        self.write("etc/preferences", preferences)
    }

    /// Runs `apt-get` to its end, whatever that is.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran, Error> {
        let apt = argv("apt-get", ["-q", "-y"]).env("APT_CONFIG", self.at("apt.conf")).env("LC_ALL", "C");
        arguments.iter().fold(apt.folder(self.folder.path()), Argv::arg).output()
    }

    /// The packages it has downloaded.
    pub fn downloaded(&self) -> Result<Vec<PathBuf>, Error> {
        let folder = self.at("cache/archives");
        let entries = fs::read_dir(&folder).map_err(Error::io(&folder))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
        let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
        Ok(paths.map_err(Error::io(&folder))?.into_iter().filter(is_package).collect())
    }

    /// Read before anything of this machine is, and therefore instead of it.
    fn settings(&self, architecture: &str, proxy: &str) -> String {
        let at = |name: &str| self.at(name).display().to_string();
        let settings = [
            ("Dir::Etc", at("etc")),
            ("Dir::State", at("")),
            ("Dir::State::Lists", at("lists")),
            ("Dir::State::status", at("status")),
            ("Dir::Cache", at("cache")),
            ("APT::Architecture", architecture.to_owned()),
            ("APT::Architectures", architecture.to_owned()),
            ("APT::Sandbox::User", "root".to_owned()),
            ("APT::Update::Error-Mode", "any".to_owned()),
            ("Acquire::Retries", "0".to_owned()),
            ("Acquire::http::Proxy", proxy.to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            ("Debug::NoLocking", "1".to_owned()),
        ];
        settings.iter().map(|(name, value)| format!("{name} \"{value}\";\n")).collect()
    }

    fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.at(name);
        fs::write(&path, text).map_err(Error::io(path))
    }
}
