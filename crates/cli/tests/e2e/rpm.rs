//! Distributions with rpm: the real program on synthetic images with real dnf, dnf5, zypper and rpm inside, judged by the real rpm.
//! `tdnf` and `microdnf` are stand-ins, see `testkit::rpm`.

use crate::world::{Done, World, mounts_below};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use testkit::apt_repository::Served;
use testkit::command::argv;
use testkit::image::Layout;
use testkit::image_reader::ImageReader;
use testkit::rpm::{Family, Installed, Repo, Repositories, Setup, installed, scenario, verify};
use testkit::{probe, rpm, skip, syft};

const TAG: &str = "v1";
const PATCHED: &str = "v1-patched";

fn needs() -> Result<(), String> {
    let programs = probe::programs(&["tar", "umoci", "syft"]);
    probe::first_reason([probe::root(), probe::mounting(), rpm::needs(), programs])
}

/// An image, its repositories, and a place to run.
struct Subject {
    world: World,
    served: Served,
    layout: Layout,
    family: Family,
}

struct Ran {
    code: Option<i32>,
    stderr: String,
    document: Value,
}

impl Subject {
    fn new(family: Family) -> Subject {
        Subject::with(family, |setup| setup)
    }

    /// The image with more in it, or other repositories.
    fn with(family: Family, change: impl FnOnce(Setup) -> Setup) -> Subject {
        let world = World::new();
        let served = Served::start(&Repositories::of(family.series()).unwrap().folder()).unwrap();
        let layout = Layout::create(&world.path("layout")).unwrap();
        let mut setup = Setup::new(family, &served.url());
        if matches!(family, Family::Sles | Family::SlesNdb) {
            // As SUSE ships it; Debian's leaves kernels alone nowhere.
            setup =
                setup.file("etc/zypp/zypp.conf", "[main]\nmultiversion = provides:multiversion(kernel)\n");
        }
        change(setup).add(&layout, TAG).unwrap();
        Subject { world, served, layout, family }
    }

