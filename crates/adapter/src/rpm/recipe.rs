//! Plan and facts to steps: keys, refresh, upgrade by name or of all.

use super::{
    RPM, configuration, database,
    exclusions::exclusions,
    outside,
    tool::{self, Kind, Tool, Upgrade},
};
use crate::{Error, Facts, Settings, Strategy, describe};
use engine::{Exec, Mount, Recipe, Step, When};
use inventory::{printable, rpm::repositories::Configuration};
use plan::{Fix, Plan, Scope};
use std::{collections::BTreeSet, time::Duration};
use version::PackageName;

/// The title of the step that only fetches indexes.
const UPDATE_TITLE: &str = "Updating package database";

/// What stands behind the title of a step whose exit code [`super::judge`] reads, because zypper's tells more than whether it
/// failed.
pub(super) const ZYPPER_MARK: &str = " (zypper)";

/// Longest refresh: the indexes of a few repositories over a slow line.
const UPDATE_TIME_MAX: Duration = Duration::from_secs(15 * 60);

/// Longest installation, refresh included: hundreds of packages, emulated.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// Longest bookkeeping step.
const KEY_TIME_MAX: Duration = Duration::from_secs(5 * 60);

pub(super) fn recipe(plan: &Plan, facts: &Facts, settings: &Settings) -> Result<Recipe, Error> {
    let order = Order::of(plan, facts, settings)?;
    let certificates = settings.ca_certificates.iter();
    Ok(Recipe {
        steps: order.steps()?,
        mounts: certificates
            .map(|content| Mount { name: tool::CERTIFICATES.to_owned(), content: content.clone() })
            .collect(),
        evidence: database::looks(),
        exclusions: exclusions(&facts.present),
        hosts: facts.hosts.clone(),
    })
}

/// The tool that does the work.
fn tool(facts: &Facts) -> Option<Tool> {
    let os = &facts.inventory.os;
    match facts.strategy {
        Strategy::InPlace => super::facts::tool(os, &facts.present),
        Strategy::Outside => outside::tool(os),
        Strategy::Unpacked => None,
    }
}

/// That certificates of the user do not reach the tool.
pub(super) fn certificates_note(facts: &Facts, settings: &Settings) -> Option<String> {
    let tool = tool(facts).filter(|tool| !tool.takes_certificates() && settings.ca_certificates.is_some())?;
    Some(format!(
        "{} cannot be told of extra CA certificates: for https repositories they must be among those of the image it is in",
        tool.name()
    ))
}

/// What is asked of one tool.
struct Order<'a> {
    plan: &'a Plan,
    facts: &'a Facts,
    settings: &'a Settings,
    tool: Tool,
    configuration: Configuration,
    /// Packages that stay as they are, as rpm writes them.
    kept: Vec<String>,
}

impl<'a> Order<'a> {
    fn of(plan: &'a Plan, facts: &'a Facts, settings: &'a Settings) -> Result<Self, Error> {
        let os = &facts.inventory.os;
        let tool = tool(facts);
        let tool =
            tool.ok_or_else(|| Error::Unsupported(format!("{}, without a package tool", describe(os))))?;
        let configuration = configuration::read(os, &facts.inventory.packages, &facts.files)?;
        Ok(Order { plan, facts, settings, tool, configuration, kept: kept(plan, facts, tool) })
    }

    fn steps(&self) -> Result<Vec<Step>, Error> {
        let mut steps = match self.facts.strategy {
            Strategy::InPlace => Vec::new(),
            Strategy::Outside | Strategy::Unpacked => outside::keys(self.facts, &self.configuration)?,
        };
        if self.tool.kind == Kind::Zypper {
            steps.extend(self.keys()?.into_iter().map(Step::Exec));
            let argv = self.placed([tool::zypper_start(), vec!["refresh".to_owned()]].concat());
            steps.push(Step::Exec(Exec { timeout: UPDATE_TIME_MAX, ..self.exec(UPDATE_TITLE, argv) }));
        }
        if self.tool.kind == Kind::Microdnf {
            steps.push(Step::Exec(self.without_cache()));
        }
        match &self.plan.scope {
            Scope::UpdateAll => self.all(&mut steps)?,
            Scope::Fixes(fixes) => self.fix(&mut steps, fixes)?,
        }
        Ok(steps)
    }

