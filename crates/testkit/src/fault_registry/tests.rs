//! The registry of faults against a client by hand, and against `skopeo` with a real registry behind.

use super::*;
use crate::{
    command::argv,
    image::{Image, Layer, Layout},
    probe, registry, skip,
};
use std::io::{Read, Write};

/// Sends a request on a connection of its own; the status (0 where none came), the head and the body of the answer.
fn ask(server: &FaultRegistry, method: &str, path: &str, head: &str, body: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let length = body.len();
    let text = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {length}\r\n\r\n");
    let mut all = Vec::new();
    // Where it hangs up early there is less to write and to read, which is what is looked at.
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(body));
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut all);
    let all = String::from_utf8_lossy(&all).into_owned();
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, head.to_owned(), body.to_owned())
}

fn header(head: &str, name: &str) -> String {
    let line = head.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_default().to_owned()
}

/// Begins an upload; its location.
fn begin(server: &FaultRegistry) -> String {
    let (status, head, _) = ask(server, "POST", "/v2/a/blobs/uploads/", "", b"");
    assert_eq!(status, 202);
    header(&head, "Location")
}

#[test]
fn chunks_are_taken_cut_and_asked_about() {
    let server = FaultRegistry::start();
    let location = begin(&server);
    server.fault("PATCH", "uploads", [Fault::CutRequest(2), Fault::None, Fault::TakePart(1)]);
    assert_eq!(ask(&server, "PATCH", &location, "Content-Range: 0-3\r\n", b"abcd").0, 0);
    let (status, head, _) = ask(&server, "GET", &location, "", b"");
    assert_eq!((status, header(&head, "Range").as_str()), (204, "0-1"));
    assert_eq!(ask(&server, "PATCH", &location, "Content-Range: 0-3\r\n", b"abcd").0, 416);
    let (status, head, _) = ask(&server, "PATCH", &location, "Content-Range: 2-3\r\n", b"cd");
    assert_eq!((status, header(&head, "Range").as_str()), (202, "0-2"));
    assert_eq!(ask(&server, "PATCH", &location, "Content-Range: 3-3\r\n", b"d").0, 202);
    let digest = sha256(b"abcd");
    assert_eq!(ask(&server, "PUT", &format!("{location}&digest={digest}"), "", b"").0, 201);
    assert_eq!(server.blob("a", &digest).as_deref(), Some(&b"abcd"[..]));
    assert_eq!(ask(&server, "GET", &format!("/v2/a/blobs/{digest}"), "Range: bytes=1-2\r\n", b"").2, "bc");
    assert_eq!(server.blob_bytes(&digest), (2 + 4 + 2 + 1, 2));
    assert_eq!((server.open_uploads(), server.count("PATCH", "uploads")), (0, 4));
}

#[test]
fn limits_are_those_that_were_set() {
    let server = FaultRegistry::start();
    server.behave(Behaviour { chunk_min: Some(3), body_max: Some(4), ranges: false, ..Behaviour::default() });
    let location = begin(&server);
    for (body, status) in [("abcde", 413), ("abcd", 202), ("e", 202), ("f", 416)] {
        assert_eq!(ask(&server, "PATCH", &location, "", body.as_bytes()).0, status, "{body}");
    }
    let digest = server.put_blob("a", b"abc");
    assert_eq!(ask(&server, "GET", &format!("/v2/a/blobs/{digest}"), "Range: bytes=1-\r\n", b"").0, 200);
    server.forget_uploads();
    assert_eq!(ask(&server, "PATCH", &location, "", b"abc").0, 404);
}

#[test]
fn it_vanishes_and_comes_back() {
    let server = FaultRegistry::start();
    let location = begin(&server);
    server.break_after(Break::BytesUp(3));
    assert_eq!(ask(&server, "PATCH", &location, "", b"ab").0, 202);
    assert_eq!(ask(&server, "PATCH", &location, "", b"cd").0, 0);
    assert_eq!(ask(&server, "GET", "/v2/", "", b"").0, 0);
    server.mend();
    assert_eq!(header(&ask(&server, "GET", &location, "", b"").1, "Range"), "0-2");
    server.break_after(Break::Requests(1));
    assert_eq!(ask(&server, "GET", "/v2/", "", b"").0, 200);
    assert_eq!(ask(&server, "GET", "/v2/", "", b"").0, 0);
}

