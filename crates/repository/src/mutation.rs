//! Whatever is done to what comes from outside, readers end with a value or an error: every seed changed in thousands of ways.
#![allow(clippy::unwrap_used)]

use crate::{
    apk, apt,
    inflate::{Inflate, Packing},
    openpgp::{Clearsigned, Keyring, Signed, verify},
    section::testing::section,
};
use std::io::{Read, Write};
use testkit::{
    apt_repository::{AptRepository, PackageSpec},
    tar::{self, Entry},
};

/// Changes of one seed.
const ROUNDS: u32 = 2_000;

/// Numbers that look random and are the same in every run (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// A seed with some bytes changed, taken out, put in, doubled, or the end cut off.
fn changed(seed: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(7) {
            _ if bytes.is_empty() => return bytes,
            0 => bytes.truncate(at),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, [0, b'\n', b' ', b'-', b':', 0xff][numbers.below(6)]),
            3 => {
                let end = (at + numbers.below(200)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            4 => bytes[at] = b'0' + numbers.below(10) as u8,
            _ => bytes[at] ^= 1 << numbers.below(8),
        }
    }
    bytes
}

pub(crate) fn rounds(seed: &[u8], mut read: impl FnMut(&[u8])) {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    read(seed);
    for _ in 0..ROUNDS {
        read(&changed(seed, &mut numbers));
    }
}

#[test]
fn signed_heads() {
    if let Err(reason) = testkit::apt_repository::needs() {
        testkit::skip!("{reason}");
    }
    let dir = tempfile::tempdir().unwrap();
    let repository = AptRepository::build(dir.path(), &[PackageSpec::new("copa-a", "1")]).unwrap();
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let mut keys = Keyring::default();
    keys.add(&std::fs::read(repository.key_path()).unwrap()).unwrap();
    let (head, mut counted) = (read("dists/copa/InRelease"), 0);
    let original = Clearsigned::parse(&head).unwrap().text;
    rounds(&head, |bytes| {
        let Ok(parts) = Clearsigned::parse(bytes) else { return };
        if verify(Signed::Clear(&parts.text), parts.armour.as_bytes(), &keys, i64::MAX).is_ok() {
            counted += 1;
            assert_eq!(parts.text, original, "what counts as signed is what was signed");
        }
    });
    assert!(counted > 0, "the seed itself");
    let (plain, detached) = (read("dists/copa/Release"), read("dists/copa/Release.gpg"));
    rounds(&detached, |bytes| drop(verify(Signed::Detached(&plain), bytes, &keys, i64::MAX)));
    rounds(&plain, |bytes| {
        let good = verify(Signed::Detached(bytes), &detached, &keys, i64::MAX).is_ok();
        assert!(!good || bytes == plain);
        apt::testing::release(bytes);
    });
}

#[test]
fn keyrings() {
    let armoured = include_bytes!("../keys/debian-archive-trixie-stable.asc");
    rounds(armoured, |bytes| drop(Keyring::default().add(bytes)));
    let text = std::str::from_utf8(armoured).unwrap();
    let body: String = text.lines().filter(|l| !l.starts_with('-') && !l.starts_with('=')).collect();
    rounds(body.as_bytes(), |bytes| drop(Keyring::default().add(bytes)));
}

#[test]
fn lists_and_configuration() {
    let list = b"Package: a\nVersion: 1:2-3\nArchitecture: amd64\nDepends: b (>= 1) | c:any, d\nProvides: v (= 2), w\n\
        Filename: pool/a.deb\nSize: 10\nSHA256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\nPackage: b\nVersion: 1\n\
        Architecture: all\nFilename: b.deb\nSize: 1\nSHA256: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n";
    rounds(list, apt::testing::list);
    let settings = b"APT::Default-Release \"x\"; Acquire { Check-Valid-Until \"no\"; http { Proxy \"p\"; }; }; # c\n/* c */\n";
    let one_line =
        b"deb [arch=amd64 signed-by=/k.gpg trusted=yes] http://a.example/debian bookworm main contrib # c\n";
    let deb822 = b"Types: deb deb-src\nURIs: http://a.example/\nSuites: x y/\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n";
    let pins = b"Package: a lib*\nPin: release a=stable, n=[a-z]*, v=12*\nPin-Priority: 700\n\nPackage: *\nPin: version 1?\nPin-Priority: -1\n";
    for (path, seed) in [
        ("/etc/apt/apt.conf", &settings[..]),
        ("/etc/apt/sources.list", one_line),
        ("/etc/apt/sources.list.d/x.sources", deb822),
        ("/etc/apt/preferences", pins),
    ] {
        rounds(seed, |bytes| apt::testing::configuration(path, bytes));
    }
}

fn deb(packing: Packing) -> Vec<u8> {
    let pack = |bytes: Vec<u8>| match packing {
        Packing::Gzip => {
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gz.write_all(&bytes).unwrap();
            gz.finish().unwrap()
        }
        Packing::Zstd => zstd::encode_all(&bytes[..], 1).unwrap(),
        _ => bytes,
    };
    let end = match packing {
        Packing::Gzip => ".gz",
        Packing::Zstd => ".zst",
        _ => "",
    };
    let control = tar::write(&[
        Entry::file("control", "Package: a\nVersion: 1\nArchitecture: all\n"),
        Entry::file("md5sums", "x\n"),
    ]);
    let data = tar::write(&[Entry::directory("usr"), Entry::file("usr/a", "content")]);
    let mut out = b"!<arch>\n".to_vec();
    let members = [
        ("debian-binary".into(), b"2.0\n".to_vec()),
        (format!("control.tar{end}"), pack(control)),
        (format!("data.tar{end}"), pack(data)),
    ];
    for (name, content) in members {
        out.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).into_bytes(),
        );
        out.extend(&content);
        if content.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

