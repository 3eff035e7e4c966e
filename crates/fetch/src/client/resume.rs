//! A download of known size that goes on where it broke off.

use super::{
    ClientOptions, Error, Response,
    retry::Pauses,
    shown::{printable, shown},
};
use bytes::{Buf, Bytes};
use futures_util::{future::BoxFuture, stream::try_unfold};
use reqwest::{StatusCode, header};
use std::{io, sync::Arc};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

/// Asks for the body from a byte on: with `Range: bytes=N-` where N is not 0. Repeats its request as it sees fit.
pub type Opener = Arc<dyn Fn(u64) -> BoxFuture<'static, io::Result<Response>> + Send + Sync>;

/// After so many bytes without trouble earlier troubles are forgotten. A bound on tries for any size of body, since
/// each further set of tries costs the server this much.
const FORGET_AFTER: u64 = 8 << 20;
/// Longest `Content-Range` shown in a message.
const RANGE_CHARS_SHOWN: usize = 100;

/// The body as a reader of exactly `size` bytes. Which bytes they are is for the caller to verify: what is resumed may
/// come from elsewhere.
pub fn resumable(
    open: Opener,
    size: u64,
    options: &ClientOptions,
) -> impl AsyncRead + Send + Unpin + 'static {
    let download = Download::new(open, size, options);
    let stream = try_unfold(download, |mut download| async move {
        let next = download.next().await?;
        Ok::<_, io::Error>(next.map(|bytes| (bytes, download)))
    });
    StreamReader::new(Box::pin(stream))
}

pub(super) struct Download {
    open: Opener,
    /// The answer to the first request, where it was sent already.
    first: Option<Response>,
    size: u64,
    /// Bytes given out.
    at: u64,
    /// Bytes that come again and were given out before.
    skip: u64,
    body: Option<Response>,
    pauses: Pauses,
    /// Bytes since the last trouble.
    since: u64,
    /// Whether a part was answered so badly that the whole was asked for again. Not twice.
    restarted: bool,
    options: ClientOptions,
}

impl Download {
    pub(super) fn new(open: Opener, size: u64, options: &ClientOptions) -> Self {
        let (pauses, options) = (Pauses::new(options), options.clone());
        let (first, body, restarted) = (None, None, false);
        Download { open, first, size, at: 0, skip: 0, body, pauses, since: 0, restarted, options }
    }

    /// With the answer to the request for the whole, which was sent already.
    pub(super) fn with_first(mut self, response: Response) -> Self {
        self.first = Some(response);
        self
    }

    /// The rest of a download, of which so many bytes were given out already.
    pub(super) fn from(mut self, at: u64) -> Self {
        self.at = at;
        self
    }

    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let body = match &mut self.body {
                Some(body) => body,
                None => self.reopen().await?,
            };
            let url = shown(body.url());
            match body.chunk().await {
                Ok(None) if self.at == self.size => return Ok(None),
                Ok(Some(bytes)) => {
                    if let Some(fresh) = self.take(bytes, url)? {
                        return Ok(Some(fresh));
                    }
                }
                Ok(None) => {
                    self.pause(Error::Short { url, got: self.at, expected: self.size }).await?;
                }
                Err(error) => self.pause(error).await?,
            }
        }
    }

    /// Gives trouble that passes a pause, and any other back.
    async fn pause(&mut self, error: Error) -> io::Result<()> {
        self.body = None;
        if !error.is_transient() {
            return Err(io::Error::other(error));
        }
        if self.since >= FORGET_AFTER {
            self.pauses = Pauses::new(&self.options);
        }
        self.since = 0;
        let Some(pause) = self.pauses.next(None) else { return Err(io::Error::other(error)) };
        tracing::debug!(%error, at = self.at, ?pause, "download is resumed");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn take(&mut self, mut bytes: Bytes, url: String) -> io::Result<Option<Bytes>> {
        let again = self.skip.min(bytes.len() as u64);
        self.skip -= again;
        bytes.advance(again as usize);
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() as u64 > self.size - self.at {
            return Err(io::Error::other(Error::TooLarge { url, max: self.size }));
        }
        self.at += bytes.len() as u64;
        self.since += bytes.len() as u64;
        Ok(Some(bytes))
    }

    async fn reopen(&mut self) -> io::Result<&mut Response> {
        let mut response = match self.first.take() {
            Some(first) => first,
            None => (self.open)(self.at).await?,
        };
        if self.at > 0 && !self.restarted && !is_rest_or_whole(&response, self.at, self.size) {
            // A server that makes nothing sensible of a range may still be able to give the whole.
            self.restarted = true;
            tracing::debug!(status = response.status().as_u16(), at = self.at, "download is begun anew");
            response = (self.open)(0).await?;
        }
        let expected = match response.status() {
            StatusCode::OK => {
                self.skip = self.at;
                self.size
            }
            StatusCode::PARTIAL_CONTENT if self.at > 0 => {
                self.skip = 0;
                check_range(&response, self.at, self.size)?;
                self.size - self.at
            }
            _ => return Err(io::Error::other(response.into_error().await)),
        };
        check_length(&response, expected)?;
        Ok(self.body.insert(response))
    }
}

fn is_rest_or_whole(response: &Response, at: u64, size: u64) -> bool {
    match response.status() {
        StatusCode::PARTIAL_CONTENT => is_part(content_range(response), at, size.saturating_sub(1), size),
        StatusCode::RANGE_NOT_SATISFIABLE => false,
        // A whole, or an answer about something else than the range.
        _ => true,
    }
}

/// Whether the declared length, where there is one, is the expected one.
pub(super) fn check_length(response: &Response, expected: u64) -> io::Result<()> {
    match response.declared_length().filter(|declared| *declared != expected) {
        None => Ok(()),
        Some(declared) => {
            let url = shown(response.url());
            Err(io::Error::other(Error::Length { url, declared, expected }))
        }
    }
}

/// Whether a part is the rest that was asked for: `bytes AT-LAST/SIZE`, the size possibly `*`.
fn check_range(response: &Response, at: u64, size: u64) -> io::Result<()> {
    let text = content_range(response);
    if is_part(text, at, size.saturating_sub(1), size) {
        return Ok(());
    }
    let got = printable(text, RANGE_CHARS_SHOWN);
    Err(io::Error::other(Error::Range { url: shown(response.url()), got, at }))
}

pub(super) fn content_range(response: &Response) -> &str {
    response.header(&header::CONTENT_RANGE).unwrap_or("")
}

/// Whether a `Content-Range` says: these bytes (the last one included) of a whole of this size, the size possibly `*`.
pub(super) fn is_part(text: &str, first: u64, last: u64, size: u64) -> bool {
    let parse = || {
        let (span, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let number = |t: &str| t.bytes().all(|b| b.is_ascii_digit()).then(|| t.parse::<u64>().ok()).flatten();
        let whole = if whole == "*" { Some(size) } else { number(whole) };
        Some((number(first)?, number(last)?, whole?))
    };
    size > 0 && parse() == Some((first, last, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_part_is_taken() {
        for (text, good) in [
            ("bytes 10-99/100", true),
            ("bytes 10-99/*", true),
            ("bytes 0-99/100", false),
            ("bytes 10-98/100", false),
            ("bytes 10-99/101", false),
            ("bytes 11-99/100", false),
            ("bytes +10-99/100", false),
            ("10-99/100", false),
            ("bytes */100", false),
            ("", false),
        ] {
            assert_eq!(is_part(text, 10, 99, 100), good, "{text}");
        }
    }
}
