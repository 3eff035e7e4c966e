//! What refers to a manifest (distribution specification 1.1, "Listing Referrers"): by the API, or by the tag that stands in
//! for it where a registry has none.

use crate::{Error, Registry, auth::Scope, pages::Pages};
use bytes::Bytes;
use oci::{
    Descriptor, Digest, Document, Index,
    limits::{INDEX_ENTRIES_MAX, MANIFEST_BYTES_MAX},
    media_type::OCI_INDEX,
};
use serde_json::{Value, json};

/// How often the index of referrers is written where somebody else writes it at the same time.
const WRITE_TRIES: usize = 4;

/// What a registry said to a manifest that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutReport {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The subject that the registry has noted (`OCI-Subject`). `None`: it has noted none, so that
    /// [`Registry::add_referrer`] must.
    pub subject: Option<Digest>,
}

/// The tag that lists the referrers of a manifest where a registry has no API for them: `sha256-<hex>`.
pub fn referrers_tag(subject: &Digest) -> String {
    subject.as_str().replace(':', "-")
}

impl Registry {
    /// Every manifest that refers to `subject`, in the registry's order; with the names of their kinds in
    /// `artifactType`. None is an empty list; so is a subject that does not exist.
    pub async fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        self.list_referrers(repository, subject, None).await
    }

    /// Those of one kind.
    pub async fn referrers_of_type(
        &self,
        repository: &str,
        subject: &Digest,
        artifact_type: &str,
    ) -> Result<Vec<Descriptor>, Error> {
        let mut found = self.list_referrers(repository, subject, Some(artifact_type)).await?;
        // Registries need not filter, and the tag never does.
        let is_it =
            |d: &Descriptor| d.rest.get("artifactType").and_then(Value::as_str) == Some(artifact_type);
        found.retain(is_it);
        Ok(found)
    }

    async fn list_referrers(
        &self,
        repository: &str,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, Error> {
        let item = self.item(repository, subject.as_str());
        let doing = format!("list referrers of {item}");
        let mut url = self.url(repository, &format!("referrers/{subject}")).await?;
        if let Some(kind) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", kind);
        }
        let mut pages = Pages::new(self, Scope::pull(repository), url, (doing, item));
        let mut found = Vec::new();
        loop {
            match pages.next().await {
                Ok(None) => return Ok(found),
                Ok(Some(page)) => found.extend(entries(&page).map_err(|why| pages.wrong(why))?),
                // No such API here, or one that takes its path for something else.
                Err(error) if found.is_empty() && is_no_api(&error) => {
                    return Ok(self.fallback_index(repository, subject).await?.map_or(Vec::new(), |i| i.0));
                }
                Err(error) => return Err(error),
            }
            if found.len() > INDEX_ENTRIES_MAX {
                return Err(pages.wrong(format!("more than {INDEX_ENTRIES_MAX} referrers")));
            }
        }
    }

    /// The entries of the index behind the tag of a subject, and its bytes.
    async fn fallback_index(
        &self,
        repository: &str,
        subject: &Digest,
    ) -> Result<Option<(Vec<Descriptor>, Bytes)>, Error> {
        let tag = referrers_tag(subject);
        let fetched = match self.manifest(repository, &tag).await {
            Ok(fetched) => fetched,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let item = self.item(repository, &tag);
        let found = entries(&fetched.bytes);
        let found = found.map_err(|why| {
            self.protocol(&format!("list referrers of {subject}"), format!("{item}: {why}"))
        })?;
        Ok(Some((found, fetched.bytes)))
    }

    /// Puts a manifest that refers to `subject` by its digest, and sees to it that [`Registry::referrers`] finds it: by the
    /// API, or by the tag. `referrer` is its descriptor, with `artifactType` and annotations as they are to be listed.
    pub async fn put_referrer(
        &self,
        repository: &str,
        subject: &Digest,
        referrer: &Descriptor,
        bytes: Bytes,
    ) -> Result<PutReport, Error> {
        let selector = referrer.digest.as_str();
        let report = self.put_and_report(repository, selector, &referrer.media_type, bytes).await?;
        if report.subject.as_ref() != Some(subject) {
            self.add_referrer(repository, subject, referrer).await?;
        }
        Ok(report)
    }

    /// Adds a referrer to the index behind the tag of its subject, for registries without the API. Entries of others stay
    /// as they are; where somebody else writes at the same time, it is done again.
    pub async fn add_referrer(
        &self,
        repository: &str,
        subject: &Digest,
        referrer: &Descriptor,
    ) -> Result<(), Error> {
        let doing = format!("add to the referrers of {}", self.item(repository, subject.as_str()));
        let tag = referrers_tag(subject);
        for _ in 0..WRITE_TRIES {
            let before = self.fallback_index(repository, subject).await?;
            if before.as_ref().is_some_and(|(found, _)| found.iter().any(|d| d.digest == referrer.digest)) {
                return Ok(());
            }
            let bytes = with_entry(before.map(|(_, bytes)| bytes), referrer);
            let bytes = bytes.map_err(|why| self.protocol(&doing, why))?;
            match self.put_manifest(repository, &tag, OCI_INDEX, bytes.into()).await {
                // Somebody else was quicker, or comes between; looked at again above.
                Ok(_) | Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match self.fallback_index(repository, subject).await? {
            Some((found, _)) if found.iter().any(|d| d.digest == referrer.digest) => Ok(()),
            _ => Err(self.protocol(&doing, "others write it at the same time, again and again")),
        }
    }
}

/// Whether a registry has no API for referrers. A refusal for want of rights is none of these.
fn is_no_api(error: &Error) -> bool {
    match error {
        Error::NotFound { .. } => true,
        Error::Http { source, .. } => matches!(source.status(), Some(400 | 405 | 501)),
        _ => false,
    }
}

fn entries(bytes: &[u8]) -> Result<Vec<Descriptor>, String> {
    match Document::parse(bytes, Some(OCI_INDEX)) {
        Ok((Document::Index(Index { manifests, .. }), _)) => Ok(manifests),
        Ok(_) => Err("it is no index".into()),
        Err(error) => Err(fetch::client::error_text(&error)),
    }
}

/// An index with an entry more; everything else in it stays.
fn with_entry(index: Option<Bytes>, entry: &Descriptor) -> Result<Vec<u8>, String> {
    let mut index: Value = match index {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| e.to_string())?,
        None => json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}),
    };
    let entry = serde_json::to_value(entry).map_err(|e| e.to_string())?;
    let manifests = index.get_mut("manifests").and_then(Value::as_array_mut).ok_or("it is no index")?;
    manifests.push(entry);
    if manifests.len() > INDEX_ENTRIES_MAX {
        return Err(format!("more than {INDEX_ENTRIES_MAX} referrers"));
    }
    let bytes = serde_json::to_vec(&index).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(format!("its index would be larger than {MANIFEST_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_a_subject_is_a_tag() {
        let tag = referrers_tag(&Digest::of(b"x"));
        assert!(tag.starts_with("sha256-") && tag.len() == 71, "{tag}");
    }

    #[test]
    fn entries_are_added_and_the_rest_stays() {
        let entry = Descriptor::of(OCI_INDEX, b"x");
        let fresh = with_entry(None, &entry).unwrap();
        assert_eq!(entries(&fresh).unwrap(), std::slice::from_ref(&entry));
        let old = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","x":[1],"manifests":[]}"#;
        let text = String::from_utf8(with_entry(Some(old[..].into()), &entry).unwrap()).unwrap();
        assert!(text.contains(r#""x":[1]"#) && text.contains(entry.digest.as_str()), "{text}");
        for wrong in [&b"[]"[..], b"{}", b"<html>"] {
            assert!(with_entry(Some(Bytes::from_static(wrong)), &entry).is_err());
        }
        let many = json!({"schemaVersion": 2, "manifests": vec![&entry; INDEX_ENTRIES_MAX]});
        assert!(with_entry(Some(many.to_string().into()), &entry).unwrap_err().contains("1000"));
    }
}
