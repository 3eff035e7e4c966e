//! An upload in chunks (distribution specification, "Pushing a blob in chunks"): each taken up where it broke.

use crate::{
    Error,
    upload::{Failure, LOCATION, SESSION, Session, Upload, octets, retry_after},
};
use bytes::{Bytes, BytesMut};
use fetch::client::{
    Body, BodyReader, Error as HttpError, HeaderName, HeaderValue, Method, Pauses, Request, Response,
    StatusCode,
};
use tokio::io::AsyncReadExt;

/// Usual length of a chunk. It is held in memory while it is sent.
pub(crate) const LENGTH: u64 = 8 << 20;
/// Shortest chunk that is tried where a registry takes no longer ones: proxies before registries allow at least 1 MiB.
pub(crate) const LENGTH_MIN: u64 = 512 << 10;
/// Longest chunk; a registry that wants longer ones gets the whole at once.
const LENGTH_MAX: u64 = 32 << 20;
/// After so many bytes without trouble earlier troubles are forgotten.
const FORGET_AFTER: u64 = 4 << 20;

const OTHER_BYTES: &str = "it has other bytes than were sent";

const RANGE: HeaderName = HeaderName::from_static("range");
const CONTENT_RANGE: HeaderName = HeaderName::from_static("content-range");
const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");

/// How long the chunks of a blob are to be, or `None` where it goes at once.
pub(crate) fn length(size: u64, min: Option<u64>, limit: Option<u64>) -> Option<u64> {
    let length = match (min, limit) {
        (None, None) => return None,
        (min, limit) => limit.unwrap_or(LENGTH).max(min.unwrap_or(0)),
    };
    (size > length && length <= LENGTH_MAX).then_some(length)
}

/// An upload on its way.
pub(crate) struct Chunks<'a> {
    upload: &'a Upload<'a>,
    session: Session,
    length: u64,
    /// Bytes that the registry has.
    at: u64,
    /// The most that it ever had.
    furthest: u64,
    pauses: Pauses,
    /// Bytes since the last trouble, those that it had before left out.
    since: u64,
}

impl<'a> Chunks<'a> {
    pub(crate) fn new(upload: &'a Upload<'a>, session: Session, length: u64) -> Self {
        let pauses = Pauses::new(upload.registry.client().options());
        Chunks { upload, session, length: length.max(1), at: 0, furthest: 0, pauses, since: 0 }
    }

    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        let size = self.upload.size();
        let mut reader = self.open().await?;
        while self.at < size {
            let chunk = self.read(&mut reader, size - self.at).await?;
            let begin = self.at;
            let end = begin + chunk.len() as u64;
            while self.at < end {
                let rest = chunk.slice((self.at - begin) as usize..);
                self.send(rest, begin, end).await?;
            }
        }
        if reader.read(&mut [0]).await.map_err(|e| self.unreadable(e))? != 0 {
            return Err(self.unreadable(std::io::Error::other("it is longer than its declared size")).into());
        }
        Ok(self.close().await?)
    }

    async fn open(&self) -> Result<BodyReader, Error> {
        match &self.upload.body {
            Body::Empty => Ok(Box::new(tokio::io::empty())),
            Body::Bytes(bytes) => Ok(Box::new(std::io::Cursor::new(bytes.clone()))),
            Body::Stream { open, .. } => open().await.map_err(|e| self.unreadable(e)),
        }
    }

    fn unreadable(&self, source: std::io::Error) -> Error {
        let url = fetch::client::shown(&self.session.url);
        Error::Http { doing: self.upload.doing.clone(), source: HttpError::Upload { url, source } }
    }

    async fn read(&self, reader: &mut BodyReader, left: u64) -> Result<Bytes, Error> {
        let wanted = self.length.min(left) as usize;
        let mut chunk = BytesMut::with_capacity(wanted);
        let mut part = reader.take(wanted as u64);
        while chunk.len() < wanted {
            if part.read_buf(&mut chunk).await.map_err(|e| self.unreadable(e))? == 0 {
                let why = "it is shorter than its declared size";
                return Err(self.unreadable(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, why)));
            }
        }
        Ok(chunk.freeze())
    }

    /// Sends so much of a chunk as may go at once. What becomes of it is in `at` afterwards: anything from `begin` to
    /// `end`.
    async fn send(&mut self, rest: Bytes, begin: u64, end: u64) -> Result<(), Failure> {
        let rest = rest.slice(..rest.len().min(self.length as usize));
        let sent = rest.len() as u64;
        let response = match self.patch(rest).await {
            Err(error) if error.is_transient() => return self.take_up(error, begin, end).await,
            result => result?,
        };
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::CREATED | StatusCode::NO_CONTENT => {
                let next = taken(&response, self.at).unwrap_or(self.at + sent);
                self.follow(&response).await?;
                if next <= self.at || next > self.at + sent {
                    let error = self.wrong(OTHER_BYTES);
                    return self.take_up(error, begin, end).await;
                }
                let whole = next == self.at + sent;
                self.advance(next);
                // To take less is no failure, but it may not go on for ever.
                if !whole {
                    self.pause(self.wrong("it takes few bytes at a time")).await?;
                }
                Ok(())
            }
            StatusCode::PAYLOAD_TOO_LARGE if self.length / 2 >= LENGTH_MIN => {
                self.length /= 2;
                self.upload.registry.uploads().set_limit(self.length);
                tracing::debug!(digest = %self.upload.digest, length = self.length, "shorter chunks");
                Ok(())
            }
            status => {
                let error = self.upload.registry.refused(response, &self.upload.doing, SESSION).await;
                match status == StatusCode::RANGE_NOT_SATISFIABLE || error.is_transient() {
                    true => self.take_up(error, begin, end).await,
                    false => Err(error.into()),
                }
            }
        }
    }

    async fn patch(&self, chunk: Bytes) -> Result<Response, Error> {
        let span = format!("{}-{}", self.at, self.at + chunk.len() as u64 - 1);
        let span = HeaderValue::from_str(&span).expect("digits and a hyphen are a header");
        let request = Request::new(Method::PATCH, self.session.url.clone())
            .header(CONTENT_TYPE, octets())
            .header(CONTENT_RANGE, span)
            .body(Body::Bytes(chunk))
            .reach(self.session.reach)
            .once();
        self.upload.registry.send(&self.upload.scope, request, &self.upload.doing).await
    }

    fn advance(&mut self, to: u64) {
        self.since += to.saturating_sub(self.furthest);
        self.furthest = self.furthest.max(to);
        self.at = to;
        if self.since >= FORGET_AFTER {
            self.pauses = Pauses::new(self.upload.registry.client().options());
        }
    }

    /// After each answer the session may be elsewhere.
    async fn follow(&mut self, response: &Response) -> Result<(), Error> {
        if response.header(&LOCATION).is_some() {
            let registry = self.upload.registry;
            self.session.url = registry.location(response, &self.upload.doing)?;
            self.session.reach = registry.reach(response, &self.session.url).await?;
        }
        Ok(())
    }

    /// Waits after trouble, or gives it back where it was enough.
    async fn pause(&mut self, error: Error) -> Result<(), Error> {
        self.since = 0;
        let Some(pause) = self.pauses.next(retry_after(&error)) else { return Err(error) };
        tracing::debug!(digest = %self.upload.digest, at = self.at, %error, ?pause, "upload is taken up");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Asks the registry how far it got, and goes on there if the bytes from there on are at hand.
    async fn take_up(&mut self, error: Error, begin: u64, end: u64) -> Result<(), Failure> {
        self.pause(error).await?;
        let upload = self.upload;
        let request = Request::get(self.session.url.clone()).reach(self.session.reach);
        let response = upload.registry.send(&upload.scope, request, &upload.doing).await?;
        if !response.status().is_success() {
            let error = upload.registry.refused(response, &upload.doing, SESSION).await;
            return Err(Failure::Lost(error));
        }
        let next = taken(&response, self.at);
        self.follow(&response).await?;
        match next {
            Some(next) if (begin..=end).contains(&next) => {
                // Less than before is possible: what was taken may not have been kept.
                self.advance(next.max(self.at));
                self.at = next;
                Ok(())
            }
            _ => Err(Failure::Lost(self.wrong(OTHER_BYTES))),
        }
    }

    fn wrong(&self, why: &str) -> Error {
        self.upload.registry.protocol(&self.upload.doing, why)
    }

    async fn close(&self) -> Result<(), Error> {
        let response = self.upload.end(&self.session, Body::Empty).await?;
        match self.upload.ended(response).await {
            // Where the answer to an earlier try was lost, the session has ended well.
            Err(error @ Error::NotFound { .. }) => match self.upload.has_arrived().await {
                true => Ok(()),
                false => Err(error),
            },
            result => result,
        }
    }
}

