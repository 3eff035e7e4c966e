//! OpenVEX from outcomes only: nothing here knows what was asked for, only what was found to be so afterwards.

mod purl;
mod vex;

/// What a document is made from.
#[derive(Debug, Clone, Copy)]
pub struct VexInput<'a> {
    /// The image's repository, without tag and digest; its last part names the product.
    pub image: &'a str,
    /// The digest of the patched image's manifest.
    pub digest: &'a oci::Digest,
    /// What kind of packages the image has.
    pub packages: Packages,
    /// Who publishes its packages: the namespace of their package URLs.
    pub vendor: &'a str,
    /// `ID` of its os-release.
    pub os_id: &'a str,
    /// `VERSION_ID` of its os-release; empty where it has none.
    pub os_version: &'a str,
    /// Its architecture, in the words of images; packages that name their own have that.
    pub architecture: &'a str,
    /// Who says so.
    pub author: &'a str,
    /// What made the document.
    pub tooling: &'a str,
    /// When, as RFC 3339.
    pub timestamp: &'a str,
    /// The findings and what became of them.
    pub settled: &'a [plan::Settled],
}

/// A kind of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages {
    /// Of dpkg.
    Deb,
    /// Of rpm.
    Rpm,
    /// Of apk.
    Apk,
    /// Of pacman.
    Alpm,
}

impl Packages {
    fn purl_type(self) -> &'static str {
        match self {
            Packages::Deb => "deb",
            Packages::Rpm => "rpm",
            Packages::Apk => "apk",
            Packages::Alpm => "alpm",
        }
    }
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be written down.
    #[error("cannot write the OpenVEX document")]
    Json(#[from] serde_json::Error),
    /// There are no findings, and a document without statements is none.
    #[error("no finding to make a statement about")]
    NothingToSay,
}

/// An OpenVEX v0.2.0 document about one image or several (platforms of one), indented by two spaces. Who says so, and when, is
/// taken from the first.
pub fn openvex(inputs: &[VexInput]) -> Result<Vec<u8>, Error> {
    vex::document(inputs)?.ok_or(Error::NothingToSay)
}
