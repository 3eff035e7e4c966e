//! Patching one tag of a layout to another, by a report of a few packages: how the families' tests drive the program.

use crate::world::{Done, World, mounts_below};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use testkit::image::Layout;

/// How a run ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stderr: String,
    pub document: Value,
}

/// A package that a report names: installed at a version, fixed in another.
pub type Wanted<'a> = (&'a str, &'a str, &'a str);

/// A report on an image of a family and release.
pub fn report(world: &World, (family, release): (&str, &str), wanted: &[Wanted]) -> PathBuf {
    let finding = |(number, (package, installed, fixed)): (usize, &Wanted)| {
        json!({
            "VulnerabilityID": format!("CVE-2026-{:04}", number + 1), "PkgName": package, "Severity": "HIGH",
            "InstalledVersion": installed, "FixedVersion": fixed,
        })
    };
    let findings: Vec<Value> = wanted.iter().enumerate().map(finding).collect();
    let document = json!({
        "SchemaVersion": 2, "ArtifactName": "app", "ArtifactType": "container_image",
        "Metadata": { "OS": { "Family": family, "Name": release } },
        "Results": [{ "Target": "app", "Class": "os-pkgs", "Type": family, "Vulnerabilities": findings }],
    });
    let path = world.path("report.json");
    std::fs::write(&path, document.to_string()).unwrap();
    path
}

/// Patches a tag to another, with a repository at `host`, and sees that nothing is left of the run.
pub fn patch(
    (world, layout, host): (&World, &Layout, &str),
    (from, to): (&str, &str),
    report: Option<&Path>,
    more: &[&str],
) -> Ran {
    let (name, result) = (layout.name(from), world.path("result.json"));
    let _ = std::fs::remove_file(&result);
    let mut command =
        world.copa(&["patch", "-i", &name, "-t", to, "--allow-host", host, "--progress", "plain"]);
    command.arg("--result").arg(&result).args(more);
    report.map(|report| command.arg("-r").arg(report));
    let Done { code, stderr, .. } = Done::of(command.output().unwrap());
    let document = std::fs::read(result).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    assert_eq!(mounts_below(world.folder.path()), Vec::<String>::new());
    Ran { code, stderr, document }
}
