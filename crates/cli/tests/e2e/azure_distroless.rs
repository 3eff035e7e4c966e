//! Azure Linux distroless: the real program on synthetic images that have two lists instead of a database, and neither tool nor
//! shell; repositories made by the real rpmbuild, rpmsign and createrepo_c. Judged by syft and by the real rpm's own queries.

use crate::within::{self, Ran};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use testkit::apt_repository::Served;
use testkit::command::argv;
use testkit::image::Layout;
use testkit::image_reader::ImageReader;
use testkit::rpm::{self, Family, Repo, Repositories, Setup, scenario};
use testkit::tar::{Entry, Kind};
use testkit::{probe, skip, syft};

const TAG: &str = "v1";
const PATCHED: &str = "v1-patched";
const FAMILY: Family = Family::AzureLinuxDistroless;
const LISTS: [&str; 2] =
    ["var/lib/rpmmanifest/container-manifest-1", "var/lib/rpmmanifest/container-manifest-2"];

fn needs() -> Result<(), String> {
    probe::first_reason([rpm::needs(), probe::programs(&["tar", "syft"])])
}

/// An image, its repositories, and a place to run.
struct Subject {
    world: World,
    served: Served,
    layout: Layout,
}

impl Subject {
    fn new() -> Subject {
        Subject::with(|setup| setup)
    }

    /// The image with more in it, or other repositories.
    fn with(change: impl FnOnce(Setup) -> Setup) -> Subject {
        Subject::over(&Repositories::of(FAMILY.series()).unwrap().folder(), change)
    }

    /// With repositories served from a folder.
    fn over(folder: &Path, change: impl FnOnce(Setup) -> Setup) -> Subject {
        let world = World::new();
        let served = Served::start(folder).unwrap();
        let layout = Layout::create(&world.path("layout")).unwrap();
        change(Setup::new(FAMILY, &served.url())).add(&layout, TAG).unwrap();
        Subject { world, served, layout }
    }

    fn report(&self, wanted: &[(&str, &str)]) -> PathBuf {
        let wanted: Vec<_> = wanted.iter().map(|(package, fixed)| (*package, "0", *fixed)).collect();
        within::report(&self.world, ("azurelinux", "3.0"), &wanted)
    }

    fn patch(&self, tags: (&str, &str), wanted: Option<&[(&str, &str)]>, more: &[&str]) -> Ran {
        let report = wanted.map(|wanted| self.report(wanted));
        within::patch((&self.world, &self.layout, &self.served.host()), tags, report.as_deref(), more)
    }

    fn patched(&self, wanted: Option<&[(&str, &str)]>, more: &[&str]) -> Ran {
        let ran = self.patch((TAG, PATCHED), wanted, more);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(
            (&ran.document["status"], &ran.document["strategy"]),
            (&json!("patched"), &json!("unpacked"))
        );
        ran
    }

    /// Patches, which must fail with one error that has these words in it, and without a patched image.
    fn refused(&self, wanted: &[(&str, &str)], more: &[&str], words: &[&str]) {
        let ran = self.patch((TAG, PATCHED), Some(wanted), more);
        assert!(!matches!(ran.code, Some(0) | None), "{words:?}\n{}", ran.stderr);
        let errors = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in\n{}", ran.stderr);
        }
        assert!(ImageReader::open(self.layout.directory(), PATCHED).is_err(), "no image is written");
    }

    fn image(&self, tag: &str) -> ImageReader {
        ImageReader::open(self.layout.directory(), tag).unwrap()
    }

    /// The content of a file that the whole image shows.
    fn file(&self, tag: &str, path: &str) -> Option<Vec<u8>> {
        let plain = path.trim_start_matches('/').as_bytes();
        let shown = self.image(tag).files(|path| path == plain).unwrap().into_values().next()?;
        Some(shown.entry.content().unwrap_or_default().to_vec())
    }

    fn lines(&self, tag: &str, list: &str) -> Vec<String> {
        String::from_utf8(self.file(tag, list).unwrap()).unwrap().lines().map(str::to_owned).collect()
    }

    /// Name to `version-release`, by the second list; the first says the same.
    fn versions(&self, tag: &str) -> BTreeMap<String, String> {
        let rows = self.lines(tag, LISTS[1]);
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.split('\t').collect()).collect();
        let mut names: Vec<String> = rows.iter().map(|r| format!("{}-{}.{}", r[0], r[1], r[7])).collect();
        let mut first = self.lines(tag, LISTS[0]);
        names.sort();
        first.sort();
        assert_eq!(first, names);
        rows.iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect()
    }

    /// The lists say of a package what the real rpm says of its file, but for the time of installation.
    fn row_is_that_of(&self, repo: Repo, name: &str, version: &str) {
        let file =
            Repositories::of(FAMILY.series()).unwrap().package(repo, name, version, std::env::consts::ARCH);
        let format = "%{NAME}\\t%{VERSION}-%{RELEASE}\\t%{BUILDTIME}\\t%{BUILDTIME}\\t%{VENDOR}\\t%{EPOCH}\\t%{SIZE}\\t%{ARCH}\\t\
            %{EPOCHNUM}\\t%{SOURCERPM}";
        let query = argv("rpm", ["--query", "--package", "--nosignature", "--queryformat", format]);
        let said = query.arg(&file).text().unwrap();
        assert!(self.lines(PATCHED, LISTS[1]).contains(&said), "{said}");
    }

    /// syft sees the packages that the lists have.
    fn syft_agrees(&self) {
        let seen = syft::packages_of(self.layout.directory(), PATCHED, "rpm").unwrap();
        let plain = |version: &str| version.split_once(':').map_or(version, |(_, rest)| rest).to_owned();
        let seen: BTreeMap<String, String> =
            seen.into_iter().map(|(name, version)| (name, plain(&version))).collect();
        assert_eq!(seen, self.versions(PATCHED));
    }

    /// The digest of the patch layer.
    fn digest(&self, tag: &str) -> String {
        self.image(tag).layers().last().unwrap()["digest"].as_str().unwrap().to_owned()
    }
}