    /// zypper asks before it takes a key that rpm does not have yet, and would also take one that only the repository itself
    /// offers. So the keys that the image's own configuration names and has as files are given to rpm before, which
    /// leaves alone those that it has. Keys from elsewhere are not trusted for the user.
    fn keys(&self) -> Result<Vec<Exec>, Error> {
        let files = configuration::key_files(&self.configuration)?;
        // The tooling may have what the image has not.
        let in_place = self.facts.strategy == Strategy::InPlace;
        let there = files
            .into_iter()
            .filter(|path| !in_place || configuration::may_be_there(path, &self.facts.files));
        let import = |path: String| {
            let title = format!("Taking the key {}", printable(&path));
            let argv = self.placed(vec![RPM.to_owned(), "--import".to_owned(), path]);
            // A key that is not there is missed by zypper, which says what for.
            Exec { network: false, timeout: KEY_TIME_MAX, may_fail: true, ..self.exec(&title, argv) }
        };
        Ok(there.map(import).collect())
    }

    /// Indexes that the image brings would count until they expire, and only newer ones of its kind can be told otherwise. What is
    /// taken away here the layer does not have.
    fn without_cache(&self) -> Exec {
        let argv = self.placed([self.tool.program, "clean", "all"].map(str::to_owned).to_vec());
        Exec {
            network: false,
            timeout: KEY_TIME_MAX,
            ..self.exec("Passing over the indexes of the image", argv)
        }
    }

    fn all(&self, steps: &mut Vec<Step>) -> Result<(), Error> {
        let security = self.settings.policy.security_only;
        let all = self.kept.is_empty() || self.tool.excludes();
        if security && !self.tool.knows_security() {
            return Err(self.cannot("tell which updates are security updates"));
        }
        if security && !all {
            return Err(
                self.cannot("leave packages out of an update of all that is marked as a security update")
            );
        }
        let others = match all {
            true => Vec::new(),
            false => self.others(),
        };
        let title = if security { "Installing all security updates" } else { "Upgrading all packages" };
        self.upgrade(steps, title, &others);
        Ok(())
    }

