//! `scripts.tar`: the scripts of all installed packages, each under `<name>-<version>.<checksum>.<script>`, as apk-tools 2.14 writes
//! it (`apk_db_scriptdb_write`, `apk_tar_write_entry`). What belongs to packages that stay is kept byte for byte.

use super::{Next, incoming::Incoming};
use crate::Error;
use inventory::apk::installed::Record;

const BLOCK: usize = 512;

/// Longest name: apk cuts longer ones off.
const NAME_BYTES: usize = 99;

/// Scripts in apk's order.
pub(super) const SCRIPTS: [&str; 7] = [
    ".pre-install",
    ".post-install",
    ".pre-deinstall",
    ".post-deinstall",
    ".pre-upgrade",
    ".post-upgrade",
    ".trigger",
];

/// One member: its name, and its bytes with all headers.
struct Member<'a> {
    name: String,
    bytes: &'a [u8],
}

/// The archive with the scripts of the packages that there are now.
pub(super) fn rewritten(old: &[u8], next: &[Next<'_>]) -> Result<Vec<u8>, String> {
    let members = members(old)?;
    let is_of = |member: &Member<'_>, record: &Record| member.name.starts_with(&stem(record));
    let mut out = Vec::new();
    for one in next {
        match one.incoming {
            Some(incoming) => scripts(incoming, &stem(&one.record), &mut out),
            None => {
                let own = members.iter().filter(|member| is_of(member, &one.record));
                own.for_each(|member| out.extend_from_slice(member.bytes));
            }
        }
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    Ok(out)
}

fn stem(record: &Record) -> String {
    let get = |letter| record.get(letter).unwrap_or_default();
    format!("{}-{}.{}.", get('P'), get('V'), get('C'))
}

/// Appends the scripts of a package that is new.
fn scripts(incoming: &Incoming<'_>, stem: &str, out: &mut Vec<u8>) {
    let built = incoming.record("t").and_then(|text| text.parse().ok()).unwrap_or(0);
    for script in SCRIPTS {
        let Some(content) = incoming.package.control.get(script) else { continue };
        let name = format!("{stem}{}", script.trim_start_matches('.'));
        out.extend_from_slice(&header(&name, content.len(), built));
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
}

/// A header as apk writes it: root's, 0755, in the form before POSIX.
fn header(name: &str, size: usize, time: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name.as_bytes()[..name.len().min(NAME_BYTES)]);
    put(100, format!("{:07o}", 0o755).as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{time:011o}").get(..11).unwrap_or("00000000000").as_bytes());
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar  ");
    put(265, b"root");
    put(297, b"root");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:07o}").as_bytes());
    block[155] = 0;
    block
}

/// Takes an archive apart. Headers that extend the next member belong to it.
fn members(archive: &[u8]) -> Result<Vec<Member<'_>>, String> {
    let (mut members, mut start, mut at) = (Vec::new(), 0, 0);
    while let Some(block) = archive.get(at..at + BLOCK).filter(|block| block.iter().any(|byte| *byte != 0)) {
        let size = octal(&block[124..136]).ok_or_else(|| format!("no size at byte {at}"))?;
        let end = size.checked_next_multiple_of(BLOCK).and_then(|size| size.checked_add(at + BLOCK));
        let end = end
            .filter(|end| *end <= archive.len())
            .ok_or_else(|| format!("ends in the member at byte {at}"))?;
        if !matches!(block[156], b'x' | b'g' | b'L' | b'K') {
            let name = block[..100].split(|byte| *byte == 0).next().unwrap_or_default();
            members.push(Member {
                name: String::from_utf8_lossy(name).into_owned(),
                bytes: &archive[start..end],
            });
            start = end;
        }
        at = end;
    }
    Ok(members)
}

fn octal(field: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() { Some(0) } else { usize::from_str_radix(text, 8).ok() }
}

/// The archive's error, with its path.
pub(super) fn error(path: &str) -> impl Fn(String) -> Error + '_ {
    move |why| Error::database(path, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for name in names {
            out.extend_from_slice(&header(name, name.len(), 1_700_000_000));
            out.extend_from_slice(name.as_bytes());
            out.resize(out.len().next_multiple_of(BLOCK), 0);
        }
        out.resize(out.len() + 2 * BLOCK, 0);
        out
    }

    #[test]
    fn members_are_kept_by_whom_they_are_of() {
        let record = |name: &str| Record::new(&format!("C:Q1x=\nP:{name}\nV:1-r0\n")).unwrap();
        let old = archive(&["a-1-r0.Q1x=.post-install", "b-1-r0.Q1x=.trigger", "gone-1-r0.Q1x=.trigger"]);
        let next = ["a", "b"].map(|name| Next { record: record(name), incoming: None });
        let expected = archive(&["a-1-r0.Q1x=.post-install", "b-1-r0.Q1x=.trigger"]);
        assert_eq!(rewritten(&old, &next).unwrap(), expected);
        assert_eq!(rewritten(b"", &next).unwrap(), vec![0; 1024]);
        let mut reader = layer::TarReader::new(&expected[..], &layer::Limits::default());
        let entry = reader.next_entry().unwrap().unwrap();
        assert_eq!((entry.mode, entry.mtime.0), (0o755, 1_700_000_000));
        assert!(members(&old[..600]).is_err());
        let mut bad = old.clone();
        bad[124..136].copy_from_slice(b"99999999999x");
        assert!(members(&bad).is_err());
    }
}