    /// The cache of all images of a series: at one port there may be one series and then the other.
    fn cache(&self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("e2e-cache-rpm-{:?}", self.family.series()))
    }

    fn report(&self, wanted: &[(&str, &str)]) -> PathBuf {
        let (family, release) = match self.family {
            Family::Rocky | Family::RockyMinimal | Family::RockyMicro => ("rocky", "9.4"),
            Family::AlmaLinux => ("alma", "9.4"),
            Family::Amazon => ("amazon", "2023"),
            Family::AzureLinux | Family::AzureLinuxDistroless => ("azurelinux", "3.0"),
            Family::Fedora => ("fedora", "42"),
            Family::Sles | Family::SlesNdb => ("suse linux enterprise server", "15.6"),
            Family::CentosBerkeley => ("centos", "7"),
        };
        let finding = |(number, (package, fixed)): (usize, &(&str, &str))| {
            json!({
                "VulnerabilityID": format!("CVE-2026-{:04}", number + 1), "PkgName": package, "Severity": "HIGH",
                "InstalledVersion": "0", "FixedVersion": fixed,
            })
        };
        let findings: Vec<Value> = wanted.iter().enumerate().map(finding).collect();
        let document = json!({
            "SchemaVersion": 2, "ArtifactName": "app", "ArtifactType": "container_image",
            "Metadata": { "OS": { "Family": family, "Name": release } },
            "Results": [{ "Target": "app", "Class": "os-pkgs", "Type": family, "Vulnerabilities": findings }],
        });
        let path = self.world.path("report.json");
        std::fs::write(&path, document.to_string()).unwrap();
        path
    }

    /// Patches one tag to another, and sees that nothing is left of the run.
    fn patch(&self, (from, to): (&str, &str), report: Option<&Path>, more: &[&str]) -> Ran {
        let (name, host, result) =
            (self.layout.name(from), self.served.host(), self.world.path("result.json"));
        let arguments = ["patch", "-i", &name, "-t", to, "--allow-host", &host, "--progress", "plain"];
        let mut command = self.world.copa(&arguments);
        command.arg("--working-folder").arg(self.world.path("work")).arg("--result").arg(&result);
        report.map(|report| command.arg("-r").arg(report));
        command.args(more).env("COPA_CACHE_DIR", self.cache());
        let _ = std::fs::remove_file(&result);
        let Done { code, stderr, .. } = Done::of(command.output().unwrap());
        let document =
            std::fs::read(result).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
        assert_eq!(mounts_below(&self.cache()), Vec::<String>::new());
        Ran { code, stderr, document }
    }

    fn patched(&self, wanted: Option<&[(&str, &str)]>, more: &[&str]) -> Ran {
        let report = wanted.map(|wanted| self.report(wanted));
        let ran = self.patch((TAG, PATCHED), report.as_deref(), more);
        assert_eq!(ran.code, Some(0), "{:?}: {}", self.family, ran.stderr);
        assert_eq!(
            ran.document["status"], "patched",
            "{:?}: {}\n{:#}",
            self.family, ran.stderr, ran.document
        );
        ran
    }

    /// Patches, which must fail with one error that has these words in it, and without a patched image.
    fn refused(&self, wanted: &[(&str, &str)], more: &[&str], words: &[&str]) {
        let report = self.report(wanted);
        let ran = self.patch((TAG, PATCHED), Some(&report), more);
        assert!(!matches!(ran.code, Some(0) | None), "{words:?}\n{}", ran.stderr);
        let errors = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in\n{}", ran.stderr);
        }
        assert_eq!(ran.document["status"], "failed");
        assert!(ImageReader::open(self.layout.directory(), PATCHED).is_err(), "no image is written");
    }

    /// The whole root of an image, unpacked.
    fn root(&self, tag: &str) -> PathBuf {
        let bundle = self.world.path(&format!("bundle-{tag}"));
        if !bundle.exists() {
            let image = format!("{}:{tag}", self.layout.directory().display());
            argv("umoci", ["unpack", "--image", &image, bundle.to_str().unwrap()]).stdout().unwrap();
        }
        bundle.join("rootfs")
    }

    /// What the real rpm says is installed, public keys left out.
    fn installed(&self, tag: &str) -> BTreeSet<Installed> {
        let all = installed(&self.root(tag), self.family.database()).unwrap();
        all.into_iter().filter(|(name, ..)| name != "gpg-pubkey").collect()
    }

    fn versions(&self, tag: &str, name: &str) -> Vec<String> {
        let all = self.installed(tag).into_iter();
        all.filter(|(other, ..)| other == name).map(|(_, version, _)| version).collect()
    }

    /// The real rpm sees in the patched image what the result document tells of it, package by package, and all files in order;
    /// `syft` sees the same packages.
    fn judges_agree(&self, ran: &Ran) {
        let (before, after) = (self.installed(TAG), self.installed(PATCHED));
        let changes = ran.document["packages"].as_array().unwrap().iter();
        let text = |change: &Value, key: &str| change[key].as_str().unwrap_or_default().to_owned();
        let side = |key: &str| -> BTreeSet<Installed> {
            let of = |c: &Value| (text(c, "name"), text(c, key), text(c, "architecture"));
            changes.clone().map(of).filter(|(_, version, _)| !version.is_empty()).collect()
        };
        let told = (side("from"), side("to"));
        let seen =
            (before.difference(&after).cloned().collect(), after.difference(&before).cloned().collect());
        assert_eq!(told, seen, "{:?}", self.family);
        if self.family != Family::SlesNdb {
            let names: Vec<&str> = told.1.iter().map(|(name, ..)| name.as_str()).collect();
            let mut said = verify(&self.root(PATCHED), self.family.database(), &names).unwrap();
            // Of config files, what the administrator changed stays so.
            said.retain(|line| !line.contains(" c "));
            assert_eq!(said, [""; 0], "{:?}", self.family);
        }
        let scanned = syft::packages_of(self.layout.directory(), PATCHED, "rpm").unwrap();
        for (name, version, _) in &told.1 {
            let version = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
            assert!(scanned[name].ends_with(version), "{name}: {} is not {version}", scanned[name]);
        }
    }

    /// Paths of the patch layer.
    fn layer(&self, tag: &str) -> Vec<String> {
        let image = ImageReader::open(self.layout.directory(), tag).unwrap();
        let last = image.layers().len() - 1;
        let entries = image.layer_entries(last).unwrap();
        entries.iter().map(|e| String::from_utf8_lossy(&e.path).trim_end_matches('/').to_owned()).collect()
    }
}

impl Ran {
    fn outcomes(&self) -> Vec<(&str, &str)> {
        let findings = self.document["findings"].as_array().unwrap();
        findings.iter().map(|f| (f["package"].as_str().unwrap(), f["outcome"].as_str().unwrap())).collect()
    }
}

/// What a run leaves behind and no layer has.
const TRACES: [&str; 9] = [
    "var/cache/",
    "var/log/",
    "var/tmp/",
    "var/lib/dnf",
    "var/lib/zypp",
    "tmp/",
    "run/",
    "root/",
    "transaction_history",
];

