//! Arch and its like, in place: the image's own pacman does the work.

mod conf;
mod exclusions;
mod facts;
mod judge;
mod recipe;
mod steady;

use crate::{Adapter, Error, Facts, Settings};
use engine::{Evidence, Look, Recipe, StepResult};
use inventory::{Inventory, OsRelease, pacman::local};
use layer::Changes;

const DATABASE: &str = "/var/lib/pacman/local";
const VERSION: &str = "/var/lib/pacman/local/ALPM_DB_VERSION";
const CONF: &str = "/etc/pacman.conf";
const PACMAN: &str = "/usr/bin/pacman";

/// The titles of the steps whose output [`judge`] reads.
const REFRESH_TITLE: &str = "Updating package database";
const UPGRADING: &str = "Upgrading ";

/// The adapter.
pub(crate) struct Pacman;

impl Adapter for Pacman {
    fn name(&self) -> &'static str {
        "pacman"
    }

    fn looks(&self) -> Vec<Look> {
        facts::looks()
    }

    fn facts(&self, os: OsRelease, evidence: &Evidence) -> Result<Facts, Error> {
        facts::facts(os, evidence)
    }

    fn recipe(&self, plan: &plan::Plan, facts: &Facts, settings: &Settings) -> Result<Recipe, Error> {
        recipe::recipe(plan, facts, settings)
    }

    fn notes(&self, plan: &plan::Plan, _facts: &Facts, _settings: &Settings) -> Vec<String> {
        recipe::partial_note(plan).into_iter().collect()
    }

    fn judge_steps(&self, steps: &[StepResult]) -> Result<(), Error> {
        judge::steps(steps)
    }

    fn after(&self, facts: &Facts, evidence: &Evidence) -> Result<Inventory, Error> {
        judge::after(facts, evidence)
    }

    fn steady(&self, changes: Box<dyn Changes>, _since: i64) -> Box<dyn Changes> {
        Box::new(steady::Steady { changes })
    }
}

/// The database, before and after the run.
fn database_looks() -> Vec<Look> {
    vec![
        Look::EachFolder {
            path: DATABASE.to_owned(),
            file: "desc".to_owned(),
            max_folders: local::PACKAGES_MAX,
            max_bytes: local::DESC_BYTES_MAX as u64,
        },
        Look::File { path: VERSION.to_owned(), max_bytes: local::VERSION_BYTES_MAX as u64 },
    ]
}

/// The database that was read, with what the configuration ignores held.
fn database(evidence: &Evidence, conf: &inventory::pacman::conf::Conf) -> Result<local::Local, Error> {
    local::check_version(evidence.get(VERSION).map(Vec::as_slice))
        .map_err(|why| Error::database(VERSION, why))?;
    let folder = |path: &'_ str| -> Option<String> {
        Some(path.strip_prefix(DATABASE)?.strip_prefix('/')?.strip_suffix("/desc")?.to_owned())
    };
    let entries: Vec<_> =
        evidence.iter().filter_map(|(path, bytes)| Some((folder(path)?, bytes.as_slice()))).collect();
    let entries = entries.iter().map(|(folder, bytes)| (folder.as_str(), *bytes));
    local::read(entries, conf).map_err(|why| Error::database(DATABASE, why))
}
