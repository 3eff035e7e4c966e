//! The package tools over rpm: which of them an image has, and how each is asked.

use super::RPM;
use crate::Settings;
use std::collections::BTreeSet;

/// Where tools keep what they fetch and log during a run: a place whose content is nobody's, so that the image's own caches
/// and logs stay as they are.
const SCRATCH: &str = "/var/tmp/copa";

/// Where the certificates of [`Settings`] are shown.
pub(super) const CERTIFICATES: &str = "ca.pem";

/// A kind of package tool. Those of one kind take the same arguments, whatever they are called in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Photon, CBL-Mariner, Azure Linux.
    Tdnf,
    /// dnf 5.
    Dnf5,
    /// dnf before 5.
    Dnf,
    /// The small one over libdnf.
    Microdnf,
    /// yum 3.
    Yum,
    /// SUSE.
    Zypper,
}

/// A package tool and its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tool {
    /// What it is.
    pub kind: Kind,
    /// The program, by absolute path.
    pub program: &'static str,
}

/// Every program that may be there, in the order in which one is chosen. A distribution may call a tool by the name of an older
/// one (`dnf` for dnf 5, `yum` for any of them), so what is unmistakable comes first.
const TOOLS: [Tool; 7] = [
    Tool { kind: Kind::Tdnf, program: "/usr/bin/tdnf" },
    Tool { kind: Kind::Dnf5, program: "/usr/bin/dnf5" },
    Tool { kind: Kind::Dnf, program: "/usr/bin/dnf-3" },
    Tool { kind: Kind::Dnf, program: "/usr/bin/dnf" },
    Tool { kind: Kind::Microdnf, program: "/usr/bin/microdnf" },
    Tool { kind: Kind::Yum, program: "/usr/bin/yum" },
    ZYPPER,
];

const ZYPPER: Tool = Tool { kind: Kind::Zypper, program: "/usr/bin/zypper" };

/// What an upgrade is to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upgrade<'a> {
    /// The packages, as rpm writes them (`name` or `name.arch`); none for all.
    pub names: &'a [String],
    /// Packages that must stay as they are.
    pub kept: &'a [String],
    /// Only what the repositories mark as security updates.
    pub security: bool,
}

/// Every path that decides which tool there is.
pub(super) fn programs() -> impl Iterator<Item = &'static str> {
    TOOLS.into_iter().map(|tool| tool.program).chain([RPM])
}

impl Tool {
    /// The tool that an image is to be patched with. SUSE's may have dnf too; their own comes first.
    pub fn of(present: &BTreeSet<String>, suse: bool) -> Option<Tool> {
        let mut candidates = TOOLS;
        if suse {
            candidates.rotate_right(1);
        }
        candidates.into_iter().find(|tool| present.contains(tool.program))
    }

    /// Whether it can leave packages alone that are not named.
    pub fn excludes(self) -> bool {
        !matches!(self.kind, Kind::Microdnf | Kind::Zypper)
    }

    /// Whether it can be told of certificates. The others only know those of the system that they are part of.
    pub fn takes_certificates(self) -> bool {
        matches!(self.kind, Kind::Dnf | Kind::Dnf5 | Kind::Yum)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.program.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it knows what a security update is.
    pub fn knows_security(self) -> bool {
        self.kind != Kind::Microdnf
    }

    /// The arguments, program included, of an upgrade that asks nothing, takes nothing away and checks every signature that
    /// the image's configuration wants checked.
    pub fn upgrade(self, order: Upgrade<'_>, settings: &Settings) -> Vec<String> {
        let mut argv = match self.kind {
            Kind::Zypper => zypper(order, settings.policy.allow_removals),
            _ => self.dnf(order, settings),
        };
        argv.extend(order.names.iter().cloned());
        argv
    }

    fn dnf(self, order: Upgrade<'_>, settings: &Settings) -> Vec<String> {
        let mut argv = [self.program, "-y"].map(str::to_owned).to_vec();
        if matches!(self.kind, Kind::Tdnf | Kind::Dnf | Kind::Dnf5) {
            argv.push("--refresh".to_owned());
        }
        argv.extend(self.options(settings).into_iter().map(|option| format!("--setopt={option}")));
        argv.extend(order.kept.iter().filter(|_| self.excludes()).map(|name| format!("--exclude={name}")));
        // The old word is the one that every microdnf knows.
        argv.push(if self.kind == Kind::Microdnf { "update" } else { "upgrade" }.to_owned());
        argv.extend(order.security.then(|| "--security".to_owned()));
        // dnf 5 knows it behind the command only. Those that do not only take away what a new package says that it replaces.
        let erases = matches!(self.kind, Kind::Tdnf | Kind::Dnf | Kind::Dnf5);
        argv.extend((erases && settings.policy.allow_removals).then(|| "--allowerasing".to_owned()));
        argv
    }

    /// Settings in place of those of the image: of the tool itself, and with `*.` of every repository.
    fn options(self, settings: &Settings) -> Vec<String> {
        let fixed: &[&str] = match self.kind {
            Kind::Tdnf | Kind::Zypper => &[],
            Kind::Microdnf => &["install_weak_deps=0"],
            Kind::Yum => &["keepcache=0", "clean_requirements_on_remove=0", "*.metadata_expire=1"],
            Kind::Dnf | Kind::Dnf5 => {
                &["keepcache=0", "clean_requirements_on_remove=0", "install_weak_deps=0"]
            }
        };
        let mut options: Vec<String> = fixed.iter().map(|option| (*option).to_owned()).collect();
        let places: &[&str] = match self.kind {
            Kind::Dnf => &["cachedir", "logdir"],
            // As root it takes the one of the system.
            Kind::Dnf5 => &["cachedir", "system_cachedir", "logdir"],
            _ => &[],
        };
        options.extend(places.iter().map(|place| format!("{place}={SCRATCH}")));
        options.extend(self.network_options(settings));
        options
    }

    /// The proxy and the certificates, for the tool and for repositories that have their own. Tools without such settings take
    /// the proxy from the environment.
    fn network_options(self, settings: &Settings) -> Vec<String> {
        if !self.takes_certificates() {
            return Vec::new();
        }
        let proxy = settings.proxy_url.iter().map(|url| ("proxy", url.clone()));
        let shown = || ("sslcacert", format!("/dev/copa/{CERTIFICATES}"));
        let given = proxy.chain(settings.ca_certificates.iter().map(|_| shown()));
        given.flat_map(|(key, value)| [format!("{key}={value}"), format!("*.{key}={value}")]).collect()
    }
}

/// The beginning of every command of zypper, with caches of its own.
pub(super) fn zypper_start() -> Vec<String> {
    [ZYPPER.program, "--non-interactive", "--cache-dir", SCRATCH].map(str::to_owned).into()
}

fn zypper(order: Upgrade<'_>, allow_removals: bool) -> Vec<String> {
    let words: &[&str] = match order.security {
        true => &["patch", "--category", "security"],
        false => &["update", "--no-allow-downgrade", "--no-allow-vendor-change"],
    };
    let always = ["--no-recommends", "--auto-agree-with-licenses"];
    let forced = if allow_removals && !order.security { &["--force-resolution"][..] } else { &[] };
    let words = words.iter().chain(&always).chain(forced).map(|word| (*word).to_owned());
    zypper_start().into_iter().chain(words).collect()
}
