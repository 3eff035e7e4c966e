//! Images, repositories, registries and judges for tests, demo and benches.
//!
//! What judges a result here shares no code with what made it: tar, OCI and dpkg files are read and written by this
//! room's own small readers or by real tools (`skopeo`, `umoci`, `syft`, `dpkg`), never by the rooms under test.
//! Everything blocks; programs are run by argument vector; what is slow to make is kept under `.testkit` in the workspace.

pub mod advisories;
pub mod apk;
pub mod app_image;
pub mod apt_repository;
pub mod binfmt;
pub mod bundle;
pub mod changelogs;
pub mod chiseled;
pub mod chroot;
pub mod command;
pub mod daemon;
pub mod debian_root;
pub mod debs;
pub mod distroless;
pub mod dpkg;
mod error;
pub mod fault_registry;
pub mod image;
pub mod image_reader;
pub mod mirror;
pub mod pacman;
pub mod platforms;
pub mod probe;
pub mod registry;
pub mod rpm;
pub mod scan;
pub mod schema;
pub mod syft;
pub mod tar;
pub mod tiny_image;
pub mod tools;
pub mod tree;
pub mod ubuntu;
pub mod version_judges;
pub mod workspace;

pub use error::Error;

/// Says on stderr why a test cannot run here, and returns from it. The test runner counts such lines.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        $crate::probe::report_skip(&format!($($reason)+));
        return;
    }};
}
