//! What is kept, how long it is used, and that only whole and right objects are.

use crate::origin::{Answer, Origin};
use crate::sandbox::{Door, eventually, options};
use fetch::egress::{CacheOptions, EgressOptions, How};
use sha2::{Digest as _, Sha256, Sha512};
use std::{path::Path, time::Duration};

const DEB: &str = "/debian/pool/main/a/a_1_all.deb";
const HEAD: &str = "/debian/dists/x/InRelease";
const SIGNED: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----\nOrigin: x\n";

fn package(rest: &str) -> Vec<u8> {
    [b"!<arch>\ndebian-binary   ", rest.as_bytes()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn fresh(dir: &Path, fresh: Duration) -> EgressOptions {
    EgressOptions { cache: Some(CacheOptions { fresh, ..CacheOptions::in_dir(dir) }), ..options(None) }
}

fn stored(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_package_is_downloaded_once_for_all_runs() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    let content = package(&"x".repeat(3 << 20));
    origin.set(DEB, Answer::Object { etag: "\"1\"", body: content.clone() });
    let first = Door::open(options(Some(dir.path())));
    let private =
        "Cookie: mine\r\nUser-Agent: me\r\nIf-None-Match: \"1\"\r\nRange: bytes=5-\r\nX-Mine: 1\r\n";
    let answer = first.request("GET", &origin.url(DEB), private);
    assert_eq!((answer.status, answer.body == content), (200, true));
    eventually(|| stored(dir.path()) == 1 && first.last().bytes == content.len() as u64);
    assert_eq!(first.last().how, How::Miss);
    let asked = origin.asked().concat().to_ascii_lowercase();
    for absent in ["cookie", ": me\r", "if-none-match", "range", "x-mine"] {
        assert!(!asked.contains(absent), "{asked}");
    }
    let second = Door::open(options(Some(dir.path())));
    let answer = second.get(&origin.url(DEB));
    assert_eq!((answer.status, answer.body == content, answer.is_whole()), (200, true, true));
    eventually(|| second.last().bytes == content.len() as u64);
    assert_eq!(second.last().how, How::Hit);
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn a_package_that_is_asked_for_again_is_checked_with_the_server() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    origin.set(DEB, Answer::Object { etag: "\"1\"", body: package("one") });
    let door = Door::open(options(Some(dir.path())));
    door.get(&origin.url(DEB));
    eventually(|| {
        stored(dir.path()) == 1
            && !dir.path().read_dir().unwrap().any(|e| e.unwrap().path().extension().is_some())
    });
    assert_eq!(door.get(&origin.url(DEB)).body, package("one"));
    origin.set(DEB, Answer::Object { etag: "\"2\"", body: package("two") });
    assert_eq!(door.get(&origin.url(DEB)).body, package("two"));
    assert_eq!(door.hows(), ["miss", "revalidated", "miss"]);
    eventually(|| stored(dir.path()) == 1);
    door.egress().forget_given();
    assert_eq!(stored(dir.path()), 0);
}

#[test]
fn a_signed_head_is_used_for_a_moment_and_then_asked_for_again() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    origin.set(HEAD, Answer::Object { etag: "\"1\"", body: SIGNED.to_vec() });
    let door = Door::open(fresh(dir.path(), Duration::from_secs(60)));
    let url = origin.url(HEAD);
    assert_eq!(door.get(&url).body, SIGNED);
    eventually(|| door.egress().index_fetches() == 1);
    assert_eq!(door.get(&url).body, SIGNED);
    assert_eq!(door.request("GET", &url, "If-None-Match: \"1\"\r\n").status, 304);
    assert_eq!(door.hows(), ["miss", "hit", "hit"]);
    assert_eq!(door.egress().index_fetches(), 1);

    let door = Door::open(fresh(dir.path(), Duration::ZERO));
    assert_eq!(door.get(&url).body, SIGNED);
    let changed = [SIGNED, b"Suite: y\n"].concat();
    origin.set(HEAD, Answer::Object { etag: "\"2\"", body: changed.clone() });
    assert_eq!(door.get(&url).body, changed);
    assert_eq!(door.hows(), ["revalidated", "miss"]);
    eventually(|| door.egress().index_fetches() == 1);
}

#[test]
fn an_index_under_a_lasting_name_is_always_asked_for_again() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    let path = "/debian/dists/x/main/binary-amd64/Packages.xz";
    origin.set(path, Answer::Object { etag: "\"1\"", body: b"index".to_vec() });
    let door = Door::open(options(Some(dir.path())));
    for _ in 0..2 {
        assert_eq!(door.get(&origin.url(path)).body, b"index");
        eventually(|| door.egress().index_fetches() == 1);
    }
    assert_eq!(door.hows(), ["miss", "revalidated"]);
}

#[test]
fn what_its_name_promises_is_kept_and_nothing_else_is() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    let sha256 = format!("/dists/x/by-hash/SHA256/{}", hex(&Sha256::digest(b"index")));
    let sha512 = format!("/dists/x/by-hash/SHA512/{}", hex(&Sha512::digest(b"index")));
    for path in [&sha256, &sha512] {
        origin.set(path, Answer::Plain { headers: "", body: b"wrong".to_vec() });
        let door = Door::open(options(Some(dir.path())));
        door.get(&origin.url(path));
        eventually(|| matches!(door.last().how, How::Failed(_)));
        assert_eq!((door.egress().index_fetches(), stored(dir.path())), (0, 0));
        // Without a length nobody but the name can tell that it is whole.
        origin.set(path, Answer::Raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nindex".to_vec()));
        assert_eq!(door.get(&origin.url(path)).status, 200);
        eventually(|| door.egress().index_fetches() == 1);
        let door = Door::open(options(Some(dir.path())));
        assert_eq!(door.get(&origin.url(path)).body, b"index");
        assert_eq!(door.last().how, How::Hit);
        std::fs::remove_dir_all(dir.path()).unwrap();
        std::fs::create_dir(dir.path()).unwrap();
    }
}

