//! Flag > environment > configuration file > default, seen from outside.

use crate::harness::Home;

/// The timeout is not a Go duration in each place; the message tells which place was believed.
#[test]
fn the_first_that_has_a_setting_is_believed() {
    let home = Home::new();
    home.write(".config/copa/config.yaml", "timeout: from-file\n");
    let variables = [("COPA_TIMEOUT", "from-variable")];
    let patch = ["plan", "--image", "a:1"];
    let typed = [&patch[..], &["--timeout", "from-flag"]].concat();
    for (args, variables, believed) in [
        (&typed[..], &variables[..], "from-flag"),
        (&patch, &variables, "from-variable"),
        (&patch, &[], "from-file"),
    ] {
        let ran = home.run_with(args, variables);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(
            ran.stderr.contains(&format!("invalid value '{believed}'"))
                || ran.stderr.contains(&format!("\"{believed}\"")),
            "{}",
            ran.stderr
        );
        let others = ["from-flag", "from-variable", "from-file"].iter().filter(|o| **o != believed);
        others.for_each(|other| assert!(!ran.stderr.contains(other), "{}", ran.stderr));
    }
}

#[test]
fn an_unknown_key_is_named_with_its_file() {
    let home = Home::new();
    home.write("my.yaml", "image: a:1\ntiemout: 5m\n");
    let ran = home.run_with(&["plan"], &[("COPA_CONFIG", home.path("my.yaml").to_str().unwrap())]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("unknown key \"tiemout\" in ") && ran.stderr.contains("my.yaml"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("hint: known keys: ") && ran.stderr.contains("timeout"), "{}", ran.stderr);
}

#[test]
fn a_named_file_must_be_there_and_be_yaml() {
    let home = Home::new();
    let with = |path: &str| home.run_with(&["plan", "-i", "a:1"], &[("COPA_CONFIG", path)]);
    let ran = with("/nonexistent/copa.yaml");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("cannot read /nonexistent/copa.yaml"), "{}", ran.stderr);
    let bad = home.write("bad.yaml", "{ not yaml");
    assert_eq!(with(bad.to_str().unwrap()).code, 2);
    let bomb = home.write("bomb.yaml", format!("tag: {}\n", "x".repeat(2 << 20)));
    let ran = with(bomb.to_str().unwrap());
    assert!(ran.code == 2 && ran.stderr.contains("larger than"), "{}", ran.stderr);
}

#[test]
fn a_source_date_that_is_none_is_refused() {
    let ran = Home::new().run_with(&["cache", "ls"], &[("SOURCE_DATE_EPOCH", "today")]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("SOURCE_DATE_EPOCH"), "{}", ran.stderr);
}
