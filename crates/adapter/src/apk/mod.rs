//! Alpine, Wolfi and their like: in place the image's own apk does the work, and where there is none packages are unpacked.

mod exclusions;
mod facts;
mod judge;
mod recipe;
mod unpacked;
mod world;

use crate::{Adapter, Error, Facts, Settings, Unpacking};
use engine::{Evidence, Look, Recipe, StepResult};
use inventory::{Inventory, OsRelease};

/// Where the database may be: apk's own place, and where images with one `/usr` have it without a link. The first counts.
const DATABASES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// Where apk may be, the usual place first.
const TOOLS: [&str; 3] = ["/sbin/apk", "/usr/sbin/apk", "/usr/bin/apk"];

const WORLD: &str = "/etc/apk/world";

/// The beginning of the titles of steps whose output [`judge`] reads.
const UPGRADING: &str = "Upgrading ";

/// The adapter.
pub(crate) struct Apk;

impl Adapter for Apk {
    fn name(&self) -> &'static str {
        "apk"
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
}
