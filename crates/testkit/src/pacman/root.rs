//! The root of an Arch-like image: the real pacman and what it needs, from Debian's packages, as one package that the real
//! pacman of this machine has installed. Kept under `.testkit`.

use super::PacmanSpec;
use crate::debian_root::Suite;
use crate::{Error, command::Argv, command::argv, debs, debs::Wanted, distroless::layer, image, workspace};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The one package that has everything of Debian.
pub const BASE: &str = "base-debian";

/// `os-release` of Arch.
pub const OS_RELEASE: &str = "NAME=\"Arch Linux\"\nPRETTY_NAME=\"Arch Linux\"\nID=arch\nBUILD_ID=rolling\n\
    VERSION_ID=20240101.0.204074\nHOME_URL=\"https://archlinux.org/\"\n";

/// Packages that others want but pacman does not.
const LEFT_OUT: &[&str] =
    &["base-files", "debianutils", "dpkg", "libperl", "libpython3", "perl", "python3", "tar_"];

/// The tar of the root; made if it is not there yet.
pub fn root() -> Result<PathBuf, Error> {
    let path = workspace::cache().join("roots").join("arch.tar");
    workspace::once(&path, |unfinished| {
        let scratch = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let (stage, root) = (scratch.path().join("stage"), scratch.path().join("root"));
        lay_out(&stage)?;
        let package = PacmanSpec::new(BASE, "1-1").pack(&stage, scratch.path())?;
        install(&root, &[package])?;
        let pack =
            argv("tar", ["--numeric-owner", "--sort=name", "--exclude=./dev/*", "-cf"]).arg(unfinished);
        pack.arg("-C").arg(&root).arg(".").stdout().map(drop)
    })?;
    Ok(path)
}

/// Installs packages into a root by this machine's pacman, which trusts them unseen.
pub(super) fn install(root: &Path, packages: &[PathBuf]) -> Result<(), Error> {
    for folder in ["var/lib/pacman", "var/log", "etc/pacman.d"] {
        let path = root.join(folder);
        fs::create_dir_all(&path).map_err(Error::io(path))?;
    }
    let configuration = tempfile::NamedTempFile::new().map_err(Error::io("temporary file"))?;
    let text = format!(
        "[options]\nArchitecture = {}\nSigLevel = Never\nLocalFileSigLevel = Never\n",
        super::native_architecture()
    );
    fs::write(configuration.path(), text).map_err(Error::io(configuration.path()))?;
    let pacman =
        argv("pacman", ["--noconfirm", "--config"]).arg(configuration.path()).arg("--root").arg(root);
    let pacman = pacman.arg("--dbpath").arg(root.join("var/lib/pacman")).arg("--logfile").arg("/dev/null");
    let pacman = pacman.arg("--cachedir").arg(root.join("var/cache/pacman/pkg")).arg("-U");
    packages.iter().fold(pacman, Argv::arg).stdout().map(drop)
}

fn lay_out(stage: &Path) -> Result<(), Error> {
    let folders = "usr/bin usr/lib usr/share etc/pacman.d dev proc sys run tmp root var/lib/pacman var/cache/pacman/pkg var/log";
    for folder in folders.split(' ') {
        let path = stage.join(folder);
        fs::create_dir_all(&path).map_err(Error::io(path))?;
    }
    let links = [
        ("bin", "usr/bin"),
        ("sbin", "usr/bin"),
        ("usr/sbin", "bin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib"),
        ("usr/lib64", "lib"),
    ];
    let links = links.into_iter().chain([("etc/os-release", "../usr/lib/os-release")]);
    for (name, target) in links {
        let path = stage.join(name);
        symlink(target, &path).map_err(Error::io(path))?;
    }
    packages()?.iter().try_for_each(|deb| unpack(deb, stage))?;
    let shell = stage.join("usr/bin/sh");
    let _ = fs::remove_file(&shell);
    symlink("bash", &shell).map_err(Error::io(shell))?;
    for (name, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("etc/group", "root:x:0:\n"),
        ("usr/lib/os-release", OS_RELEASE),
    ] {
        let path = stage.join(name);
        fs::write(&path, text).map_err(Error::io(path))?;
    }
    Ok(())
}

fn packages() -> Result<Vec<PathBuf>, Error> {
    let wanted = Wanted {
        name: "pacman",
        suite: Suite::Bookworm,
        architecture: image::native_architecture(),
        packages: &["pacman-package-manager", "bash", "coreutils", "sed", "grep", "gpg", "gpg-agent", "gawk"],
        closed: true,
    };
    let is_wanted = |deb: &PathBuf| {
        let name = deb.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        !LEFT_OUT.iter().any(|start| name.starts_with(start))
    };
    Ok(debs::of(&wanted)?.into_iter().filter(is_wanted).collect())
}

/// Unpacks a package without what nobody reads.
fn unpack(deb: &Path, stage: &Path) -> Result<(), Error> {
    let name = layer::field(deb, "Package")?;
    let tar = stage.with_file_name(format!("{name}.tar"));
    let bytes = argv("dpkg-deb", ["--fsys-tarfile"]).arg(deb).stdout()?;
    fs::write(&tar, bytes).map_err(Error::io(&tar))?;
    let unpack = argv("tar", ["-x", "--keep-directory-symlink", "-f"]).arg(&tar).arg("-C").arg(stage);
    let left_out = ["doc", "man", "info", "locale"].map(|folder| format!("--exclude=./usr/share/{folder}/*"));
    let unpack = left_out.iter().fold(unpack, Argv::arg).arg("--exclude=./usr/lib/*/gconv/*");
    unpack.stdout()?;
    fs::remove_file(&tar).map_err(Error::io(tar))
}
