//! Our reading of rpm databases against the real rpm's, and against syft's: SQLite with and without its log, NDB, Berkeley DB,
//! manifests; and of package files that rpmbuild has written.

#![allow(clippy::unwrap_used)]

use inventory::rpm::contents::{self, File, PROVIDES, REQUIRES, Relation};
use inventory::rpm::locations::{self, Found};
use inventory::rpm::{Database, Header, Kind, Tag, detect, each_header, manifest, packages};
use inventory::{Error, Package};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use testkit::command::argv;
use testkit::image::Layout;
use testkit::rpm::{Family, Repositories, Series, Setup, installed, needs};
use testkit::{probe, skip, syft};

/// The root of an image, in a folder that goes with it.
fn root(family: Family) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Setup::new(family, "http://repositories.example").unpack(&folder.path().join("root")).unwrap();
    folder
}

fn at(folder: &tempfile::TempDir, path: &str) -> std::path::PathBuf {
    folder.path().join("root").join(path.trim_start_matches('/'))
}

/// The databases of a root, as an engine would hand them over.
fn found(folder: &tempfile::TempDir) -> Vec<Found> {
    let beside = |path: &str, suffix: &str| fs::read(at(folder, &format!("{path}{suffix}"))).ok();
    let one = |path: String| {
        let bytes = fs::read(at(folder, &path)).ok()?;
        let log = beside(&path, locations::LOG_SUFFIX);
        let journal = beside(&path, locations::JOURNAL_SUFFIX);
        Some(Found { path, bytes, log, journal })
    };
    locations::paths().filter_map(|(path, _)| one(path)).collect()
}

/// Packages in the judge's words.
fn rows(packages: &[Package]) -> Vec<(String, String, String)> {
    let mut rows: Vec<_> =
        packages.iter().map(|p| (p.name.to_string(), p.version.clone(), p.architecture.clone())).collect();
    rows.sort();
    rows
}

#[test]
fn databases_of_each_form_have_the_packages_that_rpm_lists() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let families = [
        (Family::Rocky, Kind::Sqlite),
        (Family::RockyMicro, Kind::Sqlite),
        (Family::SlesNdb, Kind::Ndb),
        (Family::CentosBerkeley, Kind::Bdb),
    ];
    for (family, kind) in families {
        let folder = root(family);
        let found = found(&folder);
        let chosen = locations::choose(&found).unwrap().unwrap();
        assert_eq!(detect(&found[chosen.index].bytes), Some(kind), "{family:?}");
        let theirs = installed(&folder.path().join("root"), family.database()).unwrap();
        let theirs: Vec<_> = theirs.into_iter().filter(|(name, ..)| name != "gpg-pubkey").collect();
        assert_eq!(rows(&chosen.installed.packages), theirs, "{family:?}");
        assert!(theirs.len() >= 3, "{family:?}: {theirs:?}");
        assert_eq!(chosen.installed.notes, [""; 0], "{family:?}");
    }
}

#[test]
fn changes_that_are_still_in_the_log_count() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let folder = root(Family::RockyMicro);
    let path = at(&folder, Family::RockyMicro.database()).join("rpmdb.sqlite");
    let before = packages(&Database::alone(&fs::read(&path).unwrap())).unwrap();
    // One package leaves; the change is committed to the log, and the program ends without copying it into the file.
    let commands = ".dbconfig no_ckpt_on_close on\nPRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; \
        DELETE FROM Packages WHERE hnum=(SELECT min(hnum) FROM Packages);\n";
    argv("sqlite3", [&path]).filter(commands.as_bytes()).unwrap();
    let (bytes, log) = (fs::read(&path).unwrap(), fs::read(path.with_extension("sqlite-wal")).unwrap());
    let without = packages(&Database::alone(&bytes)).unwrap();
    let with = packages(&Database { log: Some(&log), ..Database::alone(&bytes) }).unwrap();
    assert_eq!(without.packages, before.packages);
    assert_eq!(with.packages.len() + 1, before.packages.len());
}

/// Lines of what is said of packages, by name.
type Said = BTreeMap<String, Vec<String>>;

