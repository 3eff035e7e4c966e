//! A step's output: lines as they come, and the end of it kept for errors.

use crate::text::{LINE_BYTES_MAX, printable};
use std::mem::take;

/// How much of the end is kept.
const TAIL_BYTES_MAX: usize = 64 << 10;
/// Lines of one step that are told one by one; a program that prints for ever must not flood who listens.
const LINES_TOLD_MAX: usize = 20_000;

/// Takes bytes, gives lines.
pub(crate) struct Output<'a> {
    partial: Vec<u8>,
    tail: String,
    told: usize,
    tell: &'a dyn Fn(String),
}

impl<'a> Output<'a> {
    /// Tells every line to `tell`.
    pub(crate) fn new(tell: &'a dyn Fn(String)) -> Self {
        Output { partial: Vec::new(), tail: String::new(), told: 0, tell }
    }

    /// More bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
            let (text, ends) = match piece {
                [text @ .., b'\n' | b'\r'] => (text, true),
                text => (text, false),
            };
            let room = LINE_BYTES_MAX.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.line();
            }
        }
    }

    /// No more bytes: the last 64 KiB.
    pub(crate) fn end(mut self) -> String {
        self.line();
        self.shorten();
        self.tail
    }

    fn line(&mut self) {
        let bytes = take(&mut self.partial);
        // Programs that redraw a line end it with a carriage return, and a line feed after it ends nothing more.
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let line = printable(&bytes);
        self.keep(&line);
        self.told += 1;
        match self.told {
            1..LINES_TOLD_MAX => (self.tell)(line),
            LINES_TOLD_MAX => (self.tell)("(more output follows, which is not shown)".to_owned()),
            _ => {}
        }
    }

    fn keep(&mut self, line: &str) {
        self.tail.push_str(line);
        self.tail.push('\n');
        if self.tail.len() > 2 * TAIL_BYTES_MAX {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        let mut from = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        while !self.tail.is_char_boundary(from) {
            from += 1;
        }
        self.tail.drain(..from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn lines(chunks: &[&[u8]]) -> (Vec<String>, String) {
        let told = RefCell::new(Vec::new());
        let tell = |line| told.borrow_mut().push(line);
        let mut output = Output::new(&tell);
        chunks.iter().for_each(|c| output.take(c));
        let tail = output.end();
        (told.into_inner(), tail)
    }

    #[test]
    fn lines_are_told_however_they_arrive() {
        let (told, tail) = lines(&[b"one\ntw", b"o\r\n10%\r20%\r", b"\n\nlast"]);
        assert_eq!(told, ["one", "two", "10%", "20%", "last"]);
        assert_eq!(tail, "one\ntwo\n10%\n20%\nlast\n");
    }

    #[test]
    fn endless_output_is_bounded() {
        let (told, tail) = lines(&[&b"x".repeat(100_000), b"\n", &b"line\n".repeat(100_000)]);
        assert_eq!(told[0].len(), LINE_BYTES_MAX);
        assert_eq!(told.len(), LINES_TOLD_MAX);
        assert!(tail.len() <= TAIL_BYTES_MAX && tail.ends_with("line\n"), "{}", tail.len());
    }
}
