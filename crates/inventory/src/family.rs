//! The one table of distributions: what they call themselves, what scanners call them, which package database they have, how
//! their releases are compared.
//!
//! Sources: os-release(5) files of the distributions' images; the family names in Trivy's reports (`pkg/fanal/types/const.go`)
//! and the words Go Copa takes; product names of endoflife.date.

use crate::OsRelease;
use version::Scheme;

/// A package database and what goes with it: the order of versions, the type of package URLs, the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// dpkg's.
    Dpkg,
    /// rpm's.
    Rpm,
    /// apk's.
    Apk,
    /// pacman's.
    Pacman,
}

impl Database {
    /// The order of its versions.
    pub fn scheme(self) -> Scheme {
        match self {
            Database::Dpkg => Scheme::Deb,
            Database::Rpm => Scheme::Rpm,
            Database::Apk => Scheme::Apk,
            Database::Pacman => Scheme::Pacman,
        }
    }
}

/// How much of a release number says which release it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The first number: point releases are the same release.
    Major,
    /// The first two numbers.
    MajorMinor,
    /// All of it.
    Whole,
    /// There are no releases, or each day has one.
    Rolling,
}

/// One distribution.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Our name for it: that of package URLs' namespaces and of messages.
    pub name: &'static str,
    /// `ID` in its os-release.
    pub ids: &'static [&'static str],
    /// What scanners call it, lower case. Those of five letters and more are also found within a longer name.
    pub scanner_names: &'static [&'static str],
    /// Its package database.
    pub database: Database,
    /// How its releases are compared.
    pub release: Release,
    /// Its name at endoflife.date, where it is there.
    pub lifecycle: Option<&'static str>,
}

/// Shorter names of scanners than this are only compared whole.
const WITHIN_BYTES_MIN: usize = 5;

macro_rules! families {
    ($($name:literal $ids:tt $scanner:tt $database:ident $release:ident $lifecycle:expr;)*) => {
        &[$(Family {
            name: $name,
            ids: &$ids,
            scanner_names: &$scanner,
            database: Database::$database,
            release: Release::$release,
            lifecycle: $lifecycle,
        }),*]
    };
}

/// Every distribution known. Of names that lie within each other the longer comes first.
pub const FAMILIES: &[Family] = families! {
    "debian" ["debian"] ["debian"] Dpkg Major Some("debian");
    "ubuntu" ["ubuntu"] ["ubuntu"] Dpkg Whole Some("ubuntu");
    "alpine" ["alpine"] ["alpine"] Apk MajorMinor Some("alpine-linux");
    "wolfi" ["wolfi"] ["wolfi"] Apk Rolling None;
    "chainguard" ["chainguard"] ["chainguard"] Apk Rolling None;
    "redhat" ["rhel", "redhat"] ["redhat", "red hat", "rhel"] Rpm Major Some("rhel");
    "centos" ["centos"] ["centos"] Rpm Major Some("centos");
    "rocky" ["rocky"] ["rocky"] Rpm Major Some("rocky-linux");
    "almalinux" ["almalinux"] ["almalinux", "alma"] Rpm Major Some("almalinux");
    "oracle" ["ol", "oracle"] ["oracle", "ol"] Rpm Major Some("oracle-linux");
    "amazon" ["amzn", "amazon"] ["amazon", "amzn"] Rpm Major Some("amazon-linux");
    "fedora" ["fedora"] ["fedora"] Rpm Major Some("fedora");
    "cbl-mariner" ["mariner", "cbl-mariner"] ["cbl-mariner", "mariner"] Rpm MajorMinor Some("cbl-mariner");
    "azurelinux" ["azurelinux"] ["azurelinux", "azure linux"] Rpm MajorMinor Some("azure-linux");
    "photon" ["photon"] ["photon"] Rpm MajorMinor Some("photon");
    "sles" ["sles", "sled", "sle-micro", "sl-micro", "suse-microos"]
        ["sles", "suse linux enterprise", "slem"] Rpm MajorMinor Some("sles");
    "opensuse-tumbleweed" ["opensuse-tumbleweed"]
        ["opensuse-tumbleweed", "opensuse tumbleweed", "opensuse.tumbleweed"] Rpm Rolling None;
    "opensuse-leap" ["opensuse-leap"]
        ["opensuse-leap", "opensuse leap", "opensuse.leap", "opensuse"] Rpm MajorMinor Some("opensuse");
    "arch" ["arch", "archlinux"] ["archlinux", "arch", "arch linux"] Pacman Rolling None;
};

