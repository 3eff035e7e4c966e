//! Image configs (image-spec `config.md`): the few fields that we read, and edits that leave every other byte of meaning alone.

use crate::{DiffId, Error, Platform, limits};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// An image config. Kept as the JSON it was, so that unknown fields survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config(Map<String, Value>);

/// One history entry to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// RFC 3339.
    pub created: String,
    /// What made the layer.
    pub created_by: String,
    /// Remark.
    pub comment: String,
}

impl Config {
    /// Parses and checks the fields that we rely on.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() as u64 > limits::CONFIG_BYTES_MAX {
            return Err(Error::invalid("config", format!("larger than {} bytes", limits::CONFIG_BYTES_MAX)));
        }
        let map: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|e| Error::invalid("config", e))?;
        let config = Config(map);
        config.diff_ids()?;
        let text = |key: &str| config.0.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
        for key in ["os", "architecture"] {
            if text(key).is_none() {
                return Err(Error::invalid("config", format!("no {key}")));
            }
        }
        Ok(config)
    }

    /// The bytes to store: compact JSON, fields in the order they had.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("a JSON map always serialises")
    }

    /// The platform it names.
    pub fn platform(&self) -> Platform {
        let text = |key: &str| self.0.get(key).and_then(Value::as_str);
        Platform::new(text("os").unwrap_or(""), text("architecture").unwrap_or(""), text("variant"))
    }

    /// The diff ids of the layers, lowest first.
    pub fn diff_ids(&self) -> Result<Vec<DiffId>, Error> {
        let rootfs = self.0.get("rootfs").ok_or_else(|| Error::invalid("config", "no rootfs"))?;
        let ids = match rootfs.get("diff_ids") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(ids) => ids.clone(),
        };
        serde_json::from_value(ids).map_err(|e| Error::invalid("config", format!("rootfs.diff_ids: {e}")))
    }

    /// `config.Labels`, as Docker and OCI spell it.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.0.get("config").and_then(|c| c.get("Labels")).and_then(Value::as_object);
        let pairs = labels.into_iter().flatten();
        pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
    }

    /// Sets one label.
    pub fn set_label(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let config = object(&mut self.0, "config")?;
        let labels = object(config, "Labels")?;
        labels.insert(key.to_owned(), value.into());
        Ok(())
    }

    /// Whether a field of any name is there; for tests of what survives.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Keeps the first `layers` layers and the history that belongs to them: history entries with `empty_layer` that
    /// follow the last kept layer stay too. Where history does not fit the number of layers it is left alone.
    pub(crate) fn truncate(&mut self, layers: usize) -> Result<(), Error> {
        let before = self.diff_ids()?.len();
        if let Some(Value::Array(ids)) = self.0.get_mut("rootfs").and_then(|r| r.get_mut("diff_ids")) {
            ids.truncate(layers);
        }
        let Some(Value::Array(history)) = self.0.get_mut("history") else { return Ok(()) };
        if history.iter().filter(|h| !is_empty_layer(h)).count() != before {
            return Ok(());
        }
        let mut seen = 0;
        history.retain(|h| {
            seen += usize::from(!is_empty_layer(h));
            is_empty_layer(h) || seen <= layers
        });
        Ok(())
    }

    /// Adds a layer on top. History is added only where what is there fits the layers, so that it stays consistent.
    pub(crate) fn push_layer(&mut self, diff_id: &DiffId, history: &History) -> Result<(), Error> {
        let before = self.diff_ids()?.len();
        let rootfs = object(&mut self.0, "rootfs")?;
        match rootfs.get_mut("diff_ids") {
            Some(Value::Array(ids)) => ids.push(diff_id.to_string().into()),
            _ => drop(rootfs.insert("diff_ids".into(), json!([diff_id.to_string()]))),
        }
        let entry =
            json!({"created": history.created, "created_by": history.created_by, "comment": history.comment});
        match self.0.get_mut("history") {
            Some(Value::Array(h)) if h.iter().filter(|h| !is_empty_layer(h)).count() == before => {
                h.push(entry)
            }
            None | Some(Value::Null) if before == 0 => drop(self.0.insert("history".into(), json!([entry]))),
            _ => {}
        }
        Ok(())
    }
}

fn is_empty_layer(history: &Value) -> bool {
    history.get("empty_layer").and_then(Value::as_bool).unwrap_or(false)
}

/// The object at a key, made where it is absent or null.
fn object<'a>(map: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Map<String, Value>, Error> {
    let value = map.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut().ok_or_else(|| Error::invalid("config", format!("{key} is no object")))
}
