//! The gzip members a package and an index are made of (`apk-v2(5)` of apk-tools): signature, control and data, each a tar of
//! its own, of which only the last one is ended.

use crate::Error;
use crate::tar::{self, Entry, Kind};
use flate2::{Compression, GzBuilder};
use std::io::Write;

/// One member: the entries, and whether the archive ends with it.
pub fn of(entries: &[Entry], ended: bool) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    for entry in entries {
        tar::append(&mut plain, entry).map_err(Error::io("apk"))?;
    }
    if ended {
        tar::finish(&mut plain).map_err(Error::io("apk"))?;
    }
    packed(&plain)
}

/// The member that has a package's files, each with its checksum in a header of its own.
pub fn data(entries: &[Entry]) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    for entry in entries {
        if let Some(content) = checked(entry, entries) {
            let record = record("APK-TOOLS.checksum.SHA1", &super::sha1(content)?);
            header(&mut plain, &record)?;
        }
        let mut entry = entry.clone();
        if entry.kind == Kind::Directory {
            entry.path.push(b'/');
        }
        tar::append(&mut plain, &entry).map_err(Error::io("apk"))?;
    }
    tar::finish(&mut plain).map_err(Error::io("apk"))?;
    packed(&plain)
}

/// What the checksum of an entry is taken of: a file's content, a link's target.
pub fn checked<'a>(entry: &'a Entry, all: &'a [Entry]) -> Option<&'a [u8]> {
    match &entry.kind {
        Kind::File(content) => Some(content),
        Kind::Symlink(target) => Some(target),
        Kind::Hardlink(target) => all.iter().find(|other| other.path == *target)?.content(),
        _ => None,
    }
}

fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|length| *length == rest + length.to_string().len()).unwrap_or(rest);
    format!("{length} {key}={value}\n").into_bytes()
}

/// A pax header. The plain writer has no such entry, so its block for a file is made one.
fn header(out: &mut Vec<u8>, record: &[u8]) -> Result<(), Error> {
    let start = out.len();
    tar::append(out, &Entry::file("./PaxHeaders/apk", record)).map_err(Error::io("apk"))?;
    let block = &mut out[start..start + 512];
    block[156] = b'x';
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(())
}

/// Packed, the same way every time.
fn packed(plain: &[u8]) -> Result<Vec<u8>, Error> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::default());
    encoder.write_all(plain).map_err(Error::io("apk"))?;
    encoder.finish().map_err(Error::io("apk"))
}
