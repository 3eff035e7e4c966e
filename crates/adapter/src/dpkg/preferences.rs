//! What apt must leave alone in a run: preferences (apt_preferences(5)) that come before those of the image.

use super::pins::PREFERENCES;
use crate::{Error, Facts, Settings};
use inventory::{Package, printable};
use plan::Plan;

/// Above every priority that a newer version has.
const STAYS: &str = "Pin-Priority: 1001\n\n";

/// What is installed and what security suites have counts as usual. All else only comes where nothing is installed yet, as what a
/// fix newly needs. The suites are told by what Debian's and Ubuntu's `Release` files say of themselves.
const SECURITY_ONLY: &str = "\
Package: *\nPin: release a=now\nPin-Priority: 100\n
Package: *\nPin: release l=Debian-Security\nPin-Priority: 500\n
Package: *\nPin: release a=*-security\nPin-Priority: 500\n
Package: *\nPin: release n=*-security\nPin-Priority: 500\n
Package: *\nPin: release a=*\nPin-Priority: 50\n\n";

/// The preferences of a run, the image's own file of them included; none where those of the image suffice.
pub(super) fn preferences(plan: &Plan, facts: &Facts, settings: &Settings) -> Result<Option<Vec<u8>>, Error> {
    let excluded = facts.inventory.packages.iter().filter(|p| plan.excluded.contains(&p.name));
    let mut text = excluded.map(stays).collect::<Result<String, Error>>()?;
    if settings.policy.security_only {
        text.push_str(SECURITY_ONLY);
    }
    if text.is_empty() {
        return Ok(None);
    }
    let own = facts.files.get(PREFERENCES).map(Vec::as_slice).unwrap_or_default();
    Ok(Some([text.as_bytes(), own].concat()))
}

/// Of two architectures each has its own pin: apt takes a bare name for the native one.
fn stays(package: &Package) -> Result<String, Error> {
    let Package { name, architecture, version, .. } = package;
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-~:".contains(&b));
    if !plain(version) || !plain(architecture) {
        return Err(Error::State(format!(
            "{name} cannot be left as it is: apt cannot be told of its version {}",
            printable(version)
        )));
    }
    let place = if architecture == "all" { String::new() } else { format!(":{architecture}") };
    Ok(format!("Package: {name}{place}\nPin: version {version}\n{STAYS}"))
}
