//! Values for this room's tests.

use inventory::{Inventory, OsRelease, Package, PackageState};
use report::{Finding, Subject};

pub(crate) fn subject() -> Subject {
    Subject { os_family: Some("debian".into()), os_version: Some("12.5".into()), ..Subject::default() }
}

pub(crate) fn finding(vulnerability: &str, package: &str, fixed: &[&str]) -> Finding {
    Finding {
        vulnerability: vulnerability.into(),
        package: package.parse().unwrap(),
        installed: "0.1".into(),
        fixed: fixed.iter().map(|f| (*f).to_owned()).collect(),
        severity: None,
    }
}

pub(crate) fn package(name: &str, version: &str) -> Package {
    Package {
        name: name.parse().unwrap(),
        version: version.into(),
        architecture: "amd64".into(),
        source: name.into(),
        source_version: version.into(),
        held: false,
        state: PackageState::Installed,
        essential: false,
        multi_arch_same: false,
        install_only: false,
    }
}

pub(crate) fn inventory(packages: &[Package]) -> Inventory {
    let os = OsRelease { id: "debian".into(), version_id: "12".into(), ..OsRelease::default() };
    Inventory { os, packages: packages.to_vec(), ..Inventory::default() }
}
