//! Per package manager: facts → strategy → recipe, and evidence judged. Pure: bytes in, values out.
//!
//! [`choose`] is the one registration place.

mod dpkg;
mod os;

pub use os::{os_looks, os_release};

use engine::{Evidence, Look, Recipe, StepResult};
use inventory::{Inventory, OsRelease, printable};
use std::collections::BTreeSet;
use version::PackageName;

/// What an adapter is told beside plan and facts.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The engine's proxy, as steps see it.
    pub proxy_url: Option<String>,
    /// CA certificates (PEM) for https repositories. They take the place of the image's own during the run, so the bundle must
    /// be complete: the public roots and what the user adds.
    pub ca_certificates: Option<Vec<u8>>,
    /// Go on with other packages when one fails.
    pub ignore_errors: bool,
}

/// What the adapter learned from the image, once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Installed packages and os-release.
    pub inventory: Inventory,
    /// Hosts of the image's repository configuration, sorted: `host[:port]` of http sources, `https://host[:port]` of
    /// https sources.
    pub hosts: Vec<String>,
    /// Paths that [`Adapter::looks`] asked for with `Exists` and that are there.
    pub present: BTreeSet<String>,
    /// `name:architecture` of packages that came as a dependency of others; the mark must survive an upgrade by name.
    pub automatic: BTreeSet<PackageName>,
}

/// One package manager.
pub trait Adapter: Sync + Send {
    /// `dpkg`.
    fn name(&self) -> &'static str;

    /// What must be read from the image to know the facts.
    fn looks(&self) -> Vec<Look>;

    /// The facts, from what was read; an error names what makes the image unpatchable.
    fn facts(&self, os: OsRelease, evidence: &Evidence) -> Result<Facts, Error>;

    /// The recipe for a plan.
    fn recipe(&self, plan: &plan::Plan, facts: &Facts, settings: &Settings) -> Result<Recipe, Error>;

    /// Judges the output of steps that ended well: old tools report a repository that cannot be reached as a mere warning.
    fn judge_steps(&self, steps: &[StepResult]) -> Result<(), Error>;

    /// The inventory after the run, from the recipe's evidence; an error where the database is broken now.
    fn after(&self, facts: &Facts, evidence: &Evidence) -> Result<Inventory, Error>;
}

/// Why an image cannot be patched by an adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No adapter for this distribution.
    #[error("not supported yet: {0}")]
    Unsupported(String),
    /// The image's records are unreadable.
    #[error("{item}: {why}")]
    Database {
        /// Which file.
        item: String,
        /// What is wrong.
        why: String,
    },
    /// The image's state forbids patching.
    #[error("{0}")]
    State(String),
    /// The package tool could not get all of the repositories' indexes.
    #[error("{title}: {line}")]
    Repositories {
        /// The step.
        title: String,
        /// What the tool said, printable.
        line: String,
    },
}

impl Error {
    fn database(item: &str, why: impl std::fmt::Display) -> Self {
        Error::Database { item: item.to_owned(), why: why.to_string() }
    }
}

/// The adapter for a distribution.
pub fn choose(os: &OsRelease) -> Result<&'static dyn Adapter, Error> {
    let is = |id: &str| os.id == id || os.id_like.iter().any(|like| like == id);
    if is("debian") || is("ubuntu") {
        return Ok(&dpkg::Dpkg);
    }
    Err(Error::Unsupported(describe(os)))
}

fn describe(os: &OsRelease) -> String {
    match (&os.pretty_name, os.id.as_str()) {
        (None, "") => "an image without an os-release file".to_owned(),
        (None, id) => format!("{} {}", printable(id), printable(&os.version_id)).trim_end().to_owned(),
        (Some(pretty), id) => format!("{} ({})", printable(pretty), printable(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_its_like_and_nothing_else_has_an_adapter() {
        let os = |id: &str, like: &[&str]| OsRelease {
            id: id.into(),
            id_like: like.iter().map(|l| (*l).to_owned()).collect(),
            ..OsRelease::default()
        };
        for good in
            [os("debian", &[]), os("ubuntu", &["debian"]), os("kali", &["debian"]), os("mint", &["ubuntu"])]
        {
            assert_eq!(choose(&good).map(Adapter::name).ok(), Some("dpkg"), "{good:?}");
        }
        let alpine = OsRelease { pretty_name: Some("Alpine Linux v3.18".into()), ..os("alpine", &[]) };
        for (os, message) in [
            (alpine, "not supported yet: Alpine Linux v3.18 (alpine)"),
            (
                OsRelease { version_id: "9".into(), ..os("rocky", &["rhel", "fedora"]) },
                "not supported yet: rocky 9",
            ),
            (OsRelease::default(), "not supported yet: an image without an os-release file"),
        ] {
            assert_eq!(choose(&os).err().map(|e| e.to_string()).as_deref(), Some(message));
        }
    }
}
