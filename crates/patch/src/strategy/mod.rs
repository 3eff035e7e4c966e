//! How the plan is carried out: the way that the adapter chose from the facts of the image.

mod outside;
mod unpacked;

pub use outside::ToolingImages;

use crate::{
    Error, Phase,
    line::{Patcher, Request, Subject},
    observe::Observed,
    record,
    result::ResultDocument,
};
use adapter::Strategy;
use engine::{Evidence, Exclusion, Run};
use fetch::{client::Client, egress::HostRule};
use inventory::Inventory;
use plan::Plan;
use std::sync::Arc;
use store::Store;

/// How package repositories are reached where packages are resolved by us.
#[derive(Clone)]
pub struct Repositories {
    /// Asks them.
    pub client: Client,
    /// Keeps indexes and packages.
    pub store: Arc<Store>,
    /// Hosts that the operator allows at whatever address.
    pub operator_hosts: Vec<HostRule>,
    /// Take releases that are only in an archive any more.
    pub allow_archived: bool,
    /// Repository configuration and keys, by absolute path, in place of what the image has.
    pub files: Option<Evidence>,
}

/// Where the image with the tools comes from, for images that have none of their own.
#[derive(Clone)]
pub struct Tooling {
    /// The user's choice, in place of that of the adapter.
    pub reference: Option<String>,
    /// Opens a reference.
    pub images: Arc<dyn ToolingImages>,
}

/// What carrying out the plan gave.
pub(crate) struct Ran {
    pub(crate) run: Run,
    /// What never goes into the layer.
    pub(crate) exclusions: Vec<Exclusion>,
}

/// The word for a strategy in the result.
pub(crate) fn word(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::InPlace => "in-place",
        Strategy::Outside => "outside",
        Strategy::Unpacked => "unpacked",
    }
}

impl Patcher {
    /// Carries out the plan.
    pub(crate) async fn run(
        &self,
        request: &Request,
        subject: &mut Subject,
        plan: &Plan,
        document: &mut ResultDocument,
    ) -> Result<Ran, Error> {
        let ran = match subject.observed.facts.strategy {
            Strategy::InPlace => self.tool(request, subject, plan, document).await?,
            Strategy::Outside => {
                self.attach_tooling(request, subject, document).await?;
                self.tool(request, subject, plan, document).await?
            }
            Strategy::Unpacked => self.unpacked(request, subject, plan, document).await?,
        };
        document.steps = record::steps(&ran.run.steps);
        document.fetches = record::fetches(&ran.run.fetches);
        document.counters.fsync_in_sandbox = ran.run.syncs_suppressed.then_some(0);
        let judged = subject.observed.adapter.judge_steps(&ran.run.steps);
        judged.map_err(|source| Error::Adapter { name: request.name.clone(), source })?;
        Ok(ran)
    }

    /// Lets a package tool do it: the image's own, or the one of the tooling that is attached.
    async fn tool(
        &self,
        request: &Request,
        subject: &mut Subject,
        plan: &Plan,
        document: &mut ResultDocument,
    ) -> Result<Ran, Error> {
        let settings = self.adapter_settings(request);
        let Observed { adapter, facts, .. } = &subject.observed;
        let recipe = adapter
            .recipe(plan, facts, &settings)
            .map_err(|source| Error::Adapter { name: request.name.clone(), source })?;
        for note in adapter.notes(plan, facts, &settings) {
            self.warn(note, document);
        }
        let context = self.context();
        let root = &mut subject.root;
        let running = async { root.run(&recipe, &context).await.map_err(|e| self.engine_error(e)) };
        let mut run = self.timed(Phase::Run, document, running).await?;
        run.changes = adapter.steady(run.changes, run.window.0);
        document.counters.index_fetches = record::index_fetches(&run.fetches);
        Ok(Ran { run, exclusions: recipe.exclusions })
    }

    pub(crate) fn adapter_settings(&self, request: &Request) -> adapter::Settings {
        adapter::Settings {
            proxy_url: self.engine.proxy_url(),
            ca_certificates: request.settings.ca_certificates.clone(),
            policy: request.policy.clone(),
            allow_archived: request.repositories.allow_archived,
            now: request.settings.now,
        }
    }

    /// What is installed after the run, read back from the patched root.
    pub(crate) fn inventory_after(
        &self,
        request: &Request,
        subject: &Subject,
        run: &Run,
    ) -> Result<Inventory, Error> {
        let Observed { adapter, facts, .. } = &subject.observed;
        let after = match facts.strategy {
            Strategy::InPlace | Strategy::Outside => adapter.after(facts, &run.evidence),
            Strategy::Unpacked => {
                let looks = adapter.looks();
                let evidence = engine::collect(&*run.after, &looks).map_err(|e| self.engine_error(e))?;
                adapter.facts(facts.inventory.os.clone(), &evidence).map(|facts| facts.inventory)
            }
        };
        after.map_err(|source| Error::After { name: request.name.clone(), source })
    }
}
