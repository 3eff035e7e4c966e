//! Whatever is done to what RPM repositories serve, readers end with a value or an error, and nothing that was changed counts as
//! signed.
#![allow(clippy::unwrap_used)]

use super::{
    advisories::Advisories, capabilities::attribute, cpio, keys::Signers, open, primary::units,
    relation::Relation, relation::details, repomd::Repomd, rich::Rich,
};
use crate::{mutation::rounds, openpgp::Keyring, section::testing::section};
use std::{
    collections::BTreeMap,
    io::{self, Read},
    sync::Arc,
};
use testkit::rpm::{self, Repo, Repositories, Series, scenario};

const REPOMD: &[u8] = b"<?xml version=\"1.0\"?><repomd xmlns=\"r\"><revision>1710000000</revision><data type=\"primary\">\
    <checksum type=\"sha256\">aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</checksum>\
    <location href=\"repodata/x-primary.xml.gz\"/><timestamp>1700000000</timestamp><size>7</size></data></repomd>";

const PRIMARY: &[u8] = b"<?xml version=\"1.0\"?>\n<metadata xmlns:rpm=\"r\" packages=\"1\"><package type=\"rpm\"><name>a</name>\
    <arch>noarch</arch><version epoch=\"1\" ver=\"2\" rel=\"3\"/><checksum type=\"sha256\" pkgid=\"YES\">aa</checksum>\
    <size package=\"7\"/><location href=\"p/a.rpm\"/><format><rpm:header-range start=\"1\" end=\"9\"/><rpm:provides>\
    <rpm:entry name=\"a\" flags=\"EQ\" epoch=\"1\" ver=\"2\" rel=\"3\"/></rpm:provides><rpm:requires><rpm:entry name=\"(b if c)\"/>\
    <rpm:entry name=\"d&lt;\" flags=\"GE\" epoch=\"0\" ver=\"1\"/></rpm:requires><file>/usr/bin/a</file></format></package></metadata>";

const UPDATEINFO: &[u8] = b"<updates><update type=\"security\"><pkglist><package name=\"a\" epoch=\"0\" version=\"1\" release=\"2\" \
    arch=\"x86_64\"><filename>f</filename></package></pkglist></update></updates>";

#[test]
fn indexes() {
    rounds(REPOMD, |bytes| drop(Repomd::parse(bytes)));
    rounds(PRIMARY, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        for unit in units(text, &|_| true).unwrap_or_default() {
            drop(details(&text[unit.span]));
        }
    });
    rounds(UPDATEINFO, |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            drop(Advisories::default().add(text));
        }
    });
}

#[test]
fn expressions_and_capabilities() {
    rounds(b"((a >= 1:2 if b) or (c and d(x)(64bit)) or (e if f else g))", |bytes| {
        let relation = Relation { name: String::from_utf8_lossy(bytes).into_owned(), bound: None };
        if let Ok(rich) = Rich::of(&relation) {
            let _ = rich.is_met(&|r| r.name.len() % 2 == 0);
            drop(rich.lacking(&|_| false));
        }
    });
    rounds(b"cap_net_raw,cap_bpf=ep cap_chown+i", |bytes| drop(attribute(bytes)));
}

#[test]
fn archives() {
    let seed = cpio::tests::archive(&[("./a", 0o100_644, b"hello"), ("./b", 0o40_755, b"")]);
    rounds(&seed, |bytes| {
        let mut reader = cpio::Reader::new(bytes);
        while let Ok(Some(_)) = reader.next() {
            drop(io::copy(&mut reader, &mut io::sink()));
        }
    });
}

/// Every path of a package with its content.
fn contents(package: &crate::Package) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut visit = |entry: layer::Entry, content: Option<&mut dyn Read>| {
        let mut bytes = Vec::new();
        if let Some(content) = content {
            content.read_to_end(&mut bytes).map_err(|e| crate::Error::io("reading", e))?;
        }
        all.insert(format!("{} {:?} {:o}", entry.path, entry.kind, entry.mode), bytes);
        Ok(())
    };
    package.entries(&mut visit).ok()?;
    Some(all)
}

#[test]
fn packages() {
    if let Err(reason) = rpm::needs() {
        testkit::skip!("{reason}");
    }
    let repositories = Repositories::of(Series::Classic).unwrap();
    let path = repositories.package(Repo::Updates, scenario::DAEMON, scenario::NEW, std::env::consts::ARCH);
    let seed = std::fs::read(path).unwrap();
    let mut keys = Keyring::default();
    keys.add(&std::fs::read(repositories.key_path()).unwrap()).unwrap();
    let signers = Signers(Some(Arc::new(keys)));
    let original = contents(&open::open(&section(&seed), "a").unwrap()).unwrap();
    let (mut opened, mut signed) = (0, 0);
    rounds(&seed, |bytes| {
        let file = section(bytes);
        let counts = open::check(&file, &signers, "a", i64::MAX).is_ok();
        let Ok(package) = open::open(&file, "a") else { return };
        let contents = contents(&package);
        opened += usize::from(contents.is_some());
        if counts {
            signed += 1;
            assert_eq!(contents.as_ref(), Some(&original), "what counts as signed is what was signed");
        }
    });
    assert!(opened > 0 && signed > 0, "the seed itself");
}
