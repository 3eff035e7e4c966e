//! Trivy's JSON, schema version 2. Read as a stream: of all that it says only what a plan needs is ever kept.

use crate::{
    Error, Findings,
    collect::{Budget, Collected, Row, Rows, RowsSeed},
};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// The one schema version that is known.
const SCHEMA_VERSION: u64 = 2;

/// The class of the distribution's own packages.
const OS_CLASS: &str = "os-pkgs";

/// Most results (one a kind of package, or a file with packages).
const RESULTS_MAX: usize = 100_000;

/// Most digests of one image; registries it was pulled from, so a handful.
const REPO_DIGESTS_MAX: usize = 1000;

/// Longest name of an image with a digest.
const NAME_BYTES_MAX: usize = 4096;

/// Longest class or type of a result.
const KIND_BYTES_MAX: usize = 256;

/// What was read, before it is known to be a report.
#[derive(Default)]
pub(crate) struct Report {
    collected: Collected,
    schema_version: Option<u64>,
    /// Whether it has any of the parts that make a report.
    substance: bool,
}

impl Report {
    /// The findings, if this is a report that we can read.
    pub(crate) fn findings(self) -> Result<Findings, Error> {
        let refuse = |why: String| Err(Error::Format { format: "Trivy", why });
        match self.schema_version {
            None => return refuse("it has no SchemaVersion".into()),
            Some(SCHEMA_VERSION) => {}
            Some(other) => {
                return refuse(format!("SchemaVersion {other} is unknown, {SCHEMA_VERSION} is expected"));
            }
        }
        if !self.substance {
            return refuse("it has neither ArtifactName nor Metadata nor Results".into());
        }
        self.collected.findings()
    }
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum RootKey {
    SchemaVersion,
    ArtifactName,
    Metadata,
    Results,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "OS")]
    os: Option<Os>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    #[serde(rename = "RepoDigests", default)]
    repo_digests: Digests,
    #[serde(rename = "ImageConfig")]
    image_config: Option<ImageConfig>,
}

/// A list of names with digests, bounded: each costs memory, even an empty one.
#[derive(Default)]
struct Digests(Vec<String>);

impl<'de> Deserialize<'de> for Digests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DigestsVisitor)
    }
}

struct DigestsVisitor;

impl<'de> Visitor<'de> for DigestsVisitor {
    type Value = Digests;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of digests")
    }

    fn visit_unit<E>(self) -> Result<Digests, E> {
        Ok(Digests::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Digests, A::Error> {
        let mut digests = Vec::new();
        while let Some(digest) = list.next_element::<String>()? {
            if digests.len() == REPO_DIGESTS_MAX || digest.len() > NAME_BYTES_MAX {
                return Err(A::Error::custom("RepoDigests is too long"));
            }
            digests.push(digest);
        }
        Ok(Digests(digests))
    }
}

#[derive(Deserialize)]
struct Os {
    #[serde(rename = "Family")]
    family: Option<String>,
    #[serde(rename = "Name")]
    name: Option<String>,
}

#[derive(Deserialize)]
struct ImageConfig {
    architecture: Option<String>,
    variant: Option<String>,
}

#[derive(Deserialize)]
struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    id: Option<String>,
    #[serde(rename = "PkgName")]
    package: Option<String>,
    #[serde(rename = "InstalledVersion")]
    installed: Option<String>,
    #[serde(rename = "FixedVersion")]
    fixed: Option<String>,
    #[serde(rename = "Severity")]
    severity: Option<String>,
}

impl From<Vulnerability> for Row {
    fn from(v: Vulnerability) -> Row {
        Row {
            vulnerability: v.id.unwrap_or_default(),
            package: v.package.unwrap_or_default(),
            installed: v.installed.unwrap_or_default(),
            fixed: v.fixed.unwrap_or_default(),
            severity: v.severity.filter(|s| !s.is_empty()),
            kind: None,
        }
    }
}

/// Reads a report.
pub(crate) struct ReportSeed;