    fn fix(&self, steps: &mut Vec<Step>, fixes: &[Fix]) -> Result<(), Error> {
        let known = self.facts.inventory.by_name();
        if let Some(fix) = fixes.iter().find(|fix| !known.contains_key(fix.package.base())) {
            return Err(Error::State(format!("{} is to be fixed but is not installed", fix.package)));
        }
        if self.settings.policy.security_only && matches!(self.tool.kind, Kind::Microdnf | Kind::Zypper) {
            return Err(self.cannot("tell security updates apart among named packages"));
        }
        let names: Vec<String> = fixes.iter().map(|fix| rpm_name(&fix.package)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let together = steps.len();
        let plural = if names.len() == 1 { "" } else { "s" };
        self.upgrade(steps, &format!("Installing {} security update{plural}", names.len()), &names);
        if self.settings.policy.ignore_errors && names.len() > 1 {
            for name in &names {
                let argv = self.argv(std::slice::from_ref(name));
                let alone = self.exec(&format!("Installing {name} alone"), argv);
                steps.push(Step::Exec(Exec { when: When::IfFailed(together), may_fail: true, ..alone }));
            }
        }
        Ok(())
    }

    /// The upgrade; with zypper once more where its exit code says that it was not all: it has patched itself first (103) or
    /// another code that it gives for what was done, with which the second run finds nothing to do.
    fn upgrade(&self, steps: &mut Vec<Step>, title: &str, names: &[String]) {
        let ignore = self.settings.policy.ignore_errors;
        let argv = self.argv(names);
        if self.tool.kind != Kind::Zypper || ignore {
            steps.push(Step::Exec(Exec { may_fail: ignore, ..self.exec(title, argv) }));
            return;
        }
        let first = steps.len();
        let run = Exec { may_fail: true, ..self.exec(&format!("{title}{ZYPPER_MARK}"), argv) };
        let again = Exec {
            title: format!("{title}, the rest{ZYPPER_MARK}"),
            when: When::IfFailed(first),
            ..run.clone()
        };
        steps.extend([Step::Exec(run), Step::Exec(again)]);
    }

    fn argv(&self, names: &[String]) -> Vec<String> {
        let order = Upgrade { names, kept: &self.kept, security: self.settings.policy.security_only };
        self.placed(self.tool.upgrade(order, self.settings))
    }

    /// The command, told where the image is where that is not the root.
    fn placed(&self, argv: Vec<String>) -> Vec<String> {
        match self.facts.strategy {
            Strategy::InPlace => argv,
            Strategy::Outside | Strategy::Unpacked => outside::placed(argv, self.tool, &self.configuration),
        }
    }

    /// Every installed package but those that stay, for tools that cannot leave one out.
    fn others(&self) -> Vec<String> {
        let kept: BTreeSet<&str> = self.kept.iter().map(String::as_str).collect();
        let packages = self.facts.inventory.packages.iter();
        let full = packages.map(|p| (p.name.as_str(), format!("{}.{}", p.name, p.architecture)));
        let names: BTreeSet<String> = full
            .filter(|(name, full)| !kept.contains(name) && !kept.contains(full.as_str()))
            .map(|(_, full)| full)
            .collect();
        names.into_iter().collect()
    }

    fn cannot(&self, what: &str) -> Error {
        Error::State(format!("{} cannot {what}", self.tool.name()))
    }

    fn exec(&self, title: &str, argv: Vec<String>) -> Exec {
        // dnf is written in Python, which would leave compiled modules behind.
        let mut env = vec![("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())];
        let certificates = format!("/dev/copa/{}", tool::CERTIFICATES);
        env.extend(
            self.settings.ca_certificates.iter().map(|_| ("SSL_CERT_FILE".to_owned(), certificates.clone())),
        );
        Exec {
            title: title.to_owned(),
            argv,
            env: env.into_iter().collect(),
            network: true,
            timeout: INSTALL_TIME_MAX,
            when: When::Always,
            may_fail: false,
        }
    }
}

/// The packages that must stay: excluded by the user, and locked in the image where the tool does not see to that itself. dnf
/// does only where its plugin is there, so what is locked is said again.
fn kept(plan: &Plan, facts: &Facts, tool: Tool) -> Vec<String> {
    let held = facts.inventory.packages.iter().filter(|p| p.held && tool.kind != Kind::Zypper);
    let names = held.map(|p| p.name.to_string()).chain(plan.excluded.iter().map(rpm_name));
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// `name.arch`, as rpm's tools write what is `name:arch` elsewhere.
fn rpm_name(name: &PackageName) -> String {
    match name.architecture() {
        Some(architecture) => format!("{}.{architecture}", name.base()),
        None => name.base().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_do_not_reach_the_tool_are_told() {
        let facts = |tool: &str| Facts { present: [tool.to_owned()].into(), ..Facts::default() };
        let given = Settings { ca_certificates: Some(b"PEM".to_vec()), ..Settings::default() };
        for (tool, told) in [("microdnf", true), ("tdnf", true), ("dnf-3", false), ("dnf5", false)] {
            let facts = facts(&format!("/usr/bin/{tool}"));
            assert_eq!(certificates_note(&facts, &given).is_some(), told, "{tool}");
            assert_eq!(certificates_note(&facts, &Settings::default()), None, "{tool}");
        }
    }
}
