//! Plain requests: answered from the cache where that is right, else by the server.

use super::body::{Body, Intake, Outlet, State};
use super::cache::{Cache, Key, Meta, Part, Stored};
use super::dial::Stop;
use super::fill::{self, Fill};
use super::hosts::{Scheme, Target, without_userinfo};
use super::kind::Kind;
use super::record::{Entry, How, Refusal};
use super::serve::Proxy;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, header, request};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use std::{error::Error as _, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long to wait for another run that downloads the same object: less than apt waits for its first byte (30 s).
const CLAIM_WAIT_MAX: Duration = Duration::from_secs(20);
/// How often to look whether it is done.
const CLAIM_POLL: Duration = Duration::from_millis(50);
/// What of a request goes to the server when the answer is not shared. Host comes from the URL alone.
const FORWARDED: [HeaderName; 13] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::PRAGMA,
    header::RANGE,
    header::USER_AGENT,
];
/// What of an answer belongs to its connection alone (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];
/// Who we are to servers whose answer is shared: nothing of the image shapes what another image is given.
const USER_AGENT: &str = concat!("copa/", env!("CARGO_PKG_VERSION"));

/// A plain request that is admitted.
pub(super) struct Ask {
    method: Method,
    headers: HeaderMap,
    target: Target,
    /// The URL in its one spelling, without user and password.
    url: Uri,
    kind: Kind,
    entry: Entry,
    stop: CancellationToken,
}

impl Ask {
    /// Checks a request as far as that needs no network.
    pub(super) fn of(
        request: Request<Incoming>,
        entry: Entry,
        stop: CancellationToken,
    ) -> Result<Ask, Refusal> {
        let (head, body) = request.into_parts();
        let target = target_of(&head)?;
        if !body.is_end_stream() {
            return Err(Refusal::Body);
        }
        let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
        let url: Uri = format!("http://{target}{path}").parse().map_err(|_| Refusal::Form)?;
        let kind = Kind::of(url.path(), url.query().is_some());
        Ok(Ask { method: head.method, headers: head.headers, target, url, kind, entry, stop })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    fn may_be_cached(&self) -> bool {
        self.method == Method::GET
            && self.kind != Kind::Other
            && !self.headers.contains_key(header::AUTHORIZATION)
    }
}

fn target_of(head: &request::Parts) -> Result<Target, Refusal> {
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Refusal::Method(super::hosts::shown(head.method.as_str())));
    }
    let authority =
        head.uri.authority().filter(|_| head.uri.scheme_str() == Some("http")).ok_or(Refusal::Form)?;
    let target = Target::of(authority.as_str(), Scheme::Http)?;
    check_host_header(&head.headers, &target, Scheme::Http)?;
    Ok(target)
}

/// A Host header that names another host than the request line is how one name is fetched under another.
pub(super) fn check_host_header(headers: &HeaderMap, target: &Target, scheme: Scheme) -> Result<(), Refusal> {
    let mut values = headers.get_all(header::HOST).iter();
    let Some(value) = values.next() else { return Ok(()) };
    let text = value.to_str().map_err(|_| Refusal::HostHeader)?;
    let named = Target::of(without_userinfo(text), scheme).map_err(|_| Refusal::HostHeader)?;
    if named == *target && values.next().is_none() { Ok(()) } else { Err(Refusal::HostHeader) }
}

/// Answers a plain request.
pub(super) async fn forward(proxy: &Arc<Proxy>, ask: Ask) -> Result<Response<Body>, Stop> {
    match proxy.cache() {
        Some(cache) if ask.may_be_cached() && !cache.is_broken() => {
            Cached { proxy, cache, ask }.answer().await
        }
        _ => pass(proxy, ask).await,
    }
}

/// Answers from the server alone.
async fn pass(proxy: &Proxy, ask: Ask) -> Result<Response<Body>, Stop> {
    let mut up = Request::builder().method(ask.method.clone()).uri(&ask.url);
    for name in FORWARDED {
        for value in ask.headers.get_all(&name) {
            up = up.header(&name, value);
        }
    }
    let answer = send(proxy, &ask.target, up).await?;
    Ok(relay(proxy, ask, answer))
}

