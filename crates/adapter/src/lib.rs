//! Per package manager: facts → strategy → recipe, and evidence judged. Pure: bytes in, values out.
//!
//! [`choose`] is the one registration place.

use engine::{Evidence, Look, Recipe};
use inventory::{Inventory, OsRelease};

/// What an adapter is told beside plan and facts.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The engine's proxy, as steps see it.
    pub proxy_url: Option<String>,
    /// Extra CA certificates (PEM) for https repositories.
    pub ca_certificates: Option<Vec<u8>>,
    /// Go on with other packages when one fails.
    pub ignore_errors: bool,
}

/// What the adapter learned from the image, once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Installed packages and os-release.
    pub inventory: Inventory,
    /// `host[:port]` of the image's repository configuration, sorted.
    pub hosts: Vec<String>,
    /// Paths that [`Adapter::looks`] asked for with `Exists` and that are there.
    pub present: std::collections::BTreeSet<String>,
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
}
