//! The faults, and how each is sent.

use super::wire::{Answer, Connection, Reply};
use std::{
    io::{BufReader, Read},
    thread::sleep,
    time::Duration,
};

/// What goes wrong with one request or its answer. `HEAD` never gets a body.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answered honestly: a place holder in a script.
    None,
    /// Another answer instead of the honest one; what was asked for does not happen.
    Answer(Answer),
    /// The honest answer, so much later.
    Delay(Duration),
    /// No answer: the connection is closed before the body of the request is read.
    Reset,
    /// No answer and no end for so long.
    Silence(Duration),
    /// What was asked for happens, but the connection is closed instead of an answer.
    LoseAnswer,
    /// So many bytes of the request's body are taken (a `PATCH` keeps them), then the connection is closed.
    CutRequest(u64),
    /// So many bytes of the request's body count, as if it had no more; the rest is read and dropped.
    TakePart(u64),
    /// The honest answer, cut after so many bytes of its body.
    CutBody(usize),
    /// The honest answer with one header replaced or added.
    Header(&'static str, String),
    /// The honest answer without a header.
    Without(&'static str),
    /// The honest headers with another body (and its length).
    Body(Vec<u8>),
    /// The honest answer to a request without `Range`.
    IgnoreRange,
    /// All tokens end, then the honest answer, which is a 401 where access needs them.
    ExpireTokens,
    /// The honest answer, a byte at a time with pauses.
    Trickle(Duration),
    /// A body of unknown length that does not end.
    EndlessBody,
    /// Headers that do not end.
    EndlessHeaders,
}

/// More than any client takes of an endless answer.
const ENDLESS: usize = 1 << 30;

impl Fault {
    /// An answer with a status alone.
    pub fn status(status: u16) -> Fault {
        Fault::Answer(Answer::status(status))
    }

    /// A redirect.
    pub fn redirect(status: u16, location: impl ToString) -> Fault {
        Fault::Answer(Answer::status(status).header("Location", location))
    }

    pub(crate) fn is_before_body(&self) -> bool {
        matches!(self, Fault::Reset | Fault::Silence(_))
    }

    pub(crate) fn wait(&self) {
        if let Fault::Silence(time) = self {
            sleep(*time);
        }
    }

    /// Sends the answer with its fault; whether the connection may go on.
    pub(crate) fn send(self, connection: &mut Connection, honest: Reply) -> bool {
        let Reply { answer, rest } = honest;
        let with = |answer: Answer, rest| Reply { answer, rest };
        match self {
            Fault::None | Fault::IgnoreRange | Fault::ExpireTokens | Fault::TakePart(_) => {
                connection.send(with(answer, rest))
            }
            Fault::Answer(other) => connection.send(other.into()),
            Fault::Delay(time) => {
                sleep(time);
                connection.send(with(answer, rest))
            }
            Fault::Reset | Fault::Silence(_) | Fault::LoseAnswer | Fault::CutRequest(_) => {
                connection.close();
                false
            }
            Fault::CutBody(at) => {
                connection.send_head(&answer);
                connection.send_some(with(answer, rest), at as u64);
                connection.close();
                false
            }
            Fault::Header(name, value) => {
                connection.send(with(answer.without(name).header(name, value), rest))
            }
            Fault::Without(name) => connection.send(with(answer.without(name), rest)),
            Fault::Body(body) => connection.send(Answer { body, length: None, ..answer }.into()),
            Fault::Trickle(pause) => trickle(connection, with(answer, rest), pause),
            Fault::EndlessBody => endless(connection, "Connection: close\r\n\r\n", "x".repeat(1 << 16)),
            Fault::EndlessHeaders => {
                endless(connection, "", format!("X-Filler: {}\r\n", "y".repeat(1 << 10)))
            }
        }
    }
}

fn trickle(connection: &mut Connection, reply: Reply, pause: Duration) -> bool {
    let body = BufReader::new(reply.answer.body.as_slice().chain(reply.rest));
    connection.send_head(&reply.answer)
        && body.bytes().all(|byte| {
            sleep(pause);
            byte.is_ok_and(|byte| connection.write_body(&[byte]))
        })
}

fn endless(connection: &mut Connection, before: &str, piece: String) -> bool {
    let head = format!("HTTP/1.1 200 X\r\nContent-Type: application/json\r\n{before}");
    let mut going = connection.write(head.as_bytes());
    let mut sent = 0;
    while going && sent < ENDLESS {
        going = connection.write_body(piece.as_bytes());
        sent += piece.len();
    }
    false
}
