//! Image configs (image-spec `config.md`): the few fields that we read, and edits that leave every other byte of meaning alone.

use crate::{DiffId, Error, Platform, limits};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// As docker and OCI spell the object of labels.
const LABELS: &str = "Labels";

/// An image config. Kept as the JSON it was, so that unknown fields survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config(Map<String, Value>);

/// One history entry.
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

    /// `config.Labels`, in whatever case the key is written: programs in Go read every such object as one, later values over
    /// earlier ones, and Go Copa writes `labels`.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let config = self.0.get("config").and_then(Value::as_object);
        let objects = config.into_iter().flatten().filter(|(key, _)| is_labels(key));
        let pairs = objects.filter_map(|(_, labels)| labels.as_object()).flatten();
        pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
    }

    /// Sets one label.
    pub fn set_label(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let config = object(&mut self.0, "config")?;
        object(config, LABELS)?.insert(key.to_owned(), value.into());
        // An object of another spelling must not say otherwise.
        for (_, other) in config.iter_mut().filter(|(name, _)| *name != LABELS && is_labels(name)) {
            other.as_object_mut().map(|labels| labels.shift_remove(key));
        }
        Ok(())
    }

    /// What history says of each layer, lowest first; `None` where it does not fit the number of layers.
    pub fn layer_history(&self) -> Option<Vec<History>> {
        let entries = self.0.get("history")?.as_array()?;
        let text =
            |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let entry = |h: &Value| History {
            created: text(h, "created"),
            created_by: text(h, "created_by"),
            comment: text(h, "comment"),
        };
        let layers: Vec<History> = entries.iter().filter(|h| !is_empty_layer(h)).map(entry).collect();
        (layers.len() == self.diff_ids().ok()?.len()).then_some(layers)
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

fn is_labels(key: &str) -> bool {
    key.eq_ignore_ascii_case(LABELS)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: Value) -> Config {
        let mut whole = json!({"os": "linux", "architecture": "amd64",
            "rootfs": {"diff_ids": [format!("sha256:{}", "0".repeat(64))]}});
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Config::parse(whole.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn labels_of_any_spelling_are_one_object() {
        let mut config = config(
            json!({"config": {"Labels": {"a": "1", "b": "2"}, "labels": {"b": "3", "c": "4"}, "User": "u"}}),
        );
        let plain = |config: &Config| config.labels().into_iter().map(|(k, v)| k + &v).collect::<Vec<_>>();
        assert_eq!(plain(&config), ["a1", "b3", "c4"]);
        config.set_label("c", "5").unwrap();
        assert_eq!(plain(&config), ["a1", "b3", "c5"]);
        assert_eq!(config.get("config").unwrap()["labels"], json!({"b": "3"}), "what others wrote stays");
        let mut none = Config::parse(config_without().as_bytes()).unwrap();
        none.set_label("x", "y").unwrap();
        assert_eq!(plain(&none), ["xy"]);
    }

    fn config_without() -> String {
        json!({"os": "linux", "architecture": "amd64", "rootfs": {}, "config": null}).to_string()
    }

    #[test]
    fn history_belongs_to_layers_only_where_it_fits() {
        let entry = |by: &str| json!({"created": "t", "created_by": by, "comment": "c"});
        let fits = config(json!({"history": [{"empty_layer": true, "created_by": "ENV"}, entry("one")]}));
        let found = fits.layer_history().unwrap();
        assert_eq!(found, [History { created: "t".into(), created_by: "one".into(), comment: "c".into() }]);
        for history in [json!([entry("one"), entry("two")]), json!([]), json!(null), json!("x")] {
            assert_eq!(config(json!({ "history": history })).layer_history(), None);
        }
        assert_eq!(config(json!({})).layer_history(), None);
    }
}
