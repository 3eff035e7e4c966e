//! Builds all test binaries and lists the tests in each.

use crate::failure::Failure;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use testkit::command::argv;
use testkit::workspace;

/// A built test binary.
#[derive(Debug, Clone)]
pub struct Binary {
    /// Its crate.
    pub package: String,
    /// Its target: the crate itself for unit tests, else a file of `tests/`.
    pub target: String,
    /// The suite it counts for.
    pub suite: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// The folder of its crate: where its tests run.
    pub folder: PathBuf,
}

/// Built tests, under names of their own: a build beside the run takes the names that cargo gave them away.
pub struct Built {
    /// Each binary.
    pub binaries: Vec<Binary>,
    /// Where they have these names; gone with this.
    _links: TempDir,
}

/// Builds tests: those of the packages and targets that these arguments of cargo name.
pub fn build(of: &[&str]) -> Result<Built, Failure> {
    let mut cargo = Command::new("cargo");
    cargo.arg("test").args(of).args(["--no-run", "--message-format=json-render-diagnostics"]);
    let output = cargo
        .current_dir(workspace::root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(Failure::file("cargo"))?;
    if !output.status.success() {
        return Err(Failure::new("the tests do not build"));
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut binaries: Vec<Binary> =
        messages.lines().filter_map(|line| binary(&serde_json::from_str(line).ok()?)).collect();
    let beside = binaries.first().and_then(|binary| binary.path.parent());
    let beside = beside.ok_or_else(|| Failure::new("cargo built no tests"))?;
    let links = tempfile::tempdir_in(beside).map_err(Failure::file(beside))?;
    for binary in &mut binaries {
        let link = links.path().join(binary.path.file_name().unwrap_or_default());
        std::fs::hard_link(&binary.path, &link).map_err(Failure::file(&link))?;
        binary.path = link;
    }
    Ok(Built { binaries, _links: links })
}

fn binary(message: &Value) -> Option<Binary> {
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let path = PathBuf::from(message["executable"].as_str().filter(|_| is_test)?);
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    let folder = manifest.parent()?.to_owned();
    let package = folder.file_name()?.to_str()?.to_owned();
    let target = message["target"]["name"].as_str()?.to_owned();
    let mut binary = Binary { package, target, suite: "", path, folder };
    binary.suite = super::suite_of(&binary);
    Some(binary)
}

impl Binary {
    /// The names of its tests.
    pub fn tests(&self) -> Result<Vec<String>, Failure> {
        let program = self.path.to_string_lossy();
        let listing = argv(&program, ["--list", "--format", "terse"]).folder(&self.folder).text()?;
        Ok(listing.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_test_binaries_count() {
        let message = |test: bool, target: &str| {
            json!({ "reason": "compiler-artifact", "profile": { "test": test }, "executable": "/t/x-1",
                    "manifest_path": "/w/crates/cli/Cargo.toml", "target": { "name": target } })
        };
        assert!(binary(&message(false, "copa")).is_none());
        let found = binary(&message(true, "e2e_debian")).unwrap();
        assert_eq!((&found.package[..], found.suite), ("cli", "e2e"));
        assert_eq!(binary(&message(true, "copa")).unwrap().suite, "cli");
        assert!(binary(&json!({ "reason": "build-finished", "success": true })).is_none());
    }
}
