//! registries.conf, the main file and its drop-ins together (containers-registries.conf(5), version 2).

use crate::Error;
use fetch::client::printable;
use oci::Reference;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Largest file taken.
const CONF_BYTES_MAX: usize = 1 << 20;
/// Longest text of a file in a message.
const TEXT_CHARS_SHOWN: usize = 200;

/// What all files say, later ones over earlier ones.
#[derive(Debug, Clone, Default)]
pub struct RegistriesConf {
    pub(crate) registries: BTreeMap<String, Entry>,
    pub(crate) search: Vec<String>,
    pub(crate) mode: Option<ShortNameMode>,
    pub(crate) aliases: BTreeMap<String, String>,
    helpers: Vec<String>,
}

/// What is to be done with a short name that several registries may hold (`short-name-mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShortNameMode {
    /// Nothing: it is an error.
    Enforcing,
    /// As disabled, since nobody is asked.
    Permissive,
    /// Every registry is tried in order.
    Disabled,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    credential_helpers: Option<Vec<String>>,
    short_name_mode: Option<String>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    registry: Vec<Entry>,
    /// Version 1.
    registries: Option<toml::Value>,
}

/// One `[[registry]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Entry {
    #[serde(default)]
    pub(crate) prefix: String,
    /// Empty where nothing is rewritten.
    #[serde(default)]
    pub(crate) location: String,
    #[serde(default)]
    pub(crate) insecure: bool,
    #[serde(default)]
    pub(crate) blocked: bool,
    #[serde(default)]
    pub(crate) mirror_by_digest_only: bool,
    #[serde(default, rename = "mirror")]
    pub(crate) mirrors: Vec<Mirror>,
    /// Means something for mirrors only.
    pull_from_mirror: Option<String>,
}

/// One `[[registry.mirror]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Mirror {
    #[serde(default)]
    pub(crate) location: String,
    #[serde(default)]
    pub(crate) insecure: bool,
    pub(crate) pull_from_mirror: Option<Pulls>,
}

/// Which pulls a mirror is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pulls {
    /// As the registry says.
    #[serde(alias = "")]
    All,
    DigestOnly,
    TagOnly,
}

impl RegistriesConf {
    /// Adds the content of a file to those before: registries of the same prefix are replaced, aliases too, lists as a
    /// whole. `name` is its path for messages, printable. Keys that are not known are left alone.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<(), Error> {
        let file = read(content).map_err(|why| Error::Configuration { file: name.to_owned(), why })?;
        self.search = file.unqualified_search_registries.unwrap_or_else(|| std::mem::take(&mut self.search));
        self.helpers = file.credential_helpers.unwrap_or_else(|| std::mem::take(&mut self.helpers));
        self.mode = file.mode.or(self.mode);
        for (short, whole) in file.aliases {
            match whole.is_empty() {
                true => self.aliases.remove(&short),
                false => self.aliases.insert(short, whole),
            };
        }
        // Within a file the first of a prefix counts.
        let registries = file.registries.into_iter().rev().map(|entry| (entry.prefix.clone(), entry));
        self.registries.extend(registries);
        Ok(())
    }

    /// The same where nothing says what short names mean.
    pub fn without_short_names(self) -> Self {
        RegistriesConf { search: Vec::new(), aliases: BTreeMap::new(), ..self }
    }

    /// `credential-helpers`: who is asked for credentials, in order.
    pub fn helpers(&self) -> &[String] {
        &self.helpers
    }
}

/// A file whose every part makes sense.
struct Sound {
    unqualified_search_registries: Option<Vec<String>>,
    credential_helpers: Option<Vec<String>>,
    mode: Option<ShortNameMode>,
    aliases: BTreeMap<String, String>,
    registries: Vec<Entry>,
}