#[test]
fn referrers_and_tags_come_in_pages() {
    let server = FaultRegistry::start();
    let subject = sha256(b"subject");
    let path = format!("/v2/a/referrers/{subject}");
    assert_eq!(ask(&server, "GET", &path, "", b"").0, 404);
    server.behave(Behaviour { referrers: true, page: 1, ..Behaviour::default() });
    for n in 0..2 {
        let body = format!(r#"{{"artifactType":"t/{n}","subject":{{"digest":"{subject}"}},"layers":[]}}"#);
        let (status, head, _) = ask(&server, "PUT", &format!("/v2/a/manifests/t{n}"), "", body.as_bytes());
        assert_eq!((status, header(&head, "OCI-Subject")), (201, subject.clone()));
    }
    for path in [path.as_str(), "/v2/a/tags/list"] {
        let (_, head, _) = ask(&server, "GET", path, "", b"");
        let next = header(&head, "Link");
        let next = next.trim_start_matches('<').split('>').next().unwrap();
        let (status, head, _) = ask(&server, "GET", next, "", b"");
        assert_eq!((status, header(&head, "Link").as_str()), (200, ""), "{path}");
    }
    let (_, _, body) = ask(&server, "GET", &format!("{path}?artifactType=t/1"), "", b"");
    assert!(body.contains("t/1") && !body.contains("t/0"), "{body}");
}

#[test]
fn scripts_count_requests() {
    let server = FaultRegistry::start();
    server.fault_at("GET", "/v2/", 2, Fault::status(500));
    let statuses = || (0..3).map(|_| ask(&server, "GET", "/v2/", "", b"").0).collect::<Vec<_>>();
    assert_eq!(statuses(), [200, 500, 200]);
    server.fault_always("*", "/v2/", Fault::status(429));
    assert_eq!(statuses(), [429; 3]);
    server.clear_faults();
    assert_eq!(statuses(), [200; 3]);
    assert_eq!(server.requests()[3].status, 429);
}

#[test]
fn a_real_registry_stands_behind() {
    if let Err(reason) = probe::programs(&["docker-registry", "skopeo"]) {
        skip!("{reason}");
    }
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(&dir.path().join("a")).unwrap();
    let wanted = layout.add("t", &Image::new(vec![Layer::text("file x text=1")])).unwrap();
    let real = registry::Registry::start().unwrap();
    let tokens = Access::Token { user: None, refresh: None, uses: 100, realm: None };
    for (access, who) in [(Access::Open, None), (tokens, Some("Bearer "))] {
        let front = FaultRegistry::in_front_of(&real.host(), access);
        let host = front.host();
        let oci = format!("oci:{}:t", dir.path().join("a").display());
        let name = format!("docker://{host}/a/b{}:t", who.is_some());
        argv("skopeo", ["copy", "--quiet", "--dest-tls-verify=false", &oci, &name]).stdout().unwrap();
        let back = format!("oci:{}:u", dir.path().join("b").display());
        argv("skopeo", ["copy", "--quiet", "--src-tls-verify=false", &name, &back]).stdout().unwrap();
        let got = Layout::open(&dir.path().join("b")).unwrap().descriptor("u").unwrap();
        assert_eq!(got["digest"], wanted["digest"]);
        let seen = front.requests().into_iter().filter_map(|r| r.authorization).next();
        assert_eq!(seen.as_deref().map(|s| &s[..7]), who);
        let (up, down) = front.bytes();
        assert!(up > 0 && down > 0 && front.count("PATCH", "/blobs/uploads/") == 2, "{up} {down}");
        front.fault("GET", "/manifests/", [Fault::CutBody(3)]);
        assert!(ask(&front, "GET", "/v2/a/b/manifests/t", "", b"").2.len() <= 3);
    }
}
