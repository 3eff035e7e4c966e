//! The repositories of distributions whose images have none configured, and the keys that sign there.
//!
//! Origin: the `azurelinux-repos` and `mariner-repos` packages of Azure Linux and CBL-Mariner (github.com/microsoft/azurelinux,
//! folder `SPECS`). The keys themselves are fetched from where their makers publish them; only what has one of these fingerprints
//! counts.

use inventory::OsRelease;

/// A repository of a distribution.
pub(super) struct Default {
    pub(super) id: &'static str,
    /// With `{release}` and `{architecture}`.
    pub(super) base: &'static str,
}

/// A published key.
pub(super) struct Published {
    pub(super) url: &'static str,
    /// Of the primary key, in upper-case hexadecimal.
    pub(super) fingerprint: &'static str,
}

const AZURE_LINUX: [Default; 2] = [
    Default {
        id: "azurelinux-official-base",
        base: "https://packages.microsoft.com/azurelinux/{release}/prod/base/{architecture}",
    },
    Default {
        id: "azurelinux-official-ms-oss",
        base: "https://packages.microsoft.com/azurelinux/{release}/prod/ms-oss/{architecture}",
    },
];

const MARINER: [Default; 2] = [
    Default {
        id: "mariner-official-base",
        base: "https://packages.microsoft.com/cbl-mariner/{release}/prod/base/{architecture}",
    },
    Default {
        id: "mariner-official-microsoft",
        base: "https://packages.microsoft.com/cbl-mariner/{release}/prod/Microsoft/{architecture}",
    },
];

/// Keys of both distributions: that of packages and that of indexes.
pub(super) const KEYS: [Published; 2] = [
    Published {
        url: "https://raw.githubusercontent.com/microsoft/azurelinux/3.0/SPECS/azurelinux-repos/MICROSOFT-RPM-GPG-KEY",
        fingerprint: "2BC94FFF7015A5F28F1537AD0CD9FED33135CE90",
    },
    Published {
        url: "https://packages.microsoft.com/keys/microsoft.asc",
        fingerprint: "BC528686B50D79E339D3721CEB3E94ADBE1229CF",
    },
];

/// The repositories of a release; none where it is not known.
pub(super) fn of(os: &OsRelease) -> &'static [Default] {
    match (os.id.as_str(), os.version_id.as_str()) {
        ("azurelinux", "3.0") => &AZURE_LINUX,
        ("mariner", "2.0") => &MARINER,
        _ => &[],
    }
}

/// The published key that a file of the image would hold, by the file's name.
pub(super) fn key_named(path: &str) -> Option<&'static Published> {
    match path.rsplit('/').next()? {
        "MICROSOFT-RPM-GPG-KEY" => Some(&KEYS[0]),
        "MICROSOFT-METADATA-GPG-KEY" => Some(&KEYS[1]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_that_are_kept_up_have_repositories() {
        let os = |id: &str, version: &str| OsRelease {
            id: id.into(),
            version_id: version.into(),
            ..OsRelease::default()
        };
        assert_eq!((of(&os("azurelinux", "3.0")).len(), of(&os("mariner", "2.0")).len()), (2, 2));
        assert!(of(&os("mariner", "1.0")).is_empty() && of(&os("fedora", "42")).is_empty());
        for all in [&AZURE_LINUX, &MARINER] {
            assert!(
                all.iter().all(|d| d.base.contains("/{release}/") && d.base.ends_with("/{architecture}"))
            );
        }
        let hex = |key: &Published| key.fingerprint.len() == 40 && key.url.starts_with("https://");
        assert!(KEYS.iter().all(hex));
    }
}
