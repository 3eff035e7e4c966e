//! Databases changed at random: packages or an error, never a panic, in time that grows with their bytes alone.

use super::locks::{Form, Locks};
use super::repositories::Configuration;
use super::testing::{bdb, blobs, log, ndb, package, sample, sqlite};
use super::variables::Variables;
use super::{Database, Header, contents, manifest, packages};
use std::time::{Duration, Instant};

/// Changes tried on each form.
const ROUNDS: usize = 20_000;

/// Far more than any of the small databases may take, on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Numbers that differ from run to run by the seed only (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// A byte that means something in most of the formats, or any.
    fn byte(&mut self) -> u8 {
        let telling = [0, 1, 2, 3, 5, 7, 8, 13, 0x7f, 0x80, 0xff];
        match self.below(2) {
            0 => telling[self.below(telling.len())],
            _ => self.below(256) as u8,
        }
    }

    /// A place: any, or one near the beginning of a page, where most of what matters is.
    fn place(&mut self, length: usize) -> usize {
        let any = self.below(length);
        match self.below(2) {
            0 => any,
            _ => (any / 512 * 512 + self.below(48)).min(length - 1),
        }
    }
}

/// Reads `bytes` with up to four of them changed, or cut off, again and again.
fn damage(seed: u64, bytes: &[u8], read: &mut dyn FnMut(&[u8])) {
    let started = Instant::now();
    let mut random = Random(seed);
    let mut changed = bytes.to_vec();
    for round in 0..ROUNDS {
        let places: Vec<usize> = (0..=random.below(4)).map(|_| random.place(bytes.len())).collect();
        places.iter().for_each(|at| changed[*at] = random.byte());
        let end = if round % 16 == 0 { random.below(bytes.len()) } else { bytes.len() };
        read(&changed[..end]);
        places.iter().for_each(|at| changed[*at] = bytes[*at]);
    }
    assert!(started.elapsed() < TIME_MAX, "{ROUNDS} small databases took {:?}", started.elapsed());
}

/// What comes of any bytes is fit to be shown and no more than was in the database.
fn judge(database: &Database<'_>) {
    let shown = |text: &str| assert!(text.chars().all(|c| (' '..='~').contains(&c)), "{text:?}");
    match packages(database) {
        Ok(installed) => {
            assert!(installed.packages.len() <= blobs().len() + 1, "{installed:?}");
            installed.notes.iter().for_each(|note| shown(note));
            let texts = installed.packages.iter().flat_map(|p| [&p.version, &p.source, &p.source_version]);
            texts.for_each(|text| shown(text));
        }
        Err(error) => shown(&error.to_string()),
    }
}

#[test]
fn damaged_sqlite_databases_are_survived() {
    damage(1, &sqlite(&blobs()), &mut |bytes| judge(&Database::alone(bytes)));
}

#[test]
fn damaged_logs_are_survived() {
    let old = sqlite(&[package("bash", (0, "1", "1"), 0)]);
    let new = sqlite(&[package("bash", (0, "2", "1"), 900)]);
    let count = (new.len() / 512) as u32;
    let frames: Vec<_> = new.chunks(512).enumerate().map(|(at, page)| (at as u32 + 1, count, page)).collect();
    let bytes = log(512, &frames);
    damage(2, &bytes, &mut |bytes| judge(&Database { log: Some(bytes), ..Database::alone(&old) }));
}

#[test]
fn damaged_ndb_databases_are_survived() {
    damage(3, &ndb(&blobs()), &mut |bytes| judge(&Database::alone(bytes)));
}

#[test]
fn damaged_berkeley_databases_are_survived() {
    damage(4, &bdb(&blobs(), false), &mut |bytes| judge(&Database::alone(bytes)));
    damage(5, &bdb(&blobs(), true), &mut |bytes| judge(&Database::alone(bytes)));
}

#[test]
fn damaged_headers_are_survived() {
    damage(6, &sample(), &mut |bytes| {
        let Ok(header) = Header::parse(bytes) else { return };
        let files = contents::files(&header).map(|files| files.len());
        assert!(files.is_err() || files.unwrap_or(0) <= bytes.len());
        drop((contents::scripts(&header), contents::relations(&header, contents::PROVIDES)));
    });
}

#[test]
fn damaged_texts_are_survived() {
    let shown = |text: &str| assert!(text.chars().all(|c| (' '..='~').contains(&c)), "{text:?}");
    let repositories = b"[a]\nname=A $releasever\nbaseurl=http://u:p@a.example:81/${basearch:-x}/,\n https://b/\nenabled=1\n\
        gpgkey=https://c/\n[main]\nexclude=a*,[b-d]?\n";
    damage(7, repositories, &mut |bytes| {
        let mut read = Configuration::new(Variables::new("9", "x86_64"));
        if read.add("/a.repo", bytes).is_ok() {
            read.notes.iter().chain(&read.hosts).for_each(|text| shown(text));
        }
    });
    let manifest = b"a\t1-2.azl3\t1\t2\tV\t(none)\t3\tx86_64\t0\ta-1-2.azl3.src.rpm\n";
    damage(8, manifest, &mut |bytes| match manifest::packages(Some(b"a-1-2.azl3.x86_64\n"), bytes) {
        Ok(installed) => installed.notes.iter().for_each(|note| shown(note)),
        Err(error) => shown(&error.to_string()),
    });
    let forms = [Form::List, Form::Toml, Form::Main, Form::Zypp, Form::Names];
    let locks = b"[main]\nexclude=b*\n\nmatch_type: glob\nsolvable_name: [b]a?h\n\n[[packages]]\nname = \"b\"\nbash-0:1-*.x\n";
    let all = packages(&Database::alone(&sqlite(&blobs()))).map(|installed| installed.packages);
    damage(9, locks, &mut |bytes| {
        for form in forms {
            let mut locks = Locks::default();
            if locks.add("/locks", form, bytes).is_ok() {
                locks.apply(&mut all.clone().unwrap_or_default());
                locks.notes.iter().for_each(|note| shown(note));
                locks.patterns().for_each(|pattern| shown(&pattern));
            }
        }
    });
}

#[test]
fn many_rows_at_one_place_do_not_make_it_run_long() {
    // Each pointer of a leaf at the same row: the row may be given once, not once for each.
    let mut bytes = sqlite(&[package("bash", (0, "1", "1"), 0)]);
    let leaf = bytes.chunks(512).rposition(|page| page[0] == 13).unwrap_or(0) * 512;
    let (count, start) = (100u16, [bytes[leaf + 8], bytes[leaf + 9]]);
    bytes[leaf + 3..leaf + 5].copy_from_slice(&count.to_be_bytes());
    (0..usize::from(count)).for_each(|n| bytes[leaf + 8 + 2 * n..][..2].copy_from_slice(&start));
    let error = packages(&Database::alone(&bytes)).map_err(|e| e.to_string());
    assert!(error.clone().is_err_and(|e| e.contains("overlap") || e.contains("outside")), "{error:?}");
}
