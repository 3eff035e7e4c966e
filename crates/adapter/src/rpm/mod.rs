//! Distributions with rpm, in place and from outside: the image's own package tool does the work, or that of another image.

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

use crate::{Adapter, Error, Facts, Settings, Tooling};
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

    fn judge_steps(&self, steps: &[StepResult]) -> Result<(), Error> {
        judge::steps(steps)
    }

    fn after(&self, facts: &Facts, evidence: &Evidence) -> Result<Inventory, Error> {
        judge::after(facts, evidence)
    }

    fn steady(&self, changes: Box<dyn Changes>, since: i64) -> Box<dyn Changes> {
        Box::new(steady::Steady { changes, since })
    }

    fn tooling(&self, facts: &Facts) -> Result<Tooling, Error> {
        tooling::image(&facts.inventory.os)
    }
}
