//! A server on loopback that answers as it is told, well or badly, and remembers what it was asked.

use std::{
    collections::HashMap,
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

/// What a path is answered with.
#[derive(Clone)]
pub enum Answer {
    /// 200 with a validator and content; 304 to whoever has that validator.
    Object { etag: &'static str, body: Vec<u8> },
    /// 200 with content and these headers beside its length.
    Plain { headers: &'static str, body: Vec<u8> },
    /// These very bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// 200, half of the content, a pause, and the rest.
    Slow { body: Vec<u8>, pause: Duration },
}

#[derive(Default)]
struct Inside {
    answers: HashMap<String, Answer>,
    asked: Vec<String>,
}

/// The server; it ends with the process.
pub struct Origin {
    pub address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
}

impl Origin {
    pub fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, inside) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Inside::default())));
        let shared = inside.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Origin { address, inside }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sets the answer of a path.
    pub fn set(&self, path: &str, answer: Answer) {
        self.inside.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.inside.lock().unwrap().asked.clone()
    }
}

/// Reads a head up to its empty line.
pub fn read_head(stream: &mut impl std::io::BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).unwrap_or(0) == 0 {
            break;
        }
    }
    head
}

fn serve(stream: TcpStream, inside: &Mutex<Inside>) {
    let mut stream = BufReader::new(stream);
    let head = read_head(&mut stream);
    if head.is_empty() {
        return;
    }
    let target = head.split(' ').nth(1).unwrap_or_default();
    // As an upstream proxy, the server is asked for whole URLs.
    let path =
        target.strip_prefix("http://").map_or(target, |rest| &rest[rest.find('/').unwrap_or(0)..]).to_owned();
    let answer = {
        let mut inside = inside.lock().unwrap();
        inside.asked.push(head.clone());
        inside.answers.get(&path).cloned()
    };
    let mut out = stream.into_inner();
    let not_found =
        || Answer::Raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec());
    // A proxy that hangs up in the middle is what some tests are about.
    let _ = write(&mut out, &head, answer.unwrap_or_else(not_found));
    let _ = out.shutdown(std::net::Shutdown::Write);
    let _ = out.read_to_end(&mut Vec::new());
}

fn write(out: &mut TcpStream, head: &str, answer: Answer) -> std::io::Result<()> {
    match answer {
        Answer::Object { etag, .. }
            if head.to_ascii_lowercase().contains(&format!("if-none-match: {etag}")) =>
        {
            write!(out, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n")
        }
        Answer::Object { etag, body } => {
            write!(
                out,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: {etag}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )?;
            out.write_all(&body)
        }
        Answer::Plain { headers, body } => {
            write!(
                out,
                "HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
                body.len()
            )?;
            out.write_all(&body)
        }
        Answer::Raw(bytes) => out.write_all(&bytes),
        Answer::Slow { body, pause } => {
            write!(out, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())?;
            let (first, second) = body.split_at(body.len() / 2);
            out.write_all(first)?;
            std::thread::sleep(pause);
            out.write_all(second)
        }
    }
}
