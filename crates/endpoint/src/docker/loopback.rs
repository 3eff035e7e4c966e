//! A registry of our own on loopback that a daemon pushes to, so that single manifests and blobs of an image come out of it without
//! the rest: of blobs that are not wanted it says that it has them. What comes is from whoever reaches the port: it counts
//! only with the random name that was given to the daemon, and where its digest is the one that was asked for.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use oci::{
    Digest,
    limits::{CONFIG_BYTES_MAX, INDEX_ENTRIES_MAX, MANIFEST_BYTES_MAX},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    net::TcpListener,
    sync::{Notify, Semaphore},
    task::JoinSet,
};

/// Connections that are served at once; a daemon pushes five blobs at a time.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection may say nothing: others of this machine reach the port too, and must not keep the daemon out.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);
/// Most blobs that are kept in memory.
const SMALL_MAX: usize = INDEX_ENTRIES_MAX;
/// Bytes of all that is kept in memory.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// What is wanted of the blobs.
pub(super) enum Ask {
    /// None of them: manifests come all the same.
    Manifests,
    /// These, which are small.
    Small(BTreeSet<Digest>),
    /// This one, poured into a pipe.
    Stream(Digest, DuplexStream),
    /// Whether the daemon has these: each is turned away as soon as it begins.
    Begin(BTreeSet<Digest>),
}

/// What has come.
#[derive(Debug, Default, Clone)]
pub(super) struct Taken {
    /// What the tag leads to.
    pub(super) top: Option<Pushed>,
    /// Manifests and indexes that were pushed by their digests.
    pub(super) manifests: BTreeMap<Digest, Pushed>,
    /// Small blobs.
    pub(super) blobs: BTreeMap<Digest, Bytes>,
    /// Blobs that had begun.
    pub(super) begun: BTreeSet<Digest>,
    kept: usize,
}

/// A manifest or index.
#[derive(Debug, Clone)]
pub(super) struct Pushed {
    pub(super) bytes: Bytes,
    pub(super) content_type: String,
}

/// The registry. Nobody is served any more when it is dropped.
pub(super) struct Loopback {
    /// `127.0.0.1:PORT/copa/RANDOM`
    repository: String,
    shared: Arc<Shared>,
    serving: tokio::task::JoinHandle<()>,
}

struct Shared {
    /// The path of everything of the repository.
    prefix: String,
    wanted: BTreeSet<Digest>,
    stream: Mutex<Option<DuplexStream>>,
    turns_away: bool,
    taken: Mutex<Taken>,
    /// Told whenever a blob has begun.
    progress: Notify,
}

/// The tag that the daemon pushes.
pub(super) const TAG: &str = "read";

impl Loopback {
    /// Listens on a free port.
    pub(super) async fn start(ask: Ask) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let name = random_name()?;
        let repository = format!("127.0.0.1:{}/{name}", listener.local_addr()?.port());
        let turns_away = matches!(ask, Ask::Begin(_));
        let (wanted, stream) = match ask {
            Ask::Manifests => (BTreeSet::new(), None),
            Ask::Small(wanted) | Ask::Begin(wanted) => (wanted, None),
            Ask::Stream(digest, pipe) => ([digest].into(), Some(pipe)),
        };
        let shared = Arc::new(Shared {
            prefix: format!("/v2/{name}/"),
            wanted,
            stream: Mutex::new(stream),
            turns_away,
            taken: Mutex::default(),
            progress: Notify::new(),
        });
        let serving = tokio::spawn(serve(listener, shared.clone(), SILENCE_LIMIT));
        Ok(Loopback { repository, shared, serving })
    }

    /// The name to push.
    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    /// What has come until now.
    pub(super) fn taken(&self) -> Taken {
        self.shared.taken().clone()
    }

    /// Returns when all that are wanted have begun.
    pub(super) async fn all_begun(&self) {
        loop {
            let told = self.shared.progress.notified();
            if self.shared.wanted.is_subset(&self.shared.taken().begun) {
                return;
            }
            told.await;
        }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A name that nobody else on this machine can know.
pub(super) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if got != bytes.len() {
        return Err(io::Error::other("no random bytes"));
    }
    Ok(format!("copa/{}", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()))
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, silence: Duration) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Ends with this task.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { return };
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(shared.clone(), request));
            // What goes wrong here goes wrong for the daemon, which says so.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(silence)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, io::Error> {
    let path = request.uri().path().to_owned();
    if path == "/v2/" {
        return Ok(plain(StatusCode::OK));
    }
    let Some(rest) = path.strip_prefix(&shared.prefix) else {
        // Whoever does not know the name has no business here.
        return Ok(with(StatusCode::NOT_FOUND, "connection", "close"));
    };
    if let Some(selector) = rest.strip_prefix("manifests/") {
        return match *request.method() {
            Method::PUT => shared.manifest(selector, request).await,
            _ => Ok(plain(StatusCode::NOT_FOUND)),
        };
    }
    match (request.method().clone(), rest.strip_prefix("blobs/")) {
        (Method::HEAD, Some(digest)) => Ok(plain(shared.has(digest))),
        (Method::POST, Some("uploads/")) => {
            Ok(with(StatusCode::ACCEPTED, "location", &format!("{}blobs/uploads/1", shared.prefix)))
        }
        (Method::PUT, Some("uploads/1")) => shared.blob(request).await,
        _ => Ok(plain(StatusCode::NOT_FOUND)),
    }
}

