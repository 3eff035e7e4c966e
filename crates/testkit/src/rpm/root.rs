//! The roots that images are made of: packages put in place by the real rpm, and what a family adds to them. Made once.

use super::database;
use super::family::{Base, Family};
use super::{Repo, Repositories, scenario};
use crate::command::{Argv, argv};
use crate::image_reader::plain;
use crate::tar::{self, Entry, Kind, Reader};
use crate::{Error, tree, workspace};
use std::fs;
use std::path::{Path, PathBuf};

/// Where an image has the key that packages are signed with.
pub const KEY_PATH: &str = "/etc/pki/rpm-gpg/RPM-GPG-KEY-test";

/// What the stand-in for tdnf was called with: a line a call. It is below `/run`, which no layer has.
pub const TDNF_LOG: &str = "/run/tdnf-stand-in.log";

/// Stands in for `tdnf`, which no package of Debian brings: it takes the options that tdnf 3 documents and no others, writes down what
/// it was called with, tells so on stderr, and lets the real dnf 4 do the work.
const TDNF_STAND_IN: &str = r#"#!/bin/bash
# A stand-in: this is not tdnf. What it does is done by the real dnf.
echo "$*" >>/run/tdnf-stand-in.log
echo "tdnf (stand-in): $*" >&2
translated=()
while [ $# -gt 0 ]; do
  case "$1" in
    --skipsignature) translated+=(--nogpgcheck) ;;
    --assumeno|--assumeyes|-y|--allowerasing|--best|--cacheonly|-C|--downloadonly|--nogpgcheck|--noplugins) translated+=("$1") ;;
    --quiet|-q|--refresh|--security|--skip-broken|--obsoletes|--verbose|-v|--version|--help|-h) translated+=("$1") ;;
    --disablerepo=*|--enablerepo=*|--exclude=*|--installroot=*|--releasever=*|--repofrompath=*) translated+=("$1") ;;
    --repo=*|--repoid=*|--setopt=*|--config=*|--downloaddir=*|--forcearch=*|--disableplugin=*) translated+=("$1") ;;
    --disablerepo|--enablerepo|--exclude|--installroot|--releasever|--repofrompath|--repo|--repoid|--setopt|--config|-c)
      translated+=("$1" "$2"); shift ;;
    -i) translated+=(--installroot "$2"); shift ;;
    -*) echo "tdnf (stand-in): tdnf has no option $1" >&2; exit 1 ;;
    *) translated+=("$1") ;;
  esac
  shift
done
exec /usr/bin/dnf-3 "${translated[@]}"
"#;

/// The folder of the root that families of this base share. It is only to be read.
pub(super) fn base(base: Base) -> Result<PathBuf, Error> {
    let repositories = Repositories::of(base.series())?;
    let folder = cached(&format!("root-{}", base.name()), &repositories);
    workspace::once(&folder, |unfinished| install_base(base, &repositories, unfinished))?;
    Ok(folder)
}

/// The layer that a family adds to the root of its base.
pub(super) fn layer(family: Family) -> Result<Vec<Entry>, Error> {
    let repositories = Repositories::of(family.series())?;
    let path = cached(&format!("layer-{}", family.name()), &repositories);
    workspace::once(&path, |unfinished| {
        let entries = make_layer(family, &repositories)?;
        fs::write(unfinished, tar::write(&entries)).map_err(Error::io(unfinished))
    })?;
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    Reader::new(&bytes[..]).collect()
}

/// A name in the cache that changes with the sources of the packages, of this and of the databases.
pub(super) fn cached(name: &str, repositories: &Repositories) -> PathBuf {
    let sources = [include_str!("root.rs"), include_str!("database.rs")].concat();
    let fingerprint = &crate::image::digest(sources.as_bytes())["sha256:".len()..][..6];
    workspace::cache().join("rpm").join(format!("{name}-{}-{fingerprint}", repositories.stem()))
}

fn install_base(base: Base, repositories: &Repositories, root: &Path) -> Result<(), Error> {
    fs::create_dir_all(root).map_err(Error::io(root))?;
    // First the folders, so that the links of merged ones are there.
    install(root, base.database(), &repositories.closure(&["filesystem"])?)?;
    let mut names = base.packages();
    if base != Base::Micro {
        names.extend([scenario::DAEMON]);
        names.extend(scenario::PLAIN);
    }
    let mut files = repositories.closure(&names)?;
    if base != Base::Micro {
        files.extend(several(base, repositories));
    }
    install(root, base.database(), &files)
}