fn no_traces(subject: &Subject) {
    let layer = subject.layer(PATCHED);
    let traces = |path: &&String| TRACES.iter().any(|trace| path.contains(trace)) || path.ends_with(".pyc");
    assert_eq!(layer.iter().filter(traces).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The families whose image has a tool.
const WITH_TOOL: [Family; 8] = [
    Family::Rocky,
    Family::AlmaLinux,
    Family::Amazon,
    Family::AzureLinux,
    Family::Fedora,
    Family::RockyMinimal,
    Family::Sles,
    Family::SlesNdb,
];

#[test]
fn named_fixes_come_with_what_they_need_and_nothing_else() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in WITH_TOOL {
        let config = scenario::CONFIG.trim_start_matches('/');
        let subject = Subject::with(family, |setup| setup.file(config, "setting = mine\n"));
        let wanted = [(scenario::LIBRARY, scenario::LIBRARY_NEW), (scenario::DAEMON, scenario::NEW)];
        let ran = subject.patched(Some(&wanted), &[]);
        assert_eq!(ran.outcomes(), [(scenario::LIBRARY, "fixed"), (scenario::DAEMON, "fixed")]);
        assert_eq!(subject.versions(PATCHED, scenario::EXTRA), [scenario::EXTRA_NEW], "{family:?}");
        assert_eq!(subject.versions(PATCHED, scenario::BUGFIX), [scenario::BUGFIX_OLD], "{family:?}");
        let read = |path: &str| std::fs::read_to_string(subject.root(PATCHED).join(path)).unwrap();
        assert_eq!(read(config), "setting = mine\n");
        assert_eq!(read(&format!("{config}.rpmnew")), "setting = 2\n");
        no_traces(&subject);
        subject.judges_agree(&ran);
    }
}

#[test]
fn without_a_report_everything_is_updated_and_a_second_run_finds_nothing() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in WITH_TOOL {
        let subject = Subject::new(family);
        let ran = subject.patched(None, &[]);
        for (name, version) in [
            (scenario::LIBRARY, scenario::LIBRARY_NEW),
            (scenario::BUGFIX, scenario::BUGFIX_NEW),
            (scenario::DAEMON, scenario::NEW),
            (scenario::HELD, scenario::NEW),
        ] {
            assert_eq!(subject.versions(PATCHED, name), [version], "{family:?}");
        }
        assert!(subject.versions(PATCHED, scenario::KERNEL).contains(&scenario::KERNEL_NEW.to_owned()));
        let multilib = subject.versions(PATCHED, scenario::MULTILIB);
        assert!(multilib.iter().all(|version| version == scenario::NEW), "{family:?} {multilib:?}");
        no_traces(&subject);
        subject.judges_agree(&ran);
        let again = subject.patch((PATCHED, "again"), None, &[]);
        assert_eq!(
            again.document["status"], "up-to-date",
            "{family:?} {}\n{:#}",
            again.stderr, again.document
        );
    }
}

#[test]
fn a_patched_image_is_patched_again_into_one_layer() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in [Family::Rocky, Family::Fedora, Family::Sles] {
        let subject = Subject::new(family);
        subject.patched(Some(&[(scenario::LIBRARY, scenario::LIBRARY_NEW)]), &[]);
        let again = subject.patch((PATCHED, "again"), None, &[]);
        assert_eq!(again.document["status"], "patched", "{family:?} {}", again.stderr);
        let layers = |tag| ImageReader::open(subject.layout.directory(), tag).unwrap().layers().len();
        assert_eq!(layers("again"), layers(TAG) + 1, "{family:?}");
        assert_eq!(subject.versions("again", scenario::LIBRARY), [scenario::LIBRARY_NEW], "{family:?}");
        assert_eq!(subject.versions("again", scenario::DAEMON), [scenario::NEW], "{family:?}");
    }
}

/// Where each tool keeps its locks, and a lock of one package.
fn locks(family: Family) -> (&'static str, String) {
    let name = scenario::HELD;
    match family {
        Family::Fedora => (
            "etc/dnf/versionlock.toml",
            format!(
                "version = \"1.0\"\n[[packages]]\nname = \"{name}\"\n[[packages.conditions]]\nkey = \"evr\"\n\
                 comparator = \"=\"\nvalue = \"{}\"\n",
                scenario::OLD
            ),
        ),
        Family::Sles => (
            "etc/zypp/locks",
            format!("type: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: {name}\n"),
        ),
        _ => ("etc/dnf/plugins/versionlock.list", format!("{name}-0:{}.*\n", scenario::OLD)),
    }
}