fn release(version: &str) -> &str {
    version.split_once(':').map_or(version, |(_, rest)| rest)
}

fn outcome<'a>(document: &'a Value, package: &str) -> &'a str {
    let findings = document["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["package"] == package);
    finding.unwrap_or_else(|| panic!("{package}: {document:#}"))["outcome"].as_str().unwrap()
}

#[test]
fn a_report_brings_what_it_names_and_what_that_newly_needs() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let ran = subject.patched(Some(&[(scenario::LIBRARY, scenario::LIBRARY_NEW)]), &[]);
    assert_eq!(outcome(&ran.document, scenario::LIBRARY), "fixed");
    let (before, after) = (subject.versions(TAG), subject.versions(PATCHED));
    assert_eq!(after[scenario::LIBRARY], release(scenario::LIBRARY_NEW));
    assert_eq!(after[scenario::EXTRA], scenario::EXTRA_NEW);
    assert_eq!((after.len(), &after[scenario::BUGFIX]), (before.len() + 1, &before[scenario::BUGFIX]));
    assert!(subject.file(PATCHED, &format!("usr/share/{}/build", scenario::LIBRARY)).is_some());
    subject.row_is_that_of(Repo::Updates, scenario::LIBRARY, scenario::LIBRARY_NEW);
    subject.row_is_that_of(Repo::Updates, scenario::EXTRA, scenario::EXTRA_NEW);
    subject.syft_agrees();
    // What stays keeps its line, byte for byte and in its place.
    let others = |tag| {
        let lines = subject.lines(tag, LISTS[1]).into_iter();
        lines.filter(|l| !l.starts_with("openssl-")).collect::<Vec<_>>()
    };
    assert_eq!(others(TAG), others(PATCHED));
}

#[test]
fn without_a_report_everything_is_upgraded_the_same_way_each_time_and_then_nothing_is_left() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    subject.patched(None, &[]);
    let after = subject.versions(PATCHED);
    assert_eq!(after[scenario::BUGFIX], scenario::BUGFIX_NEW);
    assert_eq!(after[scenario::LIBRARY], release(scenario::LIBRARY_NEW));
    subject.syft_agrees();
    let again = subject.patch((TAG, "twin"), None, &[]);
    assert_eq!((again.code, subject.digest("twin")), (Some(0), subject.digest(PATCHED)), "{}", again.stderr);
    let nothing = subject.patch((PATCHED, "again"), None, &["--detailed-exit-code"]);
    assert_eq!(
        (nothing.code, &nothing.document["status"]),
        (Some(20), &json!("up-to-date")),
        "{}",
        nothing.stderr
    );
}

#[test]
fn a_patched_image_is_patched_again_into_one_layer() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    subject.patched(Some(&[(scenario::BUGFIX, scenario::BUGFIX_NEW)]), &[]);
    let ran = subject.patch((PATCHED, "more"), Some(&[(scenario::LIBRARY, scenario::LIBRARY_NEW)]), &[]);
    assert_eq!((ran.code, &ran.document["status"]), (Some(0), &json!("patched")), "{}", ran.stderr);
    let versions = subject.versions("more");
    assert_eq!(versions[scenario::BUGFIX], scenario::BUGFIX_NEW);
    assert_eq!(versions[scenario::LIBRARY], release(scenario::LIBRARY_NEW));
    assert_eq!(subject.image("more").layers().len(), subject.image(TAG).layers().len() + 1);
}