/// Gives a server's answer on as it is.
fn relay(proxy: &Proxy, ask: Ask, answer: Response<Incoming>) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    remove_hop_by_hop(&mut head.headers);
    ask.entry.answered(head.status.as_u16(), How::Passed);
    let counts = ask.method == Method::GET && head.status == StatusCode::OK && ask.kind.is_index();
    let (outlet, out) = Outlet::open(ask.entry.clone(), proxy.idle(), ask.stop);
    if body.is_end_stream() {
        return Response::from_parts(head, empty());
    }
    let intake = Intake::new(body, proxy.idle(), super::BODY_BYTES_MAX);
    tokio::spawn(async move {
        if outlet.pass(intake).await && counts {
            ask.entry.journal().count_index();
        }
    });
    Response::from_parts(head, out)
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Asks a server, directly or through the upstream proxy, and waits for the head of its answer.
async fn send(proxy: &Proxy, target: &Target, up: request::Builder) -> Result<Response<Incoming>, Stop> {
    let mut request = up.body(Empty::new()).map_err(|e| Stop::failed(e.to_string()))?;
    let through = proxy.dialer().plain_proxy(target);
    if let Some(credentials) = through.and_then(|p| p.credentials.clone()) {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials);
    }
    let answer = match timeout(proxy.idle(), proxy.client().request(request)).await {
        Ok(answer) => answer.map_err(|error| stop_of(target, &error))?,
        Err(_) => return Err(Stop::failed(format!("{target} does not answer in time"))),
    };
    match answer.status() {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED if through.is_some() => {
            Err(Stop::failed("the upstream proxy asks for credentials (407)"))
        }
        status if status.is_informational() => Err(Stop::failed(format!("{target} answers {status}"))),
        _ => Ok(answer),
    }
}

/// The dialer's own reason where it was the dialer, which the client wraps in its error.
fn stop_of(target: &Target, error: &hyper_util::client::legacy::Error) -> Stop {
    let mut cause = error.source();
    let mut last = error.to_string();
    while let Some(inner) = cause {
        if let Some(stop) = inner.downcast_ref::<Stop>() {
            return stop.clone();
        }
        last = inner.to_string();
        cause = inner.source();
    }
    Stop::failed(format!("{target}: {last}"))
}

/// A request whose answer is shared.
struct Cached<'a> {
    proxy: &'a Arc<Proxy>,
    cache: &'a Arc<Cache>,
    ask: Ask,
}

