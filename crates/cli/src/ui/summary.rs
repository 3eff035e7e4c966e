//! The last words of a run: what became of the image, its packages and its findings.

use super::{
    paint::Paint,
    text::{bytes, counted, printable, table},
};
use patch::result::{FindingRecord, PackageRecord, PatchedRecord, PreservedRecord, ResultDocument, Status};
use std::fmt::Write;

/// Findings listed of a kind that nobody can do anything about now. The result document has them all.
const QUIET_LINES_MAX: usize = 20;

/// Characters of a platform's failure in the table.
const FAILURE_CHARS_MAX: usize = 100;

/// Outcomes in the order they are told, what wants attention first.
const ATTENTION: [&str; 5] = ["failed", "repository-behind", "held", "excluded", "not-installed"];
const QUIET: [&str; 2] = ["no-fix-known", "already-fixed"];

/// The summary of a run, as lines.
pub fn summary(document: &ResultDocument, paint: Paint) -> String {
    if !document.platforms.is_empty() {
        return several(document, paint);
    }
    let mut out = String::new();
    match (document.status, &document.patched) {
        (Status::Patched, Some(patched)) => out.push_str(&head(document, patched, paint)),
        (Status::UpToDate, _) if listed(document, "failed").is_empty() => {
            out.push_str("Image is already up-to-date. No patch was applied.\n");
        }
        (Status::UpToDate, _) => out.push_str("No package could be updated. No patch was applied.\n"),
        _ => {}
    }
    out.push_str(&packages(&document.packages, paint));
    out.push_str(&findings(document, paint));
    out
}

/// Several platforms: the whole, a line for each, and what there is to say of each.
fn several(document: &ResultDocument, paint: Paint) -> String {
    let mut out = match (&document.index, document.status) {
        (Some(index), _) => {
            let mut rows = vec![["image".to_owned(), printable(&document.image.name).into_owned()]];
            rows.extend(places(document, &index.reference, paint));
            rows.push(["digest".to_owned(), printable(&index.digest).into_owned()]);
            format!(
                "{}\n{}",
                paint.good("Image patched"),
                table(&rows.into_iter().map(Vec::from).collect::<Vec<_>>(), 2)
            )
        }
        (None, Status::UpToDate) => "Image is already up-to-date. No patch was applied.\n".to_owned(),
        (None, _) => String::new(),
    };
    let _ = write!(out, "\n{}\n{}", paint.strong("Platforms"), table(&platforms(document), 2));
    for of in &document.platforms {
        let details = format!("{}{}", packages(&of.packages, paint), findings(of, paint));
        if !details.is_empty() {
            let _ =
                write!(out, "\n{}\n{}", paint.strong(&printable(&of.image.platform)), details.trim_start());
        }
    }
    out
}

/// A row for each platform: what became of it, and why where it stays as it is.
fn platforms(document: &ResultDocument) -> Vec<Vec<String>> {
    let worked_on = document.platforms.iter().map(|of| {
        let detail = match (of.status, &of.error) {
            (_, Some(error)) => shortened_text(&printable(&error.message)),
            (Status::Patched, None) => counts(of),
            _ => String::new(),
        };
        vec![printable(&of.image.platform).into_owned(), status_word(of.status).to_owned(), detail]
    });
    let is_told =
        |kept: &&PreservedRecord| !document.platforms.iter().any(|of| of.image.digest == kept.digest);
    let preserved =
        document.preserved.iter().filter(|kept| kept.platform.is_some()).filter(is_told).map(|kept| {
            let cells = [kept.platform.as_deref(), Some("preserved"), kept.why.as_deref()];
            cells.map(|cell| printable(cell.unwrap_or_default()).into_owned()).to_vec()
        });
    worked_on.chain(preserved).collect()
}

/// A failure in one line of a table; it has been told in full.
fn shortened_text(text: &str) -> String {
    match text.char_indices().nth(FAILURE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Patched => "patched",
        Status::UpToDate => "up-to-date",
        Status::Planned => "planned",
        Status::Failed => "failed",
    }
}

fn counts(document: &ResultDocument) -> String {
    let counts = document.summary.iter().map(|(outcome, n)| format!("{n} {outcome}"));
    let packages = counted(document.packages.len(), "package");
    std::iter::once(packages).chain(counts).collect::<Vec<_>>().join(", ")
}

fn head(document: &ResultDocument, patched: &PatchedRecord, paint: Paint) -> String {
    let layer = &patched.layer;
    let base = patched.layers.saturating_sub(1) as usize;
    let place = match document.image.repatched {
        true => format!("in place of the earlier patch, on {}", counted(base, "unchanged layer")),
        false => format!("on {}", counted(base, "unchanged layer")),
    };
    let removed = match layer.removed {
        0 => String::new(),
        n => format!(", {n} removed"),
    };
    let mut rows = vec![["image".to_owned(), printable(&document.image.name).into_owned()]];
    rows.extend(places(document, &patched.reference, paint));
    rows.push(["digest".to_owned(), printable(&patched.digest).into_owned()]);
    let layer = format!("{}, {} entries{removed}, {place}", bytes(layer.size), layer.entries);
    rows.push(["layer".to_owned(), layer]);
    let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    format!("{}\n{}", paint.good("Image patched"), table(&rows, 2))
}