fn read(content: &[u8]) -> Result<Sound, String> {
    if content.len() > CONF_BYTES_MAX {
        return Err(format!("larger than {CONF_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(content).map_err(|_| "not valid UTF-8".to_owned())?;
    let mut file: File = toml::from_str(text).map_err(|e| printable(e.message(), TEXT_CHARS_SHOWN))?;
    if file.registries.is_some() {
        return Err("it is of version 1 ([registries.…]); write [[registry]] tables".into());
    }
    file.registry.iter_mut().try_for_each(Entry::settle)?;
    refuse_conflicts(&file.registry)?;
    for host in file.unqualified_search_registries.iter().flatten() {
        if !is_host(host) {
            return Err(format!("\"{}\" is no registry to search", shown(host)));
        }
    }
    for (short, whole) in &file.aliases {
        check_alias(short, whole)?;
    }
    Ok(Sound {
        unqualified_search_registries: file.unqualified_search_registries,
        credential_helpers: file.credential_helpers,
        mode: file.short_name_mode.as_deref().map_or(Ok(None), mode)?,
        aliases: file.aliases,
        registries: file.registry,
    })
}

fn mode(text: &str) -> Result<Option<ShortNameMode>, String> {
    Ok(match text {
        "" => None,
        "enforcing" => Some(ShortNameMode::Enforcing),
        "permissive" => Some(ShortNameMode::Permissive),
        "disabled" => Some(ShortNameMode::Disabled),
        other => return Err(format!("short-name-mode \"{}\" is unknown", shown(other))),
    })
}

fn shown(text: &str) -> String {
    printable(text, TEXT_CHARS_SHOWN)
}

impl Entry {
    /// Fills in what is left out and refuses what cannot be meant.
    fn settle(&mut self) -> Result<(), String> {
        self.location = location(&self.location)?;
        self.prefix = location(&self.prefix)?;
        match (self.prefix.is_empty(), self.location.is_empty()) {
            (true, true) => return Err("a [[registry]] has neither prefix nor location".into()),
            (true, false) => self.prefix.clone_from(&self.location),
            (false, true) if !self.prefix.starts_with("*.") => {
                return Err(format!("[[registry]] \"{}\" has no location", shown(&self.prefix)));
            }
            _ => {}
        }
        let prefix_is_good = match self.prefix.strip_prefix("*.") {
            Some(domain) => is_host(domain) && !domain.contains(':'),
            None => is_location(&self.prefix),
        };
        if !prefix_is_good {
            return Err(format!("prefix \"{}\" is no part of an image's name", shown(&self.prefix)));
        }
        if !self.location.is_empty() && !is_location(&self.location) {
            return Err(format!("location \"{}\" is no part of an image's name", shown(&self.location)));
        }
        if self.pull_from_mirror.as_deref().is_some_and(|p| !p.is_empty()) {
            return Err(format!("pull-from-mirror of \"{}\" belongs to its mirrors", shown(&self.prefix)));
        }
        self.settle_mirrors()
    }

    fn settle_mirrors(&mut self) -> Result<(), String> {
        for mirror in &mut self.mirrors {
            mirror.location = location(&mirror.location)?;
            if !is_location(&mirror.location) {
                let (mirror, prefix) = (shown(&mirror.location), shown(&self.prefix));
                return Err(format!("mirror \"{mirror}\" of \"{prefix}\" is no part of an image's name"));
            }
            if self.mirror_by_digest_only && mirror.pull_from_mirror.is_some() {
                let prefix = shown(&self.prefix);
                return Err(format!("\"{prefix}\" has mirror-by-digest-only and pull-from-mirror"));
            }
        }
        Ok(())
    }
}

/// Tables of one place must agree, so that no order of them decides whether it is blocked.
fn refuse_conflicts(entries: &[Entry]) -> Result<(), String> {
    let mut known: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in entries {
        let place = if entry.location.is_empty() { &entry.prefix } else { &entry.location };
        let first = known.entry(place).or_insert(entry);
        if (first.insecure, first.blocked) != (entry.insecure, entry.blocked) {
            return Err(format!("\"{}\" stands twice, with other \"insecure\" or \"blocked\"", shown(place)));
        }
    }
    Ok(())
}

fn location(text: &str) -> Result<String, String> {
    match text.contains("://") {
        true => Err(format!("\"{}\" must be without http:// or https://", shown(text))),
        false => Ok(text.trim_end_matches('/').to_owned()),
    }
}

/// Whether a text is the beginning of an image's whole name: a host, or more.
fn is_location(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or(text);
    let whole = |text: &str| text.parse::<Reference>().is_ok();
    is_host(host) && (text == host || whole(text))
}

/// Whether a text is a host, as references know one from a name.
fn is_host(text: &str) -> bool {
    let looks_so = text.contains(['.', ':']) || text == "localhost";
    looks_so && !text.contains('/') && format!("{text}/x").parse::<Reference>().is_ok()
}

fn check_alias(short: &str, whole: &str) -> Result<(), String> {
    let is_short = short.parse::<Reference>().is_ok_and(|r| {
        let first = short.split('/').next().unwrap_or(short);
        r.tag().is_none() && r.digest().is_none() && !first.contains('.') && first != "localhost"
    });
    if !is_short {
        return Err(format!("alias \"{}\" is no short name", shown(short)));
    }
    let is_whole = whole.parse::<Reference>().is_ok_and(|r| r.tag().is_none() && r.digest().is_none())
        && whole.contains('/')
        && is_location(whole);
    match whole.is_empty() || is_whole {
        true => Ok(()),
        false => Err(format!("alias \"{}\" does not lead to a whole name without tag", shown(short))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(texts: &[&str]) -> Result<RegistriesConf, Error> {
        let mut conf = RegistriesConf::default();
        for text in texts {
            conf.add("test.conf", text.as_bytes())?;
        }
        Ok(conf)
    }

    #[test]
    fn later_files_replace_what_they_name() {
        let conf = add(&[
            "unqualified-search-registries = ['a.example']\nshort-name-mode = 'enforcing'\nunknown = 1\n\
             credential-helpers = ['x']\n[aliases]\none = 'a.example/one'\ntwo = 'a.example/two'\n\
             [[registry]]\nlocation = 'r.example/'\nblocked = true\n[[registry]]\nprefix = 's.example/x'\n\
             location = 't.example'\n[[registry.mirror]]\nlocation = 'm.example/y'\npull-from-mirror = ''",
            "[aliases]\none = ''\n'team/three' = 'b.example/three'\n[[registry]]\nlocation = 'r.example'",
        ]);
        let conf = conf.unwrap();
        assert_eq!(
            (conf.search.as_slice(), conf.helpers()),
            (&["a.example".to_owned()][..], &["x".to_owned()][..])
        );
        assert_eq!(conf.mode, Some(ShortNameMode::Enforcing));
        assert_eq!(conf.aliases.keys().collect::<Vec<_>>(), ["team/three", "two"]);
        assert_eq!(conf.registries.len(), 2);
        assert!(!conf.registries["r.example"].blocked);
        assert_eq!(conf.registries["s.example/x"].mirrors[0].pull_from_mirror, Some(Pulls::All));
        assert!(
            add(&["unqualified-search-registries = ['a.example']", "unqualified-search-registries = []"])
                .unwrap()
                .search
                .is_empty()
        );
        assert!(add(&[""]).unwrap().registries.is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_file() {
        for text in [
            "[[registry]]\nblocked = true",
            "[[registry]]\nprefix = 'a.example'",
            "[[registry]]\nlocation = 'https://a.example'",
            "[[registry]]\nlocation = 'a.example/UPPER'",
            "[[registry]]\nlocation = 'justaname'",
            "[[registry]]\nlocation = 'a.example/../x'",
            "[[registry]]\nlocation = 'user@a.example'",
            "[[registry]]\nprefix = 'x.*.example'\nlocation = 'b.example'",
            "[[registry]]\nprefix = '*.a.example/x'",
            "[[registry]]\nprefix = '*.a.example:5000'",
            "[[registry]]\nlocation = 'a.example'\ninsecure = 'yes'",
            "[[registry]]\nlocation = 'a.example'\npull-from-mirror = 'all'",
            "[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\ninsecure = true",
            "[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\nlocation = 'b.example'\npull-from-mirror = 'some'",
            "[[registry]]\nlocation = 'a.example'\nmirror-by-digest-only = true\n[[registry.mirror]]\n\
             location = 'b.example'\npull-from-mirror = 'all'",
            "[[registry]]\nlocation = 'a.example'\nblocked = true\n[[registry]]\nlocation = 'a.example'",
            "unqualified-search-registries = ['a.example/x']",
            "unqualified-search-registries = ['name']",
            "short-name-mode = 'maybe'",
            "[aliases]\n'a.example/x' = 'b.example/x'",
            "[aliases]\n'x:1' = 'b.example/x'",
            "[aliases]\nx = 'b.example/x:1'",
            "[aliases]\nx = 'name'",
            "[registries.search]\nregistries = ['a.example']",
            "[[registry]\n",
            "\u{1}",
        ] {
            let error = add(&[text]).unwrap_err().to_string();
            assert!(error.contains("test.conf") && !error.contains('\u{1}'), "{text}: {error}");
        }
        assert!(add(&[&"#".repeat(CONF_BYTES_MAX + 1)]).is_err());
        assert!(RegistriesConf::default().add("x", b"\xff").is_err());
        assert!(add(&[&format!("a = {}", "[".repeat(100_000))]).is_err());
    }
}
