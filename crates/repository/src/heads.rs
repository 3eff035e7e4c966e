//! Heads of indexes: asked for again at each run, transferred only where they changed, and remembered so that none is ever
//! followed by an older one.

use crate::{Error, Session, limits::HEAD_BYTES_MAX};
use fetch::client::{HeaderName, HeaderValue, Request, Response, StatusCode, Url, shown};
use oci::Digest;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::Read,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};
use store::Store;

/// The folder in the proxy's cache, where the bound of the cache holds for it.
const FOLDER: &str = "heads";
/// Bytes of a note.
const NOTE_BYTES_MAX: u64 = 64 << 10;
/// Longest validator kept.
const VALIDATOR_BYTES_MAX: usize = 1024;

/// Whether what the cache has may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// If the server says that it is unchanged.
    IfChanged,
    /// It and its index did not fit together: no cache on the way may answer either.
    Anew,
}

/// A head as it came, not verified.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) bytes: Vec<u8>,
    /// The date of the newest verified one that was seen from there.
    pub(crate) newest: Option<i64>,
    /// Bytes transferred.
    pub(crate) fetched: u64,
    note: Note,
}

/// What is remembered of a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    url: String,
    digest: Digest,
    etag: Option<String>,
    last_modified: Option<String>,
    newest: i64,
}

impl Head {
    pub(crate) fn digest(&self) -> &Digest {
        &self.note.digest
    }
}

impl Session<'_> {
    /// The head at an URL; `None` where the server has none.
    pub(crate) async fn head(&self, url: &Url, ask: Ask) -> Result<Option<Head>, Error> {
        let (store, key) = (self.store.clone(), url.clone());
        let known = self.blocking(move || Ok(recall(&store, &key))).await?;
        let newest = known.as_ref().map(|(note, _)| note.newest);
        let mut request = Request::get(url.clone()).reach(self.reach(url));
        match (&known, ask) {
            (Some((note, Some(_))), Ask::IfChanged) => request = conditional(request, note),
            (_, Ask::IfChanged) => {}
            (_, Ask::Anew) => request = with(request, "cache-control", Some("no-cache")),
        }
        let response = self.unless_cancelled(async { Ok(self.client.send(request).await?) }).await?;
        match (response.status(), known) {
            (StatusCode::NOT_MODIFIED, Some((note, Some(bytes)))) => {
                Ok(Some(Head { bytes, newest, fetched: 0, note }))
            }
            // What keeps packages in buckets says "forbidden" for what is not there.
            (StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN, _) => Ok(None),
            _ => {
                let text = |name: &'static str| validator(&response, name);
                let (etag, last_modified) = (text("etag"), text("last-modified"));
                let body = async { Ok(response.success().await?.bytes(HEAD_BYTES_MAX).await?) };
                let bytes = self.unless_cancelled(body).await?.to_vec();
                let note = Note {
                    url: url.to_string(),
                    digest: Digest::of(&bytes),
                    etag,
                    last_modified,
                    newest: i64::MIN,
                };
                Ok(Some(Head { fetched: bytes.len() as u64, bytes, newest, note }))
            }
        }
    }

    /// The date of the newest verified head that was seen at any of these places.
    pub(crate) async fn newest(&self, urls: &[&Url]) -> Result<Option<i64>, Error> {
        let (store, urls): (_, Vec<Url>) = (self.store.clone(), urls.iter().copied().cloned().collect());
        let seen = move || Ok(urls.iter().filter_map(|url| Some(recall(&store, url)?.0.newest)).max());
        self.blocking(seen).await
    }

    /// Remembers a head that has been verified. Its date counts from now on, as far as it is not ahead of our clock: nobody
    /// may bar what is published later.
    pub(crate) async fn remember(&self, head: &Head, date: i64) -> Result<(), Error> {
        self.write_note(head, date.min(self.now)).await
    }

    /// Keeps a head that nobody vouches for, so that it is not transferred again. What it says of its date does not count.
    pub(crate) async fn keep(&self, head: &Head) -> Result<(), Error> {
        self.write_note(head, head.newest.unwrap_or(i64::MIN)).await
    }

    async fn write_note(&self, head: &Head, newest: i64) -> Result<(), Error> {
        let mut note = head.note.clone();
        if head.fetched == 0 && note.newest == newest {
            return Ok(());
        }
        note.newest = newest;
        let (store, bytes) = (self.store.clone(), head.bytes.clone());
        self.blocking(move || {
            store.add_blob(&bytes[..], &note.digest, bytes.len() as u64)?;
            write(&store, &note)
        })
        .await
    }

    /// A whole file of exactly this size; `None` where the server has none.
    pub(crate) async fn file(&self, url: &Url, size: u64, ask: Ask) -> Result<Option<Vec<u8>>, Error> {
        let mut request = Request::get(url.clone()).reach(self.reach(url));
        if ask == Ask::Anew {
            request = with(request, "cache-control", Some("no-cache"));
        }
        let response = self.unless_cancelled(async { Ok(self.client.send(request).await?) }).await?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN) {
            return Ok(None);
        }
        let body = async { Ok(response.success().await?.bytes(size).await?) };
        match self.unless_cancelled(body).await {
            Ok(bytes) if bytes.len() as u64 == size => Ok(Some(bytes.to_vec())),
            Ok(bytes) => Err(mismatch(url, format!("{} bytes where {size} are expected", bytes.len()))),
            Err(Error::Fetch(fetch::client::Error::TooLarge { max, .. })) => {
                Err(mismatch(url, format!("more than the {max} bytes that are expected")))
            }
            Err(error) => Err(error),
        }
    }
}

