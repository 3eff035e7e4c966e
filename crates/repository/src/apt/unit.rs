//! One version of one package as the solver sees it, installed or offered.

use super::relation::{self, Atom, Group, Operator};
use std::collections::BTreeMap;
use version::deb::Version;

/// Name, and architecture with `all` as the image's own.
pub(crate) type Key = (String, String);

/// `Multi-Arch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MultiArch {
    #[default]
    No,
    Same,
    Foreign,
    Allowed,
}

/// A version of a package.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) architecture: String,
    pub(crate) version: Version,
    pub(crate) source: String,
    pub(crate) multi_arch: MultiArch,
    pub(crate) needs: Vec<Group>,
    /// `Conflicts` and `Breaks`: a package may not be there with either.
    pub(crate) against: Vec<Atom>,
    pub(crate) provides: Vec<Atom>,
}

impl Unit {
    /// From the fields of a stanza, their names in lower case.
    pub(crate) fn of(fields: &BTreeMap<String, String>) -> Result<Unit, String> {
        let get = |name: &str| fields.get(name).map(String::as_str);
        let must = |name: &str| get(name).ok_or_else(|| format!("no {name}"));
        let name: version::PackageName =
            must("package")?.parse().map_err(|e: version::NameError| e.to_string())?;
        let architecture = must("architecture")?;
        if architecture.is_empty() || !architecture.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(format!("invalid architecture {}", inventory::printable(architecture)));
        }
        let groups = |name: &str| get(name).map_or(Ok(Vec::new()), relation::groups);
        let atoms = |name: &str| get(name).map_or(Ok(Vec::new()), relation::atoms);
        let source = get("source").and_then(|text| text.split([' ', '(']).next()).unwrap_or(name.as_str());
        Ok(Unit {
            source: source.to_owned(),
            version: must("version")?.parse().map_err(|e: version::VersionError| e.to_string())?,
            architecture: architecture.to_owned(),
            multi_arch: match get("multi-arch") {
                Some("same") => MultiArch::Same,
                Some("foreign") => MultiArch::Foreign,
                Some("allowed") => MultiArch::Allowed,
                _ => MultiArch::No,
            },
            needs: [groups("pre-depends")?, groups("depends")?].concat(),
            against: [atoms("conflicts")?, atoms("breaks")?].concat(),
            provides: atoms("provides")?,
            name: name.as_str().to_owned(),
        })
    }

    /// Its architecture, that of packages for all being the image's own.
    pub(crate) fn architecture_or<'a>(&'a self, native: &'a str) -> &'a str {
        if self.architecture == "all" { native } else { &self.architecture }
    }

    pub(crate) fn key(&self, native: &str) -> Key {
        (self.name.clone(), self.architecture_or(native).to_owned())
    }

    /// Whether it is what a need of a package of the given architecture asks for.
    pub(crate) fn meets(&self, atom: &Atom, needer: &str, native: &str) -> bool {
        let own = self.architecture_or(native);
        let reaches = match atom.qualifier.as_deref() {
            None => own == needer || self.multi_arch == MultiArch::Foreign,
            Some("any") => {
                own == needer || matches!(self.multi_arch, MultiArch::Allowed | MultiArch::Foreign)
            }
            Some("native") => own == native,
            Some(wanted) => own == wanted,
        };
        reaches && self.is_or_provides(atom)
    }

    /// Whether it may not be there with what says `atom`.
    pub(crate) fn is_meant_by(&self, atom: &Atom, native: &str) -> bool {
        let qualified = atom.qualifier.as_deref().filter(|qualifier| *qualifier != "any");
        qualified.is_none_or(|wanted| wanted == self.architecture_or(native)) && self.is_or_provides(atom)
    }

    fn is_or_provides(&self, atom: &Atom) -> bool {
        let provided = |p: &Atom| {
            p.name == atom.name
                && match (&atom.bound, &p.bound) {
                    (None, _) => true,
                    (Some(_), Some((Operator::Exactly, version))) => atom.admits(version),
                    (Some(_), _) => false,
                }
        };
        (self.name == atom.name && atom.admits(&self.version)) || self.provides.iter().any(provided)
    }

    /// Whether a name means it, whatever the version.
    pub(crate) fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.provides.iter().any(|p| p.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> Unit {
        Unit::of(&super::super::deb822::fields(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn needs_are_met_by_name_by_provision_and_by_architecture() {
        let base = "Package: a\nVersion: 2\nArchitecture: amd64\nProvides: v, w (= 5)\n";
        for (multi_arch, need, needer, met) in [
            ("no", "a", "amd64", true),
            ("no", "a (>= 2)", "amd64", true),
            ("no", "a (>> 2)", "amd64", false),
            ("no", "v", "amd64", true),
            ("no", "v (>= 1)", "amd64", false),
            ("no", "w (>= 5)", "amd64", true),
            ("no", "w (<< 5)", "amd64", false),
            ("no", "a", "i386", false),
            ("same", "a", "i386", false),
            ("foreign", "a", "i386", true),
            ("allowed", "a", "i386", false),
            ("allowed", "a:any", "i386", true),
            ("no", "a:amd64", "i386", true),
            ("no", "a:i386", "amd64", false),
        ] {
            let unit = unit(&format!("{base}Multi-Arch: {multi_arch}\n"));
            let atom = &relation::atoms(need).unwrap()[0];
            assert_eq!(unit.meets(atom, needer, "amd64"), met, "{multi_arch} {need} {needer}");
        }
    }
}
