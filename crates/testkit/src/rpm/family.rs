//! The distributions that are played: what they call themselves, where they keep their database, which tool they have.

use super::scenario;

/// A kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Rocky Linux 9: dnf 4, `yum` is a link to it. It serves as tooling image too.
    Rocky,
    /// AlmaLinux 9: the same; the distribution's key is in the database already.
    AlmaLinux,
    /// Amazon Linux 2023: the same.
    Amazon,
    /// Azure Linux 3: its `tdnf` is a stand-in, see [`super::TDNF_LOG`]; there is no `dnf`.
    AzureLinux,
    /// Fedora: dnf5; `dnf`, `yum` and `microdnf` are links to it. Its database is below `/usr/lib/sysimage`.
    Fedora,
    /// As UBI minimal: `microdnf` and nothing else, which is dnf5 by another name, as in newer distributions.
    RockyMinimal,
    /// SUSE Linux Enterprise Server 15: zypper; the distribution's key is in the database already.
    Sles,
    /// The same with newer tools and a database of the NDB format, as SUSE has it.
    SlesNdb,
    /// As UBI micro: a database and no tool, no shell.
    RockyMicro,
    /// As CentOS 7 in its database only: Berkeley DB; no tool, no shell.
    CentosBerkeley,
    /// Azure Linux distroless: two manifests instead of a database; no tool, no shell.
    AzureLinuxDistroless,
}

/// Every kind of image.
pub const FAMILIES: [Family; 11] = [
    Family::Rocky,
    Family::AlmaLinux,
    Family::Amazon,
    Family::AzureLinux,
    Family::Fedora,
    Family::RockyMinimal,
    Family::Sles,
    Family::SlesNdb,
    Family::RockyMicro,
    Family::CentosBerkeley,
    Family::AzureLinuxDistroless,
];

/// The packages that several families share, built from one suite of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Series {
    /// dnf 4, zypper, rpm 4.18.
    Classic,
    /// dnf5, a newer zypper, rpm 6, which alone has NDB.
    Modern,
}

impl Series {
    /// The suite of Debian that has the tools.
    pub(super) fn suite(self) -> &'static str {
        match self {
            Series::Classic => "bookworm",
            Series::Modern => "forky",
        }
    }

    /// What is fetched; each group by itself, since apt finds no way to have all at once.
    pub(super) fn groups(self) -> &'static [&'static [&'static str]] {
        const BASE: &[&str] = &["bash", "coreutils", "sed", "grep", "findutils", "gpg", "rpm", "libexpat1"];
        match self {
            Series::Classic => &[&["dnf", "dnf-plugins-core", "rpm"], &["zypper"], BASE],
            Series::Modern => &[&["dnf5", "rpm"], &["zypper"], BASE],
        }
    }

    /// What Debian's packages name as needed and these do without.
    pub(super) fn left_out(self) -> &'static [&'static str] {
        match self {
            Series::Classic => &[],
            Series::Modern => &["python3", "libpython3", "tzdata"],
        }
    }
}

/// The roots that families start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Base {
    Dnf,
    Dnf5,
    Zypper,
    ZypperModern,
    Micro,
}

impl Base {
    pub(super) fn name(self) -> &'static str {
        match self {
            Base::Dnf => "dnf",
            Base::Dnf5 => "dnf5",
            Base::Zypper => "zypper",
            Base::ZypperModern => "zypper-modern",
            Base::Micro => "micro",
        }
    }

    pub(super) fn series(self) -> Series {
        if matches!(self, Base::Dnf5 | Base::ZypperModern) { Series::Modern } else { Series::Classic }
    }

    pub(super) fn database(self) -> &'static str {
        match self {
            Base::Dnf | Base::Micro => "/var/lib/rpm",
            Base::Dnf5 | Base::Zypper | Base::ZypperModern => "/usr/lib/sysimage/rpm",
        }
    }

    pub(super) fn has_zypper(self) -> bool {
        matches!(self, Base::Zypper | Base::ZypperModern)
    }

    /// What is in it beside the packages of the scenario.
    pub(super) fn packages(self) -> Vec<&'static str> {
        let tool: &[&str] = match self {
            Base::Dnf => &["dnf", "dnf-plugins-core"],
            Base::Dnf5 => &["dnf5"],
            Base::Zypper | Base::ZypperModern => &["zypper"],
            Base::Micro => {
                let own = [scenario::HELD, scenario::SETTINGS, scenario::STRANGER];
                return [&["glibc", "openssl-libs", "expat"], &own[..]].concat();
            }
        };
        let plain =
            ["bash", "coreutils", "sed", "grep", "findutils", "rpm", "gnupg2", "openssl-libs", "expat"];
        [tool, &plain].concat()
    }
}

