//! A large download in several parts at once, given out in order; as one stream where the server knows no parts.

use super::{
    Client, ClientOptions, Error, PartSettings, Response,
    resume::{Download, Opener, check_length, content_range, is_part},
    retry::Pauses,
    shown::shown,
};
use bytes::{Bytes, BytesMut};
use futures_util::{future::BoxFuture, stream::try_unfold};
use reqwest::StatusCode;
use std::{collections::VecDeque, io, sync::Arc};
use tokio::{
    io::AsyncRead,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{io::StreamReader, task::AbortOnDropHandle};

/// Asks for the bytes from the first to the last one, both included: with `Range: bytes=FIRST-LAST`.
pub type PartOpener = Arc<dyn Fn(u64, u64) -> BoxFuture<'static, io::Result<Response>> + Send + Sync>;

/// Room made at once for a part; more only as bytes come.
const FIRST_ROOM: u64 = 64 << 10;

/// What is needed for a download in parts.
pub struct InParts {
    /// The answer to the request for the first part ([`first_part`]): a part, or the whole.
    pub first: Response,
    /// Asks for a part.
    pub part: PartOpener,
    /// Asks for the rest, where it does not work in parts.
    pub whole: Opener,
    /// Bytes of the whole.
    pub size: u64,
}

/// The first and the last byte of the first part of a download of this size, or `None` where it is not to be split.
pub fn first_part(settings: &PartSettings, size: u64) -> Option<(u64, u64)> {
    let split = settings.at_once > 1 && settings.size > 0 && size >= settings.from && size > settings.size;
    split.then(|| (0, settings.size - 1))
}

/// The body as a reader of exactly `size` bytes, in their order. Which bytes they are is for the caller to verify. A part
/// that breaks is resumed by itself; where parts do not work (any more), the rest comes as one stream.
pub fn in_parts(client: &Client, download: InParts) -> impl AsyncRead + Send + Unpin + use<> {
    let parts = Parts::new(client, download);
    let stream = try_unfold(parts, |mut parts| async move {
        let next = parts.next().await?;
        Ok::<_, io::Error>(next.map(|bytes| (bytes, parts)))
    });
    StreamReader::new(Box::pin(stream))
}

struct Parts {
    job: Job,
    whole: Opener,
    ahead: Arc<Semaphore>,
    /// Bytes given out.
    at: u64,
    /// Bytes asked for.
    asked: u64,
    under_way: VecDeque<Part>,
    /// The rest, once it is not in parts.
    single: Option<Download>,
}

/// What every part needs to know.
#[derive(Clone)]
struct Job {
    open: PartOpener,
    size: u64,
    options: ClientOptions,
}

struct Part {
    bytes: AbortOnDropHandle<io::Result<Bytes>>,
    /// The right to hold it; the part that is needed next has a place of its own.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Parts {
    fn new(client: &Client, download: InParts) -> Self {
        let InParts { first, part, whole, size } = download;
        let job = Job { open: part, size, options: client.options().clone() };
        let (ahead, under_way) = (client.ahead().clone(), VecDeque::new());
        let mut parts = Parts { job, whole, ahead, at: 0, asked: 0, under_way, single: None };
        if first.status() == StatusCode::PARTIAL_CONTENT {
            parts.begin(Some(first), None);
        } else {
            let download = Download::new(parts.whole.clone(), size, &parts.job.options);
            parts.single = Some(download.with_first(first));
        }
        parts
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(single) = &mut self.single {
            return single.next().await;
        }
        self.refill();
        let Some(part) = self.under_way.front_mut() else { return Ok(None) };
        let result = (&mut part.bytes).await.map_err(io::Error::other).flatten();
        self.under_way.pop_front();
        match result {
            Ok(bytes) => {
                self.at += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Err(error) => {
                tracing::debug!(%error, at = self.at, "the rest is not downloaded in parts");
                self.under_way.clear();
                let rest = Download::new(self.whole.clone(), self.job.size, &self.job.options);
                self.single.insert(rest.from(self.at)).next().await
            }
        }
    }

    /// Begins the next parts, so far as there is room. The one that is needed next never waits for room, so that
    /// downloads cannot hold each other up.
    fn refill(&mut self) {
        while self.asked < self.job.size && self.under_way.len() < self.job.options.parts.at_once {
            let permit = match self.under_way.is_empty() {
                true => None,
                false => match self.ahead.clone().try_acquire_owned() {
                    Ok(permit) => Some(permit),
                    Err(_) => return,
                },
            };
            self.begin(None, permit);
        }
    }

    fn begin(&mut self, answer: Option<Response>, permit: Option<OwnedSemaphorePermit>) {
        let first = self.asked;
        self.asked = (first + self.job.options.parts.size).min(self.job.size);
        let bytes = tokio::spawn(self.job.clone().fetch(answer, first, self.asked - 1));
        self.under_way.push_back(Part { bytes: AbortOnDropHandle::new(bytes), _permit: permit });
    }
}

impl Job {
    /// The bytes of one part, however often it breaks within the bounds of the settings.
    async fn fetch(self, mut answer: Option<Response>, first: u64, last: u64) -> io::Result<Bytes> {
        let wanted = last - first + 1;
        let mut bytes = BytesMut::with_capacity(wanted.min(FIRST_ROOM) as usize);
        let mut pauses = Pauses::new(&self.options);
        loop {
            let at = first + bytes.len() as u64;
            let response = match answer.take() {
                Some(response) => response,
                None => (self.open)(at, last).await?,
            };
            let Err(error) = self.take(response, (at, last), &mut bytes).await? else {
                return Ok(bytes.freeze());
            };
            let pause = if error.is_transient() { pauses.next(error.retry_after()) } else { None };
            let Some(pause) = pause else { return Err(io::Error::other(error)) };
            tracing::debug!(%error, ?pause, "part is resumed");
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes what comes of a part. The inner error is one that may pass.
    async fn take(
        &self,
        mut response: Response,
        (at, last): (u64, u64),
        bytes: &mut BytesMut,
    ) -> io::Result<Result<(), Error>> {
        let url = shown(response.url());
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(io::Error::other(response.into_error().await));
        }
        let range = content_range(&response);
        if !is_part(range, at, last, self.size) {
            let got = super::shown::printable(range, 100);
            return Err(io::Error::other(Error::Range { url, got, at }));
        }
        check_length(&response, last - at + 1)?;
        let end = bytes.len() as u64 + (last - at + 1);
        loop {
            match response.chunk().await {
                Ok(Some(more)) if (bytes.len() + more.len()) as u64 > end => {
                    return Err(io::Error::other(Error::TooLarge { url, max: last - at + 1 }));
                }
                Ok(Some(more)) => bytes.extend_from_slice(&more),
                Ok(None) if bytes.len() as u64 == end => return Ok(Ok(())),
                Ok(None) => {
                    let (got, expected) = (bytes.len() as u64, end);
                    return Ok(Err(Error::Short { url, got, expected }));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_downloads_are_split() {
        let settings = PartSettings { from: 100, size: 10, at_once: 4, ahead: 8 };
        let one = PartSettings { at_once: 1, ..settings };
        let whole = PartSettings { size: 0, ..settings };
        let large = PartSettings { size: 1000, ..settings };
        for (settings, size, want) in [
            (settings, 100, Some((0, 9))),
            (settings, 99, None),
            (settings, 0, None),
            (one, 100, None),
            (whole, 100, None),
            (large, 1000, None),
        ] {
            assert_eq!(first_part(&settings, size), want, "{settings:?} {size}");
        }
    }
}
