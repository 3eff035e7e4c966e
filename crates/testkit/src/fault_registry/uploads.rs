//! Uploads as the distribution specification has them: begun, sent at once or chunk by chunk, asked about, ended.

use super::{
    contents::{Contents, refusal, sha256},
    wire::{Answer, Head},
};
use std::collections::BTreeMap;

/// The sessions that are open, by id.
#[derive(Default)]
pub(crate) struct Uploads {
    open: BTreeMap<String, Session>,
    begun: usize,
}

#[derive(Default)]
struct Session {
    repository: String,
    bytes: Vec<u8>,
    /// Whether a chunk came that only the last may be as small as.
    ended: bool,
}

impl Contents {
    pub(crate) fn upload(
        &mut self,
        head: &Head,
        (repository, upload): (&str, &str),
        body: Vec<u8>,
        cut: bool,
    ) -> Answer {
        if head.method == "POST" {
            return self.begin(head, repository);
        }
        if self.uploads.open.get(upload).is_none_or(|s| s.repository != repository) {
            return refusal(404, "BLOB_UPLOAD_UNKNOWN");
        }
        match head.method.as_str() {
            "PATCH" => self.take_chunk(head, (repository, upload), body, cut),
            "PUT" if cut => Answer::status(400),
            "PUT" => self.end(head, (repository, upload), body),
            "GET" => self.state(repository, upload, 204),
            "DELETE" => {
                self.uploads.open.remove(upload);
                Answer::status(204)
            }
            _ => Answer::status(405),
        }
    }

    /// How many sessions are open.
    pub(crate) fn open_uploads(&self) -> usize {
        self.uploads.open.len()
    }

    /// Forgets every session, as a restart of the registry would.
    pub(crate) fn forget_uploads(&mut self) {
        self.uploads.open.clear();
    }

    fn begin(&mut self, head: &Head, repository: &str) -> Answer {
        if let (Some(digest), Some(from)) = (head.query("mount"), head.query("from"))
            && let Some(bytes) = self.blob(&from, &digest).cloned()
        {
            self.put_blob(repository, bytes);
            return Answer::status(201).header("Location", format!("/v2/{repository}/blobs/{digest}"));
        }
        self.uploads.begun += 1;
        let id = format!("upload-{}", self.uploads.begun);
        self.uploads
            .open
            .insert(id.clone(), Session { repository: repository.to_owned(), ..Session::default() });
        let answer = self.state(repository, &id, 202);
        match self.behaviour.chunk_min {
            Some(min) => answer.header("OCI-Chunk-Min-Length", min),
            None => answer,
        }
    }

    fn state(&self, repository: &str, upload: &str, status: u16) -> Answer {
        let got = self.uploads.open.get(upload).map_or(0, |session| session.bytes.len());
        Answer::status(status)
            .header("Location", format!("/v2/{repository}/blobs/uploads/{upload}?state={got}"))
            .header("Range", format!("0-{}", got.saturating_sub(1)))
    }

    fn take_chunk(
        &mut self,
        head: &Head,
        (repository, upload): (&str, &str),
        body: Vec<u8>,
        cut: bool,
    ) -> Answer {
        let min = self.behaviour.chunk_min.unwrap_or(0);
        let Some(session) = self.uploads.open.get_mut(upload) else { return Answer::status(404) };
        let span = head.header("content-range").and_then(|r| r.split_once('-'));
        let first = span.and_then(|(first, _)| first.parse().ok());
        if session.ended || first.is_some_and(|first: usize| first != session.bytes.len()) {
            return self.state(repository, upload, 416);
        }
        session.ended = !cut && (body.len() as u64) < min;
        session.bytes.extend_from_slice(&body);
        if cut { Answer::status(400) } else { self.state(repository, upload, 202) }
    }

    fn end(&mut self, head: &Head, (repository, upload): (&str, &str), body: Vec<u8>) -> Answer {
        let Some(Session { mut bytes, .. }) = self.uploads.open.remove(upload) else {
            return Answer::status(404);
        };
        bytes.extend_from_slice(&body);
        if head.query("digest") != Some(sha256(&bytes)) {
            return refusal(400, "DIGEST_INVALID");
        }
        let digest = self.put_blob(repository, bytes);
        Answer::status(201)
            .header("Location", format!("/v2/{repository}/blobs/{digest}"))
            .header("Docker-Content-Digest", digest)
    }
}
