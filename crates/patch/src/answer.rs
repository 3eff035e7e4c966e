//! What became of an image, and the OpenVEX document about it.

use crate::result::ResultDocument;
use attest::{Packages, VexInput};
use inventory::family::{Database, Family};
use oci::{Digest, Image};
use plan::Settled;

/// The name the tool signs documents with.
const TOOLING: &str = "copa";

/// What became of it.
pub struct Answer {
    /// The whole outcome.
    pub document: ResultDocument,
    /// Every finding with its outcome; empty without a report.
    pub settled: Vec<Settled>,
    /// The image as it was read.
    pub image: Image,
    /// Its distribution.
    pub family: &'static Family,
    /// Distribution id and version, for package URLs.
    pub os: (String, String),
    /// The repository of the image that the answer is about, without tag and digest.
    pub repository: String,
}

impl Answer {
    /// The OpenVEX document about the patched image; about the image as it is where nothing had to be done. `None` where
    /// there is nothing to say: no report, no findings, or only a plan.
    pub fn openvex(&self, author: &str, timestamp: &str) -> Option<Vec<u8>> {
        let patched = self.document.patched.as_ref();
        let digest: Digest = match patched {
            Some(patched) => patched.digest.parse().ok()?,
            None if self.document.status == crate::result::Status::UpToDate => {
                self.image.descriptor.digest.clone()
            }
            None => return None,
        };
        let (os_id, os_version) = (self.os.0.as_str(), self.os.1.as_str());
        let input = VexInput {
            image: &self.repository,
            digest: &digest,
            packages: kind(self.family.database),
            vendor: self.family.vendor(),
            os_id,
            os_version,
            architecture: &self.image.platform().architecture,
            author,
            tooling: TOOLING,
            timestamp,
            settled: &self.settled,
        };
        attest::openvex(&input).ok()
    }
}

fn kind(database: Database) -> Packages {
    match database {
        Database::Dpkg => Packages::Deb,
        Database::Rpm => Packages::Rpm,
        Database::Apk => Packages::Apk,
        Database::Pacman => Packages::Alpm,
    }
}
