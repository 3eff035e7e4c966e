//! `copa doctor`.

use crate::harness::Home;
use serde_json::Value;

#[test]
fn each_rung_says_how_it_stands() {
    let home = Home::new();
    let ran = home.run(&["doctor", "--json"]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["schemaVersion"], "copa.sh/doctor/v1");
    let rungs = json["rungs"].as_array().unwrap();
    let states: Vec<&str> = rungs.iter().map(|r| r["state"].as_str().unwrap()).collect();
    assert!(rungs.len() > 3 || states.contains(&"missing"), "{json:#}");
    assert!(states.iter().all(|s| ["ok", "degraded", "missing"].contains(s)), "{json:#}");
    assert!(
        rungs.iter().all(|r| !r["name"].as_str().unwrap().is_empty() && r["remedy"].is_string()),
        "{json:#}"
    );
    let usable = !states.contains(&"missing");
    assert_eq!((json["usable"].as_bool(), ran.code), (Some(usable), if usable { 0 } else { 6 }));
    assert_eq!(std::fs::read_dir(home.path("")).unwrap().count(), 0, "something was left behind");
}

#[test]
fn people_get_a_table() {
    let home = Home::new();
    let (table, json) = (home.run(&["doctor"]), home.run(&["doctor", "--json"]));
    assert_eq!(table.code, json.code);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    for rung in json["rungs"].as_array().unwrap() {
        assert!(table.stdout.contains(rung["name"].as_str().unwrap()), "{}", table.stdout);
    }
    assert!(table.stdout.contains("The embedded engine can"), "{}", table.stdout);
}
