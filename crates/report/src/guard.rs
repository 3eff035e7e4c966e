//! The reader between a report and the JSON parser: counts bytes and nesting, bounds everything, knows where it is.
//!
//! The parser never buffers what it passes over, and what it keeps it asks for through this reader; so memory is bounded
//! here and in [`crate::collect`], whatever the input.

use crate::error::{Error, shown};
use serde::de::DeserializeSeed;
use std::{fmt, io, io::Read};

/// The bounds.
pub mod limits {
    /// Largest report. Trivy's own, with every package listed, stay below 100 MB.
    pub const REPORT_BYTES_MAX: u64 = 256 * 1024 * 1024;
    /// Deepest nesting. Trivy's reports reach 10.
    pub const DEPTH_MAX: u32 = 64;
    /// Longest single string, description or embedded source text included.
    pub const STRING_BYTES_MAX: u64 = 4 * 1024 * 1024;
    /// Most vulnerabilities, of all kinds of package together.
    pub const VULNERABILITIES_MAX: u64 = 2_000_000;
    /// Most memory for findings kept: a third of a million of them, ten times the worst image known.
    pub const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
}

/// A bound that a report went beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`limits::REPORT_BYTES_MAX`].
    Bytes,
    /// [`limits::DEPTH_MAX`].
    Depth,
    /// [`limits::STRING_BYTES_MAX`].
    String,
    /// [`limits::VULNERABILITIES_MAX`].
    Vulnerabilities,
    /// [`limits::KEPT_BYTES_MAX`].
    Kept,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Bytes => write!(f, "larger than {} MiB", limits::REPORT_BYTES_MAX >> 20),
            Limit::Depth => write!(f, "nested deeper than {}", limits::DEPTH_MAX),
            Limit::String => write!(f, "a string longer than {} MiB", limits::STRING_BYTES_MAX >> 20),
            Limit::Vulnerabilities => write!(f, "more than {} vulnerabilities", limits::VULNERABILITIES_MAX),
            Limit::Kept => write!(f, "findings of more than {} MiB", limits::KEPT_BYTES_MAX >> 20),
        }
    }
}

impl std::error::Error for Limit {}

/// The text by which a limit travels through the parser as an error of its own.
pub(crate) const LIMIT_MARK: &str = "\u{0}limit:";

/// The reader.
pub(crate) struct Guard<'a> {
    source: io::BufReader<&'a mut dyn Read>,
    scan: Scan,
    /// The bound that was reached; the parser may ask again.
    stopped: Option<Limit>,
}

/// Where in the JSON the reader is.
#[derive(Default)]
struct Scan {
    offset: u64,
    depth: u32,
    /// Bytes of the string that is open, quotes not counted.
    string: Option<u64>,
    escaped: bool,
}

impl Scan {
    /// Takes one more byte.
    fn step(&mut self, byte: u8) -> Result<(), Limit> {
        self.offset += 1;
        if self.offset > limits::REPORT_BYTES_MAX {
            return Err(Limit::Bytes);
        }
        match (&mut self.string, byte) {
            (Some(_), _) if self.escaped => self.escaped = false,
            (Some(_), b'"') => self.string = None,
            (Some(length), _) => {
                *length += 1;
                self.escaped = byte == b'\\';
                if *length > limits::STRING_BYTES_MAX {
                    return Err(Limit::String);
                }
            }
            (None, b'"') => self.string = Some(0),
            (None, b'[' | b'{') => {
                self.depth += 1;
                if self.depth > limits::DEPTH_MAX {
                    return Err(Limit::Depth);
                }
            }
            (None, b']' | b'}') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }
}

impl Read for Guard<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = if self.stopped.is_none() { self.source.read(out)? } else { 0 };
        for byte in &out[..read] {
            self.stopped = self.scan.step(*byte).err();
            if self.stopped.is_some() {
                break;
            }
        }
        self.stopped.map_or(Ok(read), |limit| Err(io::Error::other(limit)))
    }
}

impl<'a> Guard<'a> {
    pub(crate) fn new(source: &'a mut dyn Read) -> Self {
        let source = io::BufReader::with_capacity(64 * 1024, source);
        Guard { source, scan: Scan::default(), stopped: None }
    }

    /// Parses the whole input: one value, and nothing after it.
    pub(crate) fn parse<T>(
        &mut self,
        seed: impl for<'de> DeserializeSeed<'de, Value = T>,
    ) -> Result<T, Error> {
        self.refuse_other_encodings()?;
        let mut json = serde_json::Deserializer::from_reader(&mut *self);
        let parsed = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
        parsed.map_err(|error| self.explain(error))
    }

    /// JSON is UTF-8 without a mark; what common tools write otherwise gets a message of its own.
    fn refuse_other_encodings(&mut self) -> Result<(), Error> {
        let start =
            io::BufRead::fill_buf(&mut self.source).map_err(|source| Error::Read { offset: 0, source })?;
        let what = match start {
            [0xef, 0xbb, 0xbf, ..] => "starts with a byte order mark, JSON must not",
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
                "UTF-16 or binary, not UTF-8 JSON"
            }
            [] => "empty",
            _ => return Ok(()),
        };
        Err(Error::Syntax { offset: 0, what: what.to_owned() })
    }

    fn explain(&self, error: serde_json::Error) -> Error {
        // The byte that does not fit has been taken already.
        let offset = if error.is_eof() { self.scan.offset } else { self.scan.offset.saturating_sub(1) };
        if error.is_io() {
            let source = io::Error::from(error);
            let limit = source.get_ref().and_then(|inner| inner.downcast_ref::<Limit>()).copied();
            return match limit {
                Some(limit) => Error::Limit { offset, limit },
                None => Error::Read { offset, source },
            };
        }
        let text = error.to_string();
        if let Some(limit) = [Limit::Vulnerabilities, Limit::Kept].into_iter().find(|l| is_marked(&text, *l))
        {
            return Error::Limit { offset, limit };
        }
        // The parser's own line and column, which say the same as the offset.
        let plain = text.rsplit_once(" at line ").map_or(text.as_str(), |(plain, _)| plain);
        Error::Syntax { offset, what: shown(plain) }
    }
}

fn is_marked(text: &str, limit: Limit) -> bool {
    text.strip_prefix(LIMIT_MARK).is_some_and(|rest| rest.starts_with(&limit.to_string()))
}

/// A limit as the parser's error.
pub(crate) fn limit_error<E: serde::de::Error>(limit: Limit) -> E {
    E::custom(format!("{LIMIT_MARK}{limit}"))
}