/// The name that speaks for all, and below it the other places it was written to.
fn places(document: &ResultDocument, first: &str, paint: Paint) -> Vec<[String; 2]> {
    let others = document.deliveries.iter().map(|delivery| &delivery.reference);
    let others = others.filter(|reference| *reference != first);
    let row = |reference: &String| [String::new(), paint.strong(&printable(reference))];
    let mut rows = vec![["patched".to_owned(), paint.strong(&printable(first))]];
    rows.extend(others.map(row));
    rows
}

fn packages(packages: &[PackageRecord], paint: Paint) -> String {
    if packages.is_empty() {
        return String::new();
    }
    let row = |p: &PackageRecord| {
        let (from, to) = (p.from.as_deref().map(printable), p.to.as_deref().map(printable));
        let change = match (from, to) {
            (Some(from), Some(to)) => format!("{from} → {to}"),
            (None, Some(to)) => format!("{to}  (new)"),
            (Some(from), None) => format!("{from}  (removed)"),
            (None, None) => String::new(),
        };
        vec![printable(&p.name).into_owned(), change]
    };
    let rows: Vec<Vec<String>> = packages.iter().map(row).collect();
    let title = counted(packages.len(), "package");
    format!("\n{}\n{}", paint.strong(&format!("{title} changed")), table(&rows, 2))
}

fn findings(document: &ResultDocument, paint: Paint) -> String {
    let mut out = String::new();
    if !document.findings.is_empty() {
        let counts: Vec<String> =
            document.summary.iter().map(|(outcome, n)| format!("{n} {outcome}")).collect();
        let title = paint.strong(&counted(document.findings.len(), "finding"));
        let _ = writeln!(out, "\n{title}: {}", counts.join(", "));
        let mut rows: Vec<Vec<String>> = ATTENTION.iter().flat_map(|o| listed(document, o)).collect();
        for outcome in QUIET {
            rows.extend(shortened(listed(document, outcome), outcome));
        }
        out.push_str(&table(&rows, 2));
    }
    for (kind, count) in &document.not_considered {
        let kind = printable(kind);
        let _ = writeln!(out, "  {} of kind {kind} not considered", counted(*count as usize, "finding"));
    }
    let held: Vec<String> = held(document);
    if !held.is_empty() {
        let text = format!("apt-held packages found, not patched: {}", held.join(", "));
        let _ = writeln!(out, "{} {text}", paint.warn("warning:"));
    }
    out
}

fn listed(document: &ResultDocument, outcome: &str) -> Vec<Vec<String>> {
    let row = |f: &FindingRecord| {
        let versions = match (&f.now, &f.fixed) {
            (Some(now), Some(fixed)) => format!("{now}, fixed in {fixed}"),
            (None, Some(fixed)) => format!("{}, fixed in {fixed}", f.installed),
            (now, None) => now.clone().unwrap_or_else(|| f.installed.clone()),
        };
        let cells =
            [&f.outcome, &f.vulnerability, &f.package, &versions, f.reason.as_ref().unwrap_or(&f.installed)];
        let cells = if f.reason.is_some() { &cells[..] } else { &cells[..4] };
        cells.iter().map(|c| printable(c).into_owned()).collect()
    };
    document.findings.iter().filter(|f| f.outcome == outcome).map(row).collect()
}

fn shortened(mut rows: Vec<Vec<String>>, outcome: &str) -> Vec<Vec<String>> {
    if rows.len() > QUIET_LINES_MAX {
        let more = rows.len() - QUIET_LINES_MAX;
        rows.truncate(QUIET_LINES_MAX);
        rows.push(vec![outcome.to_owned(), format!("and {more} more (--result FILE has them all)")]);
    }
    rows
}

