//! Synthetic RPM distributions: Debian's binaries in RPM packages, installed, signed and indexed by the real tools.
//!
//! Real are rpm, rpmbuild, rpmsign, createrepo_c, and inside of the images dnf 4 with its versionlock plugin, dnf5, zypper and rpm.
//! `tdnf` is a stand-in ([`Family::is_stand_in`]): it writes down what it was called with ([`TDNF_LOG`]) and lets dnf 4 do the work.
//! `microdnf` is dnf5 by another name, as in newer distributions. Berkeley databases are written by `db5.3_load`, NDB by rpm 6.
//!
//! ```no_run
//! use testkit::{apt_repository::Served, image::Layout, rpm, rpm::scenario};
//! # fn main() -> Result<(), testkit::Error> {
//! let family = rpm::Family::Rocky;
//! // Built once and kept in `.testkit`; every repository is a folder in it.
//! let repositories = rpm::Repositories::of(family.series())?;
//! let served = Served::start(&repositories.folder())?; // has a log and can be made to fail
//! let setup = rpm::Setup::new(family, &served.url()) // with `base` and `updates`; other ones by `.repositories(..)`
//!     .hold(scenario::HELD) // locked in the way of its tool
//!     .file("etc/demo/demo.conf", "setting = mine\n");
//! setup.add(&Layout::create("layout".as_ref())?, "rocky")?; // an image of three layers, the last one with what a run has of its own
//! setup.unpack("root".as_ref())?; // or the root itself, for a run in a chroot
//! assert_eq!(rpm::verify("root".as_ref(), family.database(), &[scenario::LIBRARY])?, [""; 0]);
//! let packages = rpm::installed("root".as_ref(), family.database())?; // (name, epoch:version-release, architecture)
//! assert!(packages.contains(&(scenario::LIBRARY.into(), scenario::LIBRARY_OLD.into(), "x86_64".into())));
//! # Ok(()) }
//! ```
//! What is in the repositories is said in [`scenario`]: names, the versions before and after, and what each package is for.

mod build;
pub mod database;
mod debs;
mod family;
mod image;
mod judge;
mod key;
mod repository;
mod root;
pub mod scenario;
mod spec;
mod world;

pub use family::{FAMILIES, Family, Series};
pub use image::Setup;
pub use judge::{Installed, installed, verify};
pub use repository::{Repo, Repositories};
pub use root::{KEY_PATH, TDNF_LOG};

use crate::{mirror, probe, tools};

/// What ends the release of every package that tests speak of.
pub const DIST: &str = ".el9";

/// What must be there to make and judge one; a reason to skip where it is not.
pub fn needs() -> Result<(), String> {
    let programs = ["rpm", "rpmbuild", "rpmsign", "createrepo_c", "modifyrepo_c", "db5.3_load", "sqlite3"];
    probe::root()?;
    tools::need(&programs)?;
    tools::need(&["apt-get", "dpkg-deb", "gpg", "gpgconf", "chroot", "cp", "tar"])?;
    mirror::Mirror::of_this_machine().map(drop).map_err(|error| error.to_string())
}
