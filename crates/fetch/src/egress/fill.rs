//! A download into the cache: at the pace of the server whatever the sandbox does, kept only when whole and right.

use super::body::{Intake, State};
use super::cache::{Cache, Meta, Part, hex};
use super::kind::{HashName, Kind};
use super::record::Entry;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use sha2::{Digest as _, Sha256, Sha512};
use std::sync::Arc;
use tokio::{fs::File, io::AsyncWriteExt as _, sync::watch};
use tokio_util::sync::CancellationToken;

/// Longest header value of a server that is kept and repeated.
const VALUE_BYTES_MAX: usize = 1024;

/// What is to be downloaded.
pub(super) struct Fill {
    pub(super) url: String,
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) headers: HeaderMap,
    pub(super) intake: Intake,
    pub(super) entry: Entry,
}

impl Fill {
    /// Downloads into the part and keeps it if all is well, telling how far it is.
    pub(super) async fn run(
        self,
        part: Part,
        cache: Arc<Cache>,
        state: watch::Sender<State>,
        stop: CancellationToken,
    ) {
        let index = self.kind.is_index().then(|| self.entry.clone());
        let end = tokio::select! {
            end = self.download(part, &cache, &state) => end,
            () = stop.cancelled() => Err("the step ended".into()),
        };
        if let Some(entry) = index.filter(|_| end.is_ok()) {
            entry.journal().count_index();
        }
        state.send_modify(|s| s.end = Some(end));
    }

    async fn download(
        mut self,
        part: Part,
        cache: &Arc<Cache>,
        state: &watch::Sender<State>,
    ) -> Result<(), String> {
        let unwritable = |error: std::io::Error| {
            // The sandbox asks again, and then the answer goes past the cache.
            cache.set_broken();
            format!("cannot write to the cache: {error}")
        };
        let mut check = Check::new(&self.kind);
        let mut file = File::from_std(part.writer().map_err(unwritable)?);
        while let Some(data) = self.intake.next().await? {
            check.take(&data);
            file.write_all(&data).await.map_err(unwritable)?;
            // Flushed, because the sandbox is given what is in the file.
            file.flush().await.map_err(unwritable)?;
            state.send_modify(|s| s.bytes += data.len() as u64);
        }
        let Some(meta) = self.judge(check)? else { return Ok(()) };
        let bytes = meta.bytes;
        let kept = tokio::task::spawn_blocking(move || part.keep(&meta)).await;
        match kept {
            Ok(Ok(())) => cache.grown(bytes),
            _ => cache.set_broken(),
        }
        Ok(())
    }

    /// What to keep: nothing where it cannot be told whether the content is whole; an error where it is wrong.
    fn judge(&self, check: Check) -> Result<Option<Meta>, String> {
        let length = length(&self.headers);
        if length.is_some_and(|said| said != check.bytes) {
            return Err("the content is shorter than promised".into());
        }
        let whole = length.is_some() || self.headers.contains_key(header::TRANSFER_ENCODING);
        let begins_right = self.kind.may_begin_with(&self.path, &check.start);
        let named = check.agrees_with_name(&self.kind);
        if named == Some(false) {
            return Err("the content does not have the hash in its name".into());
        }
        if !begins_right || !(whole || named == Some(true)) {
            return Ok(None);
        }
        Ok(Some(Meta {
            url: self.url.clone(),
            bytes: check.bytes,
            sha256: hex(&check.sha256.finalize()),
            content_type: text(&self.headers, &header::CONTENT_TYPE),
            etag: text(&self.headers, &header::ETAG),
            last_modified: text(&self.headers, &header::LAST_MODIFIED),
        }))
    }
}

/// The content, as it is checked while it passes.
struct Check {
    bytes: u64,
    start: Vec<u8>,
    sha256: Sha256,
    sha512: Option<Sha512>,
}

impl Check {
    fn new(kind: &Kind) -> Self {
        let sha512 = matches!(kind, Kind::ByHash(HashName::Sha512(_))).then(Sha512::new);
        Check { bytes: 0, start: Vec::new(), sha256: Sha256::new(), sha512 }
    }

    fn take(&mut self, data: &Bytes) {
        /// Enough to tell a package from a page.
        const START_BYTES: usize = 32;
        let room = START_BYTES - self.start.len();
        self.start.extend_from_slice(&data[..room.min(data.len())]);
        self.bytes += data.len() as u64;
        self.sha256.update(data);
        if let Some(hash) = &mut self.sha512 {
            hash.update(data);
        }
    }

    /// Whether the content has the hash that its name tells; nothing where the name tells none.
    fn agrees_with_name(&self, kind: &Kind) -> Option<bool> {
        match (kind, &self.sha512) {
            (Kind::ByHash(HashName::Sha256(want)), _) => Some(hex(&self.sha256.clone().finalize()) == *want),
            (Kind::ByHash(HashName::Sha512(want)), Some(hash)) => {
                Some(hex(&hash.clone().finalize()) == *want)
            }
            _ => None,
        }
    }
}

/// The length that a server promises.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (value.len() <= VALUE_BYTES_MAX).then(|| value.to_owned())
}
