//! Sparse files in layers: those that GNU tar makes come out as they went in, with their holes; those that lie are refused.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod dsl;

use dsl::{Head, Tar, head};
use layer::{Error, Extractor, Flavor, Limits, TarReader};
use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
    process::Command,
};

const MIB: u64 = 1 << 20;

fn tar() -> Tar {
    Tar::default()
}

fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("skipped: needs root to set owners");
    }
    root
}

fn unpack(root: &Path, bytes: &[u8], limits: Limits) -> Result<u64, Error> {
    let mut extractor = Extractor::new(File::open(root).unwrap().into(), Flavor::Native, limits, &|| false);
    extractor.tar(bytes)?;
    extractor.finish().map(|extracted| extracted.bytes)
}

/// Pieces of text in a file of a size.
fn sparse_file(path: &Path, size: u64, pieces: &[u64]) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for at in pieces {
        file.write_all_at(format!("piece at {at}").as_bytes(), *at).unwrap();
    }
}

#[test]
fn what_gnu_tar_makes_comes_out_as_it_was() {
    if !is_root() || Command::new("tar").arg("--version").output().is_err() {
        return eprintln!("skipped: needs root and GNU tar");
    }
    let from = tempfile::tempdir().unwrap();
    let at = |name: &str| from.path().join(name);
    let many: Vec<u64> = (0..50).map(|n| n * 2 * MIB + 77).collect();
    sparse_file(&at("many"), 125 * MIB, &many);
    sparse_file(&at("few"), 40 * MIB, &[0, 20 * MIB]);
    sparse_file(&at("nothing"), 30 * MIB, &[]);
    sparse_file(&at(&"long".repeat(40)), 5 * MIB, &[3 * MIB]);
    fs::write(at("plain"), "plain").unwrap();
    let formats: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ];
    for format in formats {
        let made = Command::new("tar")
            .args(["--sparse", "--hole-detection=seek", "-cf", "-"])
            .args(format)
            .arg("-C")
            .arg(from.path())
            .arg(".")
            .output()
            .unwrap();
        assert!(made.status.success() && made.stdout.len() < 3 << 20, "{format:?}");
        let to = tempfile::tempdir().unwrap();
        let bytes = unpack(to.path(), &made.stdout, Limits::default()).unwrap();
        assert_eq!(bytes, 200 * MIB + 5, "sizes are those with holes");
        let mut names = 0;
        for entry in fs::read_dir(from.path()).unwrap() {
            let (one, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
            let other = to.path().join(name);
            let same = Command::new("cmp").arg(&one).arg(&other).status().unwrap();
            assert!(same.success(), "{format:?} {}", other.display());
            let taken = fs::metadata(&other).unwrap().blocks() * 512;
            assert!(taken <= fs::metadata(&one).unwrap().blocks() * 512 + 7 * MIB, "{format:?}: holes stay");
            names += 1;
        }
        assert_eq!((names, fs::read_dir(to.path()).unwrap().count()), (5, 5), "under their own names");
        // Whoever does not ask for them is not given them.
        let mut plain = TarReader::new(&made.stdout[..], &Limits::default());
        let refused = std::iter::from_fn(|| plain.next_entry().transpose()).find_map(Result::err).unwrap();
        assert!(refused.to_string().contains("unsupported: sparse file"), "{refused}");
    }
}

fn octal(number: u64) -> Vec<u8> {
    format!("{number:011o}\0").into_bytes()
}

/// A header of GNU's old kind: parts, real size, and whether the map goes on.
fn old(parts: &[(u64, u64)], real: u64, stored: u64, goes_on: bool) -> Head {
    let mut head = head("a", b'S').field(257, b"ustar  \0").size(stored).field(483, &octal(real));
    for (at, (offset, size)) in parts.iter().enumerate() {
        head = head.field(386 + 24 * at, &octal(*offset)).field(398 + 24 * at, &octal(*size));
    }
    if goes_on { head.field(482, b"\x01") } else { head }
}

fn newest(map: &str, real: u64, data: &[u8]) -> Vec<u8> {
    let mut content = map.as_bytes().to_vec();
    content.resize(content.len().next_multiple_of(512), 0);
    content.extend_from_slice(data);
    let real = real.to_string();
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"a"),
        ("GNU.sparse.realsize", real.as_bytes()),
    ];
    tar().pax(&records).raw(head("GNUSparseFile.1/a", b'0').size(content.len() as u64), &content).end()
}

fn read(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut reader = TarReader::with_sparse(bytes, &Limits::default());
    let mut content = Vec::new();
    while reader.next_entry()?.is_some() {
        reader.read_to_end(&mut content).map_err(|e| match e.downcast::<Error>() {
            Ok(ours) => ours,
            Err(source) => Error::Io { doing: "reading".into(), source },
        })?;
    }
    Ok(content)
}

