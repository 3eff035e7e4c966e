//! Packages that the image's preferences pin to the very version that they have (apt_preferences(5)). They stay where they are, as
//! those on hold do; without this a finding on one would look as if the repositories had no fix for it.

use engine::Evidence;
use inventory::{Package, apt_sources, deb822};
use std::collections::BTreeMap;

pub(super) const PREFERENCES: &str = "/etc/apt/preferences";
pub(super) const PREFERENCES_FOLDER: &str = "/etc/apt/preferences.d";

/// The highest priority that a version has which is not pinned: that of the release which the configuration prefers.
const UNPINNED_MAX: i32 = 990;

/// A pin of a package by its name.
struct Pin {
    /// The version, where the pin is to one.
    version: Option<String>,
    priority: i32,
}

/// Marks what is pinned so as held. What is not understood here holds nothing: apt, or who resolves in its place, tells of it.
pub(super) fn hold(evidence: &Evidence, packages: &mut [Package]) {
    let pins = pins(evidence);
    for package in packages {
        let of_name = pins.get(package.name.as_str()).map_or(&[][..], Vec::as_slice);
        // The first that fits counts. One to another version does not fit; whether one to a release does is not known here.
        let first = of_name.iter().find(|pin| pin.version.as_ref().is_none_or(|v| *v == package.version));
        if first.is_some_and(|pin| pin.version.is_some() && pin.priority > UNPINNED_MAX) {
            package.held = true;
        }
    }
}

/// Pins by package, in apt's order.
fn pins(evidence: &Evidence) -> BTreeMap<String, Vec<Pin>> {
    let whole = evidence.get_key_value(PREFERENCES);
    let parts = evidence.iter().filter(|(path, _)| is_part(path));
    let mut pins: BTreeMap<String, Vec<Pin>> = BTreeMap::new();
    for (_, bytes) in whole.into_iter().chain(parts) {
        for stanza in deb822::stanzas(bytes, apt_sources::BYTES_MAX).unwrap_or_default() {
            let field = |name: &str| stanza.get(name).unwrap_or_default().trim();
            let Ok(priority) = field("Pin-Priority").parse() else { continue };
            let version = field("Pin").strip_prefix("version ").map(|version| version.trim().to_owned());
            for name in field("Package").split_ascii_whitespace() {
                pins.entry(name.to_owned()).or_default().push(Pin { version: version.clone(), priority });
            }
        }
    }
    pins
}

/// Names that apt reads: of letters, digits, `-` and `_`, and without an end or with `.pref`.
fn is_part(path: &str) -> bool {
    let name = path.strip_prefix(PREFERENCES_FOLDER).and_then(|rest| rest.strip_prefix('/'));
    let stem = name.map(|name| name.strip_suffix(".pref").unwrap_or(name)).unwrap_or_default();
    !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory::dpkg;

    fn held(path: &str, preferences: &str) -> bool {
        let status = "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1:1.0-1\n";
        let mut packages = dpkg::parse_status(status.as_bytes()).unwrap().packages;
        hold(&[(path.to_owned(), preferences.as_bytes().to_vec())].into(), &mut packages);
        packages[0].held
    }

    #[test]
    fn a_pin_to_the_version_that_is_there_holds_and_no_other() {
        let stanza = |package: &str, pin: &str, priority: &str| {
            format!("Explanation: why\nPackage: {package}\nPin: {pin}\nPin-Priority: {priority}\n\n")
        };
        let good = stanza("b a", "version 1:1.0-1", "1001");
        for path in ["/etc/apt/preferences", "/etc/apt/preferences.d/x", "/etc/apt/preferences.d/x-1.pref"] {
            assert!(held(path, &good), "{path}");
        }
        for path in ["/etc/apt/preferences.d/x.dpkg-old", "/etc/apt/preferences.d/", "/etc/apt/sources.list"]
        {
            assert!(!held(path, &good), "{path}");
        }
        for bad in [
            stanza("a", "version 1:1.0-2", "1001"),
            // This fits newer versions too.
            stanza("a", "version 1:1.0*", "1001"),
            stanza("a", "version 1:1.0-1", "500"),
            stanza("a", "release a=stable", "1001"),
            stanza("b", "version 1:1.0-1", "1001"),
            stanza("a", "release a=stable", "100") + &good,
            stanza("a", "version 1:1.0-1", "100") + &good,
            "no stanza".to_owned(),
        ] {
            assert!(!held("/etc/apt/preferences", &bad), "{bad}");
        }
        assert!(held("/etc/apt/preferences", &(stanza("a", "version 2", "1001") + &good)));
    }
}
