//! What Go Copa records of its own patches (`pkg/buildkit`, labels of the config), and whether layers look like one.
//!
//! Its label `BaseImage` is the original's name as somebody typed it; newer versions add `sh.copa.patch.origin.digest`. Both are
//! claims of an untrusted image, and neither says which layers are the patch.

use oci::{Digest, Image, Reference};

/// The original's name as typed.
const BASE_IMAGE: &str = "BaseImage";
/// The original's digest, of manifest or index.
const ORIGIN_DIGEST: &str = "sh.copa.patch.origin.digest";
/// What BuildKit writes of layers that no Dockerfile made.
const EXPORTED: &str = "buildkit.exporter.image.v0";

/// What an image says of the original that Go Copa patched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The original's name.
    pub name: Reference,
    /// Its digest, where that is said.
    pub digest: Option<Digest>,
}

/// The claim of an image; `None` where it makes none, or none that names an image.
pub fn claim(image: &Image) -> Option<Claim> {
    let labels = image.config.labels();
    let name = labels.get(BASE_IMAGE)?.parse().ok()?;
    let digest = labels.get(ORIGIN_DIGEST).and_then(|text| text.parse().ok());
    Some(Claim { name, digest })
}

/// Whether the layers above the first `base` look as if BuildKit had added them outside of any build, as Go Copa has it do. What
/// was built on an image that Go Copa patched bears its label too.
pub(super) fn looks_patched(image: &Image, base: usize) -> bool {
    let Some(history) = image.config.layer_history() else { return false };
    // Stages of a build are named in brackets.
    let exported = |h: &oci::History| h.comment == EXPORTED && !h.created_by.starts_with('[');
    history.get(base..).is_some_and(|above| !above.is_empty() && above.iter().all(exported))
}
