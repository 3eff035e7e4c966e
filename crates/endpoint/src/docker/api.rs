//! The Engine API of docker, as little of it as is needed: one connection a request, bounded answers.
//! <https://docs.docker.com/reference/api/engine/>

use super::{answers, pipe, settings::Place};
use crate::Error;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use oci::{Descriptor, DiffId, Digest, Platform, Reference};
use serde::de::DeserializeOwned;
use std::{
    fmt, io,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

/// Largest JSON answer that is read: the list of some ten thousand images.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How much a daemon may tell of a load or a push before it is not believed any more.
const PROGRESS_BYTES_MAX: usize = 64 << 20;
/// Longest text of a daemon that is repeated.
const SAID_BYTES_MAX: usize = 500;
/// How long small questions may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// How long a daemon may work on a load, a push, or before it begins to send an image: it unpacks and hashes gigabytes.
const WORK_LIMIT: Duration = Duration::from_secs(30 * 60);
/// The newest version of the API that is spoken here; daemons answer in it for years.
const NEWEST: ApiVersion = ApiVersion(1, 48);
/// The oldest: that of docker 19.03.
const OLDEST: ApiVersion = ApiVersion(1, 40);

/// A body to send.
pub(super) type SendBody = UnsyncBoxBody<Bytes, io::Error>;

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion(pub(crate) u32, pub(crate) u32);

/// How a daemon keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageStore {
    /// By itself; images are known by their configurations.
    Classic,
    /// In containerd, with manifests and compressed layers.
    Containerd,
}

/// A daemon that answers.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    place: Arc<Place>,
    version: ApiVersion,
    store: ImageStore,
    server: String,
}

/// What a daemon knows of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// The digest of the configuration (classic) or of what the name leads to (containerd).
    pub(crate) id: Digest,
    /// Whether anything is called by a name and a tag: docker throws away what loses its last one.
    pub(crate) has_name: bool,
    /// Empty where the daemon does not know them.
    pub(crate) diff_ids: Vec<DiffId>,
    /// The manifests below it. Only of newer daemons, where asked for.
    pub(crate) manifests: Option<Vec<KnownManifest>>,
}

/// A manifest that a daemon knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownManifest {
    /// As the index has it.
    pub(crate) descriptor: Descriptor,
    /// Whether everything of it is there.
    pub(crate) available: bool,
    /// Whether it is an image that can run.
    pub(crate) is_image: bool,
}

