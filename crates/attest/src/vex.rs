//! The OpenVEX document (v0.2.0): what is said about each vulnerability, and its form.

use crate::purl::Purl;
use crate::{Packages, VexInput};
use plan::{Outcome, Settled};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, hash_map::Entry};

/// The form of the document.
const CONTEXT: &str = "https://openvex.dev/ns/v0.2.0";
/// What identifies documents that anybody may name.
const PUBLIC_ID: &str = "https://openvex.dev/docs/public/vex-";
/// Longest reason of a failure that is repeated, in characters: it may be the log of a program of the image.
const REASON_CHARS_MAX: usize = 500;

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "@context")]
    context: &'static str,
    #[serde(rename = "@id", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    author: &'a str,
    timestamp: &'a str,
    version: u32,
    tooling: &'a str,
    statements: Vec<Statement<'a>>,
}

#[derive(Serialize)]
struct Statement<'a> {
    vulnerability: Vulnerability<'a>,
    products: [Product; 1],
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    justification: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_statement: Option<String>,
}

/// Readers of older documents look at `@id`, the specification asks for `name`.
#[derive(Serialize)]
struct Vulnerability<'a> {
    #[serde(rename = "@id")]
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Product {
    #[serde(rename = "@id")]
    id: String,
    subcomponents: Vec<Subcomponent>,
}

#[derive(Serialize)]
struct Subcomponent {
    #[serde(rename = "@id")]
    id: String,
}

/// In order of severity: of what is said about one vulnerability of one package, the worst counts.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
enum Status {
    NotAffected,
    Fixed,
    Affected,
}

/// What is said about one vulnerability of one package.
struct Saying<'a> {
    vulnerability: &'a str,
    package: String,
    status: Status,
    action: Option<String>,
}

/// The document, or nothing where there is nothing to say.
pub(crate) fn document(inputs: &[VexInput]) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let statements: Vec<Statement> = inputs.iter().flat_map(statements).collect();
    let Some(input) = inputs.first().filter(|_| !statements.is_empty()) else { return Ok(None) };
    let mut document = Document {
        context: CONTEXT,
        id: None,
        author: input.author,
        timestamp: input.timestamp,
        version: 1,
        tooling: input.tooling,
        statements,
    };
    let hash = Sha256::digest(serde_json::to_vec(&document)?);
    document.id = Some(hash.iter().fold(PUBLIC_ID.to_owned(), |id, byte| id + &format!("{byte:02x}")));
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    Ok(Some(text))
}

/// One statement for each vulnerability and status, in order of first appearance.
fn statements<'a>(input: &VexInput<'a>) -> Vec<Statement<'a>> {
    let product = product(input);
    let mut statements = Vec::new();
    let mut places: HashMap<_, usize> = HashMap::new();
    for saying in sayings(input) {
        match places.entry((saying.vulnerability, saying.status)) {
            Entry::Occupied(place) => add(&mut statements[*place.get()], saying),
            Entry::Vacant(place) => {
                place.insert(statements.len());
                statements.push(begin(&product, saying));
            }
        }
    }
    statements
}

/// What is said about each package once, the worst where the findings differ.
fn sayings<'a>(input: &VexInput<'a>) -> Vec<Saying<'a>> {
    let mut sayings: Vec<Saying> = Vec::new();
    let mut places: HashMap<_, usize> = HashMap::new();
    for settled in input.settled.iter().filter(|settled| !settled.vulnerability.is_empty()) {
        let new = saying(input, settled);
        match places.entry((new.vulnerability, new.package.clone())) {
            Entry::Occupied(place) => {
                let old = &mut sayings[*place.get()];
                if old.status < new.status {
                    *old = new;
                }
            }
            Entry::Vacant(place) => {
                place.insert(sayings.len());
                sayings.push(new);
            }
        }
    }
    sayings
}

