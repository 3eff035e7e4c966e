//! `copa cache`.

use crate::harness::Home;

#[test]
fn an_empty_cache_is_listed_as_empty() {
    let home = Home::new();
    let ran = home.run(&["cache", "ls", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["entries"].as_array().map(Vec::len), Some(0), "{json}");
    assert_eq!(json["bytes"], 0);
    let ran = home.run(&["cache", "ls"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("empty"), "{}", ran.stdout);
}

#[test]
fn pruning_an_empty_cache_removes_nothing() {
    let home = Home::new();
    for args in [&["cache", "prune", "--all"][..], &["cache", "prune", "--older-than", "7d", "--dry-run"]] {
        let ran = home.run(args);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains("0 B"), "{}", ran.stdout);
    }
}
