//! Bytes of an image's own records to an [`Inventory`]: os-release, dpkg status, repository configuration. No I/O.

pub mod apk;
pub mod apt_sources;
pub mod apt_states;
pub mod deb822;
pub mod dpkg;
pub mod family;
pub mod os_release;
pub mod pacman;
mod printable;
pub mod rpm;
pub mod wall;

pub use printable::printable;

use std::collections::BTreeMap;
use version::{PackageName, Scheme};

/// What an image says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// `/etc/os-release` (or `/usr/lib/os-release`).
    pub os: OsRelease,
    /// The order of its packages' versions.
    pub scheme: Scheme,
    /// Installed packages, sorted by name and architecture.
    pub packages: Vec<Package>,
    /// What the records of the image leave in doubt (half-configured packages, unreadable stanzas), for the user.
    pub notes: Vec<String>,
}

/// The fields of os-release(5) that we use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`, lower case.
    pub id: String,
    /// `ID_LIKE`, split at blanks.
    pub id_like: Vec<String>,
    /// `VERSION_ID`, empty where absent (Debian sid).
    pub version_id: String,
    /// `VERSION_CODENAME`.
    pub codename: Option<String>,
    /// `PRETTY_NAME`.
    pub pretty_name: Option<String>,
}

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Name without architecture qualifier.
    pub name: PackageName,
    /// Installed version as the database writes it.
    pub version: String,
    /// Architecture in the distribution's words (`amd64`, `all`).
    pub architecture: String,
    /// Source package; equal to the name where the database gives none.
    pub source: String,
    /// Version of the source package.
    pub source_version: String,
    /// The administrator asked that it stay (`hold`).
    pub held: bool,
    /// Fully installed, or what is the matter with it.
    pub state: PackageState,
    /// `Essential: yes` or `Protected: yes`.
    pub essential: bool,
    /// `Multi-Arch: same`: several architectures may be installed side by side.
    pub multi_arch_same: bool,
    /// Versions of it are installed beside each other and none takes another's place (rpm's kernels).
    pub install_only: bool,
}

/// How far a package is installed, in dpkg's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageState {
    /// `installed`.
    Installed,
    /// `unpacked`, `half-installed`, `half-configured`, `triggers-awaited`, `triggers-pending`.
    Unfinished(&'static str),
}

/// Installed packages by name, for look-ups.
pub type ByName<'a> = BTreeMap<&'a str, Vec<&'a Package>>;

/// Why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The record is larger than any real one.
    #[error("{bytes} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most taken.
        limit: usize,
    },
    /// The record is not what its name says.
    #[error("{0}")]
    Malformed(String),
}

impl Inventory {
    /// Installed packages by name.
    pub fn by_name(&self) -> ByName<'_> {
        let mut map = ByName::new();
        for package in &self.packages {
            map.entry(package.name.as_str()).or_default().push(package);
        }
        map
    }

    /// The version of an installed package of any architecture (`dpkg`, `apt`).
    pub fn version_of(&self, name: &str) -> Option<&str> {
        self.packages.iter().find(|p| p.name.as_str() == name).map(|p| p.version.as_str())
    }
}

/// Refuses what is larger than any real record of its kind.
fn check_size(bytes: &[u8], limit: usize) -> Result<(), Error> {
    match bytes.len() > limit {
        true => Err(Error::TooLarge { bytes: bytes.len(), limit }),
        false => Ok(()),
    }
}
