//! The client against a server that misbehaves by script. Each fault stands beside what is let pass.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use fetch::client::{
    Client, ClientOptions, Error, HeaderName, HeaderValue, Request, StatusCode, Url, resumable,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use testkit::fault_registry::{Answer, Fault, FaultRegistry};
use tokio::io::AsyncReadExt;

const BLOB: &[u8] = b"the quick brown fox jumps over the lazy dog";

fn options() -> ClientOptions {
    ClientOptions {
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_millis(400),
        min_rate: 200,
        rate_window: Duration::from_millis(300),
        backoff: Duration::from_millis(2),
        pause_max: Duration::from_millis(300),
        ..ClientOptions::default()
    }
}

fn client() -> Client {
    Client::new(options()).unwrap()
}

/// A server with one blob, and its path.
fn server() -> (FaultRegistry, String) {
    let server = FaultRegistry::start();
    let digest = server.put_blob("a", BLOB);
    (server, format!("/v2/a/blobs/{digest}"))
}

fn get(server: &FaultRegistry, path: &str) -> Request {
    Request::get(Url::parse(&server.url(path)).unwrap())
}

async fn fetch(server: &FaultRegistry, path: &str) -> Result<Vec<u8>, Error> {
    let response = client().fetch(get(server, path)).await?;
    Ok(response.bytes(1 << 20).await?.to_vec())
}

