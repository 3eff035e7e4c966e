//! `/etc/apk/world`: what the image's builder asked for, and with it what pins a package.

use super::relation::Relation;
use crate::{Error, check_size};

/// Largest file taken; it has a line for each package asked for.
pub const BYTES_MAX: usize = 1024 * 1024;

/// Most constraints taken.
const CONSTRAINTS_MAX: usize = 20_000;

/// Reads the world: constraints parted by blanks or line breaks.
pub fn parse(bytes: &[u8]) -> Result<Vec<Relation>, Error> {
    check_size(bytes, BYTES_MAX)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Malformed("not UTF-8 text".into()))?;
    let words: Vec<_> = text.split_ascii_whitespace().take(CONSTRAINTS_MAX + 1).collect();
    match words.len() > CONSTRAINTS_MAX {
        true => Err(Error::Malformed(format!("more than {CONSTRAINTS_MAX} constraints"))),
        false => words.into_iter().map(Relation::parse).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_read() {
        let world = parse(b"alpine-base\nnginx=1.24.0-r7\n\nbusybox@edge musl\n!x\n").unwrap();
        let names: Vec<_> = world.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["alpine-base", "nginx", "busybox", "musl", "x"]);
        assert!(parse(b"").unwrap().is_empty());
        for bytes in [&b"a\0b"[..], b"\xff", b"=1", &b"a ".repeat(CONSTRAINTS_MAX + 1)] {
            assert!(parse(bytes).is_err());
        }
    }
}
