//! One package: what is in it, and how `dpkg-deb` makes a file of it.

use crate::{Error, command::argv, image, tree};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A maintainer script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Before the files come.
    Preinst,
    /// After the files have come.
    Postinst,
    /// Before the files go.
    Prerm,
    /// After the files have gone.
    Postrm,
    /// Asks questions through debconf.
    Config,
    /// The questions. No program, but of the same kind for dpkg.
    Templates,
    /// Which triggers it wakes. No program either.
    Triggers,
}

impl Script {
    fn file_name(self) -> &'static str {
        match self {
            Script::Preinst => "preinst",
            Script::Postinst => "postinst",
            Script::Prerm => "prerm",
            Script::Postrm => "postrm",
            Script::Config => "config",
            Script::Templates => "templates",
            Script::Triggers => "triggers",
        }
    }
}

/// A package to be built. Paths are absolute, as in the image.
#[derive(Debug, Clone)]
pub struct PackageSpec {
    name: String,
    version: String,
    native: bool,
    sums: bool,
    fields: Vec<(String, String)>,
    files: Vec<(String, Content)>,
    conffiles: Vec<String>,
    scripts: Vec<(Script, String)>,
}

#[derive(Debug, Clone)]
enum Content {
    File {
        bytes: Vec<u8>,
        mode: u32,
    },
    Folder {
        mode: u32,
    },
    Link {
        target: String,
    },
    /// Another name of a file that comes earlier.
    HardLink {
        to: String,
    },
}

impl PackageSpec {
    /// An empty package for every architecture.
    pub fn new(name: &str, version: &str) -> PackageSpec {
        PackageSpec {
            name: name.to_owned(),
            version: version.to_owned(),
            native: false,
            sums: false,
            fields: Vec::new(),
            files: Vec::new(),
            conffiles: Vec::new(),
            scripts: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Makes it a package of this machine's architecture only.
    #[must_use]
    pub fn native(mut self) -> Self {
        self.native = true;
        self
    }

    /// Gives it `md5sums`, as packages of Debian have.
    #[must_use]
    pub fn with_sums(mut self) -> Self {
        self.sums = true;
        self
    }

    /// Adds a control field, `Depends` for one.
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
    pub fn file_with_mode(mut self, path: &str, content: &str, mode: u32) -> Self {
        self.files.push((path.to_owned(), Content::File { bytes: content.as_bytes().to_vec(), mode }));
        self
    }

    /// Adds a file that the administrator may change.
    #[must_use]
    pub fn conffile(mut self, path: &str, content: &str) -> Self {
        self.conffiles.push(path.to_owned());
        self.file(path, content)
    }

    /// Adds a folder of its own.
    #[must_use]
    pub fn folder(mut self, path: &str, mode: u32) -> Self {
        self.files.push((path.to_owned(), Content::Folder { mode }));
        self
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.files.push((path.to_owned(), Content::Link { target: target.to_owned() }));
        self
    }

    /// Adds another name of a file that was added before.
    #[must_use]
    pub fn hard_link(mut self, path: &str, to: &str) -> Self {
        self.files.push((path.to_owned(), Content::HardLink { to: to.to_owned() }));
        self
    }

    /// Adds a maintainer script.
    #[must_use]
    pub fn script(mut self, script: Script, text: &str) -> Self {
        self.scripts.push((script, text.to_owned()));
        self
    }

    /// Builds it into the pool of a repository.
    pub(super) fn build(&self, repository: &Path, architecture: &str) -> Result<Built, Error> {
        let architecture = if self.native { architecture } else { "all" };
        let path = self.pool_path(architecture);
        let file = repository.join(&path);
        let folder = file.parent().expect("the pool path has folders");
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let stage = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        self.lay_out(stage.path(), architecture)?;
        argv("dpkg-deb", ["--build", "--root-owner-group", "-Zgzip", "-z1"])
            .arg(stage.path())
            .arg(&file)
            // Later times are set to this one, in the archive and in its members.
            .env("SOURCE_DATE_EPOCH", tree::EPOCH.to_string())
            .stdout()?;
        let paragraph = paragraph(&file, &path)?;
        Ok(Built { name: self.name.clone(), version: self.version.clone(), path, paragraph })
    }

    /// Where Debian would put it; an epoch is no part of a file name.
    fn pool_path(&self, architecture: &str) -> PathBuf {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, version)| version);
        let initial = &self.name[..1];
        PathBuf::from(format!("pool/main/{initial}/{0}/{0}_{version}_{architecture}.deb", self.name))
    }

