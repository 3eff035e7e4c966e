//! An answer: status, headers and a body that is only ever read within bounds.

use super::{
    ClientOptions, Error,
    retry::retry_after,
    shown::{printable, shown},
};
use bytes::Bytes;
use futures_util::stream::try_unfold;
use reqwest::{
    StatusCode, Url,
    header::{self, HeaderName},
};
use std::{io, net::IpAddr, time::Duration};
use tokio::{io::AsyncRead, time::Instant};
use tokio_util::io::StreamReader;

/// Most bytes read of what a server says about its refusal.
const ERROR_BODY_BYTES_MAX: u64 = 64 << 10;
/// Room made at once for a body; more only as bytes come.
const FIRST_ROOM: u64 = 64 << 10;

/// An answer.
pub struct Response {
    inner: reqwest::Response,
    url: Url,
    idle: Duration,
    pace: Pace,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Response({} {})", self.inner.status(), shown(&self.url))
    }
}

impl Response {
    pub(crate) fn new(inner: reqwest::Response, url: Url, options: &ClientOptions) -> Self {
        let pace =
            Pace { rate: options.min_rate, window: options.rate_window, waited: Duration::ZERO, got: 0 };
        Response { inner, url, idle: options.idle_timeout, pace }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// Who answered, after all redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The address that it came from; a proxy's, where there is one between. `None` where it is not known.
    pub fn peer(&self) -> Option<IpAddr> {
        self.inner.remote_addr().map(|address| address.ip())
    }

    /// A header, where it is there once or more and is text; the first one.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// All headers of a name that are text.
    pub fn headers<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a str> {
        self.inner.headers().get_all(name).iter().filter_map(|v| v.to_str().ok())
    }

    /// `Content-Length`, as declared.
    pub fn declared_length(&self) -> Option<u64> {
        self.header(&header::CONTENT_LENGTH)?.parse().ok()
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(self.header(&header::RETRY_AFTER), self.header(&header::DATE))
    }

    /// The answer if its status is one of success; else an error with what the server said.
    pub async fn success(self) -> Result<Response, Error> {
        if self.status().is_success() { Ok(self) } else { Err(self.into_error().await) }
    }

    /// The answer as an error, with the beginning of its body.
    pub async fn into_error(mut self) -> Error {
        let (url, status, retry_after) = (shown(&self.url), self.status().as_u16(), self.retry_after());
        let mut body = Vec::new();
        // What the server says is only for the message: where it cannot be read, there is less to show.
        while let Ok(Some(chunk)) = self.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() as u64 >= ERROR_BODY_BYTES_MAX {
                break;
            }
        }
        body.truncate(ERROR_BODY_BYTES_MAX as usize);
        let text = String::from_utf8_lossy(&body);
        let body = printable(text.trim(), ERROR_BODY_BYTES_MAX as usize);
        Error::Status { url, status, body, retry_after }
    }

    /// The next bytes of the body, or `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let before = Instant::now();
        let Ok(result) = tokio::time::timeout(self.idle, self.inner.chunk()).await else {
            return Err(Error::Idle { url: shown(&self.url), limit: self.idle });
        };
        let chunk = result.map_err(|e| Error::sorted(shown(&self.url), e))?;
        if let Some(bytes) = &chunk
            && self.pace.is_too_slow(before.elapsed(), bytes.len() as u64)
        {
            return Err(Error::Slow { url: shown(&self.url), rate: self.pace.rate });
        }
        Ok(chunk)
    }

    /// The whole body, if it is not longer than `max`.
    pub async fn bytes(mut self, max: u64) -> Result<Bytes, Error> {
        let too_large = |url: &Url| Err(Error::TooLarge { url: shown(url), max });
        let declared = self.declared_length().unwrap_or(0);
        if declared > max {
            return too_large(&self.url);
        }
        let mut all = Vec::with_capacity(declared.min(FIRST_ROOM) as usize);
        while let Some(chunk) = self.chunk().await? {
            if all.len() as u64 + chunk.len() as u64 > max {
                return too_large(&self.url);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }

    /// The body as a reader. Its errors wrap [`Error`].
    pub fn into_reader(self) -> impl AsyncRead + Send + Unpin + 'static {
        let stream = try_unfold(self, |mut response| async move {
            let chunk = response.chunk().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(chunk.map(|bytes| (bytes, response)))
        });
        StreamReader::new(Box::pin(stream))
    }
}

/// Bytes against the time spent waiting for them. Time in which nobody asks for bytes does not count.
struct Pace {
    rate: u64,
    window: Duration,
    waited: Duration,
    got: u64,
}

impl Pace {
    fn is_too_slow(&mut self, waited: Duration, got: u64) -> bool {
        self.waited += waited;
        self.got += got;
        if self.waited < self.window {
            return false;
        }
        let slow = (self.got as f64) < self.rate as f64 * self.waited.as_secs_f64();
        self.waited = Duration::ZERO;
        self.got = 0;
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_is_measured_over_a_window_of_waiting() {
        let second = Duration::from_secs(1);
        let pace = || Pace { rate: 100, window: second * 10, waited: Duration::ZERO, got: 0 };
        let mut trickle = pace();
        assert!((0..9).all(|_| !trickle.is_too_slow(second, 1)));
        assert!(trickle.is_too_slow(second, 1));
        let mut steady = pace();
        assert!((0..50).all(|_| !steady.is_too_slow(second, 100)));
        let mut idle_reader = pace();
        assert!((0..50).all(|_| !idle_reader.is_too_slow(Duration::ZERO, 1)));
    }
}
