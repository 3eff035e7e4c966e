//! Case files: what an image says and what is planned, to the recipe or the reason why there is none.
//!
//! A case is a file of sections (`== name`). All but the last are given; the last, `recipe`, is compared, and written anew
//! where `COPA_UPDATE_CASES` is set.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod ndb;

use adapter::{Facts, Settings, Strategy};
use engine::{Evidence, Exec, Recipe, Step, When};
use plan::{FindingRef, Fix, Plan, Scope};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// A case file, as it is written.
struct Case {
    sections: Vec<(String, String)>,
}

impl Case {
    fn parse(text: &str) -> Case {
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            match (line.strip_prefix("== "), sections.last_mut()) {
                (Some(name), _) => sections.push((name.to_owned(), String::new())),
                (None, Some((_, body))) => *body += &format!("{line}\n"),
                (None, None) => panic!("a case begins with a section"),
            }
        }
        Case { sections }
    }

    fn get(&self, name: &str) -> &str {
        self.sections.iter().find(|(n, _)| n == name).map_or("", |(_, body)| body.as_str())
    }

    /// What an engine would read: a `file` section each, the paths of `exists`, and rpm databases, which `rpmdb` sections list.
    fn evidence(&self) -> Evidence {
        let files = self.sections.iter().filter_map(|(name, body)| Some((name.strip_prefix("file ")?, body)));
        let mut evidence: Evidence =
            files.map(|(path, body)| (path.to_owned(), body.clone().into_bytes())).collect();
        evidence.extend(self.get("exists").lines().map(|path| (path.to_owned(), Vec::new())));
        let databases =
            self.sections.iter().filter_map(|(name, body)| Some((name.strip_prefix("rpmdb ")?, body)));
        evidence.extend(databases.map(|(path, body)| (path.to_owned(), ndb::database(body))));
        evidence
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        for line in self.get("settings").lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("proxy", url) => settings.proxy_url = Some(url.to_owned()),
                ("certificates", _) => settings.ca_certificates = Some(b"PEM\n".to_vec()),
                ("ignore-errors", _) => settings.policy.ignore_errors = true,
                ("allow-removals", _) => settings.policy.allow_removals = true,
                ("security-only", _) => settings.policy.security_only = true,
                ("show-files", _) => {}
                other => panic!("{other:?}"),
            }
        }
        settings
    }

    fn plan(&self, facts: &Facts) -> Plan {
        let text = self.get("plan");
        let scope = match text.trim() {
            "update all" => Scope::UpdateAll,
            _ => Scope::Fixes(text.lines().map(|line| fix(line, facts)).collect()),
        };
        let excluded = self.get("excluded").lines().map(|name| name.parse().unwrap()).collect();
        Plan { scope, left_out: Vec::new(), excluded, notes: Vec::new() }
    }

    fn recipe(&self) -> Result<(Facts, Recipe), adapter::Error> {
        let evidence = self.evidence();
        let os = adapter::os_release(&evidence)?;
        let adapter = adapter::choose(&os)?;
        let facts = adapter.facts(os, &evidence)?;
        let recipe = adapter.recipe(&self.plan(&facts), &facts, &self.settings())?;
        Ok((facts, recipe))
    }

    fn outcome(&self) -> String {
        match self.recipe() {
            Err(error) => format!("error: {error}\n"),
            Ok((facts, recipe)) => render(&facts, &recipe, self.get("settings").contains("show-files")),
        }
    }
}

/// `package >= version`.
fn fix(line: &str, facts: &Facts) -> Fix {
    let (package, version) = line.split_once(" >= ").unwrap();
    let package: version::PackageName = package.parse().unwrap();
    let finding = FindingRef {
        position: 0,
        package: package.clone(),
        vulnerability: "CVE-1".into(),
        fixed: version.into(),
        severity: None,
    };
    let installed = facts.inventory.version_of(package.base()).unwrap_or_default().to_owned();
    Fix { package, installed, at_least: version.into(), findings: vec![finding] }
}

fn render(facts: &Facts, recipe: &Recipe, show_files: bool) -> String {
    let mut out = String::new();
    match facts.strategy {
        Strategy::InPlace => {}
        other => writeln!(out, "strategy: {other:?}").unwrap(),
    }
    for note in &facts.inventory.notes {
        writeln!(out, "note: {note}").unwrap();
    }
    writeln!(out, "hosts: {}", recipe.hosts.join(" ")).unwrap();
    for (index, step) in recipe.steps.iter().enumerate() {
        match step {
            Step::Exec(exec) => render_exec(&mut out, index, exec),
            Step::Write { path, content, mode } => {
                let text = String::from_utf8_lossy(content);
                writeln!(out, "{index} write {path} {mode:o} {text:?}").unwrap();
            }
            Step::Remove { path } => writeln!(out, "{index} remove {path}").unwrap(),
        }
    }
    for mount in &recipe.mounts {
        let text = String::from_utf8_lossy(&mount.content);
        writeln!(out, "shown /dev/copa/{}", mount.name).unwrap();
        if show_files {
            text.lines().for_each(|line| writeln!(out, "  | {line}").unwrap());
        }
    }
    out
}

fn render_exec(out: &mut String, index: usize, exec: &Exec) {
    let when = match exec.when {
        When::Always => String::new(),
        When::IfFailed(step) => format!(" if {step} failed"),
    };
    let network = if exec.network { ", network" } else { "" };
    let may_fail = if exec.may_fail { ", may fail" } else { "" };
    writeln!(out, "{index} run \"{}\"{when}, {:?}{network}{may_fail}", exec.title, exec.timeout).unwrap();
    writeln!(out, "  $ {}", exec.argv.join(" ")).unwrap();
    // What apt is told of by a file other tools know by the environment only.
    for (key, value) in exec.env.iter().filter(|(key, _)| key.ends_with("_proxy") || key.starts_with("SSL_"))
    {
        writeln!(out, "  with {key}={value}").unwrap();
    }
}

fn case_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let inside =
        |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut files: Vec<_> = inside(&root).iter().flat_map(|distribution| inside(distribution)).collect();
    files.sort();
    files
}

#[test]
fn every_case_gives_its_recipe() {
    let update = std::env::var_os("COPA_UPDATE_CASES").is_some();
    let files = case_files();
    assert!(files.len() > 10, "the cases are gone");
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let case = Case::parse(&text);
        let (given, expected) = text.split_once("== recipe\n").unwrap();
        let got = case.outcome();
        if got == expected {
            continue;
        }
        match update {
            true => fs::write(&file, format!("{given}== recipe\n{got}")).unwrap(),
            false => wrong.push(format!("{}\n--- expected\n{expected}+++ got\n{got}", file.display())),
        }
    }
    assert!(wrong.is_empty(), "COPA_UPDATE_CASES=1 rewrites:\n{}", wrong.join("\n"));
}

#[test]
fn every_program_is_named_by_its_path_and_no_shell_is_among_them() {
    for file in case_files() {
        let Ok((_, recipe)) = Case::parse(&fs::read_to_string(&file).unwrap()).recipe() else { continue };
        for step in &recipe.steps {
            let Step::Exec(exec) = step else { continue };
            let folder = exec.argv[0].rsplit_once('/').map(|(folder, _)| folder);
            assert!(matches!(folder, Some("/usr/bin" | "/sbin")), "{}: {:?}", file.display(), exec.argv);
            assert!(!exec.argv[0].ends_with("sh"), "{}: {:?}", file.display(), exec.argv);
        }
    }
}
