//! The generated reference.

use crate::harness::Home;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

fn files(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => {
                let modified = path.metadata().unwrap().modified().unwrap();
                all.insert(path.clone(), (fs::read(&path).unwrap(), modified));
            }
        }
    }
    all
}

#[test]
fn a_second_run_changes_nothing_and_removes_what_is_no_more() {
    let home = Home::new();
    let generate = || assert_eq!(home.run(&["generate-docs", "ref"]).code, 0);
    generate();
    let first = files(&home.path("ref"));
    for name in [
        "cli.md",
        "config.md",
        "exit-codes.md",
        "result.schema.json",
        "man/copa.1",
        "man/copa-patch.1",
        "completions/copa.bash",
        "completions/copa.zsh",
        "completions/copa.fish",
    ] {
        assert!(first.contains_key(&home.path("ref").join(name)), "{name}");
    }
    home.write("ref/man/copa-old.1", "gone");
    generate();
    assert_eq!(files(&home.path("ref")), first);
}

#[test]
fn the_schema_is_one() {
    let home = Home::new();
    home.run(&["generate-docs", "ref"]);
    let schema: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path("ref/result.schema.json")).unwrap()).unwrap();
    assert_eq!(schema["title"], "ResultDocument");
    assert!(schema["properties"]["findings"].is_object());
}
