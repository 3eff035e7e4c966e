//! How long reading package databases of 3000 packages takes: a line each, name and milliseconds, the median of several readings.
//!
//! The rpm databases hold real headers, those of a synthetic distribution many times over, in forms written by the real tools.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use inventory::{apk, dpkg, rpm};
use std::{fs, path::Path, time::Instant};
use testkit::{command::argv, rpm as material};

const PACKAGES: usize = 3000;
const READINGS: usize = 9;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    report("dpkg status", &status(), |bytes| dpkg::parse_status(bytes).unwrap().packages.len());
    report("apk installed", &installed(), |bytes| {
        apk::installed::parse(bytes).unwrap().packages().unwrap().packages.len()
    });
    if material::needs().is_ok() {
        rpm_databases(folder.path());
    }
}

fn report(name: &str, bytes: &[u8], read: impl Fn(&[u8]) -> usize) {
    let mut times: Vec<f64> = (0..READINGS)
        .map(|_| {
            let begun = Instant::now();
            assert!(read(bytes) > 0, "{name}");
            begun.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name}\t{:.1}", times[READINGS / 2]);
}

fn rpm_databases(folder: &Path) {
    let family = material::Family::RockyMicro;
    let root = folder.join("root");
    material::Setup::new(family, "http://127.0.0.1:9").unpack(&root).unwrap();
    let (sqlite, ndb, bdb) = (folder.join("sqlite"), folder.join("ndb"), folder.join("bdb"));
    for folder in [&sqlite, &ndb, &bdb] {
        fs::create_dir(folder).unwrap();
    }
    let file = sqlite.join("rpmdb.sqlite");
    fs::copy(root.join(family.database().trim_start_matches('/')).join("rpmdb.sqlite"), &file).unwrap();
    multiply(&file);
    fs::copy(&file, ndb.join("rpmdb.sqlite")).unwrap();
    material::database::berkeley(&file, &bdb).unwrap();
    let read = |bytes: &[u8]| rpm::packages(&rpm::Database::alone(bytes)).unwrap().packages.len();
    assert!(headers(&fs::read(&file).unwrap()) >= PACKAGES);
    report("rpm sqlite", &fs::read(&file).unwrap(), read);
    report("rpm Berkeley DB", &fs::read(bdb.join("Packages")).unwrap(), read);
    material::database::ndb(&ndb).unwrap();
    report("rpm NDB", &fs::read(ndb.join("Packages.db")).unwrap(), read);
}

fn headers(database: &[u8]) -> usize {
    let mut count = 0;
    let mut each = |_: &[u8]| {
        count += 1;
        Ok(())
    };
    rpm::each_header(&rpm::Database::alone(database), &mut each).unwrap();
    count
}

/// The same headers again until there are enough.
fn multiply(file: &Path) {
    let statement = format!(
        "create temp table h as select row_number() over (order by hnum) - 1 as k, blob from Packages; \
         with recursive n(i) as (select (select count(*) from h) union all select i + 1 from n where i + 1 < {PACKAGES}) \
         insert into Packages(blob) select h.blob from n join h on h.k = n.i % (select count(*) from h); \
         pragma wal_checkpoint(truncate); pragma journal_mode=delete;"
    );
    argv("sqlite3", [file.as_os_str()]).arg(&statement).stdout().unwrap();
}

fn status() -> Vec<u8> {
    let stanza = |n: usize| {
        format!(
            "Package: package-{n}\nStatus: install ok installed\nPriority: optional\nSection: libs\nInstalled-Size: 1234\n\
             Maintainer: Somebody <somebody@example.org>\nArchitecture: amd64\nMulti-Arch: same\nSource: source-{n} (1.2.3-{n})\n\
             Version: 1:1.2.3-{n}+deb12u1\nDepends: libc6 (>= 2.34), libgcc-s1 (>= 3.0), zlib1g (>= 1:1.2.0)\n\
             Description: a package\n of a few lines\n .\n and one more\nHomepage: https://example.org/{n}\n\n"
        )
    };
    (0..PACKAGES).map(stanza).collect::<String>().into_bytes()
}

fn installed() -> Vec<u8> {
    let record = |n: usize| {
        let files: String = (0..10).map(|f| format!("R:file-{n}-{f}\nZ:Q1{:028}=\n", n)).collect();
        format!(
            "C:Q1{:028}=\nP:package-{n}\nV:1.2.{n}-r0\nA:x86_64\nS:1234\nI:4321\nT:a package\nU:https://example.org/\nL:MIT\n\
             o:source-{n}\nt:1700000000\nD:so:libc.musl-x86_64.so.1\np:so:lib{n}.so.1=1.2.3\nF:usr/lib\n{files}\n",
            n
        )
    };
    (0..PACKAGES).map(record).collect::<String>().into_bytes()
}