/// Held packages that findings ask for, each once.
fn held(document: &ResultDocument) -> Vec<String> {
    let held =
        document.findings.iter().filter(|f| f.outcome == "held").map(|f| printable(&f.package).into_owned());
    held.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A document with these fields over a plain one.
    pub(crate) fn document(fields: serde_json::Value) -> ResultDocument {
        let mut all = json!({
            "schemaVersion": patch::result::SCHEMA_VERSION, "toolVersion": "0.0.0", "status": "patched",
            "image": {"name": "reg.example/app:1", "digest": "sha256:aa", "platform": "linux/amd64",
                "os": "Debian 12", "layers": 2, "repatched": false},
            "scope": "report", "plan": [], "packages": [], "findings": [], "summary": {}, "notConsidered": {},
            "engine": "embedded", "steps": [], "fetches": [], "timingsMs": {}, "notes": [],
            "counters": serde_json::to_value(patch::result::Counters::default()).unwrap(),
        });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn finding(id: &str, package: &str, outcome: &str) -> serde_json::Value {
        json!({"vulnerability": id, "package": package, "installed": "1", "fixed": "2", "now": "1", "outcome": outcome})
    }

    #[test]
    fn a_patched_image_is_told_in_full() {
        let document = document(json!({
            "patched": {"reference": "reg.example/app:1-patched", "digest": "sha256:bb", "layers": 3,
                "layer": {"digest": "sha256:cc", "diffId": "sha256:dd", "size": 3_200_000, "uncompressedSize": 9,
                    "entries": 12, "removed": 1, "epoch": 0},
                "lineage": {"baseDigest": "", "baseName": "", "baseLayers": 2, "baseChain": "", "patchLayer": "",
                    "planDigest": "", "toolVersion": ""}},
            "deliveries": [{"reference": "oci:d\u{7}:1", "digest": "sha256:bb"},
                {"reference": "reg.example/app:1-patched", "digest": "sha256:bb"}],
            "packages": [{"name": "libssl3", "architecture": "amd64", "from": "1", "to": "2"},
                {"name": "new", "architecture": "all", "to": "1"}],
            "findings": [finding("CVE-1", "libssl3", "fixed"), finding("CVE-2", "bash", "held"),
                finding("CVE-3\u{1b}[2J", "x", "repository-behind")],
            "summary": {"fixed": 1, "held": 1, "repository-behind": 1},
        }));
        let expected = "\
Image patched
  image    reg.example/app:1
  patched  reg.example/app:1-patched
           oci:d\\u{7}:1
  digest   sha256:bb
  layer    3.2 MB, 12 entries, 1 removed, on 2 unchanged layers

2 packages changed
  libssl3  1 → 2
  new      1  (new)

3 findings: 1 fixed, 1 held, 1 repository-behind
  repository-behind  CVE-3\\u{1b}[2J  x     1, fixed in 2
  held               CVE-2           bash  1, fixed in 2
warning: apt-held packages found, not patched: bash
";
        assert_eq!(summary(&document, Paint(false)), expected);
    }

    #[test]
    fn nothing_to_do_is_said_so_and_long_lists_are_cut() {
        let many: Vec<_> = (0..30).map(|n| finding(&format!("CVE-{n}"), "p", "no-fix-known")).collect();
        let document =
            document(json!({"status": "up-to-date", "findings": many, "summary": {"no-fix-known": 30}}));
        let text = summary(&document, Paint(false));
        assert!(text.starts_with("Image is already up-to-date. No patch was applied.\n"), "{text}");
        assert!(text.contains("and 10 more"), "{text}");
        assert_eq!(text.lines().filter(|l| l.contains("CVE-")).count(), QUIET_LINES_MAX);
    }

    #[test]
    fn platforms_are_told_in_one_table_and_then_each() {
        let of = |platform: &str, fields: serde_json::Value| {
            let mut document = serde_json::to_value(document(fields)).unwrap();
            document["image"]["platform"] = platform.into();
            document["image"]["digest"] = platform.into();
            document
        };
        let document = document(json!({
            "index": {"reference": "reg.example/app:1-patched", "digest": "sha256:bb", "mediaType": "x"},
            "platforms": [
                of("linux/amd64", json!({"packages": [{"name": "a", "architecture": "amd64", "from": "1", "to": "2"}],
                    "findings": [finding("CVE-1", "a", "fixed")], "summary": {"fixed": 1}})),
                of("linux/arm64", json!({"status": "failed", "error": {"message": "no\u{1b}", "exitCode": 7}})),
                of("linux/s390x", json!({"status": "up-to-date"}))],
            "preserved": [{"digest": "linux/s390x", "platform": "linux/s390x", "kind": "image", "why": "nothing to do"},
                {"digest": "sha256:cc", "kind": "attestation"},
                {"digest": "sha256:dd", "platform": "windows/amd64", "kind": "image", "why": "only Linux"}],
        }));
        let expected = "\
Image patched
  image    reg.example/app:1
  patched  reg.example/app:1-patched
  digest   sha256:bb

Platforms
  linux/amd64    patched     1 package, 1 fixed
  linux/arm64    failed      no\\u{1b}
  linux/s390x    up-to-date
  windows/amd64  preserved   only Linux

linux/amd64
1 package changed
  a  1 → 2

1 finding: 1 fixed
";
        assert_eq!(summary(&document, Paint(false)), expected);
    }

    #[test]
    fn an_image_that_could_not_be_patched_is_not_up_to_date() {
        let document =
            document(json!({"status": "up-to-date", "findings": [finding("CVE-1", "p", "failed")],
            "summary": {"failed": 1}}));
        let text = summary(&document, Paint(false));
        assert!(text.starts_with("No package could be updated. No patch was applied.\n"), "{text}");
    }
}
