//! What the registry holds, and the honest answer to every request.

use super::{
    behaviour::Behaviour,
    uploads::Uploads,
    wire::{Answer, Head},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The type of manifests that [`super::FaultRegistry::put_image`] makes.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// The type of indexes, which lists of referrers are too.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// `sha256:…` of bytes.
pub fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

type Key = (String, String);

#[derive(Default)]
pub(crate) struct Contents {
    blobs: BTreeMap<Key, Vec<u8>>,
    /// Type and bytes.
    manifests: BTreeMap<Key, (String, Vec<u8>)>,
    tags: BTreeMap<Key, String>,
    pub(crate) uploads: Uploads,
    pub(crate) behaviour: Behaviour,
}

fn key(repository: &str, name: &str) -> Key {
    (repository.to_owned(), name.to_owned())
}

pub(crate) fn refusal(status: u16, code: &str) -> Answer {
    let body = json!({"errors": [{"code": code, "message": "as scripted"}]});
    Answer::status(status).header("Content-Type", "application/json").body(body.to_string())
}

fn linked(answer: Answer, next: Option<String>) -> Answer {
    match next {
        Some(next) => answer.header("Link", next),
        None => answer,
    }
}

impl Contents {
    pub(crate) fn put_blob(&mut self, repository: &str, bytes: Vec<u8>) -> String {
        let digest = sha256(&bytes);
        self.blobs.insert(key(repository, &digest), bytes);
        digest
    }

    pub(crate) fn blob(&self, repository: &str, digest: &str) -> Option<&Vec<u8>> {
        self.blobs.get(&key(repository, digest))
    }

    pub(crate) fn put_manifest(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        kind: &str,
        bytes: Vec<u8>,
    ) -> String {
        let digest = sha256(&bytes);
        self.manifests.insert(key(repository, &digest), (kind.to_owned(), bytes));
        if let Some(tag) = tag {
            self.set_tag(repository, tag, &digest);
        }
        digest
    }

    pub(crate) fn put_image(&mut self, repository: &str, tag: &str, layers: &[(&[u8], String)]) -> String {
        let diff_ids: Vec<&String> = layers.iter().map(|(_, diff_id)| diff_id).collect();
        let config = json!({"os": "linux", "architecture": "amd64", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = config.to_string().into_bytes();
        let layer = |(bytes, _): &(&[u8], String)| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": sha256(bytes), "size": bytes.len()});
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": sha256(&config), "size": config.len()},
            "layers": layers.iter().map(layer).collect::<Vec<_>>()});
        self.put_blob(repository, config);
        for (bytes, _) in layers {
            self.put_blob(repository, bytes.to_vec());
        }
        self.put_manifest(repository, Some(tag), MANIFEST_TYPE, manifest.to_string().into_bytes())
    }

    pub(crate) fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        self.tags.get(&key(repository, tag)).cloned()
    }

    pub(crate) fn set_tag(&mut self, repository: &str, tag: &str, digest: &str) {
        self.tags.insert(key(repository, tag), digest.to_owned());
    }

    /// The honest answer. Of a body that was `cut`, an upload keeps what came.
    pub(crate) fn answer(&mut self, head: &Head, body: Vec<u8>, cut: bool) -> Answer {
        let path = head.bare_path().to_owned();
        let Some(rest) = path.strip_prefix("/v2/") else { return Answer::status(404) };
        if rest.is_empty() {
            return Answer::status(200).body("{}");
        }
        if self.behaviour.body_max.is_some_and(|max| body.len() as u64 > max) {
            return Answer::status(413);
        }
        let answer = self.answer_to(head, rest, body, cut);
        if head.method == "HEAD" { answer.head_only() } else { answer }
    }

    fn answer_to(&mut self, head: &Head, rest: &str, body: Vec<u8>, cut: bool) -> Answer {
        let get = matches!(head.method.as_str(), "GET" | "HEAD");
        if let Some((repository, upload)) = rest.split_once("/blobs/uploads/") {
            self.upload(head, (repository, upload), body, cut)
        } else if cut {
            Answer::status(400)
        } else if let Some((repository, digest)) = rest.split_once("/blobs/") {
            self.get_blob(head, repository, digest)
        } else if let Some((repository, selector)) = rest.split_once("/manifests/") {
            match get {
                true => self.get_manifest(repository, selector),
                false => self.take_manifest(head, repository, selector, body),
            }
        } else if let Some((repository, _)) = rest.split_once("/tags/") {
            self.list_tags(head, repository)
        } else if let Some((repository, digest)) = rest.split_once("/referrers/") {
            self.list_referrers(head, repository, digest)
        } else {
            Answer::status(404)
        }
    }

    fn list_tags(&self, head: &Head, repository: &str) -> Answer {
        let names = self.tags.keys().filter(|(r, _)| r == repository).map(|(_, t)| t.clone());
        let (names, next) = self.behaviour.page(head, names.collect(), |name| name.clone());
        linked(Answer::status(200).body(json!({"name": repository, "tags": names}).to_string()), next)
    }

    fn list_referrers(&self, head: &Head, repository: &str, subject: &str) -> Answer {
        if !self.behaviour.referrers {
            return Answer::status(404);
        }
        let kind = head.query("artifactType");
        let mut found = Vec::new();
        for ((_, digest), (media_type, bytes)) in self.manifests.iter().filter(|((r, _), _)| r == repository)
        {
            let manifest: Value = serde_json::from_slice(bytes).unwrap_or_default();
            let artifact_type = manifest.get("artifactType").unwrap_or(&manifest["config"]["mediaType"]);
            if manifest["subject"]["digest"] == subject && kind.as_deref().is_none_or(|k| artifact_type == k)
            {
                found.push(json!({"mediaType": media_type, "digest": digest, "size": bytes.len(),
                    "artifactType": artifact_type, "annotations": manifest["annotations"]}));
            }
        }
        let (found, next) =
            self.behaviour.page(head, found, |d| d["digest"].as_str().unwrap_or("").to_owned());
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": found});
        let answer = Answer::status(200).header("Content-Type", INDEX_TYPE).body(index.to_string());
        let answer =
            if kind.is_some() { answer.header("OCI-Filters-Applied", "artifactType") } else { answer };
        linked(answer, next)
    }

    fn get_blob(&self, head: &Head, repository: &str, digest: &str) -> Answer {
        let Some(bytes) = self.blob(repository, digest) else { return refusal(404, "BLOB_UNKNOWN") };
        let end = bytes.len();
        match head.range().filter(|_| self.behaviour.ranges && head.method == "GET") {
            Some((first, last)) if first < end && last.is_none_or(|last| last >= first) => {
                let last = last.unwrap_or(end).min(end - 1);
                let span = format!("bytes {first}-{last}/{end}");
                Answer::status(206).header("Content-Range", span).body(&bytes[first..=last])
            }
            Some(_) => Answer::status(416).header("Content-Range", format!("bytes */{end}")),
            None => Answer::status(200).header("Docker-Content-Digest", digest).body(bytes.clone()),
        }
    }

    fn get_manifest(&self, repository: &str, selector: &str) -> Answer {
        let tagged = self.tag(repository, selector);
        let digest = tagged.as_deref().unwrap_or(selector);
        match self.manifests.get(&key(repository, digest)) {
            None => refusal(404, "MANIFEST_UNKNOWN"),
            Some((kind, bytes)) => Answer::status(200)
                .header("Content-Type", kind)
                .header("Docker-Content-Digest", digest)
                .body(bytes.clone()),
        }
    }

    fn take_manifest(&mut self, head: &Head, repository: &str, selector: &str, body: Vec<u8>) -> Answer {
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        let layers = value["layers"].as_array().cloned().unwrap_or_default();
        let needed = layers.iter().chain([&value["config"]]).filter_map(|d| d["digest"].as_str());
        for digest in needed {
            if self.blob(repository, digest).is_none() {
                return refusal(400, "MANIFEST_BLOB_UNKNOWN");
            }
        }
        let by_digest = selector.starts_with("sha256:");
        if by_digest && selector != sha256(&body) {
            return refusal(400, "DIGEST_INVALID");
        }
        let kind = head.header("content-type").unwrap_or("").to_owned();
        let digest = self.put_manifest(repository, (!by_digest).then_some(selector), &kind, body);
        let answer = Answer::status(201).header("Docker-Content-Digest", digest);
        match value["subject"]["digest"].as_str().filter(|_| self.behaviour.referrers) {
            Some(subject) => answer.header("OCI-Subject", subject),
            None => answer,
        }
    }
}
