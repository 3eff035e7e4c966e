//! One package: what is in it, and the file that `makepkg` would make of it, made with the real `bsdtar`.

use crate::tar::{self, Entry, Kind};
use crate::{Error, chroot, command::Argv, command::argv, tree};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// A package to be built. Paths are absolute, as in the image.
#[derive(Debug, Clone)]
pub struct PacmanSpec {
    name: String,
    version: String,
    fields: Vec<(String, String)>,
    files: Vec<Entry>,
    script: Option<String>,
}

impl PacmanSpec {
    /// An empty package; its version is `[epoch:]version-release`.
    pub fn new(name: &str, version: &str) -> PacmanSpec {
        let (name, version) = (name.to_owned(), version.to_owned());
        PacmanSpec { name, version, fields: Vec::new(), files: Vec::new(), script: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Adds a line of `.PKGINFO`: `depend`, `provides`, `conflict`, `replaces`.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a file with mode 0644.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> Self {
        self.file_with_mode(path, content, 0o644)
    }

    /// Adds a file with any mode, setuid included.
    #[must_use]
    pub fn file_with_mode(self, path: &str, content: &str, mode: u32) -> Self {
        self.entry(path, Kind::File(content.as_bytes().to_vec()), mode)
    }

    /// Adds a file that the administrator may change.
    #[must_use]
    pub fn backup(self, path: &str, content: &str) -> Self {
        self.field("backup", path.trim_start_matches('/')).file(path, content)
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(path, Kind::Symlink(target.as_bytes().to_vec()), 0o777)
    }

    /// Adds another name of a file that was added before.
    #[must_use]
    pub fn hard_link(self, path: &str, to: &str) -> Self {
        self.entry(path, Kind::Hardlink(to.trim_start_matches('/').as_bytes().to_vec()), 0o644)
    }

    /// Gives it an install script: functions `post_install`, `pre_upgrade` and so on.
    #[must_use]
    pub fn script(mut self, functions: &str) -> Self {
        self.script = Some(functions.to_owned());
        self
    }

    fn entry(mut self, path: &str, kind: Kind, mode: u32) -> Self {
        let path = path.trim_start_matches('/');
        if let Some((folder, _)) = path.rsplit_once('/') {
            crate::distroless::layer::add_folders(&mut self.files, folder);
        }
        self.files.push(Entry::new(path, kind).mode(mode));
        self
    }

    /// Builds it into `folder`; gives the file.
    pub(super) fn build(&self, folder: &Path) -> Result<PathBuf, Error> {
        let stage = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let (tar, tree) = (stage.path().join("files.tar"), stage.path().join("files"));
        fs::write(&tar, tar::write(&self.files)).map_err(Error::io(&tar))?;
        chroot::unpack(&tar, &tree)?;
        self.pack(&tree, folder)
    }

    /// Packs a tree that is laid out already, and writes what a package has beside its files.
    pub(super) fn pack(&self, tree: &Path, folder: &Path) -> Result<PathBuf, Error> {
        // Of the time of the build, as makepkg does it; a time of now could lie within the run that installs the package.
        let built = UNIX_EPOCH + Duration::from_secs(tree::EPOCH.unsigned_abs());
        let write = |name: &str, text: &str| {
            let path = tree.join(name);
            let written = fs::write(&path, text)
                .and_then(|()| File::options().write(true).open(&path)?.set_modified(built));
            written.map_err(Error::io(path))
        };
        write(".PKGINFO", &self.information(tree)?)?;
        if let Some(script) = &self.script {
            write(".INSTALL", script)?;
        }
        let members = members(tree)?;
        let options = "--options=!all,use-set,type,uid,gid,mode,time,size,md5,sha256,link";
        let list = bsdtar(tree, &["-czf", ".MTREE", "--format=mtree", options]);
        members.iter().fold(list, Argv::arg).stdout()?;
        let members = members.iter().filter(|name| !name.starts_with('.')).map(String::as_str);
        let control = [".PKGINFO", ".MTREE"].into_iter().chain(self.script.iter().map(|_| ".INSTALL"));
        let plain = tree.with_extension("tar");
        let pack = bsdtar(tree, &["--no-fflags", "-cf"]).arg(&plain);
        control.chain(members).fold(pack, Argv::arg).stdout()?;
        let file = folder.join(format!(
            "{}-{}-{}.pkg.tar.zst",
            self.name,
            self.version,
            super::native_architecture()
        ));
        argv("zstd", ["-q", "-3", "--force", "-o"]).arg(&file).arg(&plain).stdout()?;
        Ok(file)
    }

    fn information(&self, tree: &Path) -> Result<String, Error> {
        let Self { name, version, .. } = self;
        let size = argv("du", ["--apparent-size", "--block-size=1", "-s"]).arg(tree).text()?;
        let size = size.split_whitespace().next().unwrap_or("0");
        let fields: String = self.fields.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        Ok(format!(
            "pkgname = {name}\npkgbase = {name}\npkgver = {version}\npkgdesc = a package to be patched\n\
             url = https://example.invalid\nbuilddate = {}\npackager = Nobody <nobody@example.invalid>\nsize = {size}\n\
             arch = {}\nlicense = custom\n{fields}",
            tree::EPOCH,
            super::native_architecture()
        ))
    }
}

/// The names at the top of a tree, those with a dot first.
fn members(tree: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(tree).map_err(Error::io(tree))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.retain(|name| name != ".MTREE");
    names.sort();
    Ok(names)
}

/// What is made is root's, whoever makes it.
fn bsdtar(tree: &Path, words: &[&str]) -> Argv {
    let owner = ["--uid", "0", "--gid", "0", "--uname", "root", "--gname", "root"];
    let bsdtar = argv("bsdtar", owner).folder(tree).env("LC_ALL", "C");
    words.iter().fold(bsdtar, Argv::arg)
}