#[test]
fn locked_packages_stay_and_are_told() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in [Family::Rocky, Family::AzureLinux, Family::Fedora, Family::Sles] {
        let (path, text) = locks(family);
        let subject = Subject::with(family, |setup| setup.file(path, &text));
        let wanted = [(scenario::HELD, scenario::NEW), (scenario::DAEMON, scenario::NEW)];
        let ran = subject.patched(Some(&wanted), &[]);
        assert_eq!(ran.outcomes(), [(scenario::HELD, "held"), (scenario::DAEMON, "fixed")], "{family:?}");
        assert_eq!(subject.versions(PATCHED, scenario::HELD), [scenario::OLD], "{family:?}");
        let all = subject.patch((TAG, "all"), None, &[]);
        assert_eq!(all.code, Some(0), "{}", all.stderr);
        assert!(all.stderr.contains(scenario::HELD), "{family:?}: {}", all.stderr);
        assert_eq!(subject.versions("all", scenario::HELD), [scenario::OLD], "{family:?}");
        assert_eq!(subject.versions("all", scenario::BUGFIX), [scenario::BUGFIX_NEW], "{family:?}");
    }
}

#[test]
fn nothing_to_do_writes_nothing() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in [Family::Rocky, Family::Fedora, Family::Sles] {
        let subject = Subject::with(family, |setup| setup.repositories(&[Repo::Base]));
        let ran = subject.patch((TAG, PATCHED), None, &[]);
        assert_eq!(ran.document["status"], "up-to-date", "{family:?} {}", ran.stderr);
        let done = subject.report(&[(scenario::LIBRARY, scenario::LIBRARY_OLD)]);
        let ran = subject.patch((TAG, PATCHED), Some(&done), &[]);
        assert_eq!(ran.document["status"], "up-to-date", "{family:?} {}", ran.stderr);
        assert_eq!(ran.outcomes(), [(scenario::LIBRARY, "already-fixed")]);
        assert!(ImageReader::open(subject.layout.directory(), PATCHED).is_err());
    }
}

#[test]
fn only_security_updates_are_taken_where_that_is_asked() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in [Family::Rocky, Family::Fedora, Family::Sles] {
        let subject = Subject::new(family);
        subject.patched(None, &["--security-only"]);
        assert_eq!(subject.versions(PATCHED, scenario::LIBRARY), [scenario::LIBRARY_NEW], "{family:?}");
        assert_eq!(subject.versions(PATCHED, scenario::DAEMON), [scenario::NEW], "{family:?}");
        assert_eq!(subject.versions(PATCHED, scenario::BUGFIX), [scenario::BUGFIX_OLD], "{family:?}");
    }
}

#[test]
fn what_is_not_signed_as_the_image_wants_it_is_refused() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in [Family::Rocky, Family::Fedora, Family::Sles] {
        for (repo, package) in [
            (Repo::Unsigned, scenario::UNSIGNED),
            (Repo::Stranger, scenario::STRANGER),
            (Repo::Tampered, scenario::TAMPERED),
            (Repo::Altered, scenario::ALTERED),
            (Repo::Forged, scenario::FORGED),
        ] {
            eprintln!("{family:?} {repo:?}");
            let subject = Subject::with(family, |setup| setup.repositories(&[Repo::Base, repo]));
            subject.refused(&[(package, scenario::NEW)], &[], &[]);
        }
    }
}

#[test]
fn what_fails_half_way_makes_no_image() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in [Family::Rocky, Family::Fedora, Family::Sles] {
        let hostile = || Subject::with(family, |setup| setup.repositories(&[Repo::Base, Repo::Hostile]));
        hostile().refused(&[(scenario::FAILING, scenario::NEW)], &[], &[scenario::FAILING]);
        hostile().refused(&[(scenario::REFUSING, scenario::NEW)], &[], &[scenario::REFUSING]);
        hostile().refused(&[(scenario::REMOVER, scenario::NEW)], &[], &[scenario::VICTIM]);
    }
}

#[test]
fn a_package_goes_only_where_that_is_allowed() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in [Family::Rocky, Family::Fedora, Family::Sles] {
        let subject = Subject::with(family, |setup| setup.repositories(&[Repo::Base, Repo::Hostile]));
        subject.patched(Some(&[(scenario::REMOVER, scenario::NEW)]), &["--allow-removals"]);
        assert_eq!(subject.versions(PATCHED, scenario::REMOVER), [scenario::NEW], "{family:?}");
        assert!(subject.versions(PATCHED, scenario::VICTIM).is_empty(), "{family:?}");
    }
}

