//! Copa's own manifest, `v1alpha1` and `v1alpha2`: what scanner plugins print and `--scanner native` reads.

use crate::{
    Error, Findings, Subject,
    collect::{Budget, Collected, Row, Rows, RowsSeed},
};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor},
};
use std::fmt;

/// What was read, before its version is known to be one of ours.
#[derive(Default)]
pub(crate) struct Manifest {
    api_version: Option<String>,
    metadata: Metadata,
    updates: Option<Rows>,
    os_updates: Option<Rows>,
    lang_updates: Option<Rows>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    os: Os,
    config: Config,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Os {
    r#type: String,
    version: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    arch: String,
    variant: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Update {
    name: String,
    installed_version: String,
    fixed_version: String,
    #[serde(rename = "vulnerabilityID")]
    vulnerability_id: String,
    r#type: Option<String>,
    severity: Option<String>,
}

impl From<Update> for Row {
    fn from(update: Update) -> Row {
        Row {
            vulnerability: update.vulnerability_id,
            package: update.name,
            installed: update.installed_version,
            fixed: update.fixed_version,
            severity: update.severity.filter(|s| !s.is_empty()),
            kind: update.r#type.filter(|t| !t.is_empty()),
        }
    }
}

#[derive(Deserialize, Clone, Copy)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    #[serde(rename = "apiVersion")]
    ApiVersion,
    Metadata,
    Updates,
    OsUpdates,
    LangUpdates,
    #[serde(other)]
    Other,
}

impl Manifest {
    /// The findings, if the version is known and its lists are those of that version.
    pub(crate) fn findings(self) -> Result<Findings, Error> {
        let refuse = |why: String| Err(Error::Format { format: "native", why });
        let foreign = match self.api_version.as_deref() {
            None => return refuse("it has no apiVersion".into()),
            Some("v1alpha1") => {
                [("osupdates", self.os_updates.is_some()), ("langupdates", self.lang_updates.is_some())]
            }
            Some("v1alpha2") => [("updates", self.updates.is_some()); 2],
            Some(other) => return refuse(format!("unsupported apiVersion: {}", crate::error::shown(other))),
        };
        if let Some((key, _)) = foreign.iter().find(|(_, there)| *there) {
            return refuse(format!("\"{key}\" does not belong to its apiVersion"));
        }
        let mut collected = Collected { subject: subject(self.metadata), ..Collected::default() };
        for rows in self.updates.into_iter().chain(self.os_updates) {
            collected.os.push((None, rows));
        }
        for row in self.lang_updates.map(Rows::into_rows).unwrap_or_default() {
            collected.count_other(row.kind.as_deref(), 1);
        }
        collected.findings()
    }
}

fn subject(metadata: Metadata) -> Subject {
    let filled = |text: String| Some(text).filter(|t| !t.is_empty());
    Subject {
        os_family: filled(metadata.os.r#type),
        os_version: filled(metadata.os.version),
        architecture: filled(metadata.config.arch),
        variant: filled(metadata.config.variant),
        ..Subject::default()
    }
}

/// Reads a manifest.
pub(crate) struct ManifestSeed;

impl<'de> DeserializeSeed<'de> for ManifestSeed {
    type Value = Manifest;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Manifest, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ManifestSeed {
    type Value = Manifest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest of updates")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Manifest, A::Error> {
        let mut manifest = Manifest::default();
        let mut budget = Budget::default();
        let mut metadata = false;
        while let Some(key) = map.next_key()? {
            match key {
                Key::ApiVersion if manifest.api_version.is_some() => {
                    return Err(A::Error::duplicate_field("apiVersion"));
                }
                Key::ApiVersion => manifest.api_version = Some(map.next_value()?),
                Key::Metadata if std::mem::replace(&mut metadata, true) => {
                    return Err(A::Error::duplicate_field("metadata"));
                }
                Key::Metadata => manifest.metadata = map.next_value::<Option<_>>()?.unwrap_or_default(),
                Key::Updates | Key::OsUpdates | Key::LangUpdates => {
                    let (slot, name) = manifest.slot(key);
                    if slot.is_some() {
                        return Err(A::Error::duplicate_field(name));
                    }
                    let seed = RowsSeed { budget: &mut budget, to_row: <Row as From<Update>>::from };
                    *slot = Some(map.next_value_seed(seed)?);
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(manifest)
    }
}

impl Manifest {
    fn slot(&mut self, key: Key) -> (&mut Option<Rows>, &'static str) {
        match key {
            Key::Updates => (&mut self.updates, "updates"),
            Key::OsUpdates => (&mut self.os_updates, "osupdates"),
            _ => (&mut self.lang_updates, "langupdates"),
        }
    }
}
