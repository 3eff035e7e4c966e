//! `updateinfo.xml`: which packages a security advisory names.

use super::{
    primary::written,
    xml::{Met, walk},
};
use std::collections::BTreeSet;

/// Packages of all advisories of a repository. Those of the largest have some 300 000.
const NAMED_MAX: usize = 2_000_000;

/// Packages that security advisories name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Advisories(BTreeSet<(String, String, String)>);

impl Advisories {
    /// Adds those of a document.
    pub(crate) fn add(&mut self, document: &str) -> Result<(), String> {
        let mut security = false;
        walk(document, &mut |met| {
            let Met::Begin(element) = met else { return Ok(true) };
            let get = |name: &str| element.get(name).unwrap_or_default();
            match element.name.as_str() {
                "update" => security = get("type") == "security",
                "package" if security => {
                    let version = written(get("epoch"), get("version"), get("release"));
                    self.0.insert((get("name").to_owned(), version, get("arch").to_owned()));
                }
                _ => {}
            }
            match self.0.len() > NAMED_MAX {
                true => Err(format!("more than {NAMED_MAX} packages in advisories")),
                false => Ok(true),
            }
        })
    }

    /// Whether one names this package.
    pub(super) fn name(&self, name: &str, version: &str, architecture: &str) -> bool {
        self.0.contains(&(name.to_owned(), version.to_owned(), architecture.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_security_advisories_count() {
        let text = "<updates><update type=\"security\"><pkglist><collection><package name=\"a\" epoch=\"0\" version=\"1\" \
            release=\"2\" arch=\"x86_64\"><filename>f</filename></package></collection></pkglist></update>\
            <update type=\"bugfix\"><pkglist><package name=\"b\" version=\"1\" release=\"2\" arch=\"x86_64\"/></pkglist></update></updates>";
        let mut advisories = Advisories::default();
        advisories.add(text).unwrap();
        assert!(advisories.name("a", "1-2", "x86_64") && !advisories.name("a", "1-2", "noarch"));
        assert!(!advisories.name("b", "1-2", "x86_64"));
        assert!(advisories.add("<updates>").is_err());
    }
}