pub(crate) fn mismatch(url: &Url, why: String) -> Error {
    Error::Mismatch { url: shown(url), why }
}

fn conditional(request: Request, note: &Note) -> Request {
    let request = with(request, "if-none-match", note.etag.as_deref());
    match note.etag {
        Some(_) => request,
        None => with(request, "if-modified-since", note.last_modified.as_deref()),
    }
}

fn with(request: Request, name: &'static str, value: Option<&str>) -> Request {
    match value.map(HeaderValue::from_str) {
        Some(Ok(value)) => request.header(HeaderName::from_static(name), value),
        _ => request,
    }
}

fn validator(response: &Response, name: &'static str) -> Option<String> {
    let text = response.header(&HeaderName::from_static(name))?;
    (text.len() <= VALIDATOR_BYTES_MAX).then(|| text.to_owned())
}

fn path(store: &Store, url: &str) -> PathBuf {
    store.http_dir().join(FOLDER).join(Digest::of(url.as_bytes()).hex())
}

/// The note of an URL, and the head itself where the cache still has it. What is not as it was written is absent.
fn recall(store: &Store, url: &Url) -> Option<(Note, Option<Vec<u8>>)> {
    let file = fs::File::open(path(store, url.as_str())).ok()?;
    let mut text = Vec::new();
    file.take(NOTE_BYTES_MAX).read_to_end(&mut text).ok()?;
    let note: Note = serde_json::from_slice(&text).ok()?;
    if note.url != url.as_str() {
        return None;
    }
    let mut bytes = Vec::new();
    let blob = store.blob(&note.digest).ok().flatten();
    let whole = blob.and_then(|blob| blob.file.take(HEAD_BYTES_MAX + 1).read_to_end(&mut bytes).ok());
    Some((note, whole.map(|_| bytes)))
}

fn write(store: &Store, note: &Note) -> Result<(), Error> {
    let target = path(store, &note.url);
    let doing = || format!("writing {}", target.display());
    let folder = store.http_dir().join(FOLDER);
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|e| Error::io(doing(), e))?;
    let temp = store.temp_dir()?;
    let part = temp.path().join("note");
    let text = serde_json::to_vec(note).map_err(|_| Error::Internal("a note cannot be written"))?;
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&part);
    let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, &text));
    written.and_then(|()| fs::rename(&part, &target)).map_err(|e| Error::io(doing(), e))
}
