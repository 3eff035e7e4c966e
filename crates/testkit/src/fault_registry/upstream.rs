//! A real registry behind the faults: requests are passed on and answers come back, both as they flow.

use super::{
    fault::Fault,
    wire::{Answer, BodyIn, Head, Reply, headers, line},
};
use std::{
    io::{self, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
};

/// Headers that concern one connection only, and those that are said anew.
const HOP_BY_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "content-length", "expect"];
/// Longest body that is held because it comes in chunks: lists, never blobs.
const CHUNKED_BYTES_MAX: u64 = 64 << 20;

/// Passes a request on. `Host` stays as it was, so that locations lead back here. `None` where the real registry gives no
/// answer, or the body was cut.
pub(crate) fn pass(
    host: &str,
    head: &Head,
    fault: &Fault,
    keep_authorization: bool,
    body: &mut dyn Read,
) -> Option<Reply> {
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_nodelay(true).ok()?;
    let dropped = |name: &str| {
        HOP_BY_HOP.contains(&name)
            || (name == "range" && matches!(fault, Fault::IgnoreRange))
            || (name == "content-range" && matches!(fault, Fault::TakePart(_)))
            || (name == "authorization" && !keep_authorization)
    };
    let mut text = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", head.method, head.path);
    for (name, value) in head.headers.iter().filter(|(name, _)| !dropped(name)) {
        text += &format!("{name}: {value}\r\n");
    }
    let passed = match (fault, head.is_chunked()) {
        (Fault::TakePart(part), _) => pass_part(&mut stream, text, *part, body),
        (_, true) => pass_chunks(&mut stream, text, body),
        (_, false) => {
            let length = head.header("content-length").unwrap_or("0");
            stream.write_all(format!("{text}Content-Length: {length}\r\n\r\n").as_bytes()).ok()?;
            io::copy(body, &mut stream).map(drop)
        }
    };
    if passed.is_err() || matches!(fault, Fault::CutRequest(_)) {
        // Either side may have ended it already.
        let _ = stream.shutdown(Shutdown::Both);
        return None;
    }
    answer(stream, head.method == "HEAD")
}

fn pass_part(stream: &mut TcpStream, head: String, part: u64, body: &mut dyn Read) -> io::Result<()> {
    let mut kept = Vec::new();
    body.take(part).read_to_end(&mut kept)?;
    io::copy(body, &mut io::sink())?;
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n", kept.len()).as_bytes())?;
    stream.write_all(&kept)
}

fn pass_chunks(stream: &mut TcpStream, head: String, body: &mut dyn Read) -> io::Result<()> {
    stream.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())?;
    let mut piece = vec![0; 64 << 10];
    loop {
        let got = body.read(&mut piece)?;
        stream.write_all(format!("{got:x}\r\n").as_bytes())?;
        stream.write_all(&piece[..got])?;
        stream.write_all(b"\r\n")?;
        if got == 0 {
            return Ok(());
        }
    }
}

fn answer(stream: TcpStream, head_only: bool) -> Option<Reply> {
    let mut reader = BufReader::new(stream);
    let status = loop {
        let first = line(&mut reader)?;
        let status: u16 = first.split(' ').nth(1)?.parse().ok()?;
        if status >= 200 {
            break status;
        }
        headers(&mut reader)?;
    };
    let mut all = headers(&mut reader)?;
    let value = |name: &str| all.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let length = value("content-length").and_then(|length| length.parse::<u64>().ok());
    let chunked = value("transfer-encoding").is_some();
    all.retain(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()));
    let answer = Answer { status, headers: all, body: Vec::new(), length };
    if head_only || matches!(status, 204 | 304) {
        return Some(answer.into());
    }
    if chunked || length.is_none() {
        let mut body = Vec::new();
        match chunked {
            true => BodyIn::chunked(&mut reader).take(CHUNKED_BYTES_MAX).read_to_end(&mut body).ok()?,
            false => reader.take(CHUNKED_BYTES_MAX).read_to_end(&mut body).ok()?,
        };
        return Some(Answer { body, length: None, ..answer }.into());
    }
    Some(Reply { answer, rest: Box::new(reader.take(length.unwrap_or(0))) })
}
