//! Distributions with rpm: the image's own package tool does the work, or that of another image, or where there is no database
//! but lists of packages, packages are unpacked by us.

mod configuration;
mod database;
mod exclusions;
mod facts;
mod judge;
mod outside;
mod recipe;
mod steady;
mod tool;
mod tooling;
mod unpacked;

use crate::{Adapter, Error, Facts, Settings, Tooling, Unpacking};
use engine::{Evidence, Look, Recipe, StepResult};
use inventory::{Inventory, OsRelease};
use layer::Changes;

const RPM: &str = "/usr/bin/rpm";

/// The adapter.
pub(crate) struct Rpm;

impl Adapter for Rpm {
    fn name(&self) -> &'static str {
        "rpm"
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

    fn notes(&self, _plan: &plan::Plan, facts: &Facts, settings: &Settings) -> Vec<String> {
        recipe::certificates_note(facts, settings).into_iter().collect()
    }

    fn judge_steps(&self, steps: &[StepResult]) -> Result<(), Error> {
        judge::steps(steps)
    }

    fn after(&self, facts: &Facts, evidence: &Evidence) -> Result<Inventory, Error> {
        judge::after(facts, evidence)
    }

    fn steady(&self, changes: Box<dyn Changes>, since: i64) -> Box<dyn Changes> {
        Box::new(steady::Steady { changes, since })
    }

    fn request(
        &self,
        plan: &plan::Plan,
        facts: &Facts,
        settings: &Settings,
    ) -> Result<repository::Request, Error> {
        unpacked::request(plan, facts, settings)
    }

    fn unpack(&self, work: Unpacking<'_>, staged: &mut layer::Staged) -> Result<Vec<String>, Error> {
        unpacked::unpack(&work, staged)
    }

    fn tooling(&self, facts: &Facts) -> Result<Tooling, Error> {
        tooling::image(&facts.inventory.os)
    }
}
