//! The sandbox's side: a proxy under test, and raw requests to it.

use fetch::egress::{CacheOptions, Egress, EgressOptions, HostRule, Record};
use std::{
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

/// A proxy on loopback, its network open.
pub struct Door {
    pub egress: Option<Egress>,
    pub address: SocketAddr,
    // Last, so that the proxy ends before what it runs on.
    _runtime: tokio::runtime::Runtime,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the content is as long as the head says.
    pub fn is_whole(&self) -> bool {
        let length =
            |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned);
        match self.head.lines().find_map(length) {
            Some(length) => length.parse() == Ok(self.body.len()),
            None => self.body.ends_with(b"0\r\n\r\n"),
        }
    }
}

/// Rules from their texts, as the image has them; without a scheme the operator's are the same.
pub fn rules(texts: &[&str]) -> Vec<HostRule> {
    texts.iter().map(|text| HostRule::of_image(text).unwrap()).collect()
}

/// Options with which loopback may be asked, short of patience, with a cache where one is given.
pub fn options(cache: Option<&Path>) -> EgressOptions {
    EgressOptions {
        operator_hosts: rules(&["127.0.0.1"]),
        cache: cache.map(CacheOptions::in_dir),
        idle: Some(Duration::from_secs(2)),
        ..EgressOptions::default()
    }
}

impl Door {
    pub fn open(options: EgressOptions) -> Door {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let egress = Egress::start(listener, options, runtime.handle()).unwrap();
        egress.set_open(true);
        Door { egress: Some(egress), address, _runtime: runtime }
    }

    pub fn egress(&self) -> &Egress {
        self.egress.as_ref().unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends these bytes and reads to the end of the connection.
    pub fn raw(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let head = crate::origin::read_head(&mut stream);
        let mut body = Vec::new();
        // A connection that is reset ends the content like any other end.
        let _ = stream.read_to_end(&mut body);
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Answer { status, head, body }
    }

    /// A request as apt would send it, with more headers.
    pub fn request(&self, method: &str, url: &str, headers: &str) -> Answer {
        let host = url.strip_prefix("http://").unwrap_or(url).split('/').next().unwrap();
        let host = host.rsplit('@').next().unwrap();
        self.raw(&format!("{method} {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"))
    }

    pub fn get(&self, url: &str) -> Answer {
        self.request("GET", url, "")
    }

    /// The last record, once the condition holds for it; downloads end a little after their answers.
    pub fn last(&self) -> Record {
        self.egress().records().pop().unwrap()
    }

    /// How each request was answered, in words.
    pub fn hows(&self) -> Vec<String> {
        self.egress().records().iter().map(|r| r.how.to_string()).collect()
    }
}

/// Waits until something holds.
pub fn eventually(what: impl Fn() -> bool) {
    for _ in 0..400 {
        if what() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it never held");
}
