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
        Answer::openvex_of(std::slice::from_ref(self), author, timestamp)
    }

    /// One OpenVEX document about several images: the statements about each, which name it by its digest.
    pub fn openvex_of(answers: &[Answer], author: &str, timestamp: &str) -> Option<Vec<u8>> {
        let digests: Vec<Option<Digest>> = answers.iter().map(Answer::subject).collect();
        let input = |(answer, digest)| Some(answer_input(answer, digest?, (author, timestamp)));
        let inputs: Vec<VexInput<'_>> =
            answers.iter().zip(digests.iter().map(Option::as_ref)).filter_map(input).collect();
        attest::openvex(&inputs).ok()
    }

    /// The digest of the image that statements are about.
    fn subject(&self) -> Option<Digest> {
        match self.document.patched.as_ref() {
            Some(patched) => patched.digest.parse().ok(),
            None if self.document.status == crate::result::Status::UpToDate => {
                Some(self.image.descriptor.digest.clone())
            }
            None => None,
        }
    }
}

fn answer_input<'a>(
    answer: &'a Answer,
    digest: &'a Digest,
    (author, timestamp): (&'a str, &'a str),
) -> VexInput<'a> {
    VexInput {
        image: &answer.repository,
        digest,
        packages: kind(answer.family.database),
        vendor: answer.family.vendor(),
        os_id: &answer.os.0,
        os_version: &answer.os.1,
        architecture: answer.image.config.get("architecture").and_then(|a| a.as_str()).unwrap_or_default(),
        author,
        tooling: TOOLING,
        timestamp,
        settled: &answer.settled,
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
