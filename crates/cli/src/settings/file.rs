//! The configuration file: flag names as keys. Strict: an unknown key is an error that names it.

use super::environment::Environment;
use crate::{error::Failure, ui::text::printable};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::{collections::BTreeMap, fmt, fs, io::Read, path::PathBuf};

/// A configuration file is a page of text; what is larger is something else.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the configuration file says.
#[derive(Debug, Clone, Default)]
pub struct ConfigFile {
    /// Where it was read from, for messages.
    pub path: PathBuf,
    values: BTreeMap<String, Value>,
}

/// The value of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `true`, `false`, or text.
    One(String),
    /// A list of texts.
    Many(Vec<String>),
}

impl ConfigFile {
    /// The one that `COPA_CONFIG` names (it must be there), or the one in the user's configuration folder if there is one.
    pub fn find(environment: &Environment, known: &[String]) -> Result<Self, Failure> {
        let named = environment.path("COPA_CONFIG");
        let usual = || Some(environment.xdg("XDG_CONFIG_HOME", ".config")?.join("copa/config.yaml"));
        let must = named.is_some();
        let Some(path) = named.or_else(usual) else { return Ok(ConfigFile::default()) };
        match read(&path) {
            Ok(text) => ConfigFile::parse(path, &text, known),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must => Ok(ConfigFile::default()),
            Err(e) => Err(Failure::config(format!("cannot read {}", printable(&path.to_string_lossy())))
                .because(e.to_string())
                .hint("COPA_CONFIG names the configuration file")),
        }
    }

    /// From its text.
    pub fn parse(path: PathBuf, text: &str, known: &[String]) -> Result<Self, Failure> {
        let shown = printable(&path.to_string_lossy()).into_owned();
        let empty = text.lines().all(|l| matches!(l.trim_start().bytes().next(), None | Some(b'#')));
        let values: BTreeMap<String, Value> = match empty {
            true => BTreeMap::new(),
            false => serde_saphyr::from_str(text).map_err(|e| {
                Failure::config(format!("{shown} is not a valid configuration file"))
                    .because(printable(&e.to_string()).into_owned())
            })?,
        };
        match values.keys().find(|key| !known.contains(key)) {
            Some(key) => Err(Failure::config(format!("unknown key \"{}\" in {shown}", printable(key)))
                .hint(format!("known keys: {}", known.join(", ")))),
            None => Ok(ConfigFile { path, values }),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match read as u64 > FILE_BYTES_MAX {
        true => Err(std::io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes"))),
        false => Ok(text),
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    /// Numbers are refused: YAML would read `1.10` as `1.1`.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, text or a list of texts (numbers go in quotes)")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::One(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::One(value.to_owned()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element::<Value>()? {
            match one {
                Value::One(text) => all.push(text),
                Value::Many(_) => return Err(de::Error::custom("a list within a list")),
            }
        }
        Ok(Value::Many(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, Failure> {
        let known = ["timeout", "push", "allow-host", "tag"].map(str::to_owned);
        ConfigFile::parse("c.yaml".into(), text, &known)
    }

    #[test]
    fn scalars_lists_and_nothing_are_read() {
        let file = parse("timeout: 10m\npush: true\nallow-host:\n  - a:80\n  - b\ntag: \"1.10\"\n").unwrap();
        assert_eq!(file.get("timeout"), Some(&Value::One("10m".into())));
        assert_eq!(file.get("push"), Some(&Value::One("true".into())));
        assert_eq!(file.get("allow-host"), Some(&Value::Many(vec!["a:80".into(), "b".into()])));
        assert_eq!(file.get("tag"), Some(&Value::One("1.10".into())));
        assert!(parse("").is_ok() && parse("# nothing\n\n").is_ok());
    }

    #[test]
    fn what_is_not_meant_is_refused_with_its_name() {
        let failure = parse("tiemout: 10m").unwrap_err();
        assert!(failure.what.contains("tiemout"), "{failure:?}");
        for text in
            ["tag: 1.10", "tag: 7", "- a", "tag: {a: b}", "push: true\npush: false", "tag: [[a]]", "\u{1}: x"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
