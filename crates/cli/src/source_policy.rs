//! BuildKit's source policy file (`EXPERIMENTAL_BUILDKIT_SOURCE_POLICY`): which images may be used as tooling, and which take the
//! place of others. The same file is honoured whatever engine runs.
//!
//! Source: BuildKit's `sourcepolicy/pb/policy.proto` and `docs/build-repro.md`. Rules are gone through in order; one that converts
//! begins anew with the new name; the last of `ALLOW` and `DENY` that matches counts.

use crate::{error::Failure, settings::bounded, ui::text::printable};
use regex::Regex;
use serde::Deserialize;
use std::path::Path;

/// Largest file; a policy has a few rules.
const BYTES_MAX: u64 = 1 << 20;
/// Most rules.
const RULES_MAX: usize = 1000;
/// How often one name may be converted: more is a loop, as BuildKit sees it.
const CONVERSIONS_MAX: usize = 20;
/// What names of images begin with in policies.
const IMAGE: &str = "docker-image://";

/// A policy; the empty one lets everything be.
#[derive(Debug, Clone, Default)]
pub struct SourcePolicy(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    selects: Regex,
    action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Allow,
    Deny,
    /// To this, in which `${1}` is the first wildcard's text.
    Convert(String),
}

/// Why a policy gives no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A rule denies it.
    #[error("the source policy denies {0}")]
    Denied(String),
    /// It is converted over and over, or to what is no image.
    #[error("the source policy converts {0} to no image")]
    NoImage(String),
}

impl SourcePolicy {
    /// Reads a policy file.
    pub fn read(path: &Path) -> Result<SourcePolicy, Failure> {
        let shown = path.to_string_lossy();
        let shown = printable(&shown);
        let refused =
            |why: String| Failure::config(format!("cannot use the source policy {shown}")).because(why);
        let bytes = bounded(path, BYTES_MAX).map_err(|error| refused(error.to_string()))?;
        SourcePolicy::parse(&bytes).map_err(refused)
    }

    fn parse(bytes: &[u8]) -> Result<SourcePolicy, String> {
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err("not a JSON object".to_owned());
        }
        let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if file.rules.len() > RULES_MAX {
            return Err(format!("more than {RULES_MAX} rules"));
        }
        let numbered = |(number, rule): (usize, RuleFile)| {
            rule.rule().map_err(|why| format!("rule {}: {why}", number + 1))
        };
        file.rules.into_iter().enumerate().map(numbered).collect::<Result<_, _>>().map(SourcePolicy)
    }

    /// The image to use for a full reference (`docker.io/library/debian:12`).
    pub fn image(&self, reference: &str) -> Result<String, Refused> {
        let mut name = format!("{IMAGE}{reference}");
        for _ in 0..CONVERSIONS_MAX {
            match self.once(&name) {
                Step::Other(other) => name = other,
                Step::Denied => return Err(Refused::Denied(printable(reference).into_owned())),
                Step::Stays => {
                    let image = name.strip_prefix(IMAGE).map(str::to_owned);
                    return image.ok_or_else(|| Refused::NoImage(printable(reference).into_owned()));
                }
            }
        }
        Err(Refused::NoImage(printable(reference).into_owned()))
    }

    fn once(&self, name: &str) -> Step {
        let mut denied = false;
        for rule in &self.0 {
            let Some(groups) = rule.selects.captures(name) else { continue };
            match &rule.action {
                Action::Allow => denied = false,
                Action::Deny => denied = true,
                Action::Convert(to) => {
                    let mut other = String::new();
                    groups.expand(to, &mut other);
                    if other != name {
                        return Step::Other(other);
                    }
                }
            }
        }
        if denied { Step::Denied } else { Step::Stays }
    }
}

enum Step {
    Other(String),
    Denied,
    Stays,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    rules: Vec<RuleFile>,
}

#[derive(Deserialize)]
struct RuleFile {
    #[serde(default)]
    action: Word,
    selector: Selector,
    #[serde(default)]
    updates: Option<Updates>,
}

#[derive(Deserialize)]
struct Selector {
    identifier: String,
    #[serde(default, alias = "match_type", rename = "matchType")]
    match_type: Word,
    #[serde(default)]
    constraints: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Updates {
    #[serde(default)]
    identifier: String,
}

/// An enumeration as protobuf's JSON has it: by name or by number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Name(String),
    Number(u64),
}

impl Default for Word {
    fn default() -> Self {
        Word::Number(0)
    }
}