/// How many bytes an answer says the registry has: `Range: 0-LAST`. `0-0` is what many say of none, too; so it is, as long
/// as there were none.
fn taken(response: &Response, before: u64) -> Option<u64> {
    let text = response.header(&RANGE);
    if text.is_none() && response.status() == StatusCode::NO_CONTENT {
        return None;
    }
    read_range(text?, before)
}

fn read_range(text: &str, before: u64) -> Option<u64> {
    let last = text.trim().trim_start_matches("bytes=").strip_prefix("0-")?;
    let digits = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    let last: u64 = digits.then(|| last.parse().ok()).flatten()?;
    if last == 0 && before == 0 { Some(0) } else { last.checked_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_used_where_a_registry_wants_them() {
        const MIB: u64 = 1 << 20;
        for (size, min, limit, want) in [
            (100 * MIB, None, None, None),
            (100 * MIB, Some(MIB), None, Some(LENGTH)),
            (100 * MIB, Some(16 * MIB), None, Some(16 * MIB)),
            (100 * MIB, Some(1 << 40), None, None),
            (LENGTH, Some(MIB), None, None),
            (0, Some(0), Some(MIB), None),
            (100 * MIB, None, Some(MIB), Some(MIB)),
            (100 * MIB, Some(2 * MIB), Some(MIB), Some(2 * MIB)),
            (MIB, None, Some(MIB), None),
        ] {
            assert_eq!(length(size, min, limit), want, "{size} {min:?} {limit:?}");
        }
    }

    #[test]
    fn ranges_of_uploads_are_read_strictly() {
        for (text, before, want) in [
            ("0-9", 0, Some(10)),
            ("bytes=0-9", 3, Some(10)),
            ("0-0", 0, Some(0)),
            ("0-0", 1, Some(1)),
            ("1-9", 0, None),
            ("0-", 0, None),
            ("0-+9", 0, None),
            ("0-18446744073709551615", 0, None),
            ("9", 0, None),
            ("", 0, None),
        ] {
            assert_eq!(read_range(text, before), want, "{text} {before}");
        }
    }
}
