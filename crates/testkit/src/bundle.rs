//! Programs of other Debian releases than this machine's: unpacked under `.testkit`, each set in a folder of its own so that
//! several versions stand side by side; nothing of them is installed, and no service of theirs is started.

use crate::debian_root::Suite;
use crate::{Error, debs, image, workspace};
use std::ffi::OsString;
use std::path::PathBuf;

/// Packages that are unpacked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundle {
    /// What its folder is called, beside the release.
    pub name: &'static str,
    /// The release that its packages are of. They must run with the C library of Debian 12.
    pub suite: Suite,
    /// Names of packages; what they depend on comes only where it is named as well.
    pub packages: &'static [&'static str],
}

/// What runs containers, and the first process of a namespace. Newer ones want a newer C library.
pub const RUNTIME: Bundle =
    Bundle { name: "container-runtime", suite: Suite::Bookworm, packages: &["runc", "tini"] };

/// The daemon and the command line of docker, 26 when this was written, with a containerd 1.7.
pub const DOCKER_26: Bundle =
    Bundle { name: "docker", suite: Suite::Trixie, packages: &["docker.io", "docker-cli", "containerd"] };

/// The daemon and the command line of docker, 28 when this was written, with a containerd 2.1.
pub const DOCKER_28: Bundle =
    Bundle { name: "docker", suite: Suite::Forky, packages: &["docker.io", "docker-cli", "containerd"] };

/// Podman 4.3 with what watches its containers, and the libraries that not every machine has.
pub const PODMAN: Bundle = Bundle {
    name: "podman",
    suite: Suite::Bookworm,
    packages: &[
        "podman",
        "conmon",
        "libassuan0",
        "libdevmapper1.02.1",
        "libglib2.0-0",
        "libgpgme11",
        "libseccomp2",
        "libsubid4",
    ],
};

/// The judge of images that go-containerregistry comes with.
pub const CRANE: Bundle = Bundle { name: "crane", suite: Suite::Forky, packages: &["crane"] };

/// All of them.
pub const ALL: [Bundle; 5] = [RUNTIME, DOCKER_26, DOCKER_28, PODMAN, CRANE];

impl Bundle {
    /// Where it is unpacked, or will be.
    pub fn folder(&self) -> PathBuf {
        let fingerprint = &image::digest(self.packages.join(" ").as_bytes())["sha256:".len()..][..6];
        let name = format!("{}-{}-{fingerprint}", self.name, self.suite.name());
        workspace::cache().join("programs").join(name)
    }

    /// Downloads and unpacks it, if it is not there yet.
    pub fn bring(&self) -> Result<(), Error> {
        let architecture = image::native_architecture();
        let (name, suite, packages) = (self.name, self.suite, self.packages);
        let wanted = debs::Wanted { name, suite, architecture, packages, closed: false };
        workspace::once(&self.folder(), |unfinished| debs::unpack(&wanted, unfinished))
    }

    /// Whether it is there or can be brought; a reason to skip where neither.
    pub fn needs(&self) -> Result<(), String> {
        if self.folder().exists() { Ok(()) } else { debs::needs() }
    }

    /// The folders of its programs.
    pub fn program_folders(&self) -> [PathBuf; 2] {
        ["usr/bin", "usr/sbin"].map(|folder| self.folder().join(folder))
    }

    /// The folders of its libraries.
    pub fn library_folders(&self) -> [PathBuf; 2] {
        let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
        ["usr/lib", "lib"].map(|folder| self.folder().join(folder).join(&machine))
    }
}

impl std::fmt::Display for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of Debian {}", self.packages.join(" "), self.suite.name())
    }
}

/// A search path with the programs of `bundles` before those of the system.
pub fn search_path(bundles: &[Bundle]) -> OsString {
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];
    let own = bundles.iter().flat_map(Bundle::program_folders);
    joined(own.chain(system.map(PathBuf::from)))
}

/// A search path for the libraries of `bundles`.
pub fn library_path(bundles: &[Bundle]) -> OsString {
    joined(bundles.iter().flat_map(Bundle::library_folders))
}

fn joined(folders: impl IntoIterator<Item = PathBuf>) -> OsString {
    std::env::join_paths(folders).expect("folders of the workspace have no colon in their names")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_lie_side_by_side_and_a_change_of_packages_is_another_folder() {
        let mut folders: Vec<PathBuf> = ALL.iter().map(Bundle::folder).collect();
        folders.push(Bundle { packages: &["docker.io"], ..DOCKER_28 }.folder());
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), ALL.len() + 1);
        let path = search_path(&[DOCKER_26, RUNTIME]);
        let first = std::env::split_paths(&path).next().unwrap();
        assert_eq!(first, DOCKER_26.folder().join("usr/bin"));
    }
}
