//! Through the operator's own proxy.

use crate::origin::{Answer, Origin};
use crate::sandbox::{Door, options, rules};
use crate::tunnels::{echo, tunnel};
use fetch::egress::{EgressOptions, How, UpstreamProxies};
use std::{
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

/// A proxy for tunnels that wants a user and connects to `to` whatever it is asked for.
fn tunnel_proxy(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || relay(stream, to));
        }
    });
    address
}

fn relay(stream: TcpStream, to: SocketAddr) -> std::io::Result<u64> {
    let mut near = BufReader::new(stream);
    let head = crate::origin::read_head(&mut near);
    let mut near = near.into_inner();
    let known = ["CONNECT mirror.example:443 ", "CONNECT 10.0.0.5:443 "];
    if !known.iter().any(|line| head.starts_with(line))
        || !head.contains("Proxy-Authorization: Basic dTpw\r\n")
    {
        return near.write_all(b"HTTP/1.1 407 No\r\n\r\n").map(|()| 0);
    }
    let far = TcpStream::connect(to)?;
    // The first bytes of the far side come with the head, as they may.
    near.write_all(b"HTTP/1.1 200 Fine\r\nX-Note: y\r\n\r\nearly")?;
    let (mut from, mut into) = (near.try_clone()?, far.try_clone()?);
    std::thread::spawn(move || std::io::copy(&mut from, &mut into));
    std::io::copy(&mut &far, &mut near)
}

fn through(http: String, https: String) -> EgressOptions {
    let upstream = UpstreamProxies {
        http: Some(http),
        https: Some(https),
        no_proxy: Some("direct.example,127.0.0.1".into()),
    };
    EgressOptions {
        upstream,
        hosts: rules(&["mirror.example", "https://mirror.example", "direct.example"]),
        ..options(None)
    }
}

#[test]
fn plain_requests_go_through_with_the_whole_url_and_credentials() {
    let (proxy, dir) = (Origin::start(), tempfile::tempdir().unwrap());
    proxy.set("/pool/a.deb", Answer::Object { etag: "\"1\"", body: b"!<arch>\ndebian-binary".to_vec() });
    let cached = options(Some(dir.path()));
    let given = format!("http://u:p@{}", proxy.address);
    let door = Door::open(EgressOptions { cache: cached.cache, ..through(given, String::new()) });
    for _ in 0..2 {
        assert_eq!(door.get("http://mirror.example/pool/a.deb").status, 200);
    }
    let asked = proxy.asked();
    assert!(asked[0].starts_with("GET http://mirror.example/pool/a.deb HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked.iter().all(|head| head.to_ascii_lowercase().contains("proxy-authorization: basic dtpw")));
    assert_eq!(door.get("http://evil.example/").status, 403);
    assert_eq!(proxy.asked().len(), asked.len());
    let direct = Origin::start();
    direct.set("/x", Answer::Plain { headers: "", body: vec![] });
    assert_eq!(door.get(&direct.url("/x")).status, 200);
    assert!(!direct.asked().concat().to_ascii_lowercase().contains("proxy-authorization"));
}

#[test]
fn a_proxy_that_wants_other_credentials_is_named() {
    let proxy = Origin::start();
    proxy.set(
        "/x",
        Answer::Raw(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".to_vec()),
    );
    let door = Door::open(through(proxy.address.to_string(), tunnel_proxy(echo()).to_string()));
    let answer = door.get("http://mirror.example/x");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("upstream proxy asks for credentials"), "{}", answer.text());
    let (head, _) = tunnel(&door, "mirror.example:443");
    assert!(head.starts_with("HTTP/1.1 502") && head.contains("credentials"), "{head}");
}

#[test]
fn tunnels_go_through_and_lose_no_byte() {
    let proxy = tunnel_proxy(echo());
    let door = Door::open(through(String::new(), format!("http://u:p@{proxy}")));
    let (head, mut stream) = tunnel(&door, "mirror.example:443");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    stream.get_mut().write_all(b"ping").unwrap();
    let mut back = [0; 9];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"earlyping");
    assert_eq!(door.last().how, How::Tunnel);
}

#[test]
fn an_image_gets_no_tunnel_to_a_service_of_a_private_network() {
    let proxy = tunnel_proxy(echo());
    let given = format!("http://u:p@{proxy}");
    for (listed, to, status) in [
        ("10.0.0.5:6379", "10.0.0.5:6379", 403),
        ("https://10.0.0.5:6379", "10.0.0.5:6379", 403),
        ("10.0.0.5:443", "10.0.0.5:443", 403),
        ("10.0.0.5", "10.0.0.5:443", 403),
        ("mirror.example:443", "mirror.example:443", 403),
        ("https://10.0.0.5", "10.0.0.5:443", 200),
        ("https://mirror.example", "mirror.example:443", 200),
    ] {
        let hosts = rules(&[listed]);
        let door = Door::open(EgressOptions { hosts, ..through(String::new(), given.clone()) });
        let (head, _) = tunnel(&door, to);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{listed} {to}: {head}");
    }
    let operator_hosts = rules(&["10.0.0.5"]);
    let door = Door::open(EgressOptions { operator_hosts, ..through(String::new(), given) });
    assert!(tunnel(&door, "10.0.0.5:443").0.starts_with("HTTP/1.1 200"));
    // This proxy knows no such service; that it is asked shows that the operator's word was enough.
    assert!(tunnel(&door, "10.0.0.5:6379").0.starts_with("HTTP/1.1 502"));
}