/// What rpm says of each package of a database, a line a value: the format may have `[…]` for lists.
fn query(folder: &Path, format: &str) -> Said {
    let ask = argv("rpm", ["--define", "_db_backend sqlite", "--dbpath"]).arg(folder).arg("-qa");
    let text = ask.arg("--queryformat").arg(format).text().unwrap();
    let mut all = Said::new();
    for (name, rest) in text.lines().filter_map(|line| line.split_once('\t')) {
        // What a package has no list of is `(none)` to rpm.
        all.entry(name.to_owned()).or_default().push(rest.replace("(none)", ""));
    }
    all
}

/// What we say of each package of a database.
fn said(folder: &Path, lines: &dyn Fn(&Header<'_>) -> Result<Vec<String>, Error>) -> Said {
    let bytes = fs::read(folder.join("rpmdb.sqlite")).unwrap();
    let log = fs::read(folder.join("rpmdb.sqlite-wal")).ok();
    let mut all = Said::new();
    let notes = each_header(&Database { log: log.as_deref(), ..Database::alone(&bytes) }, &mut |blob| {
        let header = Header::parse(blob)?;
        let lines = lines(&header)?;
        if !lines.is_empty() {
            all.entry(header.text(Tag::NAME)?.unwrap().to_owned()).or_default().extend(lines);
        }
        Ok(())
    });
    assert_eq!(notes, Ok(Vec::new()));
    all
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Both say the same, and at least so much.
fn agree(ours: &Said, theirs: &Said, least: usize) {
    for (name, theirs) in theirs {
        for (at, line) in theirs.iter().enumerate() {
            assert_eq!(ours.get(name).and_then(|ours| ours.get(at)), Some(line), "{name}, line {at}");
        }
    }
    let count = |said: &Said| said.values().map(Vec::len).sum::<usize>();
    assert_eq!(count(ours), count(theirs));
    assert!(count(ours) >= least, "{} lines", count(ours));
}

const FILES: &str = "[%{=NAME}\\t%{FILENAMES} %{FILEMODES:octal} %{FILESIZES} %{FILEMTIMES} %{FILEDIGESTS} %{FILEFLAGS} \
    %{FILEUSERNAME} %{FILEGROUPNAME} %{FILERDEVS} %{FILEINODES} %{FILECAPS}|%{FILELINKTOS}\\n]";

fn file(f: &File<'_>) -> String {
    let [path, digest, user, group] = [&f.path(), f.digest, f.user, f.group].map(text);
    let numbers = format!("{:o} {} {} {digest} {}", f.mode, f.size, f.modified, f.flags);
    let (capabilities, link) = (text(f.capabilities), text(f.link));
    format!("{path} {numbers} {user} {group} {} {} {capabilities}|{link}", f.device, f.inode)
}

const RELATIONS: &str = "[%{=NAME}\\t%{PROVIDENAME} %{PROVIDEFLAGS} %{PROVIDEVERSION}\\n]\
    [%{=NAME}\\t%{REQUIRENAME} %{REQUIREFLAGS} %{REQUIREVERSION}\\n]";

const PHASES: [(&str, &str); 8] = [
    ("PRETRANSPROG", "pretrans"),
    ("PREINPROG", "pre"),
    ("POSTINPROG", "post"),
    ("PREUNTRANSPROG", "preuntrans"),
    ("PREUNPROG", "preun"),
    ("POSTUNPROG", "postun"),
    ("POSTUNTRANSPROG", "postuntrans"),
    ("POSTTRANSPROG", "posttrans"),
];

#[test]
fn headers_say_what_rpm_says_of_files_relations_and_scripts() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let folder = root(Family::Rocky);
    let dbpath = at(&folder, Family::Rocky.database());
    let files = |header: &Header<'_>| Ok(contents::files(header)?.iter().map(file).collect());
    agree(&said(&dbpath, &files), &query(&dbpath, FILES), 1000);

    let row = |r: &Relation<'_>| format!("{} {} {}", r.name, r.flags, r.version);
    let of = |header: &Header<'_>, tags| -> Result<Vec<String>, Error> {
        Ok(contents::relations(header, tags)?.iter().map(row).collect())
    };
    let both = |header: &Header<'_>| Ok([of(header, PROVIDES)?, of(header, REQUIRES)?].concat());
    agree(&said(&dbpath, &both), &query(&dbpath, RELATIONS), 100);

    let phase = |(tag, phase)| format!("%|{tag}?{{%{{NAME}}\\t{phase}\\n}}|");
    let format: String = PHASES.map(phase).concat();
    let scripts =
        |header: &Header<'_>| Ok(contents::scripts(header)?.iter().map(|s| s.phase.to_owned()).collect());
    agree(&said(&dbpath, &scripts), &query(&dbpath, &format), 1);
}