/// What is installed in several versions, or for several architectures.
fn several(base: Base, repositories: &Repositories) -> Vec<PathBuf> {
    let own = std::env::consts::ARCH;
    let package = |name, version, architecture| repositories.package(Repo::Base, name, version, architecture);
    let kernels = scenario::KERNELS.map(|version| package(scenario::KERNEL, version, own));
    // SUSE gives packages of a second architecture other names.
    let architectures = if base.has_zypper() { None } else { scenario::multilib() };
    let multilib = architectures.into_iter().chain([own]);
    kernels
        .into_iter()
        .chain(multilib.map(|architecture| package(scenario::MULTILIB, scenario::OLD, architecture)))
        .collect()
}

fn install(root: &Path, database: &str, files: &[PathBuf]) -> Result<(), Error> {
    let install = rpm(root, database).arg("--install").arg("--nosignature");
    files.iter().fold(install, Argv::arg).stdout().map(drop)
}

/// The real rpm of this machine, on another root.
fn rpm(root: &Path, database: &str) -> Argv {
    let rpm = argv("rpm", ["--root"]).arg(root).arg("--define").arg(format!("_dbpath {database}"));
    rpm.env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8")
}

fn make_layer(family: Family, repositories: &Repositories) -> Result<Vec<Entry>, Error> {
    let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
    let root = folder.path().join("root");
    copy(&base(family.base())?, &root)?;
    let database = family.database();
    let package = format!("{}-release", scenario::release_stem(family));
    install(&root, database, &repositories.closure(&[&package])?)?;
    if family.has_key() {
        rpm(&root, database).arg("--import").arg(repositories.key_path()).stdout()?;
    }
    let files = rpm(&root, database).arg("--query").arg("--list").arg(&package).text()?;
    let mut paths: Vec<String> = files.lines().map(|path| path.trim_start_matches('/').to_owned()).collect();
    let mut gone = Vec::new();
    database::convert(family, &root, &mut gone)?;
    if family != Family::AzureLinuxDistroless {
        paths.push(database.trim_start_matches('/').to_owned());
    } else {
        paths.push("var/lib/rpmmanifest".to_owned());
    }
    let mut entries = read_paths(&root, &paths)?;
    entries.extend(additions(family, &root, &mut gone)?);
    entries.push(Entry::file(KEY_PATH.trim_start_matches('/'), read(&repositories.key_path())?));
    entries.extend(gone.iter().map(|path| tree::whiteout(path.as_bytes())));
    Ok(entries)
}

/// What a family has beside its packages; what it has not is added to `gone`.
fn additions(family: Family, root: &Path, gone: &mut Vec<String>) -> Result<Vec<Entry>, Error> {
    let link = |name: &str, target: &str| {
        Entry::new(format!("usr/bin/{name}"), Kind::Symlink(target.as_bytes().to_vec()))
    };
    Ok(match family {
        Family::Rocky | Family::AlmaLinux | Family::Amazon => vec![link("yum", "dnf-3")],
        Family::Fedora => ["dnf", "yum", "microdnf"].map(|name| link(name, "dnf5")).to_vec(),
        Family::AzureLinux => {
            gone.push("usr/bin/dnf".to_owned());
            vec![Entry::file("usr/bin/tdnf", TDNF_STAND_IN).mode(0o755)]
        }
        Family::RockyMinimal => {
            gone.push("usr/bin/dnf5".to_owned());
            vec![Entry::file("usr/bin/microdnf", read(&root.join("usr/bin/dnf5"))?).mode(0o755)]
        }
        _ => Vec::new(),
    })
}

/// Copies a tree with everything that rpm sets.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    argv("cp", ["--archive", "--reflink=auto"]).arg(from).arg(to).stdout().map(drop)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::io(path))
}

/// Writes a tar of a whole root, without anything of this machine.
pub(super) fn pack(root: &Path, file: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(root).map_err(Error::io(root))?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let pack = packing(root).arg("--file").arg(file);
    names.iter().fold(pack, Argv::arg).stdout().map(drop)
}

fn packing(root: &Path) -> Argv {
    let how = ["--create", "--format=pax", "--pax-option=delete=atime,delete=ctime", "--sort=name"];
    let what = ["--numeric-owner", "--xattrs", "--xattrs-include=security.capability", "--directory"];
    argv("tar", how.iter().chain(&what)).arg(root)
}

fn read_paths(root: &Path, paths: &[String]) -> Result<Vec<Entry>, Error> {
    let bytes = paths.iter().fold(packing(root).arg("--file=-"), Argv::arg).stdout()?;
    let mut entries = Reader::new(&bytes[..]).collect()?;
    entries.iter_mut().for_each(|entry| entry.path = plain(&entry.path));
    Ok(entries)
}
