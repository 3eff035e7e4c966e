//! Plan and facts to steps: refresh, then upgrade by name or everything.

use super::{PACMAN, REFRESH_TITLE, UPGRADING, conf, database_looks, exclusions::exclusions};
use crate::{Error, Facts, Settings};
use engine::{Exec, Recipe, Step, When};
use plan::{Fix, Plan, Scope};
use std::{collections::BTreeMap, time::Duration};
use version::PackageName;

/// Longest refresh: the databases of a few repositories over a slow line.
const REFRESH_TIME_MAX: Duration = Duration::from_secs(15 * 60);

/// Longest installation: hundreds of packages, emulated.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// Where libcurl looks for certificates on Arch. It can be told of no other place, so the user's are put there for the run;
/// the layer does not have them.
pub(super) const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
pub(super) const CERTIFICATES_FOLDER: &str = "/etc/ssl/certs";

/// The questions whose usual answer is turned round by `--ask`, as libalpm's `alpm_question_type_t` numbers them.
/// Install a package that the configuration ignores? Usually yes.
const INSTALL_IGNORED: u32 = 1;
/// Put a package in the place of another? Usually yes.
const REPLACE: u32 = 1 << 1;
/// Take away a package that conflicts with a new one? Usually no.
const REMOVE_CONFLICTING: u32 = 1 << 2;
/// Fetch a key from a server and trust it? Usually yes.
const IMPORT_KEY: u32 = 1 << 6;

pub(super) fn recipe(plan: &Plan, facts: &Facts, settings: &Settings) -> Result<Recipe, Error> {
    if settings.policy.security_only {
        return Err(Error::State("pacman's repositories do not mark security updates".into()));
    }
    let own_certificates =
        settings.ca_certificates.clone().filter(|_| facts.present.contains(CERTIFICATES_FOLDER));
    let upgraded: Vec<&str> = match &plan.scope {
        Scope::UpdateAll => facts.inventory.packages.iter().map(|p| p.name.as_str()).collect(),
        Scope::Fixes(fixes) => fixes.iter().map(|fix| fix.package.base()).collect(),
    };
    let mut recipe = Recipe {
        mounts: conf::mounts(facts)?,
        evidence: database_looks(),
        exclusions: exclusions(upgraded.into_iter(), own_certificates.is_some()),
        hosts: facts.hosts.clone(),
        steps: Vec::new(),
    };
    if let Some(content) = own_certificates {
        let path = CERTIFICATES.to_owned();
        recipe.steps.push(Step::Remove { path: path.clone() });
        recipe.steps.push(Step::Write { path, content, mode: 0o644 });
    }
    let tool = Tool { plan, settings };
    let refresh = tool.exec(REFRESH_TITLE, &["-Sy"], &[]);
    recipe.steps.push(Step::Exec(Exec { timeout: REFRESH_TIME_MAX, ..refresh }));
    match &plan.scope {
        Scope::UpdateAll => {
            recipe.steps.push(Step::Exec(tool.exec(&format!("{UPGRADING}all packages"), &["-Su"], &[])));
        }
        Scope::Fixes(fixes) => fix(&mut recipe.steps, fixes, facts, &tool)?,
    }
    Ok(recipe)
}

/// pacman knows dependencies by name: that the rest still works with what is new, nobody has tried.
pub(super) fn partial_note(plan: &Plan) -> Option<String> {
    let partial = matches!(&plan.scope, Scope::Fixes(_)) || !plan.excluded.is_empty();
    partial.then(|| {
        "only some packages are upgraded, which Arch does not support: others may need newer versions too; \
         without a report all are upgraded"
            .to_owned()
    })
}

fn fix(steps: &mut Vec<Step>, fixes: &[Fix], facts: &Facts, tool: &Tool<'_>) -> Result<(), Error> {
    let known = facts.inventory.by_name();
    if let Some(fix) = fixes.iter().find(|fix| !known.contains_key(fix.package.base())) {
        // pacman would take the name of a package that is not there for one to install.
        return Err(Error::State(format!("{} is to be fixed but is not installed", fix.package)));
    }
    let names: Vec<_> = fixes.iter().map(|fix| &fix.package).collect();
    if names.is_empty() {
        return Ok(());
    }
    let (together, may_fail) = (steps.len(), tool.settings.policy.ignore_errors);
    let title = format!("{UPGRADING}{} package{}", names.len(), if names.len() == 1 { "" } else { "s" });
    steps.push(Step::Exec(Exec { may_fail, ..tool.by_name(&title, &names) }));
    if may_fail && names.len() > 1 {
        for name in &names {
            let alone = tool.by_name(&format!("{UPGRADING}{name} alone"), &[*name]);
            steps.push(Step::Exec(Exec { when: When::IfFailed(together), may_fail, ..alone }));
        }
    }
    Ok(())
}

/// The image's pacman.
struct Tool<'a> {
    plan: &'a Plan,
    settings: &'a Settings,
}

impl Tool<'_> {
    fn by_name(&self, title: &str, names: &[&PackageName]) -> Exec {
        let names: Vec<_> = names.iter().map(|name| name.base()).collect();
        self.exec(title, &["-S", "--needed"], &[&["--"], names.as_slice()].concat())
    }

    /// Questions get their usual answer, but for those that would take something away, bring a key in, or move what stays.
    fn exec(&self, title: &str, operation: &[&str], targets: &[&str]) -> Exec {
        let allowed = self.settings.policy.allow_removals;
        let removals = if allowed { REMOVE_CONFLICTING } else { REPLACE };
        let ask = (INSTALL_IGNORED | IMPORT_KEY | removals).to_string();
        let fixed = ["--noconfirm", "--noprogressbar", "--logfile", "/dev/null", "--ask", &ask];
        let mut argv: Vec<&str> = [&[PACMAN][..], operation, &conf::OPTION, &fixed].concat();
        for name in &self.plan.excluded {
            argv.extend(["--ignore", name.base()]);
        }
        argv.extend(targets);
        Exec {
            title: title.to_owned(),
            argv: argv.into_iter().map(str::to_owned).collect(),
            env: self.environment(),
            network: true,
            timeout: INSTALL_TIME_MAX,
            when: When::Always,
            may_fail: false,
        }
    }

    /// libcurl knows proxies by the environment only.
    fn environment(&self) -> BTreeMap<String, String> {
        let url = self.settings.proxy_url.iter();
        url.flat_map(|url| ["http_proxy", "https_proxy"].map(|key| (key.to_owned(), url.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_only_some_packages_move_is_told() {
        let plan = |scope, excluded: &[&str]| Plan {
            scope,
            left_out: Vec::new(),
            excluded: excluded.iter().map(|name| name.parse().unwrap()).collect(),
            notes: Vec::new(),
        };
        assert_eq!(partial_note(&plan(Scope::UpdateAll, &[])), None);
        for partial in [plan(Scope::UpdateAll, &["linux"]), plan(Scope::Fixes(Vec::new()), &[])] {
            assert!(partial_note(&partial).unwrap().contains("only some packages"));
        }
    }
}