#[test]
fn manifests_say_what_the_database_said_that_they_stand_in_for() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let folder = root(Family::AzureLinuxDistroless);
    assert_eq!(locations::choose(&found(&folder)).unwrap(), None);
    let list = |name: &str| fs::read(at(&folder, manifest::FOLDER).join(name)).unwrap();
    let [first, second] = manifest::NAMES.map(list);
    let read = manifest::packages(Some(&first), &second).unwrap();
    // The first list is what `rpm -qa` wrote, which leaves epochs out.
    let without_epoch = |p: &Package| {
        let version = p.version.split_once(':').map_or(p.version.as_str(), |(_, rest)| rest);
        format!("{}-{version}.{}", p.name, p.architecture)
    };
    let mut ours: Vec<String> = read.packages.iter().map(without_epoch).collect();
    ours.sort();
    let first = text(&first);
    let mut theirs: Vec<&str> = first.lines().filter(|line| !line.starts_with("gpg-pubkey-")).collect();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
    assert!(ours.len() >= 3, "{ours:?}");
}

#[test]
fn syft_finds_the_same_packages() {
    if let Err(reason) = probe::first_reason([needs(), probe::programs(&["syft", "skopeo"])]) {
        skip!("{reason}");
    }
    for family in [Family::RockyMicro, Family::CentosBerkeley] {
        let folder = root(family);
        let layout = tempfile::tempdir().unwrap();
        let path = layout.path().join("layout");
        Setup::new(family, "http://repositories.example")
            .add(&Layout::create(&path).unwrap(), "image")
            .unwrap();
        let mut theirs = syft::packages_of(&path, "image", "rpm").unwrap();
        theirs.remove("gpg-pubkey");
        let installed = locations::choose(&found(&folder)).unwrap().unwrap().installed;
        let ours: BTreeMap<String, String> =
            installed.packages.iter().map(|p| (p.name.to_string(), p.version.clone())).collect();
        assert_eq!(ours, theirs, "{family:?}");
    }
}

#[test]
fn package_files_are_sealed_and_their_headers_read() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let folder = Repositories::of(Series::Classic).unwrap().folder();
    let file = fs::read_dir(folder.join("base")).unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let file = file.filter(|path| path.extension().is_some_and(|ending| ending == "rpm")).min().unwrap();
    let bytes = fs::read(&file).unwrap();
    // The lead of 96 bytes, the header of signatures padded to eight, the header of the package.
    let (signatures, rest) = Header::parse_in_file(&bytes[96..]).unwrap();
    let rest = &rest[bytes.len().wrapping_sub(rest.len()).wrapping_neg() % 8..];
    let (header, payload) = Header::parse_in_file(rest).unwrap();
    assert!(signatures.is_sealed(Tag::HEADER_SIGNATURES) && header.is_sealed(Tag::HEADER_IMMUTABLE));
    let nevra = argv(
        "rpm",
        ["--query", "--nosignature", "--queryformat", "%{NAME} %{VERSION} %{RELEASE}", "--package"],
    );
    let said = nevra.arg(&file).text().unwrap();
    let part = |tag| header.text(tag).unwrap().unwrap();
    assert_eq!(format!("{} {} {}", part(Tag::NAME), part(Tag::VERSION), part(Tag::RELEASE)), said);
    assert!(!payload.is_empty());
}