impl Client {
    /// Asks who is there.
    pub(crate) async fn connect(place: Place) -> Result<Self, Error> {
        let mut client = Client {
            place: Arc::new(place),
            version: NEWEST,
            store: ImageStore::Classic,
            server: String::new(),
        };
        let ping = client.request(Method::GET, "/_ping", empty());
        let answer = client.answered("a ping", ping, ANSWER_LIMIT).await?;
        let header = answer.headers().get("api-version").and_then(|v| v.to_str().ok());
        let spoken = header.and_then(ApiVersion::parse).ok_or_else(|| {
            client.failed("a ping", "it does not say which version of docker's API it speaks".to_owned())
        })?;
        if spoken < OLDEST {
            let why = format!("it speaks version {spoken} of docker's API; {OLDEST} or newer is needed");
            return Err(client.failed("a ping", why));
        }
        client.version = spoken.min(NEWEST);
        let info: answers::Info = client.json(&client.path("/info")).await?;
        if let Some(os) = info.os_type.as_deref().filter(|os| !os.is_empty() && *os != "linux") {
            let why = format!("it has images of {}, not of linux", printable(os));
            return Err(client.failed("info", why));
        }
        client.store = info.store();
        client.server = printable(info.server_version.as_deref().unwrap_or("of no version"));
        Ok(client)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn store(&self) -> ImageStore {
        self.store
    }

    /// The daemon's own version, printable.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Whether it tells of manifests whether everything of them is there.
    pub(crate) fn tells_availability(&self) -> bool {
        self.version >= ApiVersion(1, 48)
    }

    /// What it knows of an image, if it has it.
    pub(crate) async fn inspect(&self, name: &str, manifests: bool) -> Result<Option<Inspected>, Error> {
        let manifests = manifests && self.tells_availability();
        let query = if manifests { "?manifests=1" } else { "" };
        let path = self.path(&format!("/images/{name}/json{query}"));
        match self.json::<answers::Image>(&path).await {
            Ok(image) => image.inspected().map(Some).map_err(|why| self.failed(name, why)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ids of all images, the newest first.
    pub(crate) async fn images(&self) -> Result<Vec<Digest>, Error> {
        let all: Vec<answers::Listed> = self.json(&self.path("/images/json")).await?;
        Ok(all.into_iter().map(|image| image.id).collect())
    }

    /// Gives an image one more name; another image that has it loses it.
    pub(crate) async fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<(), Error> {
        let path = self.path(&format!("/images/{image}/tag?repo={repository}&tag={tag}"));
        self.ask(Method::POST, &path, image).await
    }

    /// Takes a name away, and the image where it has no other. No name is no error.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), Error> {
        self.remove_if_there(name).await.map(drop)
    }

    /// Takes a name away, and says whether there was one.
    pub(crate) async fn remove_if_there(&self, name: &str) -> Result<bool, Error> {
        match self.ask(Method::DELETE, &self.path(&format!("/images/{name}")), name).await {
            Err(Error::NotFound { .. }) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Has it push a name to the registry in it; of an index all, or one platform.
    pub(crate) async fn push(
        &self,
        repository: &str,
        tag: &str,
        platform: Option<&Platform>,
    ) -> Result<(), Error> {
        let platform = platform.map_or(String::new(), |platform| format!("&platform={}", escaped(platform)));
        let path = self.path(&format!("/images/{repository}/push?tag={tag}{platform}"));
        let mut request = self.request(Method::POST, &path, empty());
        // An empty JSON object: no credentials.
        request.headers_mut().insert("x-registry-auth", http::HeaderValue::from_static("e30="));
        self.progress(repository, request).await
    }

    /// Has it load the images of a tar.
    pub(crate) async fn load(&self, name: &str, tar: SendBody) -> Result<(), Error> {
        let mut request = self.request(Method::POST, &self.path("/images/load?quiet=1"), tar);
        request.headers_mut().insert("content-type", http::HeaderValue::from_static("application/x-tar"));
        self.progress(name, request).await
    }

    /// The whole image as a tar.
    pub(crate) async fn save(&self, name: &str) -> Result<impl AsyncRead + Send + use<>, Error> {
        let request = self.request(Method::GET, &self.path(&format!("/images/{name}/get")), empty());
        let answer = self.answered(name, request, WORK_LIMIT).await?;
        Ok(StreamReader::new(answer.into_body().into_data_stream().map_err_to_io()))
    }

    fn path(&self, rest: &str) -> String {
        format!("/v{}{rest}", self.version)
    }

    fn request(&self, method: Method, path: &str, body: SendBody) -> Request<SendBody> {
        let request = Request::builder().method(method).uri(path).header("host", "docker");
        request.body(body).expect("names of images and tags are valid in a path")
    }

    async fn ask(&self, method: Method, path: &str, item: &str) -> Result<(), Error> {
        let request = self.request(method, path, empty());
        let answer = self.answered(item, request, ANSWER_LIMIT).await?;
        self.collected(item, answer, ANSWER_LIMIT, ANSWER_BYTES_MAX).await.map(drop)
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let request = self.request(Method::GET, path, empty());
        let answer = self.answered(path, request, ANSWER_LIMIT).await?;
        let bytes = self.collected(path, answer, ANSWER_LIMIT, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|e| {
            self.failed(path, format!("its answer cannot be read: {}", printable(&e.to_string())))
        })
    }

    /// Something that the daemon tells about while it does it, and whose failure it tells the same way.
    async fn progress(&self, item: &str, request: Request<SendBody>) -> Result<(), Error> {
        let answer = self.answered(item, request, WORK_LIMIT).await?;
        let told = self.collected(item, answer, WORK_LIMIT, PROGRESS_BYTES_MAX).await?;
        answers::failure(&told).map_or(Ok(()), |why| Err(self.failed(item, printable(&why))))
    }

    /// The answer, if it is a good one.
    async fn answered(
        &self,
        item: &str,
        request: Request<SendBody>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Error> {
        let sent = tokio::time::timeout(limit, self.send(request)).await;
        let answer = sent.map_err(|_| self.failed(item, "it does not answer".to_owned()))??;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let said = self.collected(item, answer, ANSWER_LIMIT, ANSWER_BYTES_MAX).await.unwrap_or_default();
        let why = match answers::message(&said) {
            Some(text) => printable(&text),
            None => format!("it answers {status}"),
        };
        match status {
            StatusCode::NOT_FOUND => {
                Err(Error::NotFound { item: format!("{item} in docker"), there: Vec::new() })
            }
            _ => Err(self.failed(item, why)),
        }
    }

    async fn send(&self, request: Request<SendBody>) -> Result<Response<Incoming>, Error> {
        let unreachable = |e: &dyn fmt::Display| Error::Unavailable {
            what: "docker".to_owned(),
            tried: vec![format!("{}: {}", self.place.shown(), printable(&e.to_string()))],
        };
        let pipe = pipe::connect(&self.place).await.map_err(|e| unreachable(&e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(pipe)).await.map_err(|e| unreachable(&e))?;
        // Ends when request and answer are done with or dropped.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|e| unreachable(&chain(&e)))
    }

    async fn collected(
        &self,
        item: &str,
        answer: Response<Incoming>,
        limit: Duration,
        bytes_max: usize,
    ) -> Result<Bytes, Error> {
        let body = http_body_util::Limited::new(answer.into_body(), bytes_max).collect();
        let fail = |why: String| self.failed(item, why);
        let collected = tokio::time::timeout(limit, body).await;
        let collected = collected.map_err(|_| fail("its answer does not end".to_owned()))?;
        Ok(collected.map_err(|e| fail(format!("its answer breaks off: {e}")))?.to_bytes())
    }

    /// An error of this daemon.
    pub(crate) fn failed(&self, item: &str, why: String) -> Error {
        Error::Daemon { what: format!("docker at {}, {item}", self.place.shown()), why }
    }
}

/// Errors of hyper name their cause only in what they come from.
fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

/// A platform as JSON in a query, every byte that is not a plain letter or digit escaped.
fn escaped(platform: &Platform) -> String {
    let json = serde_json::to_string(platform).unwrap_or_default();
    let escape = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    json.bytes().map(escape).collect()
}

/// A text of a daemon, as it may be shown.
pub(super) fn printable(text: &str) -> String {
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= SAID_BYTES_MAX).unwrap_or(text.len());
    text[..end].trim().escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

pub(super) fn empty() -> SendBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body's data as bytes that may fail.
trait IntoIo {
    fn map_err_to_io(self) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send;
}

impl<S: futures_util::Stream<Item = Result<Bytes, hyper::Error>> + Send> IntoIo for S {
    fn map_err_to_io(self) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
        futures_util::TryStreamExt::map_err(self, io::Error::other)
    }
}

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(ApiVersion(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A reference as the API wants it: repository, and tag.
pub(super) fn repository_and_tag(reference: &Reference) -> (String, String) {
    let repository = format!("{}/{}", reference.host(), reference.repository());
    (repository, reference.tag().unwrap_or("latest").to_owned())
}

/// Docker's connection, made when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Connected(tokio::sync::Mutex<()>, OnceLock<Client>);

impl Connected {
    /// The daemon of the settings.
    pub(crate) async fn client(&self, settings: &super::DockerSettings) -> Result<Client, Error> {
        let _one_at_a_time = self.0.lock().await;
        if let Some(client) = self.1.get() {
            return Ok(client.clone());
        }
        let client = first(settings.places()?).await?;
        Ok(self.1.get_or_init(|| client).clone())
    }
}

/// The first daemon that answers.
async fn first(places: Vec<Place>) -> Result<Client, Error> {
    let mut tried = Vec::new();
    for place in places {
        match Client::connect(place).await {
            Ok(client) => return Ok(client),
            Err(Error::Unavailable { tried: these, .. }) => tried.extend(these),
            Err(error) => return Err(error),
        }
    }
    Err(Error::Unavailable { what: "docker".to_owned(), tried })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let parse = |text| ApiVersion::parse(text);
        assert!(parse("1.9").unwrap() < parse("1.48").unwrap());
        assert_eq!(parse("1.51").unwrap().min(NEWEST).to_string(), "1.48");
        for text in ["", "1", "1.x", "1.4.8", "-1.2"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn platforms_are_escaped_whole() {
        let platform: Platform = "linux/arm/v7".parse().unwrap();
        let escaped = escaped(&platform);
        assert!(escaped.starts_with("%7B%22") && escaped.contains("v7"), "{escaped}");
        assert!(escaped.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'%'), "{escaped}");
    }

    #[test]
    fn texts_of_daemons_are_bounded_and_escaped() {
        assert_eq!(printable("no \"such\" image\u{1b}[2J\n"), "no \"such\" image\\u{1b}[2J");
        assert_eq!(printable(&"ä".repeat(1000)).chars().count(), SAID_BYTES_MAX / 2);
    }
}
