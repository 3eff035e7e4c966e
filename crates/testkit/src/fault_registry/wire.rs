//! HTTP/1.1 by hand, so that it can be wrong in every way.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

/// Longest line of a head or of a chunk's beginning.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A request as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `Range`, where there was one.
    pub range: Option<String>,
    /// `Content-Range`, where there was one.
    pub content_range: Option<String>,
    /// `Authorization`, where there was one.
    pub authorization: Option<String>,
    /// Bytes of its body that came.
    pub body: u64,
    /// Whether the client gave up before its body was whole.
    pub given_up: bool,
    /// The status that it got; 0 where it got none (yet).
    pub status: u16,
    /// Bytes of the answer's body that were sent.
    pub sent: u64,
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

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn head_bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let named = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        // A 204 has no body, and so no length (RFC 9110 §8.6).
        if !named("content-length") && self.status != 204 {
            text += &format!("Content-Length: {}\r\n", self.length.unwrap_or(self.body.len() as u64));
        }
        (text + "\r\n").into_bytes()
    }
}

/// An answer whose body may still be on its way from elsewhere.
pub(crate) struct Reply {
    /// The head, and the body as far as it is at hand. Its length is that of the whole.
    pub(crate) answer: Answer,
    /// The rest of the body.
    pub(crate) rest: Box<dyn Read + Send>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Reply { answer, rest: Box::new(io::empty()) }
    }
}

/// The head of a request.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Answer as if no part had been asked for.
    pub(crate) whole: bool,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first and, where it is named, the last byte that is asked for, where a part is.
    pub(crate) fn range(&self) -> Option<(usize, Option<usize>)> {
        let range = self.header("range").filter(|_| !self.whole)?;
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
        Some((first.parse().ok()?, last))
    }

    /// The path alone.
    pub(crate) fn bare_path(&self) -> &str {
        bare(&self.path)
    }

    /// A field of the query, its escapes undone.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        field(self.path.split_once('?')?.1, name)
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }

    pub(crate) fn recorded(&self) -> Recorded {
        let own = |name: &str| self.header(name).map(str::to_owned);
        Recorded {
            method: self.method.clone(),
            path: self.path.clone(),
            range: own("range"),
            content_range: own("content-range"),
            authorization: own("authorization"),
            ..Recorded::default()
        }
    }
}

/// A path without its query.
pub(crate) fn bare(path: &str) -> &str {
    path.split('?').next().unwrap_or("")
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
    /// Told of the bytes of bodies before they are sent: whoever has them finds them counted.
    count: Box<dyn Fn(u64)>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let writer = stream.try_clone()?;
        Ok(Connection { reader: BufReader::new(stream), writer, count: Box::new(|_| {}) })
    }

    /// The next request, or `None` where there is none any more.
    pub(crate) fn read_head(&mut self) -> Option<Head> {
        let first = line(&mut self.reader)?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers = headers(&mut self.reader)?;
        Some(Head { method, path, headers, whole: false })
    }

    /// The body of a request, as it comes.
    pub(crate) fn body(&mut self, head: &Head) -> Option<BodyIn<'_>> {
        if head.header("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue")) {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let left = match head.is_chunked() {
            true => Left::Chunk(0),
            false => Left::Length(head.header("content-length").unwrap_or("0").parse().ok()?),
        };
        Some(BodyIn { reader: &mut self.reader, left })
    }

    /// Sends an answer; whether the connection may go on.
    pub(crate) fn send(&mut self, reply: Reply) -> bool {
        self.send_head(&reply.answer) && self.send_some(reply, u64::MAX)
    }

    pub(crate) fn send_head(&mut self, answer: &Answer) -> bool {
        self.write(&answer.head_bytes())
    }

    /// Sends the body of an answer, or so much of it; whether the connection may go on.
    pub(crate) fn send_some(&mut self, reply: Reply, most: u64) -> bool {
        let mut body = reply.answer.body.as_slice().chain(reply.rest).take(most);
        let mut piece = [0; 64 << 10];
        loop {
            match body.read(&mut piece) {
                Ok(0) => return true,
                Ok(n) if self.write_body(&piece[..n]) => {}
                _ => return false,
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        self.writer.write_all(bytes).is_ok()
    }

    pub(crate) fn write_body(&mut self, bytes: &[u8]) -> bool {
        (self.count)(bytes.len() as u64);
        self.write(bytes)
    }

    /// Sets who counts the bytes of bodies that are sent from now on.
    pub(crate) fn count_with(&mut self, count: impl Fn(u64) + 'static) {
        self.count = Box::new(count);
    }

    /// Ends the connection now.
    pub(crate) fn close(&self) {
        // One that the other side ended already is as good.
        let _ = self.writer.shutdown(Shutdown::Both);
    }
}

/// A line without its end, or `None` where there is none.
pub(crate) fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    match reader.take(LINE_BYTES_MAX).read_line(&mut line) {
        Ok(n) if n > 0 => Some(line.trim_end().to_owned()),
        _ => None,
    }
}

/// Headers up to the empty line, their names in lower case.
pub(crate) fn headers(reader: &mut impl BufRead) -> Option<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            return Some(headers);
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// The body of a message: of a length, or in chunks.
pub(crate) struct BodyIn<'a> {
    reader: &'a mut dyn BufRead,
    left: Left,
}

enum Left {
    Length(u64),
    /// Bytes left of the chunk that has begun.
    Chunk(u64),
    Nothing,
}

impl<'a> BodyIn<'a> {
    /// A body in chunks.
    pub(crate) fn chunked(reader: &'a mut dyn BufRead) -> Self {
        BodyIn { reader, left: Left::Chunk(0) }
    }

    fn begin_chunk(&mut self) -> Option<u64> {
        let mut reader = &mut *self.reader;
        let size = line(&mut reader)?;
        let size = u64::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            // What trails the chunks ends with an empty line.
            while !line(&mut reader)?.is_empty() {}
        }
        Some(size)
    }

    fn end_chunk(&mut self) -> Option<()> {
        line(&mut &mut *self.reader).filter(String::is_empty).map(drop)
    }
}

impl Read for BodyIn<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        if let Left::Chunk(0) = self.left {
            self.left = match self.begin_chunk().ok_or_else(short)? {
                0 => Left::Nothing,
                size => Left::Chunk(size),
            };
        }
        let left = match &mut self.left {
            Left::Nothing | Left::Length(0) => return Ok(0),
            Left::Length(left) | Left::Chunk(left) => left,
        };
        let most = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.reader.read(&mut buffer[..most])?;
        if got == 0 && most > 0 {
            return Err(short());
        }
        *left -= got as u64;
        if let Left::Chunk(0) = self.left {
            self.end_chunk().ok_or_else(short)?;
        }
        Ok(got)
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

    #[test]
    fn chunks_are_put_together() {
        for (wire, want) in [
            ("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", Some("abcde")),
            ("0\r\nTrailer: x\r\n\r\n", Some("")),
            ("3\r\nab", None),
            ("3\r\nabcd\r\n0\r\n\r\n", None),
            ("x\r\n", None),
            ("", None),
        ] {
            let (mut reader, mut text) = (wire.as_bytes(), String::new());
            let read = BodyIn::chunked(&mut reader).read_to_string(&mut text);
            assert_eq!(read.ok().map(|_| text.as_str()), want, "{wire:?}");
        }
    }
}
