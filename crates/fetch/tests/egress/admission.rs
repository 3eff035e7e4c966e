//! What is let through, and what is refused without a word to any server.

use crate::origin::{Answer, Origin};
use crate::sandbox::{Door, options, rules};
use fetch::egress::{EgressOptions, How, Refusal};

#[test]
fn only_listed_hosts_in_the_right_form_are_asked() {
    let origin = Origin::start();
    origin.set("/x", Answer::Plain { headers: "", body: b"hello".to_vec() });
    let door = Door::open(options(None));
    let port = origin.address.port();
    let cases = [
        ("GET", origin.url("/x"), 200),
        ("HEAD", origin.url("/x"), 200),
        ("GET", format!("http://someone:secret@127.0.0.1:{port}/x"), 200),
        ("GET", "http://evil.example/x".into(), 403),
        ("GET", format!("http://localhost:{port}/x"), 403),
        ("GET", format!("http://127.0.0.2:{port}/x"), 403),
        ("GET", format!("http://[::1]:{port}/x"), 403),
        ("GET", format!("http://2130706433:{port}/x"), 400),
        ("GET", format!("http://0x7f000001:{port}/x"), 400),
        ("GET", format!("http://0177.0.0.1:{port}/x"), 400),
        ("GET", format!("http://127.1:{port}/x"), 400),
        ("GET", format!("http://127.0.0.1:{port}@evil.example/x"), 403),
        ("GET", format!("https://127.0.0.1:{port}/x"), 400),
        ("GET", format!("ftp://127.0.0.1:{port}/x"), 400),
        ("GET", "/x".into(), 400),
        ("POST", origin.url("/x"), 405),
        ("PUT", origin.url("/x"), 405),
        ("TRACE", origin.url("/x"), 405),
    ];
    for (method, url, status) in &cases {
        assert_eq!(door.request(method, url, "").status, *status, "{method} {url}");
    }
    assert_eq!(origin.asked().len(), 3);
    let records = door.egress().records();
    assert_eq!(records.len(), cases.len());
    assert_eq!(records[2].target, origin.url("/x"), "no password in a record");
    assert!(
        !format!("{records:?}").contains("secret") && !format!("{:?}", origin.asked()).contains("secret")
    );
    assert!(records[..3].iter().all(|r| r.how == How::Passed));
    assert!(records[3..].iter().all(|r| matches!(r.how, How::Refused(_))), "{records:?}");
}

#[test]
fn the_image_cannot_list_this_machine() {
    let origin = Origin::start();
    origin.set("/x", Answer::Plain { headers: "", body: vec![] });
    let listed = rules(&[&origin.address.to_string(), "localhost", "169.254.169.254", "[::ffff:127.0.0.1]"]);
    let door = Door::open(EgressOptions { hosts: listed, operator_hosts: vec![], ..options(None) });
    for url in [
        &origin.url("/x"),
        "http://localhost/",
        "http://169.254.169.254/latest/",
        "http://[::ffff:127.0.0.1]/",
    ] {
        let answer = door.get(url);
        assert_eq!(answer.status, 403, "{url}");
        assert!(answer.text().contains("list it as an operator host"), "{}", answer.text());
        assert!(answer.head.contains("list it as an operator host"), "apt shows the reason phrase only");
    }
    assert!(origin.asked().is_empty());
}

