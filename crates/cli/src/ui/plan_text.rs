//! A plan for people: the output of `copa plan`.

use super::text::{counted, printable, table};
use patch::result::{FindingRecord, FixRecord, ResultDocument};
use std::fmt::Write;

/// The plan as text: of several platforms one after the other, and then what stays as it is.
pub fn plan_text(document: &ResultDocument) -> String {
    if document.platforms.is_empty() {
        return one(document);
    }
    let mut out = document.platforms.iter().map(one).collect::<Vec<_>>().join("\n");
    let kept =
        document.preserved.iter().filter_map(|kept| Some((kept.platform.as_ref()?, kept.why.as_ref()?)));
    let up_to_date = |platform: &String| document.platforms.iter().any(|of| of.image.platform == *platform);
    for (platform, why) in kept.filter(|(platform, _)| !up_to_date(platform)) {
        let _ = writeln!(out, "\n{} would stay as it is: {}", printable(platform), printable(why));
    }
    for note in &document.notes {
        let _ = writeln!(out, "note: {}", printable(note));
    }
    out
}

fn one(document: &ResultDocument) -> String {
    let image = &document.image;
    let mut out = format!("{} ({}, {})\n", printable(&image.name), image.platform, printable(&image.os));
    let _ = writeln!(out, "{}", image.digest);
    if image.repatched {
        out.push_str("Patched before: its patch layer will be replaced.\n");
    }
    out.push('\n');
    match document.scope.as_str() {
        "update-all" => {
            out.push_str("Everything that the image's repositories have newer would be updated.\n")
        }
        _ => out.push_str(&fixes(&document.plan)),
    }
    let left: Vec<&FindingRecord> = document.findings.iter().filter(|f| f.outcome != "planned").collect();
    if !left.is_empty() {
        let _ = write!(out, "\n{} not acted on:\n{}", counted(left.len(), "finding"), left_out(&left));
    }
    for note in &document.notes {
        let _ = writeln!(out, "note: {}", printable(note));
    }
    out
}

fn fixes(fixes: &[FixRecord]) -> String {
    if fixes.is_empty() {
        return "Nothing to do.\n".to_owned();
    }
    let row = |f: &FixRecord| {
        let cells = [&f.package, &f.installed, &f.at_least, &f.vulnerabilities.join(" ")];
        cells.map(|c| printable(c).into_owned()).to_vec()
    };
    let head = ["PACKAGE", "INSTALLED", "AT LEAST", "VULNERABILITIES"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(fixes.iter().map(row)).collect();
    format!("{} would be upgraded:\n{}", counted(fixes.len(), "package"), table(&rows, 2))
}

fn left_out(findings: &[&FindingRecord]) -> String {
    let row = |f: &&FindingRecord| {
        let reason = f.reason.as_deref().unwrap_or_default();
        [&*f.outcome, &f.vulnerability, &f.package, &f.installed, reason]
            .map(|c| printable(c).into_owned())
            .to_vec()
    };
    table(&findings.iter().map(row).collect::<Vec<_>>(), 2)
}

#[cfg(test)]
mod tests {
    use super::{super::summary::tests::document, *};
    use serde_json::json;

    #[test]
    fn a_plan_names_what_would_be_done_and_what_not() {
        let document = document(json!({
            "status": "planned",
            "plan": [{"package": "libssl3", "installed": "1", "atLeast": "2", "vulnerabilities": ["CVE-1", "CVE-2"]}],
            "findings": [
                {"vulnerability": "CVE-1", "package": "libssl3", "installed": "1", "outcome": "planned"},
                {"vulnerability": "CVE-9", "package": "zlib1g", "installed": "3", "outcome": "no-fix-known"}],
        }));
        let expected = "\
reg.example/app:1 (linux/amd64, Debian 12)
sha256:aa

1 package would be upgraded:
  PACKAGE  INSTALLED  AT LEAST  VULNERABILITIES
  libssl3  1          2         CVE-1 CVE-2

1 finding not acted on:
  no-fix-known  CVE-9  zlib1g  3
";
        assert_eq!(plan_text(&document), expected);
    }

    #[test]
    fn without_report_everything_is_updated() {
        let text = plan_text(&document(json!({"status": "planned", "scope": "update-all"})));
        assert!(text.contains("Everything that the image's repositories have newer"), "{text}");
        let nothing = plan_text(&document(json!({"status": "up-to-date"})));
        assert!(nothing.contains("Nothing to do."), "{nothing}");
    }
}
