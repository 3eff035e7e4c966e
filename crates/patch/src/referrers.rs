//! What becomes of the signatures, SBOMs and provenance that speak of an image as it was before the patch.

/// What to do with what refers to the original of an image that was patched. Whatever it says is true of the original's digest
/// only; preserved platforms always keep theirs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Referrers {
    /// They are left behind: neither copied nor named in the patched index. A note says how many there were, and of what kinds.
    #[default]
    Drop,
    /// They go along as they are, still naming the original by its digest.
    Keep,
    /// They are left behind, and the patched image says so: what it had, by digest and kind. Attestations within an index stay
    /// there, their entries marked as stale.
    Mark,
}
