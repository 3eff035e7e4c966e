//! Layers as text: one line per entry, so that a test's image is a few readable lines.
//!
//! ```text
//! dir     etc
//! dir     srv/private        mode=700 uid=1000 gid=1000
//! file    etc/motd           text=hello\n
//! file    bin/ping           mode=4755 size=4096 xattr.security.capability=0100000200200000
//! link    etc/motd2          to=etc/motd
//! symlink etc/mtab           to=/proc/mounts
//! fifo    run/pipe
//! char    dev/null           device=1,3
//! gone    etc/old
//! opaque  opt/new
//! ```
//! A path is written into the layer as it stands here, so `../escape` and `/absolute` are what they look like. `\s` is a
//! space, `\n` a line end, `\\` a backslash and `\xff` a byte, in paths and values. `gone` and `opaque` write the
//! whiteouts of the OCI image specification. Lines that are empty or start with `#` say nothing.

use crate::Error;
use crate::tar::{Entry, Kind};

/// The time of entries that name none: 2026-01-01.
pub const EPOCH: i64 = 1_767_225_600;

/// [`EPOCH`] as reports and configurations write it.
pub const EPOCH_TEXT: &str = "2026-01-01T00:00:00Z";

/// Reads the entries of a layer from text.
pub fn parse(text: &str) -> Result<Vec<Entry>, Error> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| entry(line).map_err(|why| Error::malformed(format!("layer line `{line}`"), why)))
        .collect()
}

/// The tar of a layer from text; for tests, so a mistake in the text panics.
pub fn layer(text: &str) -> Vec<u8> {
    crate::tar::write(&parse(text).expect("the text of a test's layer is well-formed"))
}

fn entry(line: &str) -> Result<Entry, String> {
    let mut words = line.split_whitespace();
    let (Some(kind), Some(path)) = (words.next(), words.next()) else {
        return Err("wants a kind and a path".into());
    };
    let path = unescape(path)?;
    let mut entry = match kind {
        "dir" => Entry::new(path, Kind::Directory),
        "file" => Entry::new(path, Kind::File(Vec::new())),
        "link" => Entry::new(path, Kind::Hardlink(Vec::new())),
        "symlink" => Entry::new(path, Kind::Symlink(Vec::new())),
        "fifo" => Entry::new(path, Kind::Fifo),
        "char" => Entry::new(path, Kind::CharDevice(0, 0)),
        "block" => Entry::new(path, Kind::BlockDevice(0, 0)),
        "gone" => whiteout(&path),
        "opaque" => Entry::new([&path[..], b"/.wh..wh..opq"].concat(), Kind::File(Vec::new())),
        other => return Err(format!("`{other}` is no kind of entry")),
    };
    words.try_for_each(|word| set(&mut entry, word.split_once('=').ok_or("wants key=value")?))?;
    Ok(entry)
}

fn set(entry: &mut Entry, (key, value): (&str, &str)) -> Result<(), String> {
    let number = |value: &str| value.parse().map_err(|error| format!("{key}: {error}"));
    match (key, &mut entry.kind) {
        ("mode", _) => {
            entry.mode = u32::from_str_radix(value, 8).map_err(|error| format!("{key}: {error}"))?
        }
        ("uid", _) => entry.uid = number(value)?,
        ("gid", _) => entry.gid = number(value)?,
        ("mtime", _) => entry.mtime = value.parse().map_err(|error| format!("{key}: {error}"))?,
        ("ns", _) => entry.nanoseconds = number(value)? as u32,
        ("text", Kind::File(content)) => *content = unescape(value)?,
        ("size", Kind::File(content)) => *content = vec![b'.'; number(value)? as usize],
        ("to", Kind::Hardlink(target) | Kind::Symlink(target)) => *target = unescape(value)?,
        ("device", Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor)) => {
            let (first, second) = value.split_once(',').ok_or("device wants major,minor")?;
            (*major, *minor) = (number(first)? as u32, number(second)? as u32);
        }
        _ => match key.strip_prefix("xattr.") {
            Some(name) => drop(entry.xattrs.insert(name.to_owned(), bytes_of_hex(value)?)),
            None => return Err(format!("`{key}` does not belong to this kind of entry")),
        },
    }
    Ok(())
}

/// The entry that removes what lower layers have at `path`.
pub fn whiteout(path: &[u8]) -> Entry {
    let name = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    Entry::new([&path[..name], b".wh.", &path[name..]].concat(), Kind::File(Vec::new()))
}

fn bytes_of_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or("wants pairs of hex digits")?;
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    while let Some(part) = parts.next() {
        let (byte, rest) = match part.chars().next() {
            Some('n') => (b'\n', &part[1..]),
            Some('s') => (b' ', &part[1..]),
            Some('x') => (bytes_of_hex(part.get(1..3).ok_or("\\x wants two digits")?)?[0], &part[3..]),
            None => (b'\\', parts.next().unwrap_or_default()),
            Some(other) => return Err(format!("`\\{other}` is no escape")),
        };
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Entry) {
        assert_eq!(parse(line).unwrap(), [expected], "{line}");
    }

    #[test]
    fn lines_are_entries() {
        check("dir etc", Entry::directory("etc"));
        check(
            "file a\\sb mode=4755 text=x\\n\\\\\\xff",
            Entry::new("a b", Kind::File(b"x\n\\\xff".to_vec())).mode(0o4755),
        );
        check("link b to=a", Entry::new("b", Kind::Hardlink(b"a".to_vec())));
        check("symlink ../c to=/etc", Entry::new("../c", Kind::Symlink(b"/etc".to_vec())));
        check("char dev/null device=1,3", Entry::new("dev/null", Kind::CharDevice(1, 3)));
        check("gone a/b", Entry::file("a/.wh.b", ""));
        check("gone b", Entry::file(".wh.b", ""));
        check("opaque a", Entry::file("a/.wh..wh..opq", ""));
        let capable = parse("file a xattr.security.capability=01ff uid=7 mtime=-1").unwrap().remove(0);
        assert_eq!((capable.uid, capable.mtime), (7, -1));
        assert_eq!(capable.xattrs["security.capability"], [1, 255]);
    }

    #[test]
    fn comments_say_nothing_and_mistakes_are_named() {
        assert_eq!(parse("# no\n\n").unwrap(), []);
        for line in
            ["dir", "thing a", "dir a to=b", "file a mode=9", "file a \\q=1", "file a xattr.u=0", "file \\q"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