impl Family {
    /// Who publishes its packages, as package URLs written by Trivy have it for namespace.
    pub fn vendor(&self) -> &'static str {
        match self.name {
            "almalinux" => "alma",
            "opensuse-leap" | "opensuse-tumbleweed" => "opensuse",
            "sles" => "suse",
            own => own,
        }
    }

    /// The family of an os-release, and whether the image is a derivative that only says to be like it. `ID` counts before
    /// `ID_LIKE`, and in that the first that is known.
    pub fn of(os: &OsRelease) -> Option<(&'static Family, bool)> {
        let by_id = |id: &str| FAMILIES.iter().find(|family| family.ids.contains(&id));
        let own = by_id(&os.id).map(|family| (family, false));
        own.or_else(|| os.id_like.iter().find_map(|id| by_id(id)).map(|family| (family, true)))
    }

    /// The family a scanner means.
    pub fn of_scanner(name: &str) -> Option<&'static Family> {
        let name = name.trim().to_ascii_lowercase();
        let whole = |family: &&Family| family.scanner_names.contains(&name.as_str());
        let within = |known: &&str| known.len() >= WITHIN_BYTES_MIN && name.contains(*known);
        let found = FAMILIES.iter().find(whole);
        found.or_else(|| FAMILIES.iter().find(|family| family.scanner_names.iter().any(within)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_id_then_by_what_they_are_like() {
        let of = |id: &str, like: &[&str]| {
            let id_like = like.iter().map(|l| (*l).to_owned()).collect();
            Family::of(&OsRelease { id: id.into(), id_like, ..OsRelease::default() })
                .map(|(family, derivative)| (family.name, derivative))
        };
        for (id, like, expected) in [
            ("debian", &[][..], Some(("debian", false))),
            ("rocky", &["rhel", "centos", "fedora"], Some(("rocky", false))),
            ("amzn", &["fedora"], Some(("amazon", false))),
            ("linuxmint", &["ubuntu", "debian"], Some(("ubuntu", true))),
            ("postmarketos", &["alpine"], Some(("alpine", true))),
            ("openeuler", &[], None),
            ("", &[], None),
        ] {
            assert_eq!(of(id, like), expected, "{id}");
        }
    }

    #[test]
    fn scanners_names_lead_to_the_same_families() {
        for (name, expected) in [
            ("debian", Some("debian")),
            ("Debian GNU/Linux", Some("debian")),
            ("suse linux enterprise server", Some("sles")),
            ("opensuse-leap", Some("opensuse-leap")),
            ("opensuse tumbleweed", Some("opensuse-tumbleweed")),
            ("Red Hat Enterprise Linux", Some("redhat")),
            ("alma", Some("almalinux")),
            ("AlmaLinux", Some("almalinux")),
            ("cbl-mariner", Some("cbl-mariner")),
            ("azure linux", Some("azurelinux")),
            ("arch", Some("arch")),
            ("search", None),
            ("ol", Some("oracle")),
            ("olympus", None),
            ("", None),
        ] {
            assert_eq!(Family::of_scanner(name).map(|f| f.name), expected, "{name}");
        }
    }

    #[test]
    fn no_name_is_two_families() {
        let mut ids: Vec<_> = FAMILIES.iter().flat_map(|f| f.ids).collect();
        let mut names: Vec<_> = FAMILIES.iter().flat_map(|f| f.scanner_names).collect();
        for list in [&mut ids, &mut names] {
            let all = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), all);
        }
    }
}
