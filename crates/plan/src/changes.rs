//! What a run did to the installed packages, and which of it must not be.

use crate::Policy;
use inventory::{Inventory, Package};
use std::{collections::BTreeMap, fmt};
use version::{PackageName, Scheme};

/// One package that is not what it was. Those without a version before were added, those without one after removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// Name without qualifier.
    pub package: PackageName,
    /// Architecture in the distribution's words.
    pub architecture: String,
    /// Version before; none where it was added.
    pub from: Option<String>,
    /// Version after; none where it was removed.
    pub to: Option<String>,
}

/// A change that nobody asked for and that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A package is gone.
    Removed {
        /// Which.
        package: PackageName,
        /// Its architecture.
        architecture: String,
        /// The version it had.
        version: String,
    },
    /// A package is older than it was.
    Downgraded {
        /// Which.
        package: PackageName,
        /// Version before.
        from: String,
        /// Version after.
        to: String,
    },
    /// A package that the user excluded is not what it was.
    ExcludedChanged {
        /// Which.
        package: PackageName,
        /// Version before.
        from: String,
        /// Version after.
        to: String,
    },
    /// A package that the image's administrator holds is not what it was.
    HeldChanged {
        /// Which.
        package: PackageName,
        /// Version before.
        from: String,
        /// Version after.
        to: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Removed { package, architecture, version } => {
                write!(f, "{package}:{architecture} {version} was removed")
            }
            Violation::Downgraded { package, from, to } => {
                write!(f, "{package} was downgraded from {from} to {to}")
            }
            Violation::HeldChanged { package, from, to } => {
                write!(f, "{package} is held at {from} and was changed to {to}")
            }
            Violation::ExcludedChanged { package, from, to } => {
                write!(f, "{package} is excluded and was changed from {from} to {to}")
            }
        }
    }
}

/// Every package that was changed, added or removed, sorted by name and architecture.
pub fn upgrades(before: &Inventory, after: &Inventory) -> Vec<Upgrade> {
    let (old, new) = (keyed(before), keyed(after));
    let mut keys: Vec<_> = old.keys().chain(new.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let version = |package: Option<&&Package>| package.map(|p| p.version.clone());
    let change = |key: Key<'_>| {
        let (from, to) = (old.get(&key), new.get(&key));
        let name = &from.or(to)?.name;
        let (from, to) = (version(from), version(to));
        (from != to).then(|| Upgrade { package: name.clone(), architecture: key.1.to_owned(), from, to })
    };
    keys.into_iter().filter_map(change).collect()
}

/// Name, architecture, and of packages whose versions are installed beside each other the version.
type Key<'a> = (&'a str, &'a str, &'a str);

fn keyed(inventory: &Inventory) -> BTreeMap<Key<'_>, &Package> {
    inventory.packages.iter().map(|p| (key(p), p)).collect()
}

fn key(package: &Package) -> Key<'_> {
    let version = if package.install_only { package.version.as_str() } else { "" };
    (package.name.as_str(), package.architecture.as_str(), version)
}

/// What the run must not have done. Removals may be allowed, but not of what is held or excluded; what is older never is.
pub fn violations(before: &Inventory, after: &Inventory, policy: &Policy) -> Vec<Violation> {
    let held = |package: &PackageName, architecture: &str| {
        before.packages.iter().any(|p| p.held && p.name == *package && p.architecture == architecture)
    };
    let judge = |change: Upgrade| {
        let Upgrade { package, architecture, from, to } = change;
        let from = from?;
        let held = held(&package, &architecture);
        let excluded = policy.excludes(package.as_str()).is_some();
        match to {
            None if policy.allow_removals && !held && !excluded => None,
            None => Some(Violation::Removed { package, architecture, version: from }),
            Some(to) if held => Some(Violation::HeldChanged { package, from, to }),
            Some(to) if excluded => Some(Violation::ExcludedChanged { package, from, to }),
            Some(to) => {
                let older = below(&to, &from, after.scheme);
                older.then_some(Violation::Downgraded { package, from, to })
            }
        }
    };
    upgrades(before, after).into_iter().filter_map(judge).collect()
}

/// Whether a version is below another. Versions that no one can compare count as below: the doubtful case is refused.
fn below(version: &str, other: &str, scheme: Scheme) -> bool {
    match (scheme.parse(version), scheme.parse(other)) {
        (Ok(version), Ok(other)) => version < other,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{inventory, package};

    #[test]
    fn changes_are_told_by_name_and_architecture() {
        let foreign = |version: &str| Package { architecture: "i386".into(), ..package("a", version) };
        let before =
            inventory(&[package("a", "1"), foreign("1"), package("same", "1"), package("gone", "1")]);
        let after = inventory(&[package("a", "2"), foreign("1"), package("same", "1"), package("new", "1")]);
        let told: Vec<_> = upgrades(&before, &after)
            .into_iter()
            .map(|u| (u.package.to_string(), u.architecture, u.from, u.to))
            .collect();
        let row = |name: &str, from: Option<&str>, to: Option<&str>| {
            (name.to_owned(), "amd64".to_owned(), from.map(str::to_owned), to.map(str::to_owned))
        };
        let expected =
            [row("a", Some("1"), Some("2")), row("gone", Some("1"), None), row("new", None, Some("1"))];
        assert_eq!(told, expected);
    }

    #[test]
    fn removals_downgrades_and_moved_holds_are_violations() {
        let held = |version: &str| Package { held: true, ..package("held", version) };
        let before = inventory(&[package("a", "1:1"), package("gone", "1"), held("1"), package("up", "1")]);
        let after = inventory(&[package("a", "2"), held("2"), package("up", "2"), package("new", "1")]);
        let told: Vec<_> =
            violations(&before, &after, &Policy::default()).iter().map(ToString::to_string).collect();
        let expected = [
            "a was downgraded from 1:1 to 2",
            "gone:amd64 1 was removed",
            "held is held at 1 and was changed to 2",
        ];
        assert_eq!(told, expected);
        assert!(violations(&after, &after, &Policy::default()).is_empty());
    }
}
