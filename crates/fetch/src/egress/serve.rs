//! The proxy's own side: connections of the sandbox, whether the network is open, and one answer per request.

use super::body::Body;
use super::cache::Cache;
use super::dial::{Connector, Dialer, Stop};
use super::forward::{self, Ask};
use super::hosts::{Scheme, without_userinfo};
use super::record::{Entry, How, Journal, Refusal};
use super::tunnel;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{body::Incoming, ext::ReasonPhrase, service::service_fn};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

/// Connections of one sandbox at a time: apt opens one per host; what is beyond waits.
const CONNECTIONS_MAX: usize = 64;
/// Idle connections to one server that are kept for the next request.
const IDLE_PER_HOST_MAX: usize = 8;
/// Pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Upward = Client<Connector, Empty<Bytes>>;

/// Everything that answering needs.
pub(super) struct Proxy {
    dialer: Arc<Dialer>,
    client: Upward,
    cache: Option<Arc<Cache>>,
    journal: Arc<Journal>,
    idle: Duration,
    /// Ends everything.
    stop: CancellationToken,
    /// Ends what was begun since the network was opened; none while it is closed.
    open: Mutex<Option<CancellationToken>>,
}

impl Proxy {
    pub(super) fn new(dialer: Dialer, cache: Option<Cache>, idle: Duration) -> Self {
        let dialer = Arc::new(dialer);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(idle)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .http1_max_buf_size(super::HEAD_BYTES_MAX)
            .build(Connector(dialer.clone()));
        Proxy {
            dialer,
            client,
            cache: cache.map(Arc::new),
            journal: Arc::default(),
            idle,
            stop: CancellationToken::new(),
            open: Mutex::new(None),
        }
    }

    pub(super) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    pub(super) fn client(&self) -> &Upward {
        &self.client
    }

    pub(super) fn cache(&self) -> Option<&Arc<Cache>> {
        self.cache.as_ref()
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn idle(&self) -> Duration {
        self.idle
    }

    /// Opens or closes the network. What runs when it closes is cut off, tunnels too.
    pub(super) fn set_open(&self, open: bool) {
        let mut current = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open == current.is_some() {
            return;
        }
        match current.take() {
            Some(token) => token.cancel(),
            None => *current = Some(self.stop.child_token()),
        }
    }

    /// Ends everything at once.
    pub(super) fn end(&self) {
        self.stop.cancel();
    }

    fn opened(&self) -> Result<CancellationToken, Refusal> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Refusal::NoNetwork)
    }

    /// Takes connections until the end, then drops the listener, and with it the last hold on its namespace.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let take = async {
            // Invariant: the semaphore is never closed, so that this loop ends by `stop` only.
            while let Ok(place) = places.clone().acquire_owned().await {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let connection = self.clone().connection(stream);
                        tokio::spawn(async move {
                            connection.await;
                            drop(place);
                        });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            }
        };
        tokio::select! {
            () = take => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let me = self.clone();
        let service = service_fn(move |request| {
            let me = me.clone();
            async move { Ok::<_, Infallible>(me.answer(request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle)
            .max_buf_size(super::HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::select! {
            // Whatever goes wrong on a connection of the sandbox is in the record of its request.
            _ = connection => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let shown = target_shown(request.uri());
        let opened = self.journal.open(request.method().as_str(), &shown, super::REQUESTS_MAX);
        let Some(entry) = opened else { return told(&Stop::Refused(Refusal::TooMany)) };
        match self.clone().admitted(request, entry.clone()).await {
            Ok(response) => response,
            Err(stop) => {
                let response = told(&stop);
                let how = match stop {
                    Stop::Refused(why) => How::Refused(why),
                    Stop::Failed(why) => How::Failed(why),
                };
                entry.answered(response.status().as_u16(), how);
                response
            }
        }
    }

    async fn admitted(
        self: Arc<Self>,
        request: Request<Incoming>,
        entry: Entry,
    ) -> Result<Response<Body>, Stop> {
        let stop = self.opened()?;
        let answer = async {
            if request.method() == Method::CONNECT {
                self.dialer.admit(&tunnel::target_of(&request)?, Scheme::Tunnel)?;
                return tunnel::tunnel(&self, request, entry, stop.clone()).await;
            }
            let ask = Ask::of(request, entry, stop.clone())?;
            self.dialer.admit(ask.target(), Scheme::Http)?;
            forward::forward(&self, ask).await
        };
        tokio::select! {
            answer = answer => answer,
            () = stop.cancelled() => Err(Refusal::NoNetwork.into()),
        }
    }
}

/// What was asked for, as it may be recorded.
fn target_shown(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |a| without_userinfo(a.as_str()));
    match uri.scheme_str() {
        Some(scheme) => format!("{scheme}://{authority}{}", uri.path_and_query().map_or("", |p| p.as_str())),
        None => format!("{authority}{}", uri.path_and_query().map_or("", |p| p.as_str())),
    }
}

/// An answer that says why there is none. The reason phrase says it too: it is all that apt shows.
fn told(stop: &Stop) -> Response<Body> {
    let status = match stop {
        Stop::Refused(Refusal::TooMany) => StatusCode::TOO_MANY_REQUESTS,
        Stop::Refused(Refusal::Method(_)) => StatusCode::METHOD_NOT_ALLOWED,
        Stop::Refused(Refusal::Form | Refusal::HostHeader | Refusal::Body | Refusal::Host(_)) => {
            StatusCode::BAD_REQUEST
        }
        Stop::Refused(_) => StatusCode::FORBIDDEN,
        Stop::Failed(_) => StatusCode::BAD_GATEWAY,
    };
    let text = stop.to_string();
    let body = Full::from(format!("{text}\n")).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(reason) = ReasonPhrase::try_from(text) {
        response.extensions_mut().insert(reason);
    }
    response
}