#[test]
fn a_redirect_is_given_on_and_its_host_is_checked_when_it_is_asked() {
    let origin = Origin::start();
    let to = |location: &str| {
        format!(
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    };
    origin.set("/pool/a.deb", Answer::Raw(to("http://169.254.169.254/latest/meta-data/").into()));
    origin.set("/pool/b.deb", Answer::Raw(to("/pool/c.deb").into()));
    origin.set("/pool/c.deb", Answer::Plain { headers: "", body: b"!<arch>\ndebian-binary".to_vec() });
    let cache = tempfile::tempdir().unwrap();
    let door = Door::open(options(Some(cache.path())));
    let answer = door.get(&origin.url("/pool/a.deb"));
    assert_eq!(answer.status, 302);
    assert!(answer.head.contains("169.254.169.254"));
    assert_eq!(door.get("http://169.254.169.254/latest/meta-data/").status, 403);
    let not_listed = Refusal::NotListed { host: "169.254.169.254".into() };
    assert_eq!(door.last().how, How::Refused(not_listed));
    assert_eq!(door.get(&origin.url("/pool/b.deb")).status, 302);
    assert_eq!(door.get(&origin.url("/pool/c.deb")).status, 200);
}

#[test]
fn headers_cannot_make_one_host_look_like_another() {
    let origin = Origin::start();
    origin.set("/x", Answer::Plain { headers: "", body: vec![] });
    let door = Door::open(options(None));
    let (url, host) = (origin.url("/x"), origin.address);
    for (headers, status) in [
        (format!("Host: {host}\r\n"), 200),
        (String::new(), 200),
        ("Host: evil.example\r\n".into(), 400),
        (format!("Host: {host}\r\nHost: evil.example\r\n"), 400),
        ("Host: 127.0.0.1\r\n".into(), 400),
        (format!("Host: {host}\r\nContent-Length: 5\r\n\r\nGET /"), 400),
        (format!("Host: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"), 400),
        (format!("Host: {host}\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n"), 400),
    ] {
        let answer = door.raw(&format!("GET {url} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n"));
        assert_eq!(answer.status, status, "{headers:?}");
    }
    assert_eq!(origin.asked().len(), 2);
    assert!(
        origin
            .asked()
            .iter()
            .all(|head| head.to_ascii_lowercase().contains(&format!("\r\nhost: {host}\r\n")))
    );
}

#[test]
fn only_what_a_server_needs_is_given_on() {
    let origin = Origin::start();
    let headers = "X-Own: kept\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nTrailer: x\r\n";
    origin.set("/x", Answer::Plain { headers, body: b"hello".to_vec() });
    let door = Door::open(options(None));
    let sent = "Authorization: Basic dTpw\r\nRange: bytes=0-\r\nProxy-Authorization: Basic c2VjcmV0\r\nCookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\nUpgrade: h2c\r\n";
    let answer = door.request("GET", &origin.url("/x"), sent);
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let head = answer.head.to_ascii_lowercase();
    assert!(
        head.contains("x-own: kept") && !head.contains("keep-alive") && !head.contains("proxy-authenticate")
    );
    let asked = origin.asked().concat().to_ascii_lowercase();
    assert!(asked.contains("authorization: basic dtpw") && asked.contains("range: bytes=0-"));
    for absent in ["proxy-authorization", "cookie", "x-forwarded-for", "upgrade"] {
        assert!(!asked.contains(absent), "{asked}");
    }
}

#[test]
fn a_step_without_network_has_none() {
    let origin = Origin::start();
    origin.set("/x", Answer::Plain { headers: "", body: vec![] });
    let door = Door::open(options(None));
    assert_eq!(door.get(&origin.url("/x")).status, 200);
    door.egress().set_open(false);
    let refused = door.get(&origin.url("/x"));
    assert_eq!((refused.status, refused.text().as_str()), (403, "this step has no network\n"));
    assert_eq!(door.request("CONNECT", &origin.address.to_string(), "").status, 403);
    door.egress().set_open(true);
    assert_eq!(door.get(&origin.url("/x")).status, 200);
    assert_eq!(origin.asked().len(), 2);
}

#[test]
fn the_hosts_of_a_recipe_can_be_set_later() {
    let door = Door::open(options(None));
    assert!(matches!(door_refusal(&door, "http://192.0.2.1:1/"), Some(Refusal::NotListed { .. })));
    door.egress().set_hosts(rules(&["192.0.2.1"]));
    assert!(matches!(door_refusal(&door, "http://192.0.2.1:1/"), Some(Refusal::Port { port: 1, .. })));
    door.egress().set_hosts(rules(&["https://192.0.2.1:1"]));
    assert!(matches!(door_refusal(&door, "http://192.0.2.1:1/"), Some(Refusal::Scheme { port: 1, .. })));
}

fn door_refusal(door: &Door, url: &str) -> Option<Refusal> {
    door.get(url);
    match door.last().how {
        How::Refused(why) => Some(why),
        _ => None,
    }
}

#[test]
fn a_head_without_end_is_cut_off() {
    let door = Door::open(options(None));
    let answer = door.raw(&format!("GET http://127.0.0.1/ HTTP/1.1\r\nX: {}", "a".repeat(200_000)));
    assert!(answer.status == 431 || answer.status == 0, "{answer:?}");
    assert_eq!(door.get("http://evil.example/").status, 403, "the next one is answered");
}