fn saying<'a>(input: &VexInput, settled: &'a Settled) -> Saying<'a> {
    let status = match settled.outcome {
        Outcome::Fixed | Outcome::AlreadyFixed => Status::Fixed,
        Outcome::NotInstalled => Status::NotAffected,
        _ => Status::Affected,
    };
    let version = settled.now.as_deref().unwrap_or(&settled.installed);
    Saying {
        vulnerability: &settled.vulnerability,
        package: package(input, settled, version),
        status,
        action: (status == Status::Affected).then(|| action(settled, version)),
    }
}

fn begin<'a>(product: &str, saying: Saying<'a>) -> Statement<'a> {
    Statement {
        vulnerability: Vulnerability { id: saying.vulnerability, name: saying.vulnerability },
        products: [Product {
            id: product.to_owned(),
            subcomponents: vec![Subcomponent { id: saying.package }],
        }],
        status: saying.status,
        justification: (saying.status == Status::NotAffected).then_some("component_not_present"),
        action_statement: saying.action,
    }
}

fn add(statement: &mut Statement, saying: Saying) {
    statement.products[0].subcomponents.push(Subcomponent { id: saying.package });
    if let (Some(all), Some(more)) = (&mut statement.action_statement, saying.action) {
        all.push(' ');
        all.push_str(&more);
    }
}

/// Why a vulnerability is still there, and what can be done.
fn action(settled: &Settled, version: &str) -> String {
    let package = format!("{} {version}", settled.package);
    let fixed = settled.fixed.as_deref().unwrap_or("an unknown version");
    match &settled.outcome {
        Outcome::NoFixKnown => {
            format!("{package}: no fixed version is known; patch the image again when there is one.")
        }
        Outcome::RepositoryBehind { reached } => format!(
            "{package}: fixed in {fixed}, but the package repositories of the image reach only {reached}; \
             patch it again when they have the fixed version."
        ),
        Outcome::Held => {
            format!(
                "{package}: fixed in {fixed}, but the image holds the package; release the hold and patch again."
            )
        }
        Outcome::Excluded { why } => {
            format!("{package}: fixed in {fixed}, but left out of patching ({}).", shown(why))
        }
        Outcome::Failed { reason } => {
            format!("{package}: fixed in {fixed}, but patching it failed ({}).", shown(reason))
        }
        // Named one by one, so that a new outcome is not passed over.
        Outcome::Fixed | Outcome::AlreadyFixed | Outcome::NotInstalled => String::new(),
    }
}

/// Text that may come from the image: cut, and without control characters.
fn shown(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(REASON_CHARS_MAX).map(visible).collect()
}

fn product(input: &VexInput) -> String {
    let name = input.image.rsplit('/').next().unwrap_or(input.image).to_lowercase();
    Purl { kind: "oci", namespace: "", name: &name, version: input.digest.as_str(), qualifiers: &[] }.text()
}