#[test]
fn what_asks_is_answered_by_nobody() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in [Family::Rocky, Family::Fedora, Family::Sles] {
        let subject = Subject::with(family, |setup| setup.repositories(&[Repo::Base, Repo::Hostile]));
        subject.patched(Some(&[(scenario::PROMPT, scenario::NEW)]), &[]);
        let answer = subject.root(PATCHED).join(scenario::ANSWER.trim_start_matches('/'));
        assert_eq!(std::fs::read_to_string(answer).unwrap(), "no terminal\nno stdin\n", "{family:?}");
    }
}

#[test]
fn a_repository_that_cannot_be_reached_is_no_success() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for (family, path, more) in [
        (Family::Rocky, "etc/yum.repos.d/dead.repo", "skip_if_unavailable=1\n"),
        (Family::Fedora, "etc/yum.repos.d/dead.repo", "skip_if_unavailable=1\n"),
        (Family::Sles, "etc/zypp/repos.d/dead.repo", "autorefresh=1\ntype=rpm-md\n"),
    ] {
        let subject = Subject::with(family, |setup| {
            let url = format!("{}/nowhere/", setup.url);
            setup.file(path, &format!("[dead]\nname=dead\nbaseurl={url}\nenabled=1\ngpgcheck=1\n{more}"))
        });
        subject.refused(&[(scenario::LIBRARY, scenario::LIBRARY_NEW)], &[], &[]);
    }
}

/// A layout with the image of a family as tooling; its own repositories are none.
fn tooling(world: &World, family: Family) -> String {
    let layout = Layout::create(&world.path("tooling")).unwrap();
    Setup::new(family, "http://nowhere.invalid").repositories(&[]).add(&layout, TAG).unwrap();
    layout.name(TAG)
}

/// Takes the package tools out of an image.
fn without_tools(setup: Setup) -> Setup {
    let tools = ["dnf5", "dnf-3", "dnf", "microdnf", "tdnf", "yum", "zypper"];
    tools.iter().fold(setup, |setup, name| setup.file(&format!("usr/bin/.wh.{name}"), ""))
}

#[test]
fn an_image_without_a_tool_is_patched_by_that_of_another() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for (subject, family) in [
        (Subject::new(Family::RockyMicro), Family::Rocky),
        (Subject::with(Family::Fedora, without_tools), Family::Fedora),
        (Subject::with(Family::AzureLinux, without_tools), Family::AzureLinux),
        (Subject::with(Family::Sles, without_tools), Family::Sles),
    ] {
        let name = tooling(&subject.world, family);
        let ran =
            subject.patched(Some(&[(scenario::LIBRARY, scenario::LIBRARY_NEW)]), &["--tooling-image", &name]);
        assert_eq!(ran.document["strategy"], "outside", "{:#}", ran.document);
        assert_eq!(subject.versions(PATCHED, scenario::EXTRA), [scenario::EXTRA_NEW], "{family:?}");
        assert_eq!(subject.versions(PATCHED, scenario::BUGFIX), [scenario::BUGFIX_OLD], "{family:?}");
        no_traces(&subject);
        subject.judges_agree(&ran);
    }
}

#[test]
fn the_tools_of_another_image_check_signatures_too() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for (repo, package) in [(Repo::Unsigned, scenario::UNSIGNED), (Repo::Stranger, scenario::STRANGER)] {
        let subject =
            Subject::with(Family::Rocky, |setup| without_tools(setup.repositories(&[Repo::Base, repo])));
        let name = tooling(&subject.world, Family::Rocky);
        subject.refused(&[(package, scenario::NEW)], &["--tooling-image", &name], &[]);
    }
}

#[test]
fn the_same_patch_of_the_same_image_is_the_same_layer() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    // Not of NDB: where an entry lies in its index goes by when it was made.
    for family in [Family::Rocky, Family::Fedora, Family::Sles] {
        let subject = Subject::new(family);
        let layer = |tag| {
            let report = subject.report(&[(scenario::LIBRARY, scenario::LIBRARY_NEW)]);
            let ran = subject.patch((TAG, tag), Some(&report), &[]);
            ran.document["patched"]["layer"]["diffId"].clone()
        };
        assert_eq!(layer("one"), layer("two"), "{family:?}");
    }
}

#[test]
fn what_the_user_excludes_stays() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for family in [Family::Rocky, Family::Fedora, Family::RockyMinimal, Family::Sles] {
        let subject = Subject::new(family);
        subject.patched(None, &["--exclude", scenario::HELD]);
        assert_eq!(subject.versions(PATCHED, scenario::HELD), [scenario::OLD], "{family:?}");
        assert_eq!(subject.versions(PATCHED, scenario::BUGFIX), [scenario::BUGFIX_NEW], "{family:?}");
    }
}
