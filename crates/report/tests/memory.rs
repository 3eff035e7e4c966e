//! Memory stays small whatever a report holds (row R2). Alone in its program: the high-water mark is the process's.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use report::{Error, Findings, Format, read};
use std::{
    fs,
    io::{self, Read},
};

/// The most that reading any report may take, test program included.
const RESIDENT_KIB_MAX: u64 = 200 * 1024;

/// A report made while it is read: a beginning, pieces made by number, an end.
struct Made<F> {
    piece: F,
    pieces: u64,
    next: u64,
    rest: io::Cursor<Vec<u8>>,
}

fn made(pieces: u64, piece: impl Fn(u64) -> String) -> Made<impl FnMut(u64) -> String> {
    let start = r#"{"SchemaVersion":2,"ArtifactName":"x","Results":[{"Class":"os-pkgs","Type":"debian","#;
    let rest = io::Cursor::new(start.as_bytes().to_vec());
    Made { piece: move |n| piece(n), pieces, next: 0, rest }
}

impl<F: FnMut(u64) -> String> Read for Made<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.rest.read(out)?;
            if read > 0 || self.next > self.pieces {
                return Ok(read);
            }
            let last = self.next == self.pieces;
            let next = if last { "]}]}".to_owned() } else { (self.piece)(self.next) };
            self.rest = io::Cursor::new(next.into_bytes());
            self.next += 1;
        }
    }
}

fn resident_peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn trivy(source: impl Read) -> Result<Findings, Error> {
    read(source, Format::Trivy)
}

fn vulnerability(n: u64, id: u64) -> String {
    let before = if n == 0 { r#""Vulnerabilities":["# } else { "," };
    let text =
        r#""PkgName":"libssl3","InstalledVersion":"3.0.11-1~deb12u2","FixedVersion":"3.0.13-1~deb12u1""#;
    format!(r#"{before}{{"VulnerabilityID":"CVE-2024-{id}",{text}}}"#)
}

#[test]
fn r2_memory_is_bounded_for_any_report() {
    // The benign twin: more findings than any image has.
    let many = trivy(made(50_000, |n| vulnerability(n, n))).unwrap();
    assert_eq!(many.os.len(), 50_000);
    drop(many);

    let identical = trivy(made(1_000_000, |n| vulnerability(n, 1))).unwrap();
    assert_eq!(identical.os.len(), 1);

    let message = |source: &mut dyn Read| trivy(source).unwrap_err().to_string();
    let different = message(&mut made(2_000_000, |n| vulnerability(n, n)));
    assert!(different.ends_with("findings of more than 64 MiB"), "{different}");

    // 2 GB that say nothing at all: reading stops at the limit.
    let blank = " ".repeat(1024 * 1024);
    let huge = message(&mut made(2048, |_| blank.clone()));
    assert_eq!(huge, "report refused at byte 268435456: larger than 256 MiB");

    let letters = "a".repeat(1024 * 1024);
    let piece = |n| if n == 0 { format!("\"Target\":\"{letters}") } else { letters.clone() };
    let string = message(&mut made(100, piece));
    assert!(string.ends_with("a string longer than 4 MiB"), "{string}");

    let digests = message(&mut made(100_000_000, |n| {
        if n == 0 { r#""x":1}],"Metadata":{"RepoDigests":["""#.to_owned() } else { r#","""#.to_owned() }
    }));
    assert!(digests.ends_with("RepoDigests is too long"), "{digests}");

    let kinds = message(&mut made(1000, |_| format!(r#""x":1}},{{"Class":"{letters}","Type":"{letters}","#)));
    assert!(kinds.ends_with("class or type is too long"), "{kinds}");

    let empty = message(&mut made(100_000_000, |_| r#""x":1},{"#.to_owned()));
    assert!(empty.ends_with("more than 100000 results"), "{empty}");

    let peak = resident_peak_kib();
    assert!(peak < RESIDENT_KIB_MAX, "{peak} KiB");
}