#[tokio::test]
async fn what_passes_by_itself_is_repeated() {
    for fault in [
        Fault::status(408),
        Fault::status(429),
        Fault::status(500),
        Fault::status(502),
        Fault::status(503),
        Fault::status(504),
        Fault::Reset,
        Fault::Answer(Answer::status(429).header("Retry-After", "0")),
    ] {
        let (server, path) = server();
        server.fault("GET", &path, [fault.clone(), fault.clone()]);
        assert_eq!(fetch(&server, &path).await.unwrap(), BLOB, "{fault:?}");
        assert_eq!(server.count("GET", &path), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn refusals_are_final() {
    for status in [400, 401, 403, 404, 413, 501] {
        let (server, path) = server();
        server.fault("GET", &path, [Fault::Answer(Answer::status(status).body("go\u{1b}[31m away"))]);
        let error = fetch(&server, &path).await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert!(!error.is_transient());
        assert!(error.to_string().ends_with("go\u{fffd}[31m away"), "{error}");
        assert_eq!(server.count("GET", &path), 1, "{status}");
    }
}

#[tokio::test]
async fn repetitions_and_pauses_are_bounded() {
    let (server, path) = server();
    let patient = Fault::Answer(Answer::status(503).header("Retry-After", "86400"));
    server.fault("GET", &path, vec![patient; 100]);
    let before = Instant::now();
    assert_eq!(fetch(&server, &path).await.unwrap_err().status(), Some(503));
    assert_eq!(server.count("GET", &path), 1 + options().retries as usize);
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn servers_are_left_alone_as_long_as_they_ask_within_bounds() {
    const NOW: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
    let asking = |value: &str, date: &str| {
        Fault::Answer(Answer::status(429).header("Retry-After", value).header("Date", date))
    };
    for (fault, pause) in [
        (asking("Wed, 21 Oct 2015 07:29:00 GMT", NOW), 300),
        (asking("60", NOW), 300),
        (asking("Wed, 21 Oct 2015 07:27:00 GMT", NOW), 0),
        (asking("0", NOW), 0),
        (asking("soon", NOW), 0),
    ] {
        let (server, path) = server();
        server.fault("GET", &path, [fault.clone()]);
        let before = Instant::now();
        assert_eq!(fetch(&server, &path).await.unwrap(), BLOB);
        let waited = before.elapsed();
        let whole = Duration::from_millis(pause);
        assert!(waited >= whole && waited < whole + Duration::from_secs(2), "{fault:?} {waited:?}");
    }
    // A server that asks for more time than there is at all is not waited for.
    let (server, path) = server();
    server.fault_always("GET", &path, asking("60", NOW));
    let hasty = Client::new(ClientOptions { retry_for: Duration::from_millis(200), ..options() }).unwrap();
    let before = Instant::now();
    let error = hasty.fetch(get(&server, &path)).await.unwrap_err();
    assert_eq!((error.status(), error.retry_after()), (Some(429), Some(Duration::from_secs(60))));
    assert!(before.elapsed() < Duration::from_millis(250));
    assert_eq!(server.count("GET", &path), 1);
}

#[tokio::test]
async fn redirects_are_followed_up_to_ten() {
    for (hops, good) in [(10, true), (11, false)] {
        let (server, path) = server();
        server.fault(
            "GET",
            "/hop",
            (1..hops).map(|_| Fault::redirect(302, "/hop")).chain([Fault::redirect(307, &path)]),
        );
        let result = fetch(&server, "/hop").await;
        assert_eq!(result.is_ok(), good, "{hops}");
        if let Err(error) = result {
            assert!(matches!(error, Error::Redirect { .. }), "{error:?}");
        }
    }
}

#[tokio::test]
async fn authorization_never_reaches_another_origin() {
    let (foreign, path) = server();
    for (target, foreign_host) in [(foreign.url(&path), true), (path.clone(), false)] {
        let (server, _) = server();
        server.fault("GET", "/start", [Fault::redirect(307, target)]);
        let secret = HeaderValue::from_static("Bearer secret");
        let request = get(&server, "/start").authorization(Some(secret));
        let response = client().fetch(request).await.unwrap();
        assert_eq!(&response.bytes(1000).await.unwrap()[..], BLOB);
        assert!(server.saw_authorization());
        assert_eq!(server.requests().len(), if foreign_host { 1 } else { 2 });
        assert!(server.requests().iter().all(|r| r.authorization.is_some()));
    }
    assert_eq!(foreign.requests().len(), 1);
    assert!(!foreign.saw_authorization());
}

#[tokio::test]
async fn redirects_to_metadata_services_are_refused() {
    for to in
        ["http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]/", "http://100.100.100.200/"]
    {
        let (server, path) = server();
        server.fault("GET", &path, [Fault::redirect(302, to)]);
        let error = fetch(&server, &path).await.unwrap_err();
        assert!(matches!(error, Error::Redirect { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn bodies_and_headers_end_somewhere() {
    let (server, path) = server();
    server.fault("GET", &path, [Fault::EndlessBody]);
    assert!(matches!(fetch(&server, &path).await, Err(Error::TooLarge { .. })));
    assert_eq!(fetch(&server, &path).await.unwrap(), BLOB);
    server.fault("GET", &path, vec![Fault::EndlessHeaders; 1 + options().retries as usize]);
    assert!(matches!(fetch(&server, &path).await, Err(Error::Transfer { .. })));
    server.fault("GET", &path, [Fault::Header("Content-Length", (2_u64 << 20).to_string())]);
    assert!(matches!(fetch(&server, &path).await, Err(Error::TooLarge { max, .. }) if max == 1 << 20));
}

#[tokio::test]
async fn silence_and_trickle_are_errors_and_a_pause_is_none() {
    let (server, path) = server();
    let once = || get(&server, &path).once();
    server.fault("GET", &path, [Fault::Delay(Duration::from_millis(150))]);
    assert!(client().fetch(once()).await.is_ok());
    server.fault("GET", &path, [Fault::Silence(Duration::from_secs(30))]);
    let impatient =
        Client::new(ClientOptions { connect_timeout: Duration::from_millis(100), ..options() }).unwrap();
    let before = Instant::now();
    assert!(matches!(impatient.fetch(once()).await, Err(Error::Idle { .. })));
    assert!(before.elapsed() < Duration::from_secs(5));
    server.fault("GET", &path, [Fault::Trickle(Duration::from_millis(50))]);
    let response = client().fetch(once()).await.unwrap();
    assert!(matches!(response.bytes(1000).await, Err(Error::Slow { .. })));
    server.fault("GET", &path, [Fault::Trickle(Duration::from_millis(1))]);
    let response = client().fetch(once()).await.unwrap();
    assert_eq!(&response.bytes(1000).await.unwrap()[..], BLOB);
}

/// Downloads the blob with `resumable`.
async fn download(server: &FaultRegistry, path: &str) -> Result<Vec<u8>, String> {
    let (client, request) = (client(), get(server, path));
    let sending = client.clone();
    let open = move |at: u64| -> futures_util::future::BoxFuture<'static, _> {
        let range = HeaderValue::from_str(&format!("bytes={at}-")).unwrap();
        let request = match at {
            0 => request.clone(),
            _ => request.clone().header(HeaderName::from_static("range"), range),
        };
        let client = sending.clone();
        Box::pin(async move { client.send(request).await.map_err(std::io::Error::other) })
    };
    let mut reader = resumable(Arc::new(open), BLOB.len() as u64, client.options());
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.map_err(|e| e.to_string())?;
    Ok(bytes)
}

fn range(text: &str) -> Fault {
    Fault::Header("Content-Range", text.to_owned())
}

#[tokio::test]
async fn broken_downloads_are_resumed() {
    for (faults, requests) in [
        (vec![], 1),
        (vec![Fault::CutBody(10)], 2),
        (vec![Fault::CutBody(10), Fault::CutBody(5), Fault::CutBody(0)], 4),
        (vec![Fault::CutBody(10), Fault::IgnoreRange], 2),
        (vec![Fault::CutBody(10), Fault::status(503), Fault::IgnoreRange], 3),
        (vec![Fault::CutBody(20), Fault::Reset], 3),
        // What makes no sense of a range is asked for the whole, once.
        (vec![Fault::CutBody(10), Fault::status(416)], 3),
        (vec![Fault::CutBody(10), range("bytes 11-42/43")], 3),
        (vec![Fault::CutBody(10), range("bytes 10-43/44")], 3),
        (vec![Fault::CutBody(10), Fault::Without("Content-Range")], 3),
        (vec![Fault::CutBody(10), Fault::status(416), Fault::CutBody(20)], 4),
    ] {
        let (server, path) = server();
        let shown = format!("{faults:?}");
        server.fault("GET", &path, faults);
        assert_eq!(download(&server, &path).await.as_deref(), Ok(BLOB), "{shown}");
        assert_eq!(server.count("GET", &path), requests, "{shown}");
    }
    let (server, path) = server();
    server.fault("GET", &path, [Fault::CutBody(10)]);
    download(&server, &path).await.unwrap();
    assert_eq!(server.requests()[1].range.as_deref(), Some("bytes=10-"));
}

#[tokio::test]
async fn downloads_that_lie_are_errors() {
    for (faults, told) in [
        (vec![Fault::CutBody(10), Fault::status(416), Fault::status(416)], "416"),
        (vec![Fault::CutBody(10), Fault::status(416), Fault::Body(b"short".to_vec())], "declares 5 bytes"),
        (vec![Fault::CutBody(10), Fault::status(416), Fault::CutBody(20), Fault::status(416)], "416"),
        (vec![Fault::CutBody(10), range("bytes 0-1/2"), Fault::CutBody(20), range("bytes 0-1/2")], "range"),
        (vec![Fault::status(404)], "404"),
        (vec![Fault::Body(b"short".to_vec())], "declares 5 bytes"),
        (vec![Fault::Body(vec![0; 100])], "declares 100 bytes"),
        (vec![Fault::EndlessBody], "more than 43 bytes"),
        (vec![Fault::CutBody(0); 50], "broke off"),
    ] {
        let (server, path) = server();
        let shown = format!("{faults:?}");
        server.fault("GET", &path, faults);
        let error = download(&server, &path).await.unwrap_err();
        assert!(error.contains(told), "{shown}: {error}");
        assert!(server.count("GET", &path) <= 1 + options().retries as usize, "{shown}");
    }
}

#[tokio::test]
async fn requests_go_through_the_proxy_that_is_set_but_for_loopback() {
    let (proxy, _) = server();
    let proxied = |http: Option<String>| {
        let proxy = fetch::client::ProxySettings { http_proxy: http, ..Default::default() };
        Client::new(ClientOptions { proxy, ..options() })
    };
    let client = proxied(Some(proxy.url(""))).unwrap();
    proxy.fault("GET", "http://packages.invalid/x", [Fault::status(204)]);
    let response = client.send(Request::get(Url::parse("http://packages.invalid/x").unwrap())).await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let (direct, path) = server();
    assert!(client.fetch(get(&direct, &path)).await.is_ok());
    assert_eq!((proxy.requests().len(), direct.requests().len()), (1, 1));
    for wrong in ["http://", "ftp://x:1", "::"] {
        let error = proxied(Some(wrong.into())).unwrap_err();
        assert!(matches!(error, Error::Settings { what: "http_proxy", .. }), "{wrong}");
    }
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_is_an_error_that_says_so() {
    let (proxy, _) = server();
    let with_password = proxy.url("").replace("http://", "http://user:hunter2@");
    let settings = fetch::client::ProxySettings { https_proxy: Some(with_password), ..Default::default() };
    let client = Client::new(ClientOptions { proxy: settings, ..options() }).unwrap();
    proxy.fault("CONNECT", "packages.invalid:443", vec![Fault::status(407); 9]);
    let url = Url::parse("https://packages.invalid/x?token=hunter2").unwrap();
    let error = client.send(Request::get(url).once()).await.unwrap_err();
    let said = format!("{} {error:?}", fetch::client::error_text(&error));
    assert!(matches!(error, Error::Connect { .. }) && said.contains("proxy auth"), "{said}");
    assert!(!said.contains("hunter2") && !format!("{client:?}").contains("hunter2"), "{said}");
    assert_eq!(proxy.count("CONNECT", "packages.invalid:443"), 1);
}

/// The head of the first request that a proxy gets for an URL; it is refused.
async fn asked_of_a_proxy(url: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://us%40er:geheim@{}", listener.local_addr().unwrap());
    let taken = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        connection.write_all(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    });
    let proxy = fetch::client::ProxySettings {
        http_proxy: Some(address.clone()),
        https_proxy: Some(address),
        no_proxy: Some("other.invalid:80".into()),
    };
    let client = Client::new(ClientOptions { proxy, ..options() }).unwrap();
    // Whatever comes of it, the head is what counts.
    let _ = client.send(Request::get(Url::parse(url).unwrap()).once()).await;
    taken.await.unwrap()
}

#[tokio::test]
async fn a_proxy_gets_its_password_and_nobody_else_does() {
    let plain = asked_of_a_proxy("http://packages.invalid/x").await;
    assert!(plain.starts_with("get http://packages.invalid/x http/1.1"), "{plain}");
    let tunnel = asked_of_a_proxy("https://other.invalid/x").await;
    assert!(tunnel.starts_with("connect other.invalid:443 http/1.1"), "{tunnel}");
    for head in [plain, tunnel] {
        assert!(head.contains("proxy-authorization: basic dxnazxi6z2vozwlt"), "{head}");
    }
}
