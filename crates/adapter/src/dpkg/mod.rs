//! Debian and its like: the image's own apt and dpkg do the work, or where it has none packages are unpacked by us.

mod apt_conf;
mod archived;
mod exclusions;
mod facts;
mod judge;
mod pins;
mod preferences;
mod recipe;
mod unpacked;

use crate::{Adapter, Error, Facts, Settings, Unpacking};
use engine::{Evidence, Look, Recipe, StepResult};
use inventory::{Inventory, OsRelease};

const STATUS: &str = "/var/lib/dpkg/status";
const STATUS_FOLDER: &str = "/var/lib/dpkg/status.d";
const APT_GET: &str = "/usr/bin/apt-get";
const APT_MARK: &str = "/usr/bin/apt-mark";
const DPKG: &str = "/usr/bin/dpkg";
const POLICY_RC_D: &str = "/usr/sbin/policy-rc.d";

/// The title of the step whose output [`judge`] reads.
const UPDATE_TITLE: &str = "Updating package database";

/// The adapter.
pub(crate) struct Dpkg;

impl Adapter for Dpkg {
    fn name(&self) -> &'static str {
        "dpkg"
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
        archived::archived(facts, settings).map(|found| archived::note(facts, &found)).into_iter().collect()
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
