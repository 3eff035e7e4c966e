//! Platforms in OCI's words: `os/architecture[/variant]`.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The platform of one image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v7`; never `v8` of arm64, which is the same as none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
}

impl Platform {
    /// A platform, with `arm64/v8` written as `arm64`.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let is_default = |v: &str| v.is_empty() || (architecture == "arm64" && v == "v8");
        let variant = variant.filter(|v| !is_default(v));
        Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Whether it is the wanted one, a variant that one of them leaves open being no difference.
    pub fn fits(&self, wanted: &Platform) -> bool {
        let open = self.variant.is_none() || wanted.variant.is_none();
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (open || self.variant == wanted.variant)
    }

    /// Linux on the architecture this program was built for.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Platform::new("linux", architecture, variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |v| write!(f, "/{v}"))
    }
}

impl FromStr for Platform {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |s: &&str| {
            !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
        };
        match parts.as_slice() {
            p if !p.iter().all(word) => Err(format!("invalid platform \"{}\"", text.escape_default())),
            [os, arch] => Ok(Platform::new(os, arch, None)),
            [os, arch, variant] => Ok(Platform::new(os, arch, Some(variant))),
            _ => {
                Err(format!("invalid platform \"{}\": want os/architecture[/variant]", text.escape_default()))
            }
        }
    }
}
