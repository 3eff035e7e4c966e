//! The Debian mirror of this machine, asked from its own apt at run time, so that none is written down anywhere.

use crate::{Error, command::argv};

/// Suites that a mirror entry may be recognised by: Debian's code names from 11 on, and its aliases.
const SUITES: &[&str] =
    &["bullseye", "bookworm", "trixie", "forky", "sid", "oldoldstable", "oldstable", "stable", "testing"];

/// Where this machine gets Debian's packages from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The archive, without a slash at its end.
    pub archive: String,
    /// The security archive, without a slash at its end.
    pub security: String,
}

impl Mirror {
    /// Asks `apt-get` which repositories this machine uses.
    pub fn of_this_machine() -> Result<Mirror, Error> {
        let format = "$(LABEL)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)";
        let targets = argv("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]).text()?;
        Mirror::from_targets(&targets)
    }

    /// Finds the two archives in lines of `label|suite|component|address`. The label is empty where the lists were never
    /// fetched; then the suite has to tell.
    fn from_targets(targets: &str) -> Result<Mirror, Error> {
        let lines: Vec<[&str; 4]> =
            targets.lines().filter_map(|line| line.split('|').collect::<Vec<_>>().try_into().ok()).collect();
        let archive = address(&lines, "Debian", |suite| SUITES.contains(&suite))?;
        let is_security = |suite: &str| {
            let suite = suite.strip_suffix("-security").or_else(|| suite.strip_suffix("/updates"));
            suite.is_some_and(|suite| SUITES.contains(&suite))
        };
        let security = address(&lines, "Debian-Security", is_security)?;
        Ok(Mirror { archive, security })
    }

    /// `sources.list` of an image of `suite` that gets all updates.
    pub fn sources_list(&self, suite: &str) -> String {
        let Mirror { archive, security } = self;
        format!(
            "deb {archive} {suite} main\ndeb {archive} {suite}-updates main\ndeb {security} {suite}-security main\n"
        )
    }
}

fn address(lines: &[[&str; 4]], wanted: &str, is_suite: impl Fn(&str) -> bool) -> Result<String, Error> {
    let fits = |[label, suite, component, _]: &&[&str; 4]| {
        *component == "main" && is_suite(suite) && (label.is_empty() || *label == wanted)
    };
    let found = lines.iter().find(fits).map(|[_, _, _, address]| address.trim_end_matches('/').to_owned());
    found.ok_or_else(|| Error::Unavailable(format!("apt of this machine has no repository `{wanted}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(targets: &str, expected: Option<(&str, &str)>) {
        let found = Mirror::from_targets(targets).ok();
        let expected =
            expected.map(|(archive, security)| Mirror { archive: archive.into(), security: security.into() });
        assert_eq!(found, expected, "{targets}");
    }

    #[test]
    fn archives_are_recognised_by_label_or_by_suite() {
        let archives = Some(("http://a.test/debian", "http://a.test/debian-security"));
        check(
            "docker|bookworm|stable|http://x.test/\nDebian|bookworm|main|http://a.test/debian/\n\
             Debian|bookworm-updates|main|http://b.test/debian/\nDebian-Security|bookworm-security|main|http://a.test/debian-security/\n",
            archives,
        );
        check(
            "|trixie|main|http://a.test/debian\n|trixie-security|main|http://a.test/debian-security",
            archives,
        );
    }

    #[test]
    fn other_archives_are_not_taken_for_debian() {
        check("PGDG|bookworm-pgdg|main|http://x.test/\nOther|bookworm|main|http://y.test/", None);
        check("Debian|bookworm|main|http://a.test/debian/", None);
        check("", None);
    }
}
