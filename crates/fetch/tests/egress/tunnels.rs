//! CONNECT: who may be connected to, and that a tunnel carries, counts and ends.

use crate::origin::read_head;
use crate::sandbox::{Door, eventually, options, rules};
use fetch::egress::{EgressOptions, How};
use std::{
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// A server that sends back what it gets.
pub fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

/// A tunnel and the head of the answer to its request.
pub fn tunnel(door: &Door, to: &str) -> (String, BufReader<TcpStream>) {
    let mut stream = door.connect();
    write!(stream, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").unwrap();
    let mut stream = BufReader::new(stream);
    (read_head(&mut stream), stream)
}

fn say(stream: &mut BufReader<TcpStream>, text: &[u8]) -> Vec<u8> {
    stream.get_mut().write_all(text).unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    back
}

#[test]
fn a_tunnel_carries_both_ways_and_counts() {
    let (to, door) = (echo(), Door::open(options(None)));
    let (head, mut stream) = tunnel(&door, &to.to_string());
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(say(&mut stream, b"ping"), b"ping");
    stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    eventually(|| door.last().bytes == 8);
    let record = door.last();
    assert_eq!(
        (record.method.as_str(), record.target, record.status, record.how),
        ("CONNECT", to.to_string(), 200, How::Tunnel)
    );
}

#[test]
fn only_listed_hosts_are_tunnelled_to() {
    let to = echo();
    let door = Door::open(EgressOptions {
        hosts: rules(&["https://mirror.example", "https://127.0.0.2", "plain.example", "plain.example:8443"]),
        ..options(None)
    });
    for (target, status) in [
        ("evil.example:443", 403),
        ("mirror.example:22", 403),
        ("mirror.example:80", 403),
        ("plain.example:443", 403),
        ("plain.example:8443", 403),
        ("plain.example:80", 403),
        ("mirror.example.evil.example:443", 403),
        ("127.0.0.2:443", 403),
        ("169.254.169.254:443", 403),
        ("[::1]:443", 403),
        ("2130706433:443", 400),
        ("127.0.0.1", 400),
        ("u:p@127.0.0.1:443", 400),
    ] {
        let (head, _) = tunnel(&door, target);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{target}: {head}");
    }
    let smuggled = door.raw(&format!("CONNECT {to} HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
    assert_eq!(smuggled.status, 400);
}

#[test]
fn a_tunnel_ends_with_its_step_and_when_nothing_moves() {
    let to = echo();
    let door = Door::open(EgressOptions { idle: Some(Duration::from_secs(60)), ..options(None) });
    let (_, mut stream) = tunnel(&door, &to.to_string());
    assert_eq!(say(&mut stream, b"ping"), b"ping");
    let begin = Instant::now();
    door.egress().set_open(false);
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(begin.elapsed() < Duration::from_secs(5));

    let door = Door::open(EgressOptions { idle: Some(Duration::from_millis(100)), ..options(None) });
    let (_, mut stream) = tunnel(&door, &to.to_string());
    let begin = Instant::now();
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(begin.elapsed() < Duration::from_secs(5));
}
