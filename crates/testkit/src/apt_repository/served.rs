//! A folder served over HTTP on loopback: every request remembered, and any answer made to go wrong on demand.

use super::index::http_date;
use crate::{Error, image, tree};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest head of a request that is read.
const HEAD_BYTES_MAX: u64 = 64 << 10;
/// Longest time a client may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Method.
    pub method: String,
    /// Path as it was asked for.
    pub path: String,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of content meant to be sent.
    pub bytes: u64,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status and nothing else.
    Status(u16),
    /// Half of the content, then the end of the connection.
    Cut,
    /// The right length, but the last byte is another.
    Wrong,
    /// The page of a captive portal instead.
    Page,
    /// A redirect to this URL.
    Redirect(String),
    /// Nothing for so long, then the content.
    Stall(Duration),
    /// Content without a length and without an end.
    Endless,
}

/// A folder that is being served; no longer when dropped.
pub struct Served {
    address: SocketAddr,
    inside: Arc<Inside>,
}

struct Inside {
    folder: PathBuf,
    changed: String,
    stopping: AtomicBool,
    asked: Mutex<Vec<Asked>>,
    faults: Mutex<Vec<(String, Fault)>>,
}

impl Served {
    /// Serves a folder on a free port.
    pub fn start(folder: &Path) -> Result<Served, Error> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(Error::io("loopback"))?;
        let address = listener.local_addr().map_err(Error::io("loopback"))?;
        let inside = Arc::new(Inside {
            folder: folder.to_owned(),
            changed: http_date(tree::EPOCH)?,
            stopping: AtomicBool::new(false),
            asked: Mutex::default(),
            faults: Mutex::default(),
        });
        let shared = inside.clone();
        std::thread::spawn(move || accept(&listener, &shared));
        Ok(Served { address, inside })
    }

    /// The URL of the folder, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Every request so far.
    pub fn log(&self) -> Vec<Asked> {
        lock(&self.inside.asked).clone()
    }

    /// How many requests for paths with this part were answered with content.
    pub fn full_answers(&self, part: &str) -> usize {
        self.log().iter().filter(|asked| asked.path.contains(part) && asked.status == 200).count()
    }

    /// From now on, whatever has this part in its path goes wrong.
    pub fn fail(&self, part: &str, fault: Fault) {
        lock(&self.inside.faults).push((part.to_owned(), fault));
    }

    /// From now on, everything goes right.
    pub fn heal(&self) {
        lock(&self.inside.faults).clear();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.inside.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection, so that it sees the end.
        drop(TcpStream::connect(self.address));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, inside: &Arc<Inside>) {
    for stream in listener.incoming() {
        if inside.stopping.load(Ordering::SeqCst) {
            return;
        }
        let (Ok(stream), inside) = (stream, inside.clone()) else { continue };
        // A client that hangs up in the middle is nothing unusual.
        std::thread::spawn(move || inside.answer(stream).ok());
    }
}

/// What of a request matters here.
struct Question {
    method: String,
    path: String,
    etag: Option<String>,
    since: Option<String>,
}

impl Inside {
    fn answer(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        let Some(question) = read_question(&stream)? else { return Ok(()) };
        let fault = lock(&self.faults)
            .iter()
            .rev()
            .find(|(part, _)| question.path.contains(part))
            .map(|(_, f)| f.clone());
        let mut reply = Reply { out: &stream, log: &self.asked, question: &question };
        match fault {
            Some(Fault::Status(status)) => reply.send(status, "", b"", 0),
            Some(Fault::Page) => {
                reply.whole(200, "Content-Type: text/html\r\n", b"<html>Please log in</html>")
            }
            Some(Fault::Redirect(to)) => reply.whole(302, &format!("Location: {to}\r\n"), b""),
            Some(Fault::Endless) => reply.endless(),
            Some(Fault::Stall(time)) => {
                std::thread::sleep(time);
                self.content(&mut reply, None)
            }
            fault => self.content(&mut reply, fault),
        }?;
        // The end is announced, and only then the connection goes: else the last bytes might be lost.
        stream.shutdown(std::net::Shutdown::Write)?;
        (&stream).read_to_end(&mut Vec::new()).map(drop)
    }

    fn content(&self, reply: &mut Reply, fault: Option<Fault>) -> io::Result<()> {
        let question = reply.question;
        let Some(mut bytes) = self.read(&question.path) else { return reply.whole(404, "", b"") };
        let etag = format!("\"{}\"", &image::digest(&bytes)["sha256:".len()..][..16]);
        let unchanged = match (&question.etag, &question.since) {
            (Some(theirs), _) => *theirs == etag,
            // All files have one time, so that a time alone tells nothing; apt sends no other validator.
            (None, since) => since.is_some() && question.path.contains("/pool/"),
        };
        if unchanged {
            return reply.send(304, "", b"", 0);
        }
        let headers = format!("ETag: {etag}\r\nLast-Modified: {}\r\n", self.changed);
        match (fault, bytes.last_mut()) {
            (Some(Fault::Cut), _) => reply.send(200, &headers, &bytes[..bytes.len() / 2], bytes.len()),
            (Some(Fault::Wrong), Some(last)) => {
                *last ^= 1;
                reply.whole(200, &headers, &bytes)
            }
            _ => reply.whole(200, &headers, &bytes),
        }
    }