/// What a family's own package says of it.
pub(super) struct Release {
    pub(super) id: &'static str,
    pub(super) id_like: &'static str,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) pretty: &'static str,
}

impl Family {
    /// A short name for folders and tags.
    pub fn name(self) -> &'static str {
        match self {
            Family::Rocky => "rocky",
            Family::AlmaLinux => "almalinux",
            Family::Amazon => "amzn",
            Family::AzureLinux => "azurelinux",
            Family::Fedora => "fedora",
            Family::RockyMinimal => "rocky-minimal",
            Family::Sles => "sles",
            Family::SlesNdb => "sles-ndb",
            Family::RockyMicro => "rocky-micro",
            Family::CentosBerkeley => "centos-berkeley",
            Family::AzureLinuxDistroless => "azurelinux-distroless",
        }
    }

    /// Where its database is in the image; a distroless image has none.
    pub fn database(self) -> &'static str {
        self.base().database()
    }

    /// The program that its image has for installing packages, if there is one.
    pub fn tool(self) -> Option<&'static str> {
        match self {
            Family::Rocky | Family::AlmaLinux | Family::Amazon => Some("dnf"),
            Family::AzureLinux => Some("tdnf"),
            Family::Fedora => Some("dnf5"),
            Family::RockyMinimal => Some("microdnf"),
            Family::Sles | Family::SlesNdb => Some("zypper"),
            Family::RockyMicro | Family::CentosBerkeley | Family::AzureLinuxDistroless => None,
        }
    }

    /// Whether [`Family::tool`] is a stand-in that the real tool cannot be had for.
    pub fn is_stand_in(self) -> bool {
        self == Family::AzureLinux
    }

    /// Which packages its repositories have.
    pub fn series(self) -> Series {
        self.base().series()
    }

    pub(super) fn base(self) -> Base {
        match self {
            Family::Rocky | Family::AlmaLinux | Family::Amazon | Family::AzureLinux => Base::Dnf,
            Family::Fedora | Family::RockyMinimal => Base::Dnf5,
            Family::Sles => Base::Zypper,
            Family::SlesNdb => Base::ZypperModern,
            Family::RockyMicro | Family::CentosBerkeley | Family::AzureLinuxDistroless => Base::Micro,
        }
    }

    /// Whether the distribution's key is in the database from the start.
    pub(super) fn has_key(self) -> bool {
        matches!(self, Family::AlmaLinux | Family::Sles | Family::SlesNdb)
    }

    /// Where repositories are configured.
    pub(super) fn repository_folder(self) -> &'static str {
        if self.base().has_zypper() { "etc/zypp/repos.d" } else { "etc/yum.repos.d" }
    }

    pub(super) fn release(self) -> Release {
        let [id, id_like, name, version, pretty] = match self {
            Family::Rocky | Family::RockyMinimal | Family::RockyMicro => {
                ["rocky", "rhel centos fedora", "Rocky Linux", "9.4", "Rocky Linux 9.4 (Blue Onyx)"]
            }
            Family::AlmaLinux => {
                ["almalinux", "rhel centos fedora", "AlmaLinux", "9.4", "AlmaLinux 9.4 (Seafoam Ocelot)"]
            }
            Family::Amazon => ["amzn", "fedora", "Amazon Linux", "2023", "Amazon Linux 2023.4.20240611"],
            Family::AzureLinux | Family::AzureLinuxDistroless => {
                ["azurelinux", "", "Microsoft Azure Linux", "3.0", "Microsoft Azure Linux 3.0"]
            }
            Family::Fedora => ["fedora", "", "Fedora Linux", "42", "Fedora Linux 42 (Container Image)"],
            Family::Sles | Family::SlesNdb => {
                ["sles", "suse", "SLES", "15.6", "SUSE Linux Enterprise Server 15 SP6"]
            }
            Family::CentosBerkeley => ["centos", "rhel fedora", "CentOS Linux", "7", "CentOS Linux 7 (Core)"],
        };
        Release { id, id_like, name, version, pretty }
    }
}
