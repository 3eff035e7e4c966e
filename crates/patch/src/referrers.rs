//! What becomes of the signatures, SBOMs and provenance that speak of an image as it was before the patch.

use crate::{
    line::{Patcher, Request, Subject},
    result::ResultDocument,
};
use oci::{Descriptor, media_type};
use serde_json::json;
use std::collections::BTreeMap;

/// Annotation of a patched image: what referred to the original, as a JSON list of digests and kinds.
pub(crate) const STALE_REFERRERS: &str = "sh.copa.patch.stale-referrers";

/// The tag that something has beside its subject, as cosign names it.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Most referrers that an annotation lists.
const LISTED_MAX: usize = 32;
/// Most kinds that a note names, and characters of each.
const KINDS_MAX: usize = 6;
const KIND_CHARS_MAX: usize = 100;

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

impl Patcher {
    /// Looks for what refers to the original or to what its name leads to, and tells of it. Gives the annotation that marks the
    /// patched image, where it is to be marked.
    pub(crate) async fn referrers(
        &self,
        request: &Request,
        subject: &Subject,
        document: &mut ResultDocument,
    ) -> Option<(String, String)> {
        let digest = &subject.image.descriptor.digest;
        let mut found: BTreeMap<String, Descriptor> = BTreeMap::new();
        for digest in std::iter::once(digest).chain(Some(&subject.name_digest).filter(|name| *name != digest))
        {
            match request.source.referrers(digest).await {
                Ok(all) => found.extend(all.into_iter().map(|d| (d.digest.to_string(), d))),
                Err(error) => tracing::debug!(%error, "referrers cannot be listed"),
            }
        }
        if found.is_empty() {
            return None;
        }
        let found: Vec<Descriptor> = found.into_values().collect();
        let docker = media_type::is_docker(&subject.image.descriptor.media_type);
        self.warn(note(&found, request.referrers, docker), document);
        let marks = request.referrers == Referrers::Mark && !docker;
        marks.then(|| (STALE_REFERRERS.to_owned(), list(&found)))
    }
}

/// What it is: its artifact type, or what cosign puts under such a tag.
fn kind(referrer: &Descriptor) -> String {
    let tag = referrer.annotations.as_ref().and_then(|a| a.get(REF_NAME)).map_or("", String::as_str);
    let cosign = [(".sig", "cosign signature"), (".att", "cosign attestation"), (".sbom", "cosign SBOM")];
    if let Some((_, kind)) =
        cosign.iter().find(|(ending, _)| tag.starts_with("sha256-") && tag.ends_with(ending))
    {
        return (*kind).to_owned();
    }
    let said = referrer.rest.get("artifactType").and_then(|t| t.as_str()).unwrap_or(&referrer.media_type);
    said.escape_default().take(KIND_CHARS_MAX).collect()
}

fn note(found: &[Descriptor], choice: Referrers, docker: bool) -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    found.iter().for_each(|d| *kinds.entry(kind(d)).or_default() += 1);
    let mut named: Vec<String> =
        kinds.iter().take(KINDS_MAX).map(|(kind, n)| format!("{n} × {kind}")).collect();
    if kinds.len() > KINDS_MAX {
        named.push(format!("{} more kinds", kinds.len() - KINDS_MAX));
    }
    let what = format!("the original has referrers ({})", named.join(", "));
    match choice {
        Referrers::Drop => format!("{what}; they do not hold for the patched image and are left behind"),
        Referrers::Keep => format!("{what}; they stay where they are, with the original that they are about"),
        Referrers::Mark if docker => {
            format!("{what}; docker's format has no annotations to name them in the patched image")
        }
        Referrers::Mark => format!("{what}; the patched image names them as stale"),
    }
}

fn list(found: &[Descriptor]) -> String {
    let entry = |d: &Descriptor| json!({"digest": d.digest, "kind": kind(d)});
    serde_json::Value::from(found.iter().take(LISTED_MAX).map(entry).collect::<Vec<_>>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referrer(content: &str, artifact_type: Option<&str>, tag: Option<&str>) -> Descriptor {
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, content.as_bytes());
        artifact_type.map(|t| descriptor.rest.insert("artifactType".into(), t.into()));
        descriptor.annotations = tag.map(|tag| [(REF_NAME.to_owned(), tag.to_owned())].into());
        descriptor
    }

    #[test]
    fn referrers_are_told_by_number_and_kind_within_bounds() {
        let some = [
            referrer("1", Some("application/spdx+json"), None),
            referrer("2", Some("application/spdx+json"), None),
            referrer("3", None, Some("sha256-00.sig")),
            referrer("4", Some("evil\u{1b}[2J"), None),
            referrer("5", None, None),
        ];
        let said = note(&some, Referrers::Drop, false);
        for part in ["2 × application/spdx+json", "1 × cosign signature", "left behind", "evil\\u{1b}[2J"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(note(&some, Referrers::Keep, false).contains("stay where they are"));
        assert!(note(&some, Referrers::Mark, true).contains("no annotations"));
        let many: Vec<Descriptor> = (0..50)
            .map(|n| referrer(&n.to_string(), Some(&format!("{n:03}{}", "t".repeat(500))), None))
            .collect();
        assert!(note(&many, Referrers::Drop, false).contains("44 more kinds"));
        let listed: Vec<serde_json::Value> = serde_json::from_str(&list(&many)).unwrap();
        assert_eq!(listed.len(), LISTED_MAX);
        assert_eq!(listed[0]["digest"], many[0].digest.to_string());
        assert_eq!(listed[0]["kind"].as_str().unwrap().len(), KIND_CHARS_MAX);
    }
}
