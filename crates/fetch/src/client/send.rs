//! Sending: one request with its redirects, repeated where its failure may pass.

use super::{
    ClientOptions, Error,
    address::{Reach, Resolver},
    error::Cause,
    redirect,
    request::{Body, Request},
    response::Response,
    retry::{Pauses, is_transient_status},
    shown::shown,
    tls,
};
use futures_util::{Stream, stream::try_unfold};
use reqwest::{Url, header};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{io::AsyncReadExt, time::Instant};

/// Hosts that are never proxied.
const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1";
/// Longest wait for an answer once the whole body is sent: a registry may hash gigabytes first.
const ANSWER_AFTER_BODY_MAX: Duration = Duration::from_secs(300);
/// How much of a body is read at once.
const UPLOAD_CHUNK: usize = 256 << 10;

/// The client. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    options: ClientOptions,
    named: reqwest::Client,
    public: reqwest::Client,
    configured: reqwest::Client,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Client {
    /// A client with these settings.
    pub fn new(options: ClientOptions) -> Result<Self, Error> {
        let tls = tls::config(options.ca_pem.as_deref())?;
        let named = build(&options, &tls, Reach::Named)?;
        let public = build(&options, &tls, Reach::Public)?;
        let configured = build(&options, &tls, Reach::Configured)?;
        Ok(Client(Arc::new(Inner { options, named, public, configured })))
    }

    /// Its settings.
    pub fn options(&self) -> &ClientOptions {
        &self.0.options
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
            next.reach = request.reach.beyond(&request.url, &next.url).await;
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
        let client = match request.reach {
            Reach::Named => &self.0.named,
            Reach::Public => &self.0.public,
            Reach::Configured => &self.0.configured,
        };
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

fn build(
    options: &ClientOptions,
    tls: &rustls::ClientConfig,
    reach: Reach,
) -> Result<reqwest::Client, Error> {
    let settings = |what, source: Cause| Error::Settings { what, source };
    let never =
        options.proxy.no_proxy.as_deref().map_or(NEVER_PROXIED.into(), |n| format!("{n},{NEVER_PROXIED}"));
    let mut exempt = Vec::new();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .user_agent(&options.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(options.connect_timeout)
        .http2_adaptive_window(true)
        .tls_backend_preconfigured(tls.clone());
    type Make = fn(Url) -> reqwest::Result<reqwest::Proxy>;
    let proxies: [(&'static str, _, Make); 2] = [
        ("http_proxy", &options.proxy.http_proxy, reqwest::Proxy::http),
        ("https_proxy", &options.proxy.https_proxy, reqwest::Proxy::https),
    ];
    for (what, value, make) in proxies {
        let Some(text) = value.as_deref().filter(|t| !t.is_empty()) else { continue };
        let url = proxy_url(text).ok_or_else(|| settings(what, "it is not a proxy URL".into()))?;
        exempt.extend(url.host_str().map(str::to_owned));
        let proxy = make(url).map_err(|e| settings(what, Box::new(e.without_url())))?;
        builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(&never)));
    }
    let resolver = Arc::new(Resolver { reach, exempt });
    builder.dns_resolver(resolver).build().map_err(|e| settings("HTTP settings", Box::new(e)))
}

/// `http://proxy:3128`, or `proxy:3128` for short.
fn proxy_url(text: &str) -> Option<Url> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).ok()?;
    (url.has_host() && matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h")).then_some(url)
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