    fn lay_out(&self, stage: &Path, architecture: &str) -> Result<(), Error> {
        let control = stage.join("DEBIAN");
        make_folders(stage, &control)?;
        write(&control.join("control"), self.control(architecture).as_bytes(), 0o644)?;
        if !self.conffiles.is_empty() {
            write(&control.join("conffiles"), (self.conffiles.join("\n") + "\n").as_bytes(), 0o644)?;
        }
        for (script, text) in &self.scripts {
            let is_program = !matches!(script, Script::Templates | Script::Triggers);
            let mode = if is_program { 0o755 } else { 0o644 };
            write(&control.join(script.file_name()), text.as_bytes(), mode)?;
        }
        self.files.iter().try_for_each(|(path, content)| put(stage, path, content))?;
        if self.sums { write(&control.join("md5sums"), &self.md5sums(stage)?, 0o644) } else { Ok(()) }
    }

    /// Of every file that is no conffile.
    fn md5sums(&self, stage: &Path) -> Result<Vec<u8>, Error> {
        let is_file = |content: &Content| matches!(content, Content::File { .. } | Content::HardLink { .. });
        let files =
            self.files.iter().filter(|(path, content)| is_file(content) && !self.conffiles.contains(path));
        let mut paths: Vec<&str> = files.map(|(path, _)| path.trim_start_matches('/')).collect();
        paths.sort_unstable();
        if paths.is_empty() { Ok(Vec::new()) } else { argv("md5sum", paths).folder(stage).stdout() }
    }

    fn control(&self, architecture: &str) -> String {
        let mut text = format!(
            "Package: {}\nVersion: {}\nArchitecture: {architecture}\nMaintainer: Nobody <nobody@example.invalid>\n",
            self.name, self.version
        );
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text + "Description: a package to be patched\n"
    }
}

/// A package that has been built.
pub(super) struct Built {
    pub(super) name: String,
    pub(super) version: String,
    /// Below the repository.
    pub(super) path: PathBuf,
    /// What the index says about it.
    pub(super) paragraph: String,
}

fn paragraph(file: &Path, path: &Path) -> Result<String, Error> {
    let control = argv("dpkg-deb", ["--field"]).arg(file).text()?;
    let bytes = fs::read(file).map_err(Error::io(file))?;
    let (digest, size) = (image::digest(&bytes), bytes.len());
    let hash = digest.trim_start_matches("sha256:");
    Ok(format!("{control}Filename: {}\nSize: {size}\nSHA256: {hash}\n", path.display()))
}

fn put(stage: &Path, path: &str, content: &Content) -> Result<(), Error> {
    let place = |path: &str| stage.join(path.trim_start_matches('/'));
    let at = place(path);
    make_folders(stage, at.parent().unwrap_or(stage))?;
    match content {
        Content::File { bytes, mode } => write(&at, bytes, *mode),
        Content::Folder { mode } => {
            fs::create_dir_all(&at).map_err(Error::io(&at))?;
            set_mode(&at, *mode)
        }
        Content::Link { target } => symlink(target, &at).map_err(Error::io(&at)),
        Content::HardLink { to } => fs::hard_link(place(to), &at).map_err(Error::io(&at)),
    }
}

/// Makes folders with the usual mode, whatever the umask of this process is.
fn make_folders(stage: &Path, folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let between = folder.ancestors().take_while(|path| path.starts_with(stage));
    between.into_iter().try_for_each(|path| set_mode(path, 0o755))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    fs::write(path, bytes).map_err(Error::io(path))?;
    set_mode(path, mode)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{skip, tools};

    #[test]
    fn the_same_package_is_built_to_the_same_bytes() {
        if let Err(reason) = tools::need(&["dpkg-deb"]) {
            skip!("{reason}");
        }
        let spec = PackageSpec::new("copa-x", "1:2-1")
            .native()
            .field("Depends", "copa-y")
            .file_with_mode("/usr/bin/x", "x", 0o4755)
            .hard_link("/usr/bin/x2", "/usr/bin/x")
            .link("/usr/bin/l", "x")
            .folder("/var/lib/x", 0o700)
            .conffile("/etc/x", "x\n")
            .script(Script::Postinst, "#!/bin/sh\n");
        let build = || {
            let dir = tempfile::tempdir().unwrap();
            let built = spec.build(dir.path(), "amd64").unwrap();
            (fs::read(dir.path().join(&built.path)).unwrap(), built)
        };
        let ((first, built), (second, _)) = (build(), build());
        assert!(first == second);
        assert_eq!(built.path, Path::new("pool/main/c/copa-x/copa-x_2-1_amd64.deb"));
        for line in [
            "Package: copa-x\n",
            "Version: 1:2-1\n",
            "Architecture: amd64\n",
            "Depends: copa-y\n",
            "SHA256: ",
        ] {
            assert!(built.paragraph.contains(line), "{}", built.paragraph);
        }
    }
}
