//! Plan and facts to steps: one run of apk, with indexes and packages kept nowhere.

use super::{DATABASES, TOOLS, UPGRADING, WORLD, exclusions::exclusions, facts, world};
use crate::{Error, Facts, Settings};
use engine::{Exec, Look, Mount, Recipe, Step, When};
use inventory::apk::installed;
use plan::{Fix, Plan, Scope};
use std::{collections::BTreeMap, time::Duration};
use version::{PackageName, apk::Version};

/// Longest run: hundreds of packages, emulated.
const RUN_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// The first apk whose `upgrade` takes names; those before would upgrade everything.
const UPGRADE_BY_NAME_SINCE: &str = "2.12.0";

/// The name of the user's certificates below `/dev/copa`.
const CERTIFICATES: &str = "ca.pem";

pub(super) fn recipe(plan: &Plan, facts: &Facts, settings: &Settings) -> Result<Recipe, Error> {
    if settings.policy.security_only {
        return Err(Error::State("apk's repositories do not mark security updates".into()));
    }
    let tool = TOOLS.into_iter().find(|tool| facts.present.contains(*tool));
    let tool = Tool { path: tool.ok_or_else(|| facts::no_tool(facts))?, facts, settings };
    let database = |path: &str| Look::File { path: path.to_owned(), max_bytes: installed::BYTES_MAX as u64 };
    let mut steps = Vec::new();
    if facts.present.contains(facts::SETTINGS_FOLDER) {
        let content = world::during_run(plan, facts, settings.policy.allow_removals)?;
        steps.push(Step::Write { path: WORLD.to_owned(), content, mode: 0o644 });
    }
    match &plan.scope {
        Scope::UpdateAll => {
            steps.push(Step::Exec(tool.exec(&format!("{UPGRADING}all packages"), &["upgrade"])))
        }
        Scope::Fixes(fixes) => tool.fix(&mut steps, fixes)?,
    }
    let certificates = settings.ca_certificates.clone();
    Ok(Recipe {
        steps,
        mounts: certificates
            .map(|content| Mount { name: CERTIFICATES.to_owned(), content })
            .into_iter()
            .collect(),
        evidence: DATABASES.map(database).into(),
        exclusions: exclusions(),
        hosts: facts.hosts.clone(),
    })
}

/// The image's apk.
struct Tool<'a> {
    path: &'static str,
    facts: &'a Facts,
    settings: &'a Settings,
}

impl Tool<'_> {
    fn fix(&self, steps: &mut Vec<Step>, fixes: &[Fix]) -> Result<(), Error> {
        let known = self.facts.inventory.by_name();
        if let Some(fix) = fixes.iter().find(|fix| !known.contains_key(fix.package.base())) {
            return Err(Error::State(format!("{} is to be fixed but is not installed", fix.package)));
        }
        let names: Vec<_> = fixes.iter().map(|fix| &fix.package).collect();
        if names.is_empty() {
            return Ok(());
        }
        let (together, may_fail) = (steps.len(), self.settings.policy.ignore_errors);
        let title = format!("{UPGRADING}{} package{}", names.len(), if names.len() == 1 { "" } else { "s" });
        steps.push(Step::Exec(Exec { may_fail, ..self.by_name(&title, &names) }));
        if may_fail && names.len() > 1 {
            for name in &names {
                let alone = self.by_name(&format!("{UPGRADING}{name} alone"), &[*name]);
                steps.push(Step::Exec(Exec { when: When::IfFailed(together), may_fail, ..alone }));
            }
        }
        Ok(())
    }

    /// Upgrades these and what they need. Neither command adds a name to the world.
    fn by_name(&self, title: &str, names: &[&PackageName]) -> Exec {
        let command: &[&str] = if self.upgrades_by_name() { &["upgrade"] } else { &["fix", "--upgrade"] };
        let names = names.iter().map(|name| name.base());
        self.exec(title, &command.iter().copied().chain(names).collect::<Vec<_>>())
    }

    fn upgrades_by_name(&self) -> bool {
        let version = |text: &str| text.parse::<Version>().ok();
        let installed = self.facts.inventory.version_of("apk-tools").and_then(version);
        installed >= version(UPGRADE_BY_NAME_SINCE)
    }

    fn exec(&self, title: &str, arguments: &[&str]) -> Exec {
        let argv = [&[self.path, "--no-cache", "--no-progress"], arguments].concat();
        Exec {
            title: title.to_owned(),
            argv: argv.into_iter().map(str::to_owned).collect(),
            env: self.environment(),
            network: true,
            timeout: RUN_TIME_MAX,
            when: When::Always,
            may_fail: false,
        }
    }

    /// apk's fetching knows proxies and certificates by the environment only; scripts of packages do not see it.
    fn environment(&self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        if let Some(url) = &self.settings.proxy_url {
            env.extend(["http_proxy", "https_proxy"].map(|key| (key.to_owned(), url.clone())));
        }
        if self.settings.ca_certificates.is_some() {
            env.insert("SSL_CERT_FILE".to_owned(), format!("/dev/copa/{CERTIFICATES}"));
        }
        env
    }
}
