//! What to ask of the repositories, from the plan and the records of the image.

use super::super::configuration;
use crate::{Error, Facts, Settings};
use inventory::Package;
use plan::{Plan, Scope};
use repository::{
    Request,
    rpm::{self, Installed, Wanted},
};
use std::collections::BTreeMap;

/// The request for an image.
pub(crate) fn request(plan: &Plan, facts: &Facts, settings: &Settings) -> Result<Request, Error> {
    let packages = &facts.inventory.packages;
    let architecture = architecture(packages).ok_or_else(|| {
        Error::State(
            "no package of the image has an architecture, so it is not known which to take".to_owned(),
        )
    })?;
    let wanted = match &plan.scope {
        Scope::UpdateAll => Wanted::All,
        Scope::Fixes(fixes) => {
            let name = |fix: &plan::Fix| fix.package.base().parse().map(|name| (name, fix.at_least.clone()));
            let named = fixes.iter().map(name).collect::<Result<_, version::NameError>>();
            Wanted::Named(named.map_err(|why| Error::State(why.to_string()))?)
        }
    };
    let installed = |package: &Package| Installed {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        held: package.held,
    };
    Ok(Request::Rpm(rpm::Request {
        os: facts.inventory.os.clone(),
        repositories: configuration::read(&facts.inventory.os, packages, &facts.files)?,
        architecture,
        files: facts.files.clone(),
        installed: packages.iter().map(installed).collect(),
        wanted,
        excluded: plan.excluded.clone(),
        security_only: settings.policy.security_only,
    }))
}

/// The architecture that most packages have, `noarch` left out.
fn architecture(packages: &[Package]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for package in packages.iter().filter(|p| p.architecture != "noarch") {
        *counts.entry(&package.architecture).or_default() += 1;
    }
    // Of two that are as common the first by name, always the same.
    let most = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)));
    most.map(|(architecture, _)| architecture.to_owned())
}
