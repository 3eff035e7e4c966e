//! Answering: each connection has a thread, each request its fault.

use super::{
    Shared,
    fault::Fault,
    upstream,
    wire::{Answer, BodyIn, Connection, Head, Reply},
};
use std::{
    io::{self, Read},
    net::{TcpListener, TcpStream},
    sync::{Arc, atomic::Ordering},
};

pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(stream) = stream {
            let shared = shared.clone();
            std::thread::spawn(move || serve(stream, &shared));
        }
    }
}

/// Answers the requests of one connection until either side ends it.
fn serve(stream: TcpStream, shared: &Arc<Shared>) {
    let Ok(mut connection) = Connection::new(stream) else { return };
    while let Some(head) = connection.read_head() {
        let Some(number) = shared.state().records.begin(head.recorded()) else { break };
        let counting = shared.clone();
        connection.count_with(move |bytes| counting.state().records.sent(number, bytes));
        let going = serve_one(&mut connection, head, shared, number);
        if !going || shared.state().records.is_broken() {
            break;
        }
    }
    connection.close();
}

/// Whether the connection may go on.
fn serve_one(connection: &mut Connection, mut head: Head, shared: &Shared, number: usize) -> bool {
    let fault = shared.state().take_fault(&head.method, &head.path).unwrap_or(Fault::None);
    if fault.is_before_body() {
        fault.wait();
        return false;
    }
    head.whole = matches!(fault, Fault::IgnoreRange);
    if matches!(fault, Fault::ExpireTokens) {
        shared.state().auth.expire();
    }
    let cut = if let Fault::CutRequest(at) = fault { Some(at) } else { None };
    let Some(body) = connection.body(&head) else { return false };
    let mut body = Incoming { body, shared, number, cut, broken: false };
    let honest = match &fault {
        // What is answered so does not happen.
        Fault::Answer(other) => io::copy(&mut body, &mut io::sink()).ok().map(|_| other.clone().into()),
        _ => answer(shared, &head, &fault, &mut body),
    };
    let Some(honest) = honest else { return false };
    let honest = if head.method == "HEAD" { headless(honest) } else { honest };
    shared.state().records.answered(number, honest.answer.status);
    match fault {
        Fault::Answer(_) => connection.send(honest),
        fault => fault.send(connection, honest),
    }
}

/// What was scripted with a body has none as the answer to `HEAD`.
fn headless(reply: Reply) -> Reply {
    match reply.answer.body.is_empty() {
        true => reply,
        false => reply.answer.head_only().into(),
    }
}

/// The honest answer, of memory or of the real registry. `None` where the body did not come as a whole.
fn answer(shared: &Shared, head: &Head, fault: &Fault, body: &mut Incoming<'_>) -> Option<Reply> {
    if head.bare_path() == "/token" {
        let mut form = Vec::new();
        body.read_to_end(&mut form).ok()?;
        return refusal(shared, head, &form).map(Reply::from);
    }
    if let Some(refused) = refusal(shared, head, &[]) {
        io::copy(body, &mut io::sink()).ok()?;
        return Some(refused.into());
    }
    if let Some(host) = &shared.upstream {
        let keep = !shared.state().auth.is_ours();
        return upstream::pass(host, head, fault, keep, body);
    }
    let mut bytes = Vec::new();
    let whole = body.read_to_end(&mut bytes).is_ok();
    if let Fault::TakePart(part) = fault {
        bytes.truncate(usize::try_from(*part).unwrap_or(usize::MAX));
    }
    let cut = !whole || matches!(fault, Fault::CutRequest(_));
    let answer = shared.state().contents.answer(head, bytes, cut);
    (!cut).then(|| answer.into())
}

fn refusal(shared: &Shared, head: &Head, form: &[u8]) -> Option<Answer> {
    shared.state().auth.answer(shared.address, head, form)
}

/// The body of a request: counted as it comes, and ended where it is cut.
struct Incoming<'a> {
    body: BodyIn<'a>,
    shared: &'a Shared,
    number: usize,
    cut: Option<u64>,
    broken: bool,
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let most =
            self.cut.map_or(buffer.len(), |cut| usize::try_from(cut).unwrap_or(usize::MAX).min(buffer.len()));
        let got = self.body.read(&mut buffer[..most]).inspect_err(|_| {
            self.shared.state().records.given_up(self.number);
        })?;
        let through = self.shared.state().records.came(self.number, got as u64);
        if let Some(cut) = &mut self.cut {
            *cut -= got as u64;
        }
        // Where some came through, only the next read fails.
        self.broken = through < got as u64;
        match through {
            0 if self.broken => Err(io::ErrorKind::ConnectionAborted.into()),
            through => Ok(through as usize),
        }
    }
}
