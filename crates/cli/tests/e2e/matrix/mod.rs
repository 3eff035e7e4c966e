//! Every family by every scenario: one test a cell, `matrix::FAMILY::SCENARIO`. `cargo xtask matrix` makes the table of them.
//!
//! A family says what it is made of ([`family::Family`]); a scenario ([`scenarios`]) is the same for all of them.

mod apk;
mod dpkg;
mod family;
mod hermetic;
mod pacman;
mod rpm;
mod scenarios;
mod subject;

use family::{Family, Label};
use testkit::rpm::Family as RpmFamily;
use testkit::skip;

macro_rules! matrix {
    ($($family:ident: $made:expr;)*) => { $(
        mod $family {
            use super::*;
            matrix!(@cells $made; report no_report repatch nothing_to_do held new_dependency edited_config bad_signature);
        }
    )* };
    (@cells $made:expr; $($scenario:ident)*) => { $(
        #[test]
        fn $scenario() {
            run(&$made, scenarios::$scenario);
        }
    )* };
}

matrix! {
    debian: dpkg::InPlace::Debian;
    ubuntu: dpkg::InPlace::Ubuntu;
    debian_distroless: hermetic::Unpacked::Distroless;
    ubuntu_chiseled: hermetic::Unpacked::Chiseled;
    ubuntu_chiseled_manifest: hermetic::Unpacked::ChiseledManifest;
    alpine: apk::Alpine::InPlace;
    alpine_without_apk: apk::Alpine::Unpacked;
    rocky: rpm::Rpm(RpmFamily::Rocky);
    almalinux: rpm::Rpm(RpmFamily::AlmaLinux);
    fedora: rpm::Rpm(RpmFamily::Fedora);
    amazon: rpm::Rpm(RpmFamily::Amazon);
    azurelinux: rpm::Rpm(RpmFamily::AzureLinux);
    azurelinux_distroless: rpm::Rpm(RpmFamily::AzureLinuxDistroless);
    rocky_micro: rpm::Rpm(RpmFamily::RockyMicro);
    sles: rpm::Rpm(RpmFamily::Sles);
    arch: pacman::Arch;
}

/// One cell. What it is of is said on stderr, for the table; where it cannot run here, why.
fn run(family: &dyn Family, scenario: fn(&dyn Family)) {
    let Label { name, strategy, tool, held_by } = family.label();
    eprintln!("cell: {name} | {strategy} | {tool} | {held_by}");
    if let Err(reason) = family.needs() {
        skip!("{reason}");
    }
    scenario(family);
}
