//! The tree of an image, unpacked by the real `umoci`, in which programs run with processes and mounts of their own.

use crate::command::{Argv, Ran, argv};
use crate::{Error, image::Layout, probe};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An unpacked image; gone when dropped.
pub struct Chroot {
    folder: TempDir,
}

/// Whether there can be one here; a reason to skip where there cannot.
pub fn needs() -> Result<(), String> {
    let programs = probe::programs(&["umoci", "unshare", "mknod"]);
    probe::first_reason([probe::root(), probe::mounting(), programs])
}

impl Chroot {
    /// Unpacks the image `tag` of a layout, and adds the devices that programs cannot do without.
    pub fn of(layout: &Layout, tag: &str) -> Result<Chroot, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let chroot = Chroot { folder };
        let name = format!("{}:{tag}", layout.directory().display());
        argv("umoci", ["unpack", "--image", &name]).arg(chroot.folder.path().join("bundle")).stdout()?;
        for folder in ["dev", "proc"] {
            let path = chroot.at(folder);
            fs::create_dir_all(&path).map_err(Error::io(path))?;
        }
        for (name, minor) in [("null", "3"), ("zero", "5"), ("full", "7"), ("random", "8"), ("urandom", "9")]
        {
            let path = chroot.at(&format!("dev/{name}"));
            argv("mknod", ["-m", "666"]).arg(path).arg("c").arg("1").arg(minor).stdout()?;
        }
        Ok(chroot)
    }

    /// A path of the image, as this machine sees it.
    pub fn at(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    /// The root of the image, as this machine sees it.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("bundle/rootfs")
    }

    /// The content of a text file; nothing where there is none.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    /// Runs a program of the image to its end, whatever that is.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran, Error> {
        let proc = format!("--mount-proc={}", self.at("proc").display());
        let inside = argv("unshare", ["--mount", "--pid", "--fork", "--kill-child", &proc, "chroot"])
            .arg(self.path())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            // What is served on loopback is asked directly.
            .env("http_proxy", "");
        arguments.iter().fold(inside, Argv::arg).output()
    }
}

/// All that a program said.
pub fn words(ran: &Ran) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

/// Writes entries below a folder of this machine, by the real tar.
pub(crate) fn unpack(tar: &Path, folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    argv("tar", ["--numeric-owner", "-xpf"]).arg(tar).arg("-C").arg(folder).stdout().map(drop)
}
