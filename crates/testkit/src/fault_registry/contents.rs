//! What the registry holds, and the honest answer to every request.

use super::wire::{Answer, Head};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The type of manifests that [`super::FaultRegistry::put_image`] makes.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

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
    uploads: BTreeMap<String, String>,
    begun: usize,
}

fn key(repository: &str, name: &str) -> Key {
    (repository.to_owned(), name.to_owned())
}

fn refusal(status: u16, code: &str) -> Answer {
    let body = json!({"errors": [{"code": code, "message": "as scripted"}]});
    Answer::status(status).header("Content-Type", "application/json").body(body.to_string())
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

    pub(crate) fn answer(&mut self, head: &Head, body: Vec<u8>) -> Answer {
        let path = head.bare_path().to_owned();
        let Some(rest) = path.strip_prefix("/v2/") else { return Answer::status(404) };
        if rest.is_empty() {
            return Answer::status(200).body("{}");
        }
        let split = |part: &str| rest.split_once(part).map(|(a, b)| (a.to_owned(), b.to_owned()));
        let get = matches!(head.method.as_str(), "GET" | "HEAD");
        let answer = if let Some((repository, upload)) = split("/blobs/uploads/") {
            self.upload(head, &repository, &upload, body)
        } else if let Some((repository, digest)) = split("/blobs/") {
            self.get_blob(head, &repository, &digest)
        } else if let Some((repository, selector)) = split("/manifests/") {
            if get {
                self.get_manifest(&repository, &selector)
            } else {
                self.take_manifest(head, &repository, &selector, body)
            }
        } else if let Some((repository, _)) = split("/tags/") {
            let names: Vec<&String> =
                self.tags.keys().filter(|(r, _)| *r == repository).map(|(_, t)| t).collect();
            Answer::status(200).body(json!({"name": repository, "tags": names}).to_string())
        } else {
            Answer::status(404)
        };
        if head.method == "HEAD" { answer.head_only() } else { answer }
    }

    fn get_blob(&self, head: &Head, repository: &str, digest: &str) -> Answer {
        let Some(bytes) = self.blob(repository, digest) else { return refusal(404, "BLOB_UNKNOWN") };
        match head.range_from() {
            Some(from) if from < bytes.len() => {
                let span = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                Answer::status(206).header("Content-Range", span).body(&bytes[from..])
            }
            Some(_) => Answer::status(416),
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
        Answer::status(201).header("Docker-Content-Digest", digest)
    }

    fn upload(&mut self, head: &Head, repository: &str, upload: &str, body: Vec<u8>) -> Answer {
        match head.method.as_str() {
            "POST" => self.begin(head, repository),
            "PUT" => self.end(head, repository, upload, body),
            _ => Answer::status(405),
        }
    }

    fn begin(&mut self, head: &Head, repository: &str) -> Answer {
        if let (Some(digest), Some(from)) = (head.query("mount"), head.query("from"))
            && let Some(bytes) = self.blob(&from, &digest).cloned()
        {
            self.put_blob(repository, bytes);
            return Answer::status(201).header("Location", format!("/v2/{repository}/blobs/{digest}"));
        }
        self.begun += 1;
        let id = format!("upload-{}", self.begun);
        self.uploads.insert(id.clone(), repository.to_owned());
        Answer::status(202).header("Location", format!("/v2/{repository}/blobs/uploads/{id}?state=x"))
    }

    fn end(&mut self, head: &Head, repository: &str, upload: &str, body: Vec<u8>) -> Answer {
        if self.uploads.remove(upload).as_deref() != Some(repository) {
            return refusal(404, "BLOB_UPLOAD_UNKNOWN");
        }
        if head.query("digest") != Some(sha256(&body)) {
            return refusal(400, "DIGEST_INVALID");
        }
        let digest = self.put_blob(repository, body);
        Answer::status(201).header("Location", format!("/v2/{repository}/blobs/{digest}"))
    }
}