#[test]
fn what_is_not_whole_or_not_a_package_is_never_kept() {
    let whole = package("content");
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{more}\r\n");
    let cut = [head("Content-Length: 100\r\n").as_bytes(), &whole].concat();
    let chunk = format!("{:x}\r\n{}\r\n", whole.len(), String::from_utf8(whole.clone()).unwrap());
    let cut_chunks = [head("Transfer-Encoding: chunked\r\n"), chunk.clone()].concat();
    let without_length = [head("").as_bytes(), &whole].concat();
    let page = [head("Content-Type: text/html\r\nContent-Length: 6\r\n").as_bytes(), b"<html>"].concat();
    let page_as_package = [head("Content-Length: 6\r\n").as_bytes(), b"<html>"].concat();
    let coded = [head("Content-Encoding: gzip\r\nContent-Length: 6\r\n").as_bytes(), b"<html>"].concat();
    let partial =
        [b"HTTP/1.1 206 Partial Content\r\nContent-Length: 6\r\nConnection: close\r\n\r\n", &b"!<arch"[..]]
            .concat();
    let chunks = [head("Transfer-Encoding: chunked\r\n"), chunk, "0\r\n\r\n".into()].concat();
    for (name, raw, kept) in [
        ("cut", cut, 0),
        ("cut chunks", cut_chunks.into(), 0),
        ("without length", without_length, 0),
        ("page", page, 0),
        ("page as package", page_as_package, 0),
        ("coded", coded, 0),
        ("partial", partial, 0),
        ("whole chunks", chunks.into(), 1),
    ] {
        let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
        origin.set(DEB, Answer::Raw(raw));
        let door = Door::open(options(Some(dir.path())));
        let answer = door.get(&origin.url(DEB));
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(stored(dir.path()), kept, "{name}");
        assert_eq!(answer.is_whole(), !name.starts_with("cut"), "{name}: {answer:?}");
        assert_eq!(matches!(door.last().how, How::Failed(_)), name.starts_with("cut"), "{name}");
    }
}

#[test]
fn a_request_with_credentials_is_not_shared() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    origin.set(DEB, Answer::Object { etag: "\"1\"", body: package("paid") });
    let door = Door::open(options(Some(dir.path())));
    assert_eq!(door.request("GET", &origin.url(DEB), "Authorization: Basic dTpw\r\n").body, package("paid"));
    assert_eq!((door.last().how, stored(dir.path())), (How::Passed, 0));
}

#[test]
fn two_runs_share_one_download() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    let body = package(&"y".repeat(100_000));
    origin.set(DEB, Answer::Slow { body: body.clone(), pause: Duration::from_millis(400) });
    let doors = [Door::open(options(Some(dir.path()))), Door::open(options(Some(dir.path())))];
    std::thread::scope(|scope| {
        for door in &doors {
            scope.spawn(|| assert_eq!(door.get(&origin.url(DEB)).body, body));
        }
    });
    assert_eq!(origin.asked().len(), 1);
    let mut hows: Vec<_> = doors.iter().flat_map(Door::hows).collect();
    hows.sort();
    assert_eq!(hows, ["hit", "miss"]);
}

#[test]
fn a_sandbox_that_hangs_up_does_not_spoil_the_download() {
    use std::io::Write as _;
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    origin.set(DEB, Answer::Slow { body: package(&"z".repeat(100_000)), pause: Duration::from_millis(300) });
    let door = Door::open(options(Some(dir.path())));
    let mut stream = door.connect();
    write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", origin.url(DEB), origin.address).unwrap();
    eventually(|| origin.asked().len() == 1);
    drop(stream);
    let other = Door::open(options(Some(dir.path())));
    assert_eq!(other.get(&origin.url(DEB)).body, package(&"z".repeat(100_000)));
    assert_eq!((other.last().how, origin.asked().len()), (How::Hit, 1));
}

#[test]
fn an_object_that_is_too_large_is_given_but_not_kept() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    let body = package(&"x".repeat(5000));
    origin.set(DEB, Answer::Object { etag: "\"1\"", body: body.clone() });
    let cache = CacheOptions { object_bytes_max: 1000, ..CacheOptions::in_dir(dir.path()) };
    let door = Door::open(EgressOptions { cache: Some(cache), ..options(None) });
    assert_eq!(door.get(&origin.url(DEB)).body, body);
    assert_eq!((door.last().how, stored(dir.path())), (How::Passed, 0));
}

#[test]
fn a_cache_that_cannot_be_written_only_costs_the_cache() {
    let (origin, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    origin.set(DEB, Answer::Object { etag: "\"1\"", body: package("x") });
    let door = Door::open(options(Some(dir.path())));
    std::fs::remove_dir(dir.path()).unwrap();
    std::fs::write(dir.path(), b"in the way").unwrap();
    for _ in 0..2 {
        assert_eq!(door.get(&origin.url(DEB)).body, package("x"));
        assert_eq!(door.last().how, How::Passed);
    }
    std::fs::remove_file(dir.path()).unwrap();
    std::fs::create_dir(dir.path()).unwrap();
}
