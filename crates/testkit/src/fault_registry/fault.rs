//! The faults, and how each is sent.

use super::wire::{Answer, Connection};
use std::{thread::sleep, time::Duration};

/// What goes wrong with one answer.
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
    pub(crate) fn send(self, connection: &mut Connection, honest: Answer) -> bool {
        match self {
            Fault::None | Fault::IgnoreRange => connection.send(&honest),
            Fault::Answer(other) => connection.send(&other),
            Fault::Delay(time) => {
                sleep(time);
                connection.send(&honest)
            }
            Fault::Reset | Fault::Silence(_) => false,
            Fault::CutBody(at) => {
                connection.write(&honest.head_bytes());
                connection.write_body(&honest.body[..at.min(honest.body.len())]);
                connection.close();
                false
            }
            Fault::Header(name, value) => connection.send(&without(honest, name).header(name, value)),
            Fault::Without(name) => connection.send(&without(honest, name)),
            Fault::Body(body) => connection.send(&Answer { body, length: None, ..honest }),
            Fault::Trickle(pause) => trickle(connection, &honest, pause),
            Fault::EndlessBody => endless(connection, "Connection: close\r\n\r\n", "x".repeat(1 << 16)),
            Fault::EndlessHeaders => {
                endless(connection, "", format!("X-Filler: {}\r\n", "y".repeat(1 << 10)))
            }
        }
    }
}

fn without(mut answer: Answer, name: &str) -> Answer {
    answer.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    answer
}

fn trickle(connection: &mut Connection, answer: &Answer, pause: Duration) -> bool {
    connection.write(&answer.head_bytes())
        && answer.body.iter().all(|byte| {
            sleep(pause);
            connection.write_body(&[*byte])
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