/// The package URL as purl-spec's PURL-TYPES writes it: the epoch of an RPM version is a qualifier.
fn package(input: &VexInput, settled: &Settled, version: &str) -> String {
    let distro = match input.os_version {
        "" => String::new(),
        version => format!("{}-{version}", input.os_id),
    };
    let arch = settled.package.architecture().unwrap_or(input.architecture);
    let (epoch, version) = match input.packages {
        Packages::Rpm => version.split_once(':').unwrap_or(("", version)),
        Packages::Deb | Packages::Apk | Packages::Alpm => ("", version),
    };
    let qualifiers = [("arch", arch), ("distro", distro.as_str()), ("epoch", epoch)];
    let name = settled.package.base();
    let kind = input.packages.purl_type();
    Purl { kind, namespace: input.vendor, name, version, qualifiers: &qualifiers }.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn settled(vulnerability: &str, package: &str, now: Option<&str>, outcome: Outcome) -> Settled {
        Settled {
            vulnerability: vulnerability.into(),
            package: package.parse().unwrap(),
            installed: "1.0-1".into(),
            fixed: (outcome != Outcome::NoFixKnown).then(|| "1.1-1".into()),
            now: now.map(str::to_owned),
            severity: None,
            outcome,
        }
    }

    fn made(settled: &[Settled]) -> Option<Vec<u8>> {
        let digest = oci::Digest::of(b"manifest");
        let input = VexInput {
            image: "registry.example:5000/team/Nginx",
            digest: &digest,
            packages: Packages::Deb,
            vendor: "debian",
            os_id: "debian",
            os_version: "12",
            architecture: "amd64",
            author: "Somebody",
            tooling: "copa 0.1.0",
            timestamp: "2026-01-01T00:00:00Z",
            settled,
        };
        document(&[input]).unwrap()
    }

    fn parsed(settled: &[Settled]) -> Value {
        serde_json::from_slice(&made(settled).unwrap()).unwrap()
    }

    /// What the JSON Schema of OpenVEX v0.2.0 asks of a document, as far as ours has it.
    fn assert_valid(document: &Value) {
        for key in ["@context", "@id", "author", "timestamp"] {
            assert!(document[key].as_str().is_some_and(|text| !text.is_empty()), "{key}");
        }
        assert_eq!((&document["@context"], &document["version"]), (&json!(CONTEXT), &json!(1)));
        let statements = document["statements"].as_array().unwrap();
        assert!(!statements.is_empty());
        for statement in statements {
            let has = |key: &str| statement.get(key).is_some();
            assert!(statement["vulnerability"]["name"].is_string());
            assert!(!statement["products"][0]["subcomponents"].as_array().unwrap().is_empty());
            match statement["status"].as_str().unwrap() {
                "fixed" => assert!(!has("justification") && !has("action_statement")),
                "affected" => assert!(!has("justification") && statement["action_statement"].is_string()),
                "not_affected" => {
                    assert!(has("justification") && !has("impact_statement") && !has("action_statement"))
                }
                other => panic!("{other} is no status that we give"),
            }
        }
    }

    #[test]
    fn the_document_has_the_form_of_openvex() {
        let text =
            made(&[settled("CVE-2026-1", "libssl3", Some("1:3.0-1+deb12u2"), Outcome::Fixed)]).unwrap();
        let document: Value = serde_json::from_slice(&text).unwrap();
        assert_valid(&document);
        let digest = oci::Digest::of(b"manifest");
        let expected = json!({
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": document["@id"],
            "author": "Somebody",
            "timestamp": "2026-01-01T00:00:00Z",
            "version": 1,
            "tooling": "copa 0.1.0",
            "statements": [{
                "vulnerability": { "@id": "CVE-2026-1", "name": "CVE-2026-1" },
                "products": [{
                    "@id": format!("pkg:oci/nginx@{digest}"),
                    "subcomponents": [
                        { "@id": "pkg:deb/debian/libssl3@1:3.0-1%2Bdeb12u2?arch=amd64&distro=debian-12" },
                    ],
                }],
                "status": "fixed",
            }],
        });
        assert_eq!(document, expected);
        assert_eq!(text, [serde_json::to_vec_pretty(&expected).unwrap(), b"\n".to_vec()].concat());
        let id = document["@id"].as_str().unwrap().strip_prefix(PUBLIC_ID).unwrap();
        assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn every_outcome_has_its_status() {
        let reached = || "1.0-2".to_owned();
        let failed = Outcome::Failed { reason: "dpkg\u{1b}[2J\nbroke".into() };
        for (outcome, status, says) in [
            (Outcome::Fixed, "fixed", ""),
            (Outcome::AlreadyFixed, "fixed", ""),
            (Outcome::NotInstalled, "not_affected", ""),
            (Outcome::NoFixKnown, "affected", "x 1.0-1: no fixed version is known"),
            (
                Outcome::RepositoryBehind { reached: reached() },
                "affected",
                "fixed in 1.1-1, but the package repositories of the image reach only 1.0-2",
            ),
            (Outcome::Held, "affected", "holds the package"),
            (Outcome::Excluded { why: "policy".into() }, "affected", "left out of patching (policy)"),
            (failed, "affected", "patching it failed (dpkg [2J broke)"),
        ] {
            let document = parsed(&[settled("CVE-1", "x", None, outcome.clone())]);
            assert_valid(&document);
            let statement = &document["statements"][0];
            assert_eq!(statement["status"], status, "{outcome:?}");
            assert!(statement["action_statement"].as_str().unwrap_or_default().contains(says), "{statement}");
        }
        let absent = parsed(&[settled("CVE-1", "x", None, Outcome::NotInstalled)]);
        assert_eq!(absent["statements"][0]["justification"], "component_not_present");
    }

    #[test]
    fn one_statement_for_each_vulnerability_and_status() {
        let document = parsed(&[
            settled("CVE-2", "b", Some("1.1-1"), Outcome::Fixed),
            settled("CVE-1", "a", Some("1.1-1"), Outcome::Fixed),
            settled("CVE-2", "held", None, Outcome::Held),
            settled("CVE-2", "a:i386", Some("1.1-1"), Outcome::AlreadyFixed),
            settled("CVE-2", "b", Some("1.1-1"), Outcome::Fixed),
            settled("CVE-2", "other", None, Outcome::NoFixKnown),
            settled("", "nameless", Some("1.1-1"), Outcome::Fixed),
        ]);
        assert_valid(&document);
        let short = |statement: &Value| {
            let parts = statement["products"][0]["subcomponents"].as_array().unwrap();
            let ids =
                parts.iter().map(|part| part["@id"].as_str().unwrap()["pkg:deb/debian/".len()..].to_owned());
            let name = statement["vulnerability"]["name"].as_str().unwrap().to_owned();
            (name, statement["status"].as_str().unwrap().to_owned(), ids.collect::<Vec<_>>().join(" "))
        };
        let statements: Vec<_> = document["statements"].as_array().unwrap().iter().map(short).collect();
        let expect =
            |name: &str, status: &str, ids: &str| (name.to_owned(), status.to_owned(), ids.to_owned());
        assert_eq!(
            statements,
            [
                expect(
                    "CVE-2",
                    "fixed",
                    "b@1.1-1?arch=amd64&distro=debian-12 a@1.1-1?arch=i386&distro=debian-12"
                ),
                expect("CVE-1", "fixed", "a@1.1-1?arch=amd64&distro=debian-12"),
                expect(
                    "CVE-2",
                    "affected",
                    "held@1.0-1?arch=amd64&distro=debian-12 other@1.0-1?arch=amd64&distro=debian-12"
                ),
            ]
        );
        let action = document["statements"][2]["action_statement"].as_str().unwrap();
        assert!(action.contains("held 1.0-1") && action.contains("other 1.0-1"), "{action}");
    }

    #[test]
    fn what_is_not_wholly_fixed_is_not_fixed() {
        let behind = Outcome::RepositoryBehind { reached: "1.1-1".into() };
        let both = [
            settled("CVE-1", "x", Some("1.1-1"), Outcome::Fixed),
            settled("CVE-1", "x", Some("1.1-1"), behind),
        ];
        for order in [both.to_vec(), both.iter().rev().cloned().collect()] {
            let document = parsed(&order);
            assert_eq!(document["statements"].as_array().unwrap().len(), 1);
            assert_eq!(document["statements"][0]["status"], "affected");
        }
    }

    #[test]
    fn the_same_content_has_the_same_bytes_and_other_content_another_id() {
        let one = [settled("CVE-1", "x", Some("1.1-1"), Outcome::Fixed)];
        let two = [settled("CVE-1", "x", Some("1.1-2"), Outcome::Fixed)];
        assert_eq!(made(&one), made(&one));
        assert_ne!(parsed(&one)["@id"], parsed(&two)["@id"]);
        assert_eq!(made(&[]), None);
    }
}