impl Cached<'_> {
    async fn answer(self) -> Result<Response<Body>, Stop> {
        let key = Key::of(&self.ask.url.to_string());
        let deadline = Instant::now() + CLAIM_WAIT_MAX;
        loop {
            match self.look(&key).await? {
                Look::Usable(stored) => return Ok(self.give(&key, stored, How::Hit)),
                Look::Ours(part, stored) => return self.refresh(key, part, stored).await,
                Look::Unwritable => return pass(self.proxy, self.ask).await,
                Look::Busy if Instant::now() > deadline => return pass(self.proxy, self.ask).await,
                Look::Busy => sleep(CLAIM_POLL).await,
            }
        }
    }

    /// What the cache has, and if that is not enough, the right to download.
    async fn look(&self, key: &Key) -> Result<Look, Stop> {
        let (cache, key, url) = (self.cache.clone(), key.clone(), self.ask.url.to_string());
        let (kind, asked_before) = (self.ask.kind.clone(), self.cache.was_given(&key));
        let look = move || {
            let usable = |stored: &Stored| match kind {
                Kind::ByHash(_) => true,
                // Asked for a second time in one run: perhaps the first copy was found to be wrong.
                Kind::Package => !asked_before,
                Kind::Release => stored.age < cache.options().fresh,
                Kind::Index | Kind::Other => false,
            };
            if let Some(stored) = cache.find(&key, &url).filter(usable) {
                return Look::Usable(stored);
            }
            match cache.claim(&key) {
                // Again, because another run may have stored it just before it gave the claim back.
                Ok(Some(part)) => match cache.find(&key, &url) {
                    Some(stored) if usable(&stored) => Look::Usable(stored),
                    stored => Look::Ours(part, stored),
                },
                Ok(None) => Look::Busy,
                Err(error) => {
                    tracing::warn!(%error, dir = %cache.options().dir.display(), "download cache is not writable");
                    cache.set_broken();
                    Look::Unwritable
                }
            }
        };
        tokio::task::spawn_blocking(look).await.map_err(|_| Stop::failed("the cache could not be read"))
    }

    /// Asks the server, only for news where there is a copy.
    async fn refresh(self, key: Key, part: Part, stored: Option<Stored>) -> Result<Response<Body>, Stop> {
        let mut up = Request::get(&self.ask.url).header(header::USER_AGENT, USER_AGENT);
        if let Some(meta) = stored.as_ref().map(|s| &s.meta) {
            for (name, value) in
                [(header::IF_NONE_MATCH, &meta.etag), (header::IF_MODIFIED_SINCE, &meta.last_modified)]
            {
                if let Some(value) = value {
                    up = up.header(name, value);
                }
            }
        }
        let answer = send(self.proxy, &self.ask.target, up).await?;
        match (answer.status(), stored) {
            (StatusCode::NOT_MODIFIED, Some(stored)) => Ok(self.give(&key, stored, How::Revalidated)),
            (StatusCode::NOT_MODIFIED, None) => {
                Err(Stop::failed("the server answers 304 to what was no question"))
            }
            (StatusCode::OK, _) if self.keeps(answer.headers()) => self.fill(key, part, answer),
            _ => Ok(relay(self.proxy, self.ask, answer)),
        }
    }

    /// Whether an answer is one to keep: not coded, no page, not too large.
    fn keeps(&self, headers: &HeaderMap) -> bool {
        let page = headers.get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"text/html"));
        let small = fill::length(headers).is_none_or(|bytes| bytes <= self.cache.options().object_bytes_max);
        !page && small && !headers.contains_key(header::CONTENT_ENCODING)
    }

    /// Starts the download and gives what has come of it.
    fn fill(self, key: Key, part: Part, answer: Response<Incoming>) -> Result<Response<Body>, Stop> {
        let (head, body) = answer.into_parts();
        let reader = part.reader().map_err(|e| Stop::failed(format!("cannot read the cache: {e}")))?;
        let mut response = Response::builder().status(StatusCode::OK);
        for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::ETAG, header::LAST_MODIFIED] {
            if let Some(value) = head.headers.get(&name) {
                response = response.header(name, value);
            }
        }
        self.cache.give(&key);
        self.ask.entry.answered(200, How::Miss);
        let (outlet, out) = Outlet::open(self.ask.entry.clone(), self.proxy.idle(), self.ask.stop.clone());
        let (state, progress) = watch::channel(State::default());
        let fill = Fill {
            url: self.ask.url.to_string(),
            path: self.ask.url.path().to_owned(),
            kind: self.ask.kind,
            headers: head.headers,
            intake: Intake::new(body, self.proxy.idle(), self.cache.options().object_bytes_max),
            entry: self.ask.entry,
        };
        tokio::spawn(fill.run(part, self.cache.clone(), state, self.ask.stop));
        tokio::spawn(outlet.follow(reader, progress));
        response.body(out).map_err(|e| Stop::failed(e.to_string()))
    }

    /// Gives a whole object, or says that the sandbox has it.
    fn give(self, key: &Key, stored: Stored, how: How) -> Response<Body> {
        self.cache.give(key);
        // The age of a signed head counts from when the server last said so.
        if self.ask.kind.is_immutable() || how == How::Revalidated {
            stored.touch();
        }
        if is_known(&self.ask.headers, &stored.meta) {
            self.ask.entry.answered(304, how);
            return bare(StatusCode::NOT_MODIFIED);
        }
        self.ask.entry.answered(200, how);
        let (outlet, out) = Outlet::open(self.ask.entry, self.proxy.idle(), self.ask.stop);
        let response = whole(&stored.meta, out);
        let (_, progress) = watch::channel(State { bytes: stored.meta.bytes, end: Some(Ok(())) });
        tokio::spawn(outlet.follow(stored.file, progress));
        response
    }
}

/// What a look at the cache finds.
enum Look {
    Usable(Stored),
    Ours(Part, Option<Stored>),
    Busy,
    Unwritable,
}

/// Whether the sandbox asks only for news and there are none.
fn is_known(asked: &HeaderMap, meta: &Meta) -> bool {
    let same = |name: HeaderName, ours: &Option<String>| {
        ours.as_ref().is_some_and(|ours| asked.get(name).is_some_and(|theirs| theirs == ours.as_str()))
    };
    same(header::IF_NONE_MATCH, &meta.etag) || same(header::IF_MODIFIED_SINCE, &meta.last_modified)
}

/// A whole object as an answer. A range is answered with the whole, as HTTP allows.
fn whole(meta: &Meta, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, meta.bytes.into());
    let texts = [
        (header::CONTENT_TYPE, &meta.content_type),
        (header::ETAG, &meta.etag),
        (header::LAST_MODIFIED, &meta.last_modified),
    ];
    for (name, text) in texts {
        if let Some(value) = text.as_ref().and_then(|t| t.parse().ok()) {
            headers.insert(name, value);
        }
    }
    response
}

/// No content.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A status and nothing else.
pub(super) fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}
