//! What the user allows, and which findings and packages are left alone.

use inventory::Inventory;
use report::Finding;
use std::{collections::BTreeMap, fmt, str::FromStr};
use version::NAME_BYTES_MAX;

/// What the user allows.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Patch although the report was made for another image.
    pub allow_mismatch: bool,
    /// Go on with the other packages when one cannot be fixed.
    pub ignore_errors: bool,
    /// A fix may take packages away.
    pub allow_removals: bool,
    /// Only what the repositories mark as security updates.
    pub security_only: bool,
    /// Unpack packages although scripts of theirs would have to run.
    pub skip_scripts: bool,
    /// Only packages with such names are fixed; all where there is none.
    pub include: Vec<Pattern>,
    /// Packages with such names stay as they are.
    pub exclude: Vec<Pattern>,
    /// Vulnerabilities that are let be, each with the reason to tell.
    pub ignore: BTreeMap<String, String>,
    /// Less severe findings are let be. Those of unknown severity are not less severe.
    pub min_severity: Option<Severity>,
}

/// A package name in which `*` stands for any text and `?` for any character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no package name, nor one with * and ?")]
pub struct PatternError(String);

/// How severe a vulnerability is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// `low`, and what is below it (`negligible`).
    Low,
    /// `medium` or `moderate`.
    Medium,
    /// `high` or `important`.
    High,
    /// `critical`.
    Critical,
}

impl Policy {
    /// Why a finding that could be fixed is let be; `None` where it is not. `package` is the installed one.
    pub(crate) fn lets_be(&self, finding: &Finding, package: &str) -> Option<String> {
        if let Some(why) = self.ignore.get(&finding.vulnerability) {
            return Some(why.clone());
        }
        if let Some(pattern) = self.excludes(package) {
            return Some(format!("packages named {pattern} are excluded"));
        }
        if !self.includes(package) {
            return Some("not among the packages to patch".to_owned());
        }
        let severity = finding.severity.as_deref()?;
        let (least, is) = (self.min_severity?, severity.parse::<Severity>().ok()?);
        (is < least).then(|| format!("severity {is} is below {least}"))
    }

    /// What of the policy has no effect on this image: names may be misspelt, and without findings none can be let be.
    pub(crate) fn idle_notes(&self, inventory: &Inventory, findings: bool) -> Vec<String> {
        let installed =
            |pattern: &Pattern| inventory.packages.iter().any(|p| pattern.matches(p.name.as_str()));
        let idle = |(pattern, what): (&Pattern, &str)| {
            (!installed(pattern))
                .then(|| format!("no installed package is named {pattern}, which is to be {what}"))
        };
        let included = self.include.iter().map(|pattern| (pattern, "included"));
        let excluded = self.exclude.iter().map(|pattern| (pattern, "excluded"));
        let mut notes: Vec<String> = included.chain(excluded).filter_map(idle).collect();
        if !findings && (!self.ignore.is_empty() || self.min_severity.is_some()) {
            notes.push(
                "there is no report, so no vulnerability can be let be: everything is updated".to_owned(),
            );
        }
        notes
    }

    /// The pattern that excludes a package.
    pub fn excludes(&self, package: &str) -> Option<&Pattern> {
        self.exclude.iter().find(|pattern| pattern.matches(package))
    }

    /// Whether a package is among those to patch.
    pub fn includes(&self, package: &str) -> bool {
        self.include.is_empty() || self.include.iter().any(|pattern| pattern.matches(package))
    }
}

impl Pattern {
    /// Whether a name is one that it stands for.
    pub fn matches(&self, name: &str) -> bool {
        matches(self.0.as_bytes(), name.as_bytes())
    }
}

/// Goes back to the last `*` only, so that time is at most the product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((back, taken)) = star else { return false };
                star = Some((back, taken + 1));
                (at, seen) = (back + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b".+_:~-*?".contains(&b);
        let grammatical = !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(good);
        match grammatical {
            true => Ok(Pattern(text.to_owned())),
            false => Err(PatternError(text.escape_default().take(NAME_BYTES_MAX).collect())),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A word that is no severity known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("want low, medium, high or critical")]
pub struct SeverityError;

impl FromStr for Severity {
    type Err = SeverityError;

    fn from_str(word: &str) -> Result<Self, SeverityError> {
        match word.to_ascii_lowercase().as_str() {
            "negligible" | "low" => Ok(Severity::Low),
            "medium" | "moderate" => Ok(Severity::Medium),
            "high" | "important" => Ok(Severity::High),
            "critical" => Ok(Severity::Critical),
            _ => Err(SeverityError),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finding, inventory, package};

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name, is) in [
            ("openssl", "openssl", true),
            ("openssl", "openssl-libs", false),
            ("openssl*", "openssl-libs", true),
            ("*ssl*", "libssl3", true),
            ("lib?sl3", "libssl3", true),
            ("*a*b", "aab", true),
            ("*a*b", "aba", false),
            ("*", "x", true),
            ("?", "", false),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(name), is, "{pattern} {name}");
        }
        for bad in ["", "a b", "a/b", "[a]", "$(x)", "a\n", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pattern_full_of_stars_takes_no_time() {
        let pattern: Pattern = "*a".repeat(100).parse().unwrap();
        assert!(!pattern.matches(&("a".repeat(250) + "b")));
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let policy = Policy {
            include: vec!["lib*".parse().unwrap()],
            exclude: vec!["opensll".parse().unwrap()],
            min_severity: Some(Severity::High),
            ..Policy::default()
        };
        let inventory = inventory(&[package("libc6", "1"), package("openssl", "1")]);
        let misspelt = "no installed package is named opensll, which is to be excluded";
        assert_eq!(policy.idle_notes(&inventory, true), [misspelt]);
        let without = policy.idle_notes(&inventory, false);
        assert!(without.len() == 2 && without[1].contains("no report"), "{without:?}");
        assert!(Policy::default().idle_notes(&inventory, false).is_empty());
    }

    #[test]
    fn what_is_let_be_has_its_reason() {
        let policy = Policy {
            include: vec!["lib*".parse().unwrap()],
            exclude: vec!["libc*".parse().unwrap()],
            ignore: [("CVE-9".to_owned(), "ignored: CVE-9".to_owned())].into(),
            min_severity: Some(Severity::Medium),
            ..Policy::default()
        };
        let of = |id: &str, severity: Option<&str>| Finding {
            severity: severity.map(str::to_owned),
            ..finding(id, "libx", &["2"])
        };
        for (finding, package, why) in [
            (of("CVE-9", Some("CRITICAL")), "libx", Some("ignored: CVE-9")),
            (of("CVE-1", None), "libc6", Some("packages named libc* are excluded")),
            (of("CVE-1", None), "bash", Some("not among the packages to patch")),
            (of("CVE-1", Some("LOW")), "libx", Some("severity low is below medium")),
            (of("CVE-1", Some("moderate")), "libx", None),
            (of("CVE-1", Some("UNKNOWN")), "libx", None),
            (of("CVE-1", None), "libx", None),
        ] {
            assert_eq!(policy.lets_be(&finding, package).as_deref(), why, "{package}");
        }
    }
}