impl Shared {
    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        // Nothing panics while it is held.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, digest: &str) -> StatusCode {
        let Ok(digest) = digest.parse::<Digest>() else { return StatusCode::BAD_REQUEST };
        if self.wanted.contains(&digest) && !self.taken().blobs.contains_key(&digest) {
            return StatusCode::NOT_FOUND;
        }
        StatusCode::OK
    }

    async fn manifest(&self, selector: &str, request: Request<Incoming>) -> Result<Answer, io::Error> {
        let content_type = request.headers().get("content-type").and_then(|v| v.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let Some(bytes) = small(request, MANIFEST_BYTES_MAX).await else {
            return Ok(plain(StatusCode::BAD_REQUEST));
        };
        let digest = Digest::of(&bytes);
        let by_digest = selector.parse::<Digest>();
        if by_digest.as_ref().is_ok_and(|wanted| *wanted != digest) || (by_digest.is_err() && selector != TAG)
        {
            return Ok(plain(StatusCode::BAD_REQUEST));
        }
        let mut taken = self.taken();
        if !taken.keeps(bytes.len()) || taken.manifests.len() > INDEX_ENTRIES_MAX {
            return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let pushed = Pushed { bytes, content_type };
        if by_digest.is_err() {
            taken.top = Some(pushed.clone());
        }
        taken.manifests.insert(digest.clone(), pushed);
        Ok(with(StatusCode::CREATED, "docker-content-digest", digest.as_str()))
    }

    async fn blob(&self, request: Request<Incoming>) -> Result<Answer, io::Error> {
        let named = request.uri().query().and_then(digest_of).filter(|digest| self.wanted.contains(digest));
        let Some(digest) = named else { return Ok(plain(StatusCode::BAD_REQUEST)) };
        let pipe = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let status = match pipe {
            Some(pipe) => pour(request.into_body(), pipe).await,
            None if self.turns_away => self.begin(&digest, request.into_body()).await,
            None => self.keep(&digest, request).await,
        };
        Ok(with(status, "docker-content-digest", digest.as_str()))
    }

    async fn keep(&self, digest: &Digest, request: Request<Incoming>) -> StatusCode {
        let Some(bytes) = small(request, CONFIG_BYTES_MAX).await else { return StatusCode::BAD_REQUEST };
        if Digest::of(&bytes) != *digest {
            return StatusCode::BAD_REQUEST;
        }
        let mut taken = self.taken();
        if !taken.keeps(bytes.len()) || taken.blobs.len() >= SMALL_MAX {
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        taken.blobs.insert(digest.clone(), bytes);
        StatusCode::CREATED
    }

    /// Its first bytes say that it is there. Then it is held until all have begun: who turns it away ends the push.
    async fn begin(&self, digest: &Digest, mut body: Incoming) -> StatusCode {
        let first = body.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
        if first.is_none_or(|data| data.is_empty()) {
            return StatusCode::BAD_REQUEST;
        }
        self.taken().begun.insert(digest.clone());
        self.progress.notify_waiters();
        std::future::pending().await
    }
}

impl Taken {
    fn keeps(&mut self, bytes: usize) -> bool {
        self.kept = self.kept.saturating_add(bytes);
        self.kept <= KEPT_BYTES_MAX
    }
}

/// A whole body, if it is no larger than that.
async fn small(request: Request<Incoming>, max: u64) -> Option<Bytes> {
    let limited = Limited::new(request.into_body(), usize::try_from(max).ok()?);
    Some(limited.collect().await.ok()?.to_bytes())
}

/// Pours a body into a pipe; who reads it judges its digest.
async fn pour(mut body: Incoming, mut pipe: DuplexStream) -> StatusCode {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return StatusCode::BAD_REQUEST };
        let Ok(data) = frame.into_data() else { continue };
        if pipe.write_all(&data).await.is_err() {
            // The reader has gone.
            return StatusCode::BAD_REQUEST;
        }
    }
    StatusCode::CREATED
}

/// The digest of `?digest=sha256:…`, with the colon escaped or not.
fn digest_of(query: &str) -> Option<Digest> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("digest="))?;
    value.replace("%3A", ":").replace("%3a", ":").parse().ok()
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn with(status: StatusCode, header: &'static str, value: &str) -> Answer {
    let mut answer = plain(status);
    if let Ok(value) = value.parse() {
        answer.headers_mut().insert(header, value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_uploads_are_read() {
        let digest = Digest::of(b"x");
        let escaped = digest.as_str().replace(':', "%3A");
        for (query, found) in [
            (format!("digest={digest}"), Some(digest.clone())),
            (format!("a=b&digest={escaped}"), Some(digest.clone())),
            ("digest=../x".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(digest_of(&query), found, "{query}");
        }
    }

    #[tokio::test]
    async fn silent_connections_of_others_do_not_keep_the_daemon_out() {
        use tokio::{
            io::AsyncReadExt,
            net::TcpStream,
            time::{Duration, timeout},
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            prefix: "/v2/copa/x/".into(),
            wanted: BTreeSet::new(),
            stream: Mutex::default(),
            turns_away: false,
            taken: Mutex::default(),
            progress: Notify::new(),
        });
        let serving = tokio::spawn(serve(listener, shared, Duration::from_millis(100)));
        let mut silent = Vec::new();
        for _ in 0..=CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        for (path, status) in [("/v2/", "200"), ("/v2/copa/other/manifests/read", "404")] {
            let mut daemon = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            daemon.write_all(request.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            timeout(Duration::from_secs(20), daemon.read_exact(&mut answer)).await.unwrap().unwrap();
            assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"));
        }
        serving.abort();
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut taken = Taken::default();
        assert!(taken.keeps(KEPT_BYTES_MAX));
        assert!(!taken.keeps(1));
    }
}
