//! The outer form of a `.deb` (deb(5)): an ar archive of which only one way to read is taken.

use crate::section::Section;
use std::io;

/// How an ar archive begins.
const MAGIC: &[u8; 8] = b"!<arch>\n";
/// Bytes of a member's header.
const HEADER_BYTES: u64 = 60;
/// Members of a `.deb`: three, and room for signatures.
const MEMBERS_MAX: usize = 16;

/// One member.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) content: Section,
}

/// The members, in order. An error says what is wrong and where.
pub(crate) fn members(archive: &Section) -> Result<Vec<Member>, String> {
    let magic = archive.part(0, MAGIC.len() as u64).and_then(|section| bytes::<8>(section).ok());
    if magic.as_ref() != Some(MAGIC) {
        return Err("not an ar archive".into());
    }
    let (mut members, mut at) = (Vec::new(), MAGIC.len() as u64);
    while at < archive.len() {
        if members.len() == MEMBERS_MAX {
            return Err(format!("more than {MEMBERS_MAX} members"));
        }
        let start = at;
        let cut = || format!("cut short at byte {start}");
        let header = archive.part(at, HEADER_BYTES).ok_or_else(cut)?;
        let (name, size) = header_of(&bytes::<60>(header).map_err(|e| e.to_string())?)
            .ok_or_else(|| format!("malformed member header at byte {at}"))?;
        let content = archive.part(at + HEADER_BYTES, size).ok_or_else(cut)?;
        members.push(Member { name, content });
        at = at + HEADER_BYTES + size;
        // Members begin at even bytes; the padding is a newline, and may be left out only at the very end.
        if size % 2 == 1 && at < archive.len() {
            let padding = archive.part(at, 1).ok_or_else(cut)?;
            if bytes::<1>(padding).ok() != Some(*b"\n") {
                return Err(format!("malformed padding at byte {at}"));
            }
            at += 1;
        }
    }
    Ok(members)
}

fn bytes<const N: usize>(mut section: Section) -> io::Result<[u8; N]> {
    let mut out = [0; N];
    io::Read::read_exact(&mut section, &mut out)?;
    Ok(out)
}

/// Name and size. A trailing slash after the name is the GNU way; long names have no place in a `.deb`.
fn header_of(header: &[u8; 60]) -> Option<(String, u64)> {
    let field =
        |from: usize, to: usize| std::str::from_utf8(&header[from..to]).ok().map(|t| t.trim_end_matches(' '));
    let name = field(0, 16)?;
    let name = name.strip_suffix('/').unwrap_or(name);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let size = field(48, 58)?;
    let good = !name.is_empty()
        && name.bytes().all(plain)
        && !size.is_empty()
        && size.bytes().all(|b| b.is_ascii_digit())
        && header[58..] == *b"`\n";
    good.then(|| Some((name.to_owned(), size.parse().ok()?))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::testing::section;
    use std::io::Read;

    fn member(name: &str, content: &[u8]) -> Vec<u8> {
        let mut out =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).into_bytes();
        out.extend_from_slice(content);
        if content.len() % 2 == 1 {
            out.push(b'\n');
        }
        out
    }

    fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
        [&MAGIC[..], &parts.concat()].concat()
    }

    #[test]
    fn members_come_in_order_and_are_read_apart() {
        let bytes = archive(&[
            member("debian-binary", b"2.0\n"),
            member("control.tar/", b"abc"),
            member("data.tar", b""),
        ]);
        let found = members(&section(&bytes)).unwrap();
        let read = |m: &Member| {
            let mut content = String::new();
            m.content.clone().read_to_string(&mut content).unwrap();
            (m.name.clone(), content)
        };
        let expected = [("debian-binary", "2.0\n"), ("control.tar", "abc"), ("data.tar", "")];
        assert_eq!(
            found.iter().map(read).collect::<Vec<_>>(),
            expected.map(|(n, c)| (n.to_owned(), c.to_owned()))
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let good = archive(&[member("debian-binary", b"2.0\n"), member("x", b"abc"), member("y", b"z")]);
        assert!(members(&section(&good)).is_ok());
        let mut bad =
            vec![b"".to_vec(), b"!<arch>".to_vec(), good[..good.len() - 3].to_vec(), good[..70].to_vec()];
        for (at, byte) in [(0, b'?'), (8, b'/'), (8, 0), (56, b'x'), (56, b'-'), (66, b'?'), (139, b'?')] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bad.push(bytes);
        }
        bad.push(archive(&[member("#1/20", b"abc")]));
        bad.push(archive(&vec![member("x", b""); MEMBERS_MAX + 1]));
        for bytes in bad {
            assert!(members(&section(&bytes)).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
