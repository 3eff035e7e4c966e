//! Large downloads in parts: in order, each part resumed by itself, as one stream where parts do not work.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use fetch::client::{
    Client, ClientOptions, HeaderName, HeaderValue, InParts, PartSettings, Request, Response, Url,
    first_part, in_parts,
};
use futures_util::future::BoxFuture;
use std::{io, sync::Arc, time::Duration};
use testkit::fault_registry::{Answer, Behaviour, Fault, FaultRegistry};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a part.
const PART: u64 = 64 << 10;
/// Bytes of the blob: ten parts, the last one short.
const SIZE: usize = (PART * 9 + 1000) as usize;

fn blob() -> Vec<u8> {
    (0..SIZE).map(|n| (n * 31 / 7) as u8).collect()
}

fn client(ahead: usize) -> Client {
    let options = ClientOptions {
        idle_timeout: Duration::from_secs(2),
        backoff: Duration::from_millis(2),
        pause_max: Duration::from_millis(20),
        parts: PartSettings { from: 4 * PART, size: PART, at_once: 4, ahead },
        ..ClientOptions::default()
    };
    Client::new(options).unwrap()
}

fn server() -> (FaultRegistry, String) {
    let server = FaultRegistry::start();
    let digest = server.put_blob("a", &blob());
    (server, format!("/v2/a/blobs/{digest}"))
}

fn ask(client: &Client, url: &Url, range: String) -> BoxFuture<'static, io::Result<Response>> {
    let request = match range.as_str() {
        "bytes=0-" => Request::get(url.clone()),
        range => {
            let range = HeaderValue::from_str(range).unwrap();
            Request::get(url.clone()).header(HeaderName::from_static("range"), range)
        }
    };
    let client = client.clone();
    Box::pin(async move { client.send(request).await.map_err(io::Error::other) })
}

async fn open(client: &Client, server: &FaultRegistry, path: &str) -> impl AsyncRead + Unpin + use<> {
    let url = Url::parse(&server.url(path)).unwrap();
    let (first, last) = first_part(&client.options().parts, SIZE as u64).unwrap();
    let first = ask(client, &url, format!("bytes={first}-{last}")).await.unwrap();
    let (one, other, whole_url) = (client.clone(), client.clone(), url.clone());
    let part = Arc::new(move |first, last| ask(&one, &url, format!("bytes={first}-{last}")));
    let whole = Arc::new(move |at| ask(&other, &whole_url, format!("bytes={at}-")));
    in_parts(client, InParts { first, part, whole, size: SIZE as u64 })
}

async fn download(client: &Client, server: &FaultRegistry, path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    open(client, server, path).await.read_to_end(&mut bytes).await.map_err(|e| e.to_string())?;
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_put_together_in_their_order() {
    for ahead in [0, 1, 8] {
        let (server, path) = server();
        // The first parts come last.
        server.fault("GET", &path, [Fault::Delay(Duration::from_millis(60))]);
        assert!(download(&client(ahead), &server, &path).await == Ok(blob()), "{ahead}");
        assert_eq!(server.count("GET", &path), 10);
        assert_eq!(server.bytes().1, SIZE as u64, "no byte comes twice");
        assert!(server.requests().iter().all(|r| r.status == 206));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_is_resumed_and_what_does_not_work_comes_as_a_whole() {
    let range = |text: &str| Fault::Header("Content-Range", text.to_owned());
    let cut = || Fault::CutBody(1000);
    for faults in [
        vec![cut(), Fault::None, cut(), cut(), Fault::status(503), Fault::Reset],
        vec![cut(); 4],
        vec![Fault::None, Fault::IgnoreRange],
        vec![Fault::None, Fault::None, Fault::status(416)],
        vec![Fault::None, range("bytes 0-65535/590824")],
        vec![Fault::None, Fault::Without("Content-Range")],
        vec![Fault::None, Fault::Body(b"short".to_vec())],
        vec![Fault::None, Fault::EndlessBody],
        vec![Fault::IgnoreRange],
        vec![Fault::IgnoreRange, cut(), Fault::IgnoreRange],
    ] {
        let (server, path) = server();
        server.fault("GET", &path, faults.clone());
        assert!(download(&client(8), &server, &path).await == Ok(blob()), "{faults:?}");
    }
    let (server, path) = server();
    server.behave(Behaviour { ranges: false, ..Behaviour::default() });
    assert!(download(&client(8), &server, &path).await == Ok(blob()));
    assert_eq!(server.count("GET", &path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_works_is_an_error_after_few_tries() {
    for (fault, told) in [
        (Fault::Answer(Answer::status(404)), "404"),
        (Fault::CutBody(0), "broke off"),
        (Fault::status(500), "500"),
    ] {
        let (server, path) = server();
        server.fault("GET", &path, [Fault::None, Fault::None]);
        server.fault_always("GET", &path, fault.clone());
        let error = download(&client(8), &server, &path).await.unwrap_err();
        assert!(error.contains(told), "{fault:?}: {error}");
        assert!(server.count("GET", &path) < 60, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn little_is_held_and_nothing_goes_on_that_nobody_reads() {
    let (server, path) = server();
    let client = client(2);
    let (mut one, mut other) = (open(&client, &server, &path).await, open(&client, &server, &path).await);
    let mut start = [0; 10];
    one.read_exact(&mut start).await.unwrap();
    other.read_exact(&mut start).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Each has the part that it needs; beyond, only two more are read ahead, for both of them together.
    assert_eq!(server.count("GET", &path), 4);
    // The one that has nothing read ahead ends all the same, while the other stands still.
    let mut rest = Vec::new();
    other.read_to_end(&mut rest).await.unwrap();
    assert!(rest == blob()[10..]);
    drop(one);
    let before = server.count("GET", &path);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.count("GET", &path), before);
}