    /// The content of a file in the folder, and never of one outside.
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let plain = decoded(path.trim_start_matches('/'))?;
        let inside =
            Path::new(&plain).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            return None;
        }
        std::fs::read(self.folder.join(plain)).ok()
    }
}

struct Reply<'a> {
    out: &'a TcpStream,
    log: &'a Mutex<Vec<Asked>>,
    question: &'a Question,
}

impl Reply<'_> {
    fn whole(&mut self, status: u16, headers: &str, bytes: &[u8]) -> io::Result<()> {
        self.send(status, headers, bytes, bytes.len())
    }

    /// Sends `bytes`, but promises `length` of them.
    fn send(&mut self, status: u16, headers: &str, bytes: &[u8], length: usize) -> io::Result<()> {
        self.note(status, bytes.len());
        let promise = if status == 304 { String::new() } else { format!("Content-Length: {length}\r\n") };
        write!(self.out, "HTTP/1.1 {status} -\r\nConnection: close\r\n{promise}{headers}\r\n")?;
        if self.question.method == "HEAD" { Ok(()) } else { self.out.write_all(bytes) }
    }

    fn endless(&mut self) -> io::Result<()> {
        self.note(200, 0);
        write!(self.out, "HTTP/1.1 200 -\r\nConnection: close\r\n\r\n")?;
        loop {
            self.out.write_all(&[b'a'; 1 << 16])?;
        }
    }

    fn note(&self, status: u16, bytes: usize) {
        let (method, path) = (self.question.method.clone(), self.question.path.clone());
        lock(self.log).push(Asked { method, path, status, bytes: bytes as u64 });
    }
}

fn read_question(stream: &TcpStream) -> io::Result<Option<Question>> {
    let mut lines = BufReader::new(stream.take(HEAD_BYTES_MAX)).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut question = Question { method, path, etag: None, since: None };
    for line in lines {
        let line = line?;
        match line.split_once(": ") {
            None if line.is_empty() => break,
            Some((name, value)) if name.eq_ignore_ascii_case("if-none-match") => {
                question.etag = Some(value.to_owned())
            }
            Some((name, value)) if name.eq_ignore_ascii_case("if-modified-since") => {
                question.since = Some(value.to_owned())
            }
            _ => {}
        }
    }
    Ok(Some(question))
}

/// Without percent signs: apt encodes `+`, `~` and more.
fn decoded(path: &str) -> Option<String> {
    let (mut out, mut bytes) = (Vec::new(), path.bytes());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(served: &Served, path: &str, headers: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(served.host()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n").unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let end = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let body = all.split_off(end);
        (String::from_utf8(all).unwrap(), body)
    }

    #[test]
    fn files_are_served_and_nothing_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        std::fs::write(dir.path().join("in/a+b"), "hello").unwrap();
        std::fs::write(dir.path().join("secret"), "secret").unwrap();
        let served = Served::start(&dir.path().join("in")).unwrap();
        let (head, body) = get(&served, "/a%2bb", "");
        assert!(head.starts_with("HTTP/1.1 200") && body == b"hello", "{head}");
        let etag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
        assert!(get(&served, "/a%2bb", &format!("If-None-Match: {etag}\r\n")).0.starts_with("HTTP/1.1 304"));
        for path in ["/../secret", "/%2e%2e/secret", "//../secret", "/none", "/"] {
            assert!(get(&served, path, "").0.starts_with("HTTP/1.1 404"), "{path}");
        }
        let statuses: Vec<_> = served.log().iter().map(|asked| asked.status).collect();
        assert_eq!(statuses, [200, 304, 404, 404, 404, 404, 404]);
        assert_eq!(served.full_answers("a%2b"), 1);
    }

    #[test]
    fn every_fault_shows_and_heals() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), "0123456789").unwrap();
        let served = Served::start(dir.path()).unwrap();
        for (fault, status, body) in [
            (Fault::Status(503), "503", &b""[..]),
            (Fault::Cut, "200", b"01234"),
            (Fault::Wrong, "200", b"0123456788"),
            (Fault::Page, "200", b"<html>Please log in</html>"),
            (Fault::Redirect("http://h/".into()), "302", b""),
            (Fault::Stall(Duration::from_millis(1)), "200", b"0123456789"),
        ] {
            served.fail("/x", fault.clone());
            let (head, got) = get(&served, "/x", "");
            assert!(head.contains(status) && got == body, "{fault:?}: {head}");
            served.heal();
        }
        assert_eq!(get(&served, "/x", "").1, b"0123456789");
    }
}
