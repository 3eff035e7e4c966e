//! The checksums by which apk knows packages and files: `Q1` with SHA-1, `Q2` with SHA-256, in base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1_checked::Digest as _;
use std::{
    fmt,
    io::{self, Read},
};

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// A checksum. What was read from a database may be the beginning of one only: apk 3 keeps 20 bytes of a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    kind: Kind,
    bytes: Vec<u8>,
}

/// The hash of a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Q1`.
    Sha1,
    /// `Q2`.
    Sha256,
}

impl Checksum {
    /// The checksum a text is; `None` where it is none that is known.
    pub fn parse(text: &str) -> Option<Checksum> {
        let (kind, rest) = match text.split_at_checked(2)? {
            ("Q1", rest) => (Kind::Sha1, rest),
            ("Q2", rest) => (Kind::Sha256, rest),
            _ => return None,
        };
        let bytes = STANDARD.decode(rest).ok()?;
        let good = bytes.len() == 20 || (kind == Kind::Sha256 && bytes.len() == 32);
        good.then_some(Checksum { kind, bytes })
    }

    /// The checksum of what can be read. An error where bytes were made to have the SHA-1 of others.
    pub fn of(mut content: impl Read, kind: Kind) -> io::Result<Checksum> {
        let mut hashing = Hashing::new(kind);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => hashing.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let made = hashing.finish();
        made.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "made to collide with other bytes"))
    }

    /// Which hash it is of.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is the checksum of the same bytes as a whole one.
    pub fn is(&self, whole: &Checksum) -> bool {
        self.kind == whole.kind && whole.bytes.starts_with(&self.bytes)
    }
}

impl fmt::Display for Checksum {
    /// As apk writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.kind {
            Kind::Sha1 => "Q1",
            Kind::Sha256 => "Q2",
        };
        write!(f, "{prefix}{}", STANDARD.encode(&self.bytes))
    }
}

/// A checksum in the making.
pub struct Hashing(State);

enum State {
    Sha1(Box<sha1_checked::Sha1>),
    Sha256(Box<ring::digest::Context>),
}

impl Hashing {
    /// Of no bytes yet.
    pub fn new(kind: Kind) -> Hashing {
        Hashing(match kind {
            Kind::Sha1 => State::Sha1(Box::default()),
            Kind::Sha256 => State::Sha256(Box::new(ring::digest::Context::new(&ring::digest::SHA256))),
        })
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha1(sha1) => sha1.update(bytes),
            State::Sha256(sha256) => sha256.update(bytes),
        }
    }

    /// The checksum; `None` where the bytes were made to have the SHA-1 of others.
    pub fn finish(self) -> Option<Checksum> {
        let (kind, bytes) = match self.0 {
            State::Sha256(sha256) => (Kind::Sha256, sha256.finish().as_ref().to_vec()),
            State::Sha1(sha1) => {
                let result = sha1.try_finalize();
                if result.has_collision() {
                    return None;
                }
                (Kind::Sha1, result.hash().to_vec())
            }
        };
        Some(Checksum { kind, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_written_as_apk_writes_them() {
        // `printf '' | openssl dgst -sha1 -binary | base64`, and the same of SHA-256.
        let one = Checksum::of(&b""[..], Kind::Sha1).unwrap();
        assert_eq!(one.to_string(), "Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=");
        let two = Checksum::of(&b""[..], Kind::Sha256).unwrap();
        assert_eq!(two.to_string(), "Q247DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        for whole in [&one, &two] {
            assert_eq!(Checksum::parse(&whole.to_string()).as_ref(), Some(whole));
        }
        let begun = format!("Q2{}", STANDARD.encode(&two.bytes[..20]));
        let begun = Checksum::parse(&begun).unwrap();
        assert!(begun.is(&two) && !begun.is(&one) && !one.is(&two) && one.is(&one));
        for text in ["", "Q", "Q1", "Q1AAAA", "Q3aa", "é1aa", "Q247DE", "Q1\u{e9}"] {
            assert_eq!(Checksum::parse(text), None, "{text}");
        }
    }
}