impl<'de> DeserializeSeed<'de> for ReportSeed {
    type Value = Report;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Report, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ReportSeed {
    type Value = Report;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Trivy report")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Report, A::Error> {
        let mut report = Report::default();
        let mut budget = Budget::default();
        let (mut name, mut metadata, mut results) = (false, false, false);
        let once = |seen: &mut bool, key| match std::mem::replace(seen, true) {
            false => Ok(()),
            true => Err(A::Error::duplicate_field(key)),
        };
        while let Some(key) = map.next_key()? {
            match key {
                RootKey::SchemaVersion if report.schema_version.is_some() => {
                    return Err(A::Error::duplicate_field("SchemaVersion"));
                }
                RootKey::SchemaVersion => report.schema_version = Some(map.next_value()?),
                RootKey::ArtifactName => {
                    once(&mut name, "ArtifactName")?;
                    report.collected.subject.artifact_name = map.next_value()?;
                }
                RootKey::Metadata => {
                    once(&mut metadata, "Metadata")?;
                    report.describe(map.next_value()?);
                }
                RootKey::Results => {
                    once(&mut results, "Results")?;
                    map.next_value_seed(ResultsSeed {
                        collected: &mut report.collected,
                        budget: &mut budget,
                    })?;
                }
                RootKey::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        report.substance = name || metadata || results;
        Ok(report)
    }
}

impl Report {
    fn describe(&mut self, metadata: Option<Metadata>) {
        let Some(metadata) = metadata else { return };
        let filled = |text: Option<String>| text.filter(|t| !t.is_empty());
        let subject = &mut self.collected.subject;
        if let Some(os) = metadata.os {
            (subject.os_family, subject.os_version) = (filled(os.family), filled(os.name));
        }
        if let Some(config) = metadata.image_config {
            (subject.architecture, subject.variant) = (filled(config.architecture), filled(config.variant));
        }
        subject.image_id = filled(metadata.image_id);
        subject.repo_digests = metadata.repo_digests.0;
    }
}

/// Reads the list of results into what is collected.
struct ResultsSeed<'a> {
    collected: &'a mut Collected,
    budget: &'a mut Budget,
}

impl<'de> DeserializeSeed<'de> for ResultsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ResultsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of results")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(result) = list.next_element_seed(ResultSeed(self.budget))? {
            number += 1;
            if number > RESULTS_MAX {
                return Err(A::Error::custom(format_args!("more than {RESULTS_MAX} results")));
            }
            match result.class.as_deref() {
                Some(OS_CLASS) if !result.rows.is_empty() => {
                    self.collected.os.push((result.kind, result.rows))
                }
                Some(OS_CLASS) => {}
                class => {
                    self.budget.release(&result.rows);
                    self.collected.count_other(result.kind.as_deref().or(class), result.rows.count);
                }
            }
        }
        Ok(())
    }
}

/// One result: a list of vulnerabilities and what kind of package they are on. Its keys may come in any order.
#[derive(Default)]
struct PackageList {
    class: Option<String>,
    kind: Option<String>,
    rows: Rows,
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum ResultKey {
    Class,
    Type,
    Vulnerabilities,
    #[serde(other)]
    Other,
}

/// A class or type, bounded: a report may have many results.
fn kind_text<E: serde::de::Error>(text: Option<String>) -> Result<Option<String>, E> {
    match text.as_ref().is_some_and(|t| t.len() > KIND_BYTES_MAX) {
        true => Err(E::custom("a result's class or type is too long")),
        false => Ok(text),
    }
}

struct ResultSeed<'a>(&'a mut Budget);

impl<'de> DeserializeSeed<'de> for ResultSeed<'_> {
    type Value = PackageList;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<PackageList, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ResultSeed<'_> {
    type Value = PackageList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PackageList, A::Error> {
        let (mut class, mut kind, mut rows) = (None, None, None);
        while let Some(key) = map.next_key()? {
            match key {
                ResultKey::Class if class.is_some() => return Err(A::Error::duplicate_field("Class")),
                ResultKey::Class => class = Some(kind_text(map.next_value()?)?),
                ResultKey::Type if kind.is_some() => return Err(A::Error::duplicate_field("Type")),
                ResultKey::Type => kind = Some(kind_text(map.next_value()?)?),
                ResultKey::Vulnerabilities if rows.is_some() => {
                    return Err(A::Error::duplicate_field("Vulnerabilities"));
                }
                ResultKey::Vulnerabilities => {
                    let seed = RowsSeed { budget: self.0, to_row: <Row as From<Vulnerability>>::from };
                    rows = Some(map.next_value_seed(seed)?);
                }
                ResultKey::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(PackageList { class: class.flatten(), kind: kind.flatten(), rows: rows.unwrap_or_default() })
    }
}
