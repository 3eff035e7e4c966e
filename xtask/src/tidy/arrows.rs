//! The map of the rooms is true: every room is on it, and every arrow goes up in it.

use super::Finding;
use super::source::File;
use crate::failure::Failure;
use serde_json::Value;
use std::collections::BTreeMap;
use testkit::command::argv;
use testkit::workspace;

const MAP: &str = "ARCHITECTURE.md";

/// Crates that stand outside the order: nothing may use them, and they may use every room.
const OUTERMOST: &[&str] = &["cli", "xtask"];

/// The room that only tests may use.
const TEST_ROOM: &str = "testkit";

/// An arrow between two crates of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Arrow {
    from: String,
    to: String,
    of_tests: bool,
}

/// Checks the map, the order in the manifest and the arrows that cargo sees.
pub fn check(files: &[File]) -> Result<Vec<Finding>, Failure> {
    let metadata = argv("cargo", ["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .folder(&workspace::root())
        .stdout()?;
    let metadata: Value = serde_json::from_slice(&metadata).map_err(Failure::new)?;
    let text = |path: &str| files.iter().find(|file| file.path == path).map_or("", |file| &file.text);
    let map = rooms_on_map(text(MAP));
    let mut findings = check_map(&map, &members(&metadata));
    findings.extend(check_order(&map, &rooms_in_manifest(text("Cargo.toml"))));
    findings.extend(check_arrows(&map, &arrows(&metadata)));
    Ok(findings)
}

/// Rooms in the table of the map, with the line of each.
fn rooms_on_map(text: &str) -> Vec<(String, usize)> {
    let section = text.lines().enumerate().skip_while(|(_, line)| *line != "## The rooms");
    let section = section.skip(1).take_while(|(_, line)| !line.starts_with("## "));
    let room =
        |(at, line): (usize, &str)| Some((line.strip_prefix("| `")?.split('`').next()?.to_owned(), at + 1));
    section.filter_map(room).collect()
}

/// Rooms in the order of the manifest.
fn rooms_in_manifest(text: &str) -> Vec<String> {
    let is_room = |line: &&str| line.contains("path = \"crates/");
    text.lines().filter(is_room).filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
}

fn members(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.filter_map(|package| package["name"].as_str().map(str::to_owned)).collect()
}

fn arrows(metadata: &Value) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let inner = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|dependency| dependency["path"].is_string());
        arrows.extend(inner.filter_map(|dependency| {
            let from = package["name"].as_str()?.to_owned();
            let to = dependency["name"].as_str()?.to_owned();
            Some(Arrow { from, to, of_tests: dependency["kind"] == "dev" })
        }));
    }
    arrows
}

fn check_map(map: &[(String, usize)], members: &[String]) -> Vec<Finding> {
    let missing =
        members.iter().filter(|member| *member != "xtask" && !map.iter().any(|(room, _)| room == *member));
    let missing = missing.map(|room| {
        Finding::new(MAP, 1, format!("the room `{room}` is not on the map"), "a line in its table")
    });
    let gone = map.iter().filter(|(room, _)| !members.contains(room));
    let gone = gone.map(|(room, line)| {
        Finding::new(MAP, *line, format!("there is no room `{room}`"), "take the line out")
    });
    missing.chain(gone).collect()
}

fn check_order(map: &[(String, usize)], manifest: &[String]) -> Option<Finding> {
    let ordered: Vec<&str> =
        map.iter().map(|(room, _)| room.as_str()).filter(|room| !OUTERMOST.contains(room)).collect();
    let what = format!("its rooms stand in another order than on the map, which is {}", ordered.join(", "));
    (ordered != *manifest).then(|| Finding::new("Cargo.toml", 1, what, "one order in both"))
}

fn check_arrows(map: &[(String, usize)], arrows: &[Arrow]) -> Vec<Finding> {
    let rank: BTreeMap<&str, usize> = map.iter().map(|(room, line)| (room.as_str(), *line)).collect();
    let wrong = arrows.iter().filter(|arrow| !is_legal(arrow, &rank));
    let finding = |arrow: &Arrow| {
        let what = format!("`{}` uses `{}`, which is not above it on the map", arrow.from, arrow.to);
        Finding::new(
            &format!("crates/{}/Cargo.toml", arrow.from),
            1,
            what,
            "take the value as a parameter, or move what is shared up",
        )
    };
    wrong.map(finding).collect()
}

fn is_legal(arrow: &Arrow, rank: &BTreeMap<&str, usize>) -> bool {
    if arrow.to == TEST_ROOM {
        return arrow.of_tests || arrow.from == "xtask";
    }
    if arrow.from == TEST_ROOM || OUTERMOST.contains(&arrow.to.as_str()) {
        return false;
    }
    OUTERMOST.contains(&arrow.from.as_str()) || rank.get(arrow.to.as_str()) < rank.get(arrow.from.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Vec<(String, usize)> {
        rooms_on_map(
            "# x\n| `no` | x |\n## The rooms\n\n| room | job |\n|---|---|\n| `a` | x |\n| `b` | x |\n| `testkit` | x |\n## More\n| `c` | x |",
        )
    }

    fn check(from: &str, to: &str, of_tests: bool, legal: bool) {
        let arrow = Arrow { from: from.into(), to: to.into(), of_tests };
        assert_eq!(check_arrows(&map(), &[arrow]).is_empty(), legal, "{from} → {to}");
    }

    #[test]
    fn arrows_go_up_in_the_map() {
        check("b", "a", false, true);
        check("a", "b", false, false);
        check("a", "b", true, false);
        check("cli", "b", false, true);
        check("a", "cli", false, false);
        check("a", "testkit", true, true);
        check("a", "testkit", false, false);
        check("xtask", "testkit", false, true);
        check("testkit", "a", false, false);
    }

    #[test]
    fn the_map_is_complete_and_the_manifest_has_its_order() {
        let members = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(check_map(&map(), &members(&["a", "b", "testkit", "xtask"])), []);
        assert_eq!(check_map(&map(), &members(&["a", "new", "testkit"])).len(), 2);
        let manifest = "a = { path = \"crates/a\" }\nb = { path = \"crates/b\" }\ntestkit = { path = \"crates/testkit\" }\nx = \"1\"\n";
        assert_eq!(check_order(&map(), &rooms_in_manifest(manifest)), None);
        assert!(check_order(&map(), &members(&["b", "a", "testkit"])).is_some());
    }
}