#[test]
fn maps_that_lie_are_refused() {
    let good = read(&tar().raw(old(&[(2, 3)], 7, 3, false), b"xyz").file("b", "!").end()).unwrap();
    assert_eq!(good, b"\0\0xyz\0\0!");
    assert_eq!(read(&newest("2\n0\n1\n4\n2\n", 8, b"xyz")).unwrap(), b"x\0\0\0yz\0\0");
    // A map of so many parts that it goes on in two blocks of its own.
    let parts: Vec<(u64, u64)> = (0..30).map(|n| (n * 2, 1)).collect();
    let mut more = vec![0; 1024];
    for (at, (offset, size)) in parts[4..].iter().enumerate() {
        let place = 512 * (at / 21) + 24 * (at % 21);
        more[place..place + 12].copy_from_slice(&octal(*offset));
        more[place + 12..place + 24].copy_from_slice(&octal(*size));
    }
    more[504] = 1;
    let mut long = tar().raw(old(&parts[..4], 60, 30, true), b"");
    long = long.bytes(&more).bytes(&[b'x'; 30]).file("b", "!");
    assert_eq!(read(&long.end()).unwrap(), [b"x\0".repeat(30), b"!".to_vec()].concat());

    let endless = [old(&[], 9, 0, true).sealed().to_vec(), endless_map()].concat();
    let many = (0..200_000u32).map(|n| format!("{}\n1\n", n * 2)).collect::<String>();
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("overlapping", tar().raw(old(&[(0, 3), (2, 3)], 9, 6, false), b"xxxxxx").end(), "malformed map"),
        ("backwards", tar().raw(old(&[(5, 3), (0, 3)], 9, 6, false), b"xxxxxx").end(), "malformed map"),
        ("beyond the end", tar().raw(old(&[(5, 3)], 7, 3, false), b"xxx").end(), "malformed map"),
        ("more stored than mapped", tar().raw(old(&[(0, 3)], 9, 4, false), b"xxxx").end(), "has 3 bytes"),
        ("map that never ends", endless, "more than 131072 parts"),
        ("map cut short", newest("3\n0\n1\n", 8, b""), "malformed map"),
        ("map of letters", newest("x\n0\n1\n", 8, b"x"), "malformed map"),
        ("map of millions", newest("10000000\n", 8, b"x"), "more than 131072 parts"),
        ("map of 200000", newest(&format!("200000\n{many}"), 400_000, &vec![b'x'; 200_000]), "131072 parts"),
        ("1.0 of no content", newest("", 8, b""), "malformed map"),
        ("a sparse folder", sparse_folder(), "or no file"),
    ];
    for (what, bytes, why) in cases {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(why), "{what}: {error}");
    }
}

/// Blocks of a map, each of which says that there is another.
fn endless_map() -> Vec<u8> {
    let mut block = [0; 512];
    for at in 0..42 {
        block[12 * at..12 * at + 12].copy_from_slice(&octal(0));
    }
    block[504] = 1;
    block.repeat(7000)
}

fn sparse_folder() -> Vec<u8> {
    let records: [(&str, &[u8]); 2] = [("GNU.sparse.size", b"5"), ("GNU.sparse.numblocks", b"0")];
    tar().pax(&records).dir("d").end()
}

#[test]
fn apparent_sizes_are_bounded_and_holes_take_no_room() {
    if !is_root() {
        return;
    }
    let huge = |real: u64| tar().raw(old(&[(real - 1, 1)], real, 1, false), b"x").end();
    let to = tempfile::tempdir().unwrap();
    let terabyte = 1u64 << 40;
    // Octal has eleven digits in this field, so the largest of these is written in binary.
    let mut head = old(&[], 0, 0, false);
    head.0[483..495].copy_from_slice(&[&[0x80u8, 0, 0, 0][..], &terabyte.to_be_bytes()].concat());
    let error = unpack(to.path(), &tar().raw(head, b"").end(), Limits::default()).unwrap_err();
    assert!(matches!(&error, Error::Limit(why) if why.contains("files of more than")), "{error}");
    assert_eq!(unpack(to.path(), &huge(256 << 20), Limits::default()).unwrap(), 256 << 20);
    let made = fs::metadata(to.path().join("a")).unwrap();
    assert!(made.len() == 256 << 20 && made.blocks() * 512 <= MIB, "{} blocks", made.blocks());
    let limits = Limits { unpacked_bytes: 128 << 20, ..Limits::default() };
    assert!(matches!(unpack(to.path(), &huge(256 << 20), limits), Err(Error::Limit(_))));
}
