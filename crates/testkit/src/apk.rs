//! Alpine-like material: packages of apk's format 2, signed indexes, installed databases and images, written here without any
//! code of apk. No registry has a real `apk`, so the program in images that have one is a stand-in and says so.

pub mod database;
pub mod image;
mod member;
mod package;
mod repository;
pub mod scenario;
mod signing;

pub use package::{ApkSpec, Script};
pub use repository::{ApkRepository, Index};
pub use signing::Signature;

use crate::debian_root::Suite;
use crate::{Error, command::argv, debs, tools};

/// What must be installed to make packages; a reason to skip where it is not.
pub fn needs() -> Result<(), String> {
    tools::need(&["openssl", "date"])
}

/// This machine's architecture, as apk names it.
pub fn native_architecture() -> &'static str {
    std::env::consts::ARCH
}

/// A genuine package that Alpine's builders made: one that a Debian source package has among its own tests.
pub fn genuine() -> Result<Vec<u8>, Error> {
    let files = debs::source(Suite::Trixie, "rekor")?;
    let source = files.iter().find(|path| path.to_string_lossy().ends_with(".orig.tar.gz"));
    let source = source.ok_or_else(|| Error::Unavailable("the source of rekor has changed".to_owned()))?;
    let member = "*/pkg/types/alpine/tests/test_alpine.apk";
    argv("tar", ["-xzO", "--wildcards", "-f"]).arg(source).arg(member).stdout()
}

/// `Q1` and the SHA-1 in base64, as apk writes checksums.
fn checksum(bytes: &[u8]) -> Result<String, Error> {
    let digest = argv("openssl", ["dgst", "-sha1", "-binary"]).filter(bytes)?;
    let text = argv("openssl", ["base64", "-A"]).filter(&digest)?;
    Ok(format!("Q1{}", String::from_utf8_lossy(&text).trim()))
}

/// The SHA-1 in hex.
fn sha1(bytes: &[u8]) -> Result<String, Error> {
    let words = argv("openssl", ["dgst", "-sha1", "-r"]).filter(bytes)?;
    let text = String::from_utf8_lossy(&words).into_owned();
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
