//! podman, through its command line: it has no daemon, and its store is known by its own configuration and environment.

mod destination;
mod source;

pub use destination::PodmanDestination;
pub use source::PodmanSource;

use crate::{
    Error, LocalName,
    archive::docker_names::whole,
    program::{Program, Programs},
};
use oci::Digest;
use serde::Deserialize;

/// podman and where it is.
#[derive(Debug, Clone)]
pub struct Podman {
    program: Program,
}

/// What is read of `podman image inspect`.
#[derive(Debug, Deserialize)]
struct Inspected {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "RepoTags", default)]
    names: Option<Vec<String>>,
    #[serde(rename = "RootFS")]
    root: Layers,
}

#[derive(Debug, Default, Deserialize)]
struct Layers {
    #[serde(rename = "Layers", default)]
    diff_ids: Vec<String>,
}

impl Podman {
    /// The first one on the search path.
    pub fn find(programs: &Programs) -> Result<Self, Error> {
        let none = || Error::Unavailable {
            what: "podman".into(),
            tried: vec!["there is no program podman on the search path".into()],
        };
        Ok(Podman { program: Program::find("podman", programs).ok_or_else(none)? })
    }

    /// Its version, once it works.
    pub async fn version(&self) -> Result<String, Error> {
        let answer = self.program.ask(["version", "--format", "{{.Client.Version}}"]).await?;
        let answer = answer.map_err(|said| Error::Unavailable {
            what: "podman".into(),
            tried: vec![format!("{}: {}", self.program.path().display(), said.0)],
        })?;
        Ok(String::from_utf8_lossy(&answer).trim().escape_debug().take(40).collect())
    }

    /// Whether it has an image of this name.
    pub async fn has(&self, name: &LocalName) -> Result<bool, Error> {
        Ok(self.inspect(&asked(name)).await?.is_some())
    }

    /// What a name leads to. The store is asked twice where it says no: whether it has no such image, or does not work.
    async fn inspect(&self, name: &str) -> Result<Option<Inspected>, Error> {
        let Ok(answer) = self.program.ask(["image", "inspect", "--format", "json", name]).await? else {
            self.version().await?;
            return Ok(None);
        };
        let wrong = |e: serde_json::Error| self.program.wrong(format!("its answer is not as expected: {e}"));
        let all: Vec<Inspected> = serde_json::from_slice(&answer).map_err(wrong)?;
        Ok(all.into_iter().next())
    }
}

/// A name as podman is asked for it: whole, so that it does not look for another of the same short name.
fn asked(name: &LocalName) -> String {
    match name {
        LocalName::Reference(reference) => reference.digest().map_or_else(
            || whole(reference),
            |digest| format!("{}/{}@{digest}", reference.host(), reference.repository()),
        ),
        LocalName::Id(digest) => digest.hex().to_owned(),
    }
}

/// An id of podman's as a digest: it is that of the config, without its algorithm.
fn id_digest(id: &str) -> Option<Digest> {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    format!("sha256:{id}").parse().ok()
}
