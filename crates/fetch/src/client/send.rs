//! Sending: one request with its redirects, repeated where its failure may pass.

use super::{
    ClientOptions, Error, HostTls, redirect,
    request::{Body, Request},
    response::Response,
    retry::{Pauses, is_transient_status},
    shown::{same_origin, shown},
    tls,
    transports::Transports,
};
use futures_util::{Stream, stream::try_unfold};
use reqwest::{Url, header};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{io::AsyncReadExt, sync::Semaphore, time::Instant};

/// Longest wait for an answer once the whole body is sent: a registry may hash gigabytes first.
const ANSWER_AFTER_BODY_MAX: Duration = Duration::from_secs(300);
/// How much of a body is read at once.
const UPLOAD_CHUNK: usize = 256 << 10;

/// The client. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    options: ClientOptions,
    /// Parts of large downloads that may be read ahead.
    ahead: Arc<Semaphore>,
    transports: Transports,
    /// A host with needs of its own, as its https origin.
    host: Option<(Url, Transports)>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Client {
    /// A client with these settings.
    pub fn new(options: ClientOptions) -> Result<Self, Error> {
        let transports = Transports::new(&options, &tls::config(options.ca_pem.as_deref())?)?;
        let ahead = Arc::new(Semaphore::new(options.parts.ahead.min(Semaphore::MAX_PERMITS)));
        Ok(Client(Arc::new(Inner { options, ahead, transports, host: None })))
    }

    /// This client, to speak to a host (with port, where it is not 443) that needs something of its own.
    pub fn for_host(&self, host: &str, tls: &HostTls) -> Result<Self, Error> {
        if tls.is_plain() {
            return Ok(self.clone());
        }
        let mut options = self.options().clone();
        let mut transports = self.0.transports.clone();
        if let Some(own) = &tls.ca_pem {
            let mut all = options.ca_pem.take().unwrap_or_default();
            all.push(b'\n');
            all.extend(own);
            options.ca_pem = Some(all);
            transports = Transports::new(&options, &tls::config(options.ca_pem.as_deref())?)?;
        }
        let wrong = |e: String| Error::Settings { what: "host", source: e.into() };
        let origin = Url::parse(&format!("https://{host}/")).map_err(|e| wrong(e.to_string()))?;
        let name = origin.host_str().unwrap_or_default();
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let config = tls::config_for(options.ca_pem.as_deref(), name, tls)?;
        let own = Transports::new(&options, &config)?;
        let ahead = self.0.ahead.clone();
        Ok(Client(Arc::new(Inner { options, ahead, transports, host: Some((origin, own)) })))
    }

    /// Its settings.
    pub fn options(&self) -> &ClientOptions {
        &self.0.options
    }

    pub(crate) fn ahead(&self) -> &Arc<Semaphore> {
        &self.0.ahead
    }

    /// Sends a request and gives the last answer, whatever its status. Redirects are followed; what passes by itself is
    /// repeated as often as the settings say.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let mut pauses = if request.repeat { Pauses::new(self.options()) } else { Pauses::none() };
        loop {
            let result = self.follow(request.clone()).await;
            let asked = match &result {
                Ok(response) if is_transient_status(response.status().as_u16()) => response.retry_after(),
                Err(error) if error.is_transient() => None,
                _ => return result,
            };
            let Some(pause) = pauses.next(asked) else { return result };
            tracing::debug!(url = shown(&request.url), ?pause, "request is repeated");
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends a request and gives the answer if its status is one of success; else an error with what the server said.
    pub async fn fetch(&self, request: Request) -> Result<Response, Error> {
        self.send(request).await?.success().await
    }

    async fn follow(&self, mut request: Request) -> Result<Response, Error> {
        for _ in 0..=redirect::REDIRECTS_MAX {
            let response = self.once(&request).await?;
            if !redirect::is_redirect(response.status()) {
                return Ok(response);
            }
            let mut next = redirect::next(&request, response.status(), response.header(&header::LOCATION))?;
            next.reach = request.reach.beyond(&request.url, response.peer(), &next.url).await;
            request = next;
        }
        let why = "more than 10 redirects in a row";
        Err(Error::Redirect { url: shown(&request.url), to: "yet another place".into(), why })
    }

    async fn once(&self, request: &Request) -> Result<Response, Error> {
        let url = &request.url;
        if let Some(why) = request.reach.refusal_of(url) {
            return Err(Error::OutOfReach { url: shown(url), why: why.into() });
        }
        let own = self.0.host.as_ref().filter(|(origin, _)| same_origin(origin, url));
        let client = own.map_or(&self.0.transports, |(_, own)| own).reaching(request.reach);
        let mut out = client.request(request.method.clone(), url.clone()).headers(request.headers.clone());
        if let Some(value) = &request.authorization {
            out = out.header(header::AUTHORIZATION, value.clone());
        }
        let activity = Activity::new(self.options());
        out = match &request.body {
            Body::Empty => out,
            Body::Bytes(bytes) => out.body(bytes.clone()),
            Body::Stream { size, open } => {
                let reader = open().await.map_err(|source| Error::Upload { url: shown(url), source })?;
                let body = reqwest::Body::wrap_stream(exactly(reader, *size, activity.clone()));
                out.header(header::CONTENT_LENGTH, *size).body(body)
            }
        };
        let result = activity.watch(out.send(), url).await?;
        tracing::debug!(method = %request.method, url = shown(url), status = result.as_ref().map(|r| r.status().as_u16()).ok());
        match (result, activity.take_failure()) {
            (Ok(response), _) => Ok(Response::new(response, url.clone(), self.options())),
            (Err(_), Some(source)) => Err(Error::Upload { url: shown(url), source }),
            (Err(error), None) => Err(Error::sorted(shown(url), error)),
        }
    }
}

/// Watches that something moves while a request is on its way.
#[derive(Clone)]
struct Activity {
    idle: Duration,
    state: Arc<Mutex<ActivityState>>,
}

struct ActivityState {
    deadline: Instant,
    failure: Option<io::Error>,
}

impl Activity {
    fn new(options: &ClientOptions) -> Self {
        let deadline = Instant::now() + options.connect_timeout + options.idle_timeout;
        let state = Arc::new(Mutex::new(ActivityState { deadline, failure: None }));
        Activity { idle: options.idle_timeout, state }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, ActivityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self, finished: bool) {
        let more = if finished { self.idle.max(ANSWER_AFTER_BODY_MAX) } else { self.idle };
        self.state().deadline = Instant::now() + more;
    }

    fn take_failure(&self) -> Option<io::Error> {
        self.state().failure.take()
    }

    async fn watch<T>(&self, future: impl Future<Output = T>, url: &Url) -> Result<T, Error> {
        tokio::pin!(future);
        loop {
            let deadline = self.state().deadline;
            tokio::select! {
                done = &mut future => return Ok(done),
                () = tokio::time::sleep_until(deadline) => {}
            }
            if self.state().deadline <= Instant::now() {
                return Err(Error::Idle { url: shown(url), limit: self.idle });
            }
        }
    }
}

/// The reader as a stream of exactly `size` bytes; anything else is an error that stops the request.
fn exactly(
    reader: super::BodyReader,
    size: u64,
    activity: Activity,
) -> impl Stream<Item = io::Result<bytes::Bytes>> + Send + 'static {
    try_unfold((reader, size), move |(mut reader, left)| {
        let activity = activity.clone();
        async move {
            let step = read_step(&mut reader, left).await;
            activity.moved(left == 0);
            match step {
                Ok(None) => Ok(None),
                Ok(Some(bytes)) => {
                    let left = left - bytes.len() as u64;
                    activity.moved(left == 0);
                    Ok(Some((bytes, (reader, left))))
                }
                Err(error) => {
                    let told = io::Error::new(error.kind(), "body could not be read");
                    activity.state().failure = Some(error);
                    Err(told)
                }
            }
        }
    })
}

async fn read_step(reader: &mut super::BodyReader, left: u64) -> io::Result<Option<bytes::Bytes>> {
    if left == 0 {
        return match reader.read(&mut [0]).await? {
            0 => Ok(None),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than its declared size")),
        };
    }
    let mut buffer =
        bytes::BytesMut::with_capacity(UPLOAD_CHUNK.min(usize::try_from(left).unwrap_or(UPLOAD_CHUNK)));
    match (&mut *reader).take(left).read_buf(&mut buffer).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than its declared size")),
        _ => Ok(Some(buffer.freeze())),
    }
}