#[test]
fn security_updates_only_are_those_that_advisories_name() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    subject.patched(None, &["--security-only"]);
    let (before, after) = (subject.versions(TAG), subject.versions(PATCHED));
    assert_eq!(after[scenario::LIBRARY], release(scenario::LIBRARY_NEW));
    assert_eq!(after[scenario::BUGFIX], before[scenario::BUGFIX]);
}

#[test]
fn an_excluded_package_stays() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    subject.patched(None, &["--exclude", scenario::LIBRARY]);
    let (before, after) = (subject.versions(TAG), subject.versions(PATCHED));
    assert_eq!(after[scenario::LIBRARY], before[scenario::LIBRARY]);
    assert_eq!(after[scenario::BUGFIX], scenario::BUGFIX_NEW);
}

#[test]
fn an_edited_configuration_file_stays_and_another_is_replaced() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (config, wanted) = (&scenario::SETTINGS_CONFIG[1..], [(scenario::SETTINGS, scenario::NEW)]);
    let edited = Subject::with(|setup| setup.file(config, "edited\n"));
    let ran = edited.patched(Some(&wanted), &[]);
    assert_eq!(edited.file(PATCHED, config).unwrap(), b"edited\n");
    let warned = |ran: &Ran| ran.stderr.contains("configuration files stay as the image has them");
    assert!(warned(&ran), "{}", ran.stderr);
    let plain = Subject::new();
    let ran = plain.patched(Some(&wanted), &[]);
    assert_eq!(plain.file(PATCHED, config).unwrap(), b"setting = 2\n");
    assert!(!warned(&ran) && !ran.stderr.contains("installed versions"), "{}", ran.stderr);
}

#[test]
fn without_the_installed_versions_in_the_repositories_what_is_not_known_stays() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let config = &scenario::SETTINGS_CONFIG[1..];
    let subject = Subject::with(|setup| setup.repositories(&[Repo::Updates]));
    let ran = subject.patched(Some(&[(scenario::SETTINGS, scenario::NEW)]), &[]);
    assert_eq!(subject.file(PATCHED, config).unwrap(), b"setting = 1\n");
    for note in
        ["configuration files stay as the image has them", "tells which files the installed versions have"]
    {
        assert!(ran.stderr.contains(note), "{}", ran.stderr);
    }
    subject.syft_agrees();
}

#[test]
fn what_is_not_signed_as_it_must_be_is_refused() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    // The repositories, with one package of `updates` replaced or the key of the image another.
    let repositories = Repositories::of(FAMILY.series()).unwrap();
    let stranger = Subject::with(|setup| setup.file(&rpm::KEY_PATH[1..], "no key\n"));
    let wanted = [(scenario::BUGFIX, scenario::BUGFIX_NEW)];
    stranger.refused(&wanted, &[], &["no key that is understood"]);
    let copy = tempfile::tempdir().unwrap();
    let folder = copy.path().join("repositories");
    argv("cp", ["--archive"]).arg(repositories.folder()).arg(&folder).stdout().unwrap();
    let package = format!("{}-{}.{}.rpm", scenario::BUGFIX, scenario::BUGFIX_NEW, std::env::consts::ARCH);
    let at = folder.join("updates").join(&package);
    let mut bytes = std::fs::read(&at).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&at, &bytes).unwrap();
    Subject::over(&folder, |setup| setup).refused(
        &wanted,
        &[],
        &[scenario::BUGFIX, "not what its index promises"],
    );
    // The index is of what it is now; what its header says is not.
    std::fs::remove_dir_all(folder.join("updates/repodata")).unwrap();
    argv("createrepo_c", ["--quiet", "--checksum", "sha256"]).arg(folder.join("updates")).stdout().unwrap();
    Subject::over(&folder, |setup| setup).refused(
        &wanted,
        &[],
        &[scenario::BUGFIX, "not what its header says"],
    );
    std::fs::copy(repositories.folder().join("updates").join(&package), &at).unwrap();
    argv("rpmsign", ["--delsign"]).arg(&at).stdout().unwrap();
    argv("createrepo_c", ["--quiet", "--checksum", "sha256"]).arg(folder.join("updates")).stdout().unwrap();
    Subject::over(&folder, |setup| setup).refused(&wanted, &[], &[scenario::BUGFIX, "not signed"]);
    let forged = Subject::with(|setup| setup.repositories(&[Repo::Base, Repo::Updates, Repo::Forged]));
    forged.refused(&wanted, &[], &["forged", "unknown key"]);
}

