//! Servers that stall, drip or never end, and the end of a run in the middle of everything.

use crate::origin::{Answer, Origin};
use crate::sandbox::{Door, eventually, options};
use fetch::egress::{CacheOptions, EgressOptions, How};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::{Duration, Instant},
};

const DEB: &str = "/pool/a.deb";

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = Door::open(EgressOptions { idle: Some(Duration::from_millis(200)), ..options(None) });
    let answer = door.get(&format!("http://{}/x", silent.local_addr().unwrap()));
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("does not answer in time"), "{}", answer.text());

    let origin = Origin::start();
    origin.set("/x", Answer::Slow { body: b"abcd".to_vec(), pause: Duration::from_secs(3) });
    let answer = door.get(&origin.url("/x"));
    assert_eq!((answer.status, answer.is_whole()), (200, false));
    assert!(door.last().how.to_string().contains("sent nothing"), "{}", door.last().how);
}

#[test]
fn a_server_that_is_not_there_or_speaks_no_http_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let door = Door::open(options(None));
    let answer = door.get(&format!("http://{gone}/x"));
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains(&gone.to_string()), "{}", answer.text());
    let origin = Origin::start();
    for raw in [
        "SSH-2.0-x\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 99999 x\r\n\r\n",
        "",
    ] {
        origin.set("/x", Answer::Raw(raw.into()));
        assert_eq!(door.get(&origin.url("/x")).status, 502, "{raw:?}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X-More: and more\r\n".repeat(20_000));
    origin.set("/x", Answer::Raw(endless.into()));
    assert_eq!(door.get(&origin.url("/x")).status, 502);
    origin.set(
        "/x",
        Answer::Raw(
            b"HTTP/1.1 302 Found\r\nLocation: http://a/\rX-Evil: 1\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
    );
    assert_eq!(door.get(&origin.url("/x")).status, 502, "a bare carriage return is no header value");
}

#[test]
fn content_without_end_is_cut_and_leaves_nothing() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "a".repeat(1 << 16));
    let raw = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(40));
    origin.set(DEB, Answer::Raw(raw.into()));
    let cache = CacheOptions { object_bytes_max: 1 << 20, ..CacheOptions::in_dir(dir.path()) };
    let door = Door::open(EgressOptions { cache: Some(cache), ..options(None) });
    assert!(!door.get(&origin.url(DEB)).is_whole());
    assert!(door.last().how.to_string().contains("more than 1048576 bytes"), "{}", door.last().how);
    eventually(|| std::fs::read_dir(dir.path()).unwrap().count() == 0);
}

#[test]
fn the_end_of_a_run_ends_everything() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    let slow = Answer::Slow { body: vec![0; 1000], pause: Duration::from_secs(60) };
    origin.set(DEB, slow.clone());
    origin.set("/x", slow);
    let mut door =
        Door::open(EgressOptions { idle: Some(Duration::from_secs(60)), ..options(Some(dir.path())) });
    let mut streams: Vec<_> = [DEB, "/x"]
        .iter()
        .map(|path| {
            let mut stream = door.connect();
            write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", origin.url(path), origin.address).unwrap();
            stream
        })
        .collect();
    eventually(|| door.egress().records().iter().filter(|r| r.bytes == 500).count() == 2);
    let begin = Instant::now();
    let records = door.egress.take().unwrap().finish();
    assert_eq!(records.len(), 2);
    for stream in &mut streams {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
    eventually(|| std::net::TcpStream::connect(door.address).is_err());
    eventually(|| std::fs::read_dir(dir.path()).unwrap().count() == 0);
}

#[test]
fn closing_the_network_cuts_what_is_under_way() {
    let origin = Origin::start();
    origin.set("/x", Answer::Slow { body: vec![0; 1000], pause: Duration::from_secs(60) });
    let door = Door::open(EgressOptions { idle: Some(Duration::from_secs(60)), ..options(None) });
    let mut stream = door.connect();
    write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", origin.url("/x"), origin.address).unwrap();
    eventually(|| door.egress().records().first().is_some_and(|r| r.bytes == 500));
    door.egress().set_open(false);
    let begin = Instant::now();
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(begin.elapsed() < Duration::from_secs(5));
    eventually(|| door.last().how == How::Failed("the step ended".into()));
}