impl Word {
    fn one_of(&self, names: [&'static str; 3]) -> Option<&'static str> {
        match self {
            Word::Name(name) => names.into_iter().find(|known| known == name),
            Word::Number(number) => names.get(usize::try_from(*number).ok()?).copied(),
        }
    }
}

impl RuleFile {
    fn rule(self) -> Result<Rule, String> {
        if !self.selector.constraints.is_empty() {
            return Err("constraints of selectors are not supported".to_owned());
        }
        let to = self.updates.map(|updates| updates.identifier).unwrap_or_default();
        let action = match self.action.one_of(["ALLOW", "DENY", "CONVERT"]).ok_or("no action known")? {
            "ALLOW" => Action::Allow,
            "DENY" => Action::Deny,
            _ if to.is_empty() => return Err("converts to nothing".to_owned()),
            _ => Action::Convert(to),
        };
        let identifier = &self.selector.identifier;
        let kinds = ["WILDCARD", "EXACT", "REGEX"];
        let pattern = match self.selector.match_type.one_of(kinds).ok_or("no type of match known")? {
            "EXACT" => format!("^{}$", regex::escape(identifier)),
            "REGEX" => identifier.clone(),
            _ => format!("^{}$", regex::escape(identifier).replace("\\*", "(.*?)").replace("\\?", "(.)")),
        };
        let selects = Regex::new(&pattern).map_err(|_| "not a pattern".to_owned())?;
        Ok(Rule { selects, action })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(rules: &str, reference: &str) -> Result<String, Refused> {
        SourcePolicy::parse(format!(r#"{{"rules": [{rules}]}}"#).as_bytes()).unwrap().image(reference)
    }

    #[test]
    fn rules_convert_allow_and_deny() {
        let convert = r#"{"action": "CONVERT", "selector": {"identifier": "docker-image://docker.io/library/*"},
            "updates": {"identifier": "docker-image://mirror.example/library/${1}"}}"#;
        let deny = r#"{"action": "DENY", "selector": {"identifier": "docker-image://docker.io/*"}}"#;
        let allow = r#"{"action": 0, "selector": {"identifier": "docker-image://docker.io/library/debian:12", "matchType": "EXACT"}}"#;
        let regex = r#"{"action": 2, "selector": {"identifier": "^docker-image://(.*):9$", "match_type": 2},
            "updates": {"identifier": "docker-image://${1}:9.4"}}"#;
        let debian = "docker.io/library/debian:12";
        let denied = Err(Refused::Denied(debian.to_owned()));
        for (rules, reference, expected) in [
            (String::new(), debian, Ok(debian.to_owned())),
            (convert.to_owned(), debian, Ok("mirror.example/library/debian:12".to_owned())),
            (deny.to_owned(), debian, denied.clone()),
            (format!("{deny}, {allow}"), debian, Ok(debian.to_owned())),
            (format!("{allow}, {deny}"), debian, denied),
            (format!("{convert}, {deny}"), debian, Ok("mirror.example/library/debian:12".to_owned())),
            (regex.to_owned(), "quay.io/rocky:9", Ok("quay.io/rocky:9.4".to_owned())),
            (regex.to_owned(), "quay.io/rocky:8", Ok("quay.io/rocky:8".to_owned())),
        ] {
            assert_eq!(image(&rules, reference), expected, "{rules}");
        }
    }

    #[test]
    fn loops_and_other_sources_are_no_image() {
        let to = |from: &str, to: &str| {
            format!(
                r#"{{"action": "CONVERT", "selector": {{"identifier": "{from}"}}, "updates": {{"identifier": "{to}"}}}}"#
            )
        };
        let (a, b) = ("docker-image://a", "docker-image://b");
        let no_image = |name: &str| Err(Refused::NoImage(name.to_owned()));
        assert_eq!(image(&format!("{}, {}", to(a, b), to(b, a)), "a"), no_image("a"));
        assert_eq!(image(&to(a, "https://x.example/y"), "a"), no_image("a"));
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for bad in [
            "",
            "[]",
            r#"{"rules": [{}]}"#,
            r#"{"rules": [{"action": "EXPLODE", "selector": {"identifier": "a"}}]}"#,
            r#"{"rules": [{"action": "CONVERT", "selector": {"identifier": "a"}}]}"#,
            r#"{"rules": [{"selector": {"identifier": "(", "matchType": "REGEX"}}]}"#,
            r#"{"rules": [{"selector": {"identifier": "a", "constraints": [{}]}}]}"#,
        ] {
            assert!(SourcePolicy::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