#[test]
fn packages() {
    for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
        let (seed, mut opened, mut files) = (deb(packing), 0, 0);
        rounds(&seed, |bytes| {
            let Ok(package) = apt::deb::open(&section(bytes), "a") else { return };
            opened += 1;
            let visit = &mut |_, content: Option<&mut dyn Read>| {
                files += usize::from(content.is_some_and(|c| c.read_to_end(&mut Vec::new()).is_ok()));
                Ok(())
            };
            drop(package.entries(visit));
        });
        assert!(opened > 0 && files > 0, "the seed itself");
    }
}

#[test]
fn xz() {
    // `xz -9e` of the text below.
    let text = b"Package: a\nVersion: 1\n";
    let seed = testkit::command::argv("xz", ["-9e", "--stdout"]).filter(text);
    let Ok(seed) = seed else { testkit::skip!("needs xz") };
    let unpack = |bytes: &[u8]| {
        let mut out = Vec::new();
        let read =
            Inflate::new(bytes, Packing::Xz, 1 << 20).and_then(|mut stream| stream.read_to_end(&mut out));
        read.map(|_| out)
    };
    assert_eq!(unpack(&seed).unwrap(), text);
    rounds(&seed, |bytes| drop(unpack(bytes)));
}

#[test]
fn bombs_stop() {
    let zeros = vec![0; 256 << 20];
    let bomb = zstd::encode_all(&zeros[..], 1).unwrap();
    let mut stream = Inflate::new(&bomb[..], Packing::Zstd, u64::MAX).unwrap();
    let error = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_err();
    assert!(error.to_string().contains("times its size"), "{error}");
    let small = zstd::encode_all(&zeros[..1 << 20], 1).unwrap();
    let mut stream = Inflate::new(&small[..], Packing::Zstd, 1 << 19).unwrap();
    let error = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_err();
    assert!(error.to_string().contains("more than 524288 bytes"), "{error}");
    let mut stream = Inflate::new(&small[..], Packing::Zstd, 1 << 20).unwrap();
    assert_eq!(std::io::copy(&mut stream, &mut std::io::sink()).unwrap(), 1 << 20);
}

#[test]
fn indexes_packages_and_keys_of_apk() {
    if let Err(reason) = testkit::apk::needs() {
        testkit::skip!("{reason}");
    }
    let dir = tempfile::tempdir().unwrap();
    let spec = testkit::apk::ApkSpec::new("a", "1-r0").file("/usr/a", "content").field("depend", "b>=1");
    let repository = testkit::apk::ApkRepository::build(dir.path(), "x86_64", &[spec]).unwrap();
    let pem = repository.key().unwrap();
    let keys = [(format!("/etc/apk/keys/{}", repository.key_name()), pem.clone())].into();
    let index = std::fs::read(dir.path().join("x86_64/APKINDEX.tar.gz")).unwrap();
    let original = apk::testing::signed(&index, &keys).unwrap();
    rounds(&index, |bytes| {
        if let Some(signed) = apk::testing::signed(bytes, &keys) {
            assert_eq!(signed, original, "what counts as signed is what was signed");
        }
    });
    let mut good = 0;
    rounds(&pem, |bytes| good += usize::from(apk::testing::key(bytes)));
    assert!(good > 0, "the seed itself");
    let list = b"C:Q1aaaa\nP:a\nV:1-r0\nA:x86_64\nS:1\nD:b>=1 !c so:x\np:so:a.so.1=1 cmd:a\nt:1\nk:1\n\nP:b\nV:2-r0\n\n";
    rounds(list, apk::testing::list);
    rounds(b"# x\npkgname = a\npkgver = 1\ndatahash = 00\nreplaces = b<2\n", apk::testing::information);
    packages_of_apk(&std::fs::read(repository.file("a", "1-r0")).unwrap());
}

/// Whatever opens as the package that was chosen has the files of that package.
fn packages_of_apk(seed: &[u8]) {
    let checksum = apk::testing::checksum(&section(seed)).unwrap();
    let chosen = crate::Chosen {
        name: "a".parse().unwrap(),
        version: "1-r0".into(),
        architecture: "x86_64".into(),
        urls: vec![],
        format: crate::Format::Apk,
        size: seed.len() as u64,
        digest: oci::Digest::of(seed),
        why: crate::Why::Asked,
        record: [("C".to_owned(), checksum)].into(),
    };
    let mut opened = 0;
    rounds(seed, |bytes| {
        let Ok(package) = apk::open(&section(bytes), &chosen, "a") else { return };
        opened += 1;
        let mut names = Vec::new();
        let visit = &mut |entry: layer::Entry, content: Option<&mut dyn Read>| {
            content.map(|content| content.read_to_end(&mut Vec::new()).unwrap());
            names.push(entry.path.to_string());
            Ok(())
        };
        package.entries(visit).unwrap();
        assert_eq!(names, ["/usr", "/usr/a"]);
    });
    assert!(opened > 0, "the seed itself");
}