/// The image with a package that has every kind of file, and a script at every occasion; `change` has its last word on it.
fn with_daemon(change: impl FnOnce(Setup) -> Setup) -> Subject {
    let lists = LISTS.map(|list| Subject::new().lines(TAG, list));
    let file = Repositories::of(FAMILY.series()).unwrap();
    let file = file.package(Repo::Base, scenario::DAEMON, scenario::OLD, std::env::consts::ARCH);
    let rows = [
        "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}",
        "%{NAME}\\t%{VERSION}-%{RELEASE}\\t1\\t%{BUILDTIME}\\t%{VENDOR}\\t%{EPOCH}\\t%{SIZE}\\t%{ARCH}\\t%{EPOCHNUM}\\t%{SOURCERPM}",
    ];
    let row = |format: &str| {
        let query = argv("rpm", ["--query", "--package", "--nosignature", "--queryformat", format]);
        query.arg(&file).text().unwrap()
    };
    let text = |number: usize| format!("{}\n{}\n", lists[number].join("\n"), row(rows[number]));
    let plain = |path: &str| path.trim_start_matches('/').to_owned();
    let program = "#!/bin/sh\necho demo 1\n";
    let mut entries = vec![
        Entry::file(&plain(scenario::CONFIG), "setting = 1\n"),
        Entry::file(&plain(scenario::CHANGED), "1\n"),
        Entry::file(&plain(scenario::DELETED), "soon gone\n"),
        Entry::new(plain(scenario::TURNING), Kind::Symlink(b"version".to_vec())),
        Entry::file(&plain(scenario::PAIR[0]), program).mode(0o755),
        Entry::new(plain(scenario::PAIR[1]), Kind::Hardlink(plain(scenario::PAIR[0]).into_bytes())),
        Entry::file(&plain(scenario::SETUID), program).mode(0o4755),
    ];
    entries.extend([0, 1].map(|number| Entry::file(LISTS[number], text(number))));
    Subject::with(|mut setup| {
        setup.entries.extend(entries);
        change(setup)
    })
}

const DAEMON: [(&str, &str); 1] = [(scenario::DAEMON, scenario::NEW)];

#[test]
fn files_of_every_kind_come_and_go_as_with_rpm() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = with_daemon(|setup| setup);
    let ran = subject.patched(Some(&DAEMON), &[]);
    assert!(ran.stderr.contains("not run, as the image has no shell to run them"), "{}", ran.stderr);
    let text = |path: &str| subject.file(PATCHED, path).map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(text(scenario::CONFIG).as_deref(), Some("setting = 2\n"));
    assert_eq!(text(scenario::CHANGED).as_deref(), Some("2\n"));
    assert_eq!(text(&format!("{}/inside", scenario::TURNING)).as_deref(), Some("inside\n"));
    assert_eq!(text(scenario::DELETED), None);
    assert_eq!(text(scenario::CAPABLE), None, "the image's maker took it away");
    let image = subject.image(PATCHED);
    let layer = image.layer_entries(image.layers().len() - 1).unwrap();
    let of = |path: &str| layer.iter().find(|e| e.path == path.trim_start_matches('/').as_bytes());
    assert_eq!(of(scenario::SETUID).unwrap().mode & 0o7777, 0o4755);
    let [first, second] = scenario::PAIR.map(|path| of(path).unwrap().kind.clone());
    let links = [&first, &second].iter().filter(|kind| matches!(kind, Kind::Hardlink(_))).count();
    assert_eq!(links, 1, "{first:?} {second:?}");
    assert_eq!(subject.versions(PATCHED)[scenario::DAEMON], scenario::NEW);
}

#[test]
fn what_somebody_changed_stays() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (config, deleted) = (&scenario::CONFIG[1..], &scenario::DELETED[1..]);
    let subject = with_daemon(|setup| setup.file(config, "own\n").file(deleted, "own\n"));
    let ran = subject.patched(Some(&DAEMON), &[]);
    assert_eq!(subject.file(PATCHED, config).unwrap(), b"own\n");
    assert_eq!(subject.file(PATCHED, deleted).unwrap(), b"own\n");
    for note in [scenario::CONFIG, "files are not in the new versions and stay, as they were changed"] {
        assert!(ran.stderr.contains(note), "{}", ran.stderr);
    }
}

#[test]
fn scripts_matter_where_the_image_has_a_shell() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let shell = |mut setup: Setup| {
        setup.entries.push(Entry::file("usr/bin/sh", "a shell").mode(0o755));
        setup
    };
    let subject = with_daemon(shell);
    subject.refused(&DAEMON, &[], &["scripts of packages would have to run", "%pre of demo-daemon"]);
    let ran = subject.patched(Some(&DAEMON), &["--skip-scripts"]);
    assert!(ran.stderr.contains("not run, as was asked for: %pre of demo-daemon"), "{}", ran.stderr);
}
