//! HTTP/1.1 by hand, so that it can be wrong in every way.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

/// A request as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `Range`, where there was one.
    pub range: Option<String>,
    /// `Authorization`, where there was one.
    pub authorization: Option<String>,
    /// Bytes of its body.
    pub body: u64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, without `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// `Content-Length` where it is not that of the body (answers to `HEAD`).
    pub length: Option<u64>,
}

impl Answer {
    /// An answer without body.
    pub fn status(status: u16) -> Self {
        Answer { status, headers: Vec::new(), body: Vec::new(), length: None }
    }

    /// With a header more.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Without its body, but with its length: what `HEAD` gets.
    pub(crate) fn head_only(mut self) -> Self {
        self.length = Some(self.body.len() as u64);
        self.body.clear();
        self
    }

    pub(crate) fn head_bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            text += &format!("Content-Length: {}\r\n", self.length.unwrap_or(self.body.len() as u64));
        }
        (text + "\r\n").into_bytes()
    }
}

/// The head of a request.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    /// Answer as if no part had been asked for.
    pub(crate) whole: bool,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte that is asked for, where a part is.
    pub(crate) fn range_from(&self) -> Option<usize> {
        let range = self.header("range").filter(|_| !self.whole)?;
        range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }

    /// The path alone.
    pub(crate) fn bare_path(&self) -> &str {
        self.path.split('?').next().unwrap_or("")
    }

    /// A field of the query, its escapes undone.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        field(self.path.split_once('?')?.1, name)
    }

    pub(crate) fn recorded(&self, body: u64) -> Recorded {
        let own = |name: &str| self.header(name).map(str::to_owned);
        let (range, authorization) = (own("range"), own("authorization"));
        Recorded { method: self.method.clone(), path: self.path.clone(), range, authorization, body }
    }
}

/// A field of a form or query, its escapes undone.
pub(crate) fn field(text: &str, name: &str) -> Option<String> {
    let pair = text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(unescape(pair))
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let hex = || u8::from_str_radix(std::str::from_utf8(more.get(..2)?).ok()?, 16).ok();
        match (first, hex()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &more[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
        rest = more;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One connection.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    sent: u64,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let writer = stream.try_clone()?;
        Ok(Connection { reader: BufReader::new(stream), writer, sent: 0 })
    }

    /// The next request, or `None` where there is none any more.
    pub(crate) fn read_head(&mut self) -> Option<Head> {
        let first = self.line()?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(Head { method, path, headers, whole: false });
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(n) if n > 0 => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    /// The body of a request with a length.
    pub(crate) fn read_body(&mut self, head: &Head) -> Option<Vec<u8>> {
        let length: u64 = head.header("content-length").unwrap_or("0").parse().ok()?;
        let mut body = Vec::new();
        (&mut self.reader).take(length).read_to_end(&mut body).ok()?;
        (body.len() as u64 == length).then_some(body)
    }

    /// Sends an answer; whether the connection may go on.
    pub(crate) fn send(&mut self, answer: &Answer) -> bool {
        self.write(&answer.head_bytes()) && self.write_body(&answer.body)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        self.writer.write_all(bytes).is_ok()
    }

    pub(crate) fn write_body(&mut self, bytes: &[u8]) -> bool {
        self.sent += bytes.len() as u64;
        self.write(bytes)
    }

    pub(crate) fn take_sent(&mut self) -> u64 {
        std::mem::take(&mut self.sent)
    }

    /// Ends the connection now.
    pub(crate) fn close(&self) {
        // One that the other side ended already is as good.
        let _ = self.writer.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_unescaped() {
        let query = "service=s&scope=repository%3Aa%2Fb%3Apull&x=a+b%zz";
        assert_eq!(field(query, "scope").as_deref(), Some("repository:a/b:pull"));
        assert_eq!(field(query, "x").as_deref(), Some("a b%zz"));
        assert_eq!(field(query, "y"), None);
    }
}
