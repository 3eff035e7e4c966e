//! Plan and facts to steps: refresh, install by name or upgrade all, leave no tool state behind.

use super::{
    APT_GET, APT_MARK, DPKG, POLICY_RC_D, STATUS, UPDATE_TITLE, apt_conf, archived, exclusions::exclusions,
    preferences::preferences,
};
use crate::{Error, Facts, Settings, Strategy};
use engine::{Exec, Look, Recipe, Step, When};
use inventory::{PackageState, dpkg};
use plan::{Fix, Plan, Scope};
use std::{collections::BTreeMap, time::Duration};
use version::PackageName;

/// Longest refresh: the indexes of a few suites over a slow line.
const UPDATE_TIME_MAX: Duration = Duration::from_secs(15 * 60);

/// Longest installation: hundreds of packages, emulated.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// Longest bookkeeping step.
const MARK_TIME_MAX: Duration = Duration::from_secs(5 * 60);

/// Tells invoke-rc.d to start nothing: 101 is "forbidden by policy".
const POLICY_SCRIPT: &[u8] = b"#!/bin/sh\nexit 101\n";

/// Nobody answers questions, and nothing outside the packages is restarted.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBIAN_PRIORITY", "critical"),
    ("NEEDRESTART_SUSPEND", "1"),
    ("UCF_FORCE_CONFFOLD", "1"),
];

pub(super) fn recipe(plan: &Plan, facts: &Facts, settings: &Settings) -> Result<Recipe, Error> {
    if facts.strategy != Strategy::InPlace {
        return Err(Error::State("the image has no package tool that a recipe could run".to_owned()));
    }
    let archive = archived::archived(facts, settings);
    let replaced = apt_conf::Replaced {
        sources: archive.as_ref().map(|found| found.lines.clone()),
        preferences: preferences(plan, facts, settings)?,
    };
    let mut recipe = Recipe {
        mounts: apt_conf::mounts(settings, replaced)?,
        evidence: vec![Look::File { path: STATUS.to_owned(), max_bytes: dpkg::BYTES_MAX as u64 }],
        exclusions: exclusions(),
        hosts: archive.map_or_else(|| facts.hosts.clone(), |found| found.hosts),
        steps: Vec::new(),
    };
    let own_policy = !facts.present.contains(POLICY_RC_D);
    if own_policy {
        let (path, content) = (POLICY_RC_D.to_owned(), POLICY_SCRIPT.to_vec());
        recipe.steps.push(Step::Write { path, content, mode: 0o755 });
    }
    recipe.steps.extend(finish_interrupted(facts));
    recipe.steps.push(Step::Exec(Exec {
        network: true,
        timeout: UPDATE_TIME_MAX,
        ..exec(UPDATE_TITLE, apt_get(&["update"]))
    }));
    match &plan.scope {
        Scope::UpdateAll => recipe.steps.push(Step::Exec(upgrade_all(settings))),
        Scope::Fixes(fixes) => fix(&mut recipe.steps, fixes, facts, settings)?,
    }
    if own_policy {
        recipe.steps.push(Step::Remove { path: POLICY_RC_D.to_owned() });
    }
    Ok(recipe)
}

/// Configures what the image's builder left unconfigured: apt does nothing else before. Only where there is such a package.
fn finish_interrupted(facts: &Facts) -> Option<Step> {
    let unfinished = facts.inventory.packages.iter().any(|p| p.state != PackageState::Installed);
    let argv = [DPKG, "--force-confdef", "--force-confold", "--configure", "-a"].map(str::to_owned).into();
    unfinished.then(|| Step::Exec(exec("Configuring packages that the image left unconfigured", argv)))
}

/// New dependencies may come, nothing may go unless that is allowed. Held packages stay by themselves.
fn upgrade_all(settings: &Settings) -> Exec {
    let title = match settings.policy.security_only {
        true => "Installing all security updates",
        false => "Upgrading all packages",
    };
    let argv = match settings.policy.allow_removals {
        true => apt_get(&["--yes", "dist-upgrade"]),
        false => apt_get(&["--yes", "--with-new-pkgs", "upgrade"]),
    };
    Exec { network: true, ..exec(title, argv) }
}

fn fix(steps: &mut Vec<Step>, fixes: &[Fix], facts: &Facts, settings: &Settings) -> Result<(), Error> {
    let known = facts.inventory.by_name();
    if let Some(fix) = fixes.iter().find(|fix| !known.contains_key(fix.package.base())) {
        // apt would take the name of a package it does not know for a pattern or a request to remove.
        return Err(Error::State(format!("{} is to be fixed but is not installed", fix.package)));
    }
    let names: Vec<_> = fixes.iter().map(|fix| &fix.package).collect();
    if names.is_empty() {
        return Ok(());
    }
    let together = steps.len();
    let title =
        format!("Installing {} security update{}", names.len(), if names.len() == 1 { "" } else { "s" });
    steps.push(Step::Exec(Exec { may_fail: settings.policy.ignore_errors, ..install(&title, &names) }));
    if settings.policy.ignore_errors && names.len() > 1 {
        for name in &names {
            let alone = install(&format!("Installing {name} alone"), &[*name]);
            steps.push(Step::Exec(Exec { when: When::IfFailed(together), may_fail: true, ..alone }));
        }
    }
    steps.extend(keep_automatic(&names, facts, settings));
    Ok(())
}

fn install(title: &str, names: &[&PackageName]) -> Exec {
    let mut argv = apt_get(&["--yes", "--only-upgrade", "install", "--"]);
    argv.extend(names.iter().map(ToString::to_string));
    Exec { network: true, ..exec(title, argv) }
}

/// apt takes a package that is installed by name for one that the user wants in its own right; the mark is put back.
fn keep_automatic(names: &[&PackageName], facts: &Facts, settings: &Settings) -> Option<Step> {
    let automatic = |name: &PackageName| {
        let marked = facts.automatic.iter().filter(|m| m.base() == name.base());
        marked.into_iter().any(|m| name.architecture().is_none() || m.architecture() == name.architecture())
    };
    let names: Vec<_> = names.iter().filter(|n| automatic(n)).map(ToString::to_string).collect();
    if names.is_empty() || !facts.present.contains(APT_MARK) {
        return None;
    }
    let mut argv: Vec<_> =
        [&[APT_MARK][..], &apt_conf::CONF_OPTION].concat().into_iter().map(str::to_owned).collect();
    argv.extend(["auto".to_owned(), "--".to_owned()]);
    argv.extend(names);
    let step = exec("Keeping the marks of automatic packages", argv);
    Some(Step::Exec(Exec { timeout: MARK_TIME_MAX, may_fail: settings.policy.ignore_errors, ..step }))
}

fn apt_get(arguments: &[&str]) -> Vec<String> {
    [&[APT_GET, "-q"][..], &apt_conf::CONF_OPTION, arguments]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn exec(title: &str, argv: Vec<String>) -> Exec {
    Exec {
        title: title.to_owned(),
        argv,
        env: ENVIRONMENT
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        network: false,
        timeout: INSTALL_TIME_MAX,
        when: When::Always,
        may_fail: false,
    }
}
