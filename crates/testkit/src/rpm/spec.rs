//! One package of ours: what is in it, and how the real `rpmbuild` makes a file of it.

use super::{DIST, build};
use crate::Error;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// A scriptlet of a package, by its name in a spec file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scriptlet {
    /// Before the files come. A bad end stops the package.
    Pre,
    /// After the files have come. A bad end is only told.
    Post,
    /// Before the files go.
    Preun,
    /// After the files have gone.
    Postun,
    /// After the whole transaction.
    Posttrans,
}

impl Scriptlet {
    fn section(self) -> &'static str {
        match self {
            Scriptlet::Pre => "%pre",
            Scriptlet::Post => "%post",
            Scriptlet::Preun => "%preun",
            Scriptlet::Postun => "%postun",
            Scriptlet::Posttrans => "%posttrans",
        }
    }
}

/// A package to be built. Paths are absolute, as in the image; folders are owned only where they are added.
#[derive(Debug, Clone)]
pub struct PackageSpec {
    name: String,
    version: String,
    release: String,
    architecture: String,
    tags: String,
    scriptlets: String,
    files: Vec<(String, Content, String)>,
}

#[derive(Debug, Clone)]
enum Content {
    File(String, u32),
    Folder(u32),
    Link(String),
    HardLink(String),
    /// Owned, but not brought.
    Ghost,
}

impl PackageSpec {
    /// An empty package of this machine's architecture. [`DIST`] is added to the release.
    pub fn new(name: &str, version: &str, release: &str) -> PackageSpec {
        PackageSpec {
            name: name.to_owned(),
            version: version.to_owned(),
            release: format!("{release}{DIST}"),
            architecture: std::env::consts::ARCH.to_owned(),
            tags: String::new(),
            scriptlets: String::new(),
            files: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes it one of another architecture, `noarch` too.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        self.architecture = architecture.to_owned();
        self
    }

    /// Adds a line of the head, `Requires` for one.
    #[must_use]
    pub fn tag(mut self, name: &str, value: &str) -> Self {
        self.tags.push_str(&format!("{name}: {value}\n"));
        self
    }

    /// Adds a file with mode 0644.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> Self {
        self.put(path, Content::File(content.to_owned(), 0o644), "")
    }

    /// Adds a program, mode 0755, or with more bits.
    #[must_use]
    pub fn program(self, path: &str, content: &str, mode: u32) -> Self {
        self.put(path, Content::File(content.to_owned(), mode), "")
    }

    /// Adds a file of the administrator's, kept when it was changed: `%config(noreplace)`.
    #[must_use]
    pub fn config(self, path: &str, content: &str) -> Self {
        self.put(path, Content::File(content.to_owned(), 0o644), "%config(noreplace) ")
    }

    /// Adds a program with file capabilities, `cap_net_raw=ep`.
    #[must_use]
    pub fn capable(self, path: &str, content: &str, capabilities: &str) -> Self {
        self.put(path, Content::File(content.to_owned(), 0o755), &format!("%caps({capabilities}) "))
    }

    /// Adds a folder.
    #[must_use]
    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.put(path, Content::Folder(mode), "%dir ")
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.put(path, Content::Link(target.to_owned()), "")
    }

    /// Adds another name of a file that was added before.
    #[must_use]
    pub fn hard_link(self, path: &str, to: &str) -> Self {
        self.put(path, Content::HardLink(to.to_owned()), "")
    }

    /// Adds a file that the package owns and does not bring.
    #[must_use]
    pub fn ghost(self, path: &str) -> Self {
        self.put(path, Content::Ghost, "%ghost ")
    }

    /// Adds a scriptlet for `/bin/sh`.
    #[must_use]
    pub fn scriptlet(mut self, scriptlet: Scriptlet, text: &str) -> Self {
        self.scriptlets.push_str(&format!("{}\n{text}\n", scriptlet.section()));
        self
    }

    fn put(mut self, path: &str, content: Content, mark: &str) -> Self {
        self.files.push((path.to_owned(), content, mark.to_owned()));
        self
    }

    /// Builds it into a folder.
    pub(super) fn build(&self, into: &Path) -> Result<(), Error> {
        let stage = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        for (path, content, _) in &self.files {
            put(stage.path(), path, content)?;
        }
        build::rpmbuild(&self.text(stage.path()), &self.architecture, into)
    }

    fn text(&self, stage: &Path) -> String {
        let mut text = format!("Name: {}\nVersion: {}\nRelease: {}\n", self.name, self.version, self.release);
        if self.architecture == "noarch" {
            text += "BuildArch: noarch\n";
        }
        text += &format!("Summary: {}\n{}{}%description\nfor tests\n", self.name, build::HEAD, self.tags);
        text +=
            &format!("%install\ncp -a {}/. %{{buildroot}}/\n{}%files\n", stage.display(), self.scriptlets);
        for (path, content, mark) in &self.files {
            let mode = if let Content::File(_, mode) | Content::Folder(mode) = content { *mode } else { 0 };
            let mode = if mode == 0 { "-".to_owned() } else { format!("{mode:o}") };
            let _ = writeln!(text, "%attr({mode},root,root) {mark}\"{path}\"");
        }
        text
    }
}

fn put(stage: &Path, path: &str, content: &Content) -> Result<(), Error> {
    let place = |path: &str| stage.join(path.trim_start_matches('/'));
    let at = place(path);
    let parent = at.parent().unwrap_or(stage);
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    match content {
        Content::File(text, mode) => {
            fs::write(&at, text).map_err(Error::io(&at))?;
            fs::set_permissions(&at, fs::Permissions::from_mode(*mode)).map_err(Error::io(&at))
        }
        Content::Folder(_) => fs::create_dir_all(&at).map_err(Error::io(&at)),
        Content::Link(target) => symlink(target, &at).map_err(Error::io(&at)),
        Content::HardLink(to) => fs::hard_link(place(to), &at).map_err(Error::io(&at)),
        Content::Ghost => fs::write(&at, "").map_err(Error::io(&at)),
    }
}
