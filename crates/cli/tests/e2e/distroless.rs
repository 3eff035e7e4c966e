//! Images without a shell: packages are resolved, verified and unpacked by the program itself, and nothing is ever run.

use crate::hermetic::{PATCHED, Subject, TAG, is_there, needs, nothing_was_run, text};
use crate::throwaway::{self, Extra, Throwaway};
use crate::world::{Done, World};
use serde_json::Value;
use std::os::unix::{fs::PermissionsExt, process::CommandExt};
use std::path::Path;
use testkit::apt_repository::{Fault, PackageSpec, Release, Signature, scenario as whole};
use testkit::command::argv;
use testkit::distroless::{
    self, Distroless, Repositories,
    hermetic::{KEYRING, Options},
    scenario::{self as s, NEW, OLD},
};
use testkit::image_reader::ImageReader;
use testkit::registry::Registry;
use testkit::tar::Entry;
use testkit::{dpkg, probe, scan, skip, syft};

const DEBIAN: (&str, &str) = ("debian", "12.0");

/// Packages that nothing keeps from being updated.
const GOOD: [&str; 6] = [s::LIBRARY, s::DEPENDENT, s::CONFIGURED, s::SCRIPTED, s::HARMLESS, s::ENCODED];

/// An image of two packages, and a repository of their updates.
fn small() -> Options {
    let wanted = [s::HARMLESS, s::LIBRARY, s::ADDED];
    let only = |all: Vec<PackageSpec>| all.into_iter().filter(|spec| wanted.contains(&spec.name())).collect();
    Options { installed: only(s::installed()), offered: only(s::updates()), ..Options::default() }
}

#[test]
fn a_report_is_worked_off_with_a_new_dependency_and_nothing_is_run() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    let report = subject.wanting(&GOOD, DEBIAN);
    let (ran, image) = subject.patched(Some(&report), &[]);
    for package in GOOD {
        assert_eq!(ran.outcome(package), "fixed", "{package}");
    }
    let versions = dpkg::versions(&image).unwrap();
    assert_eq!(versions[s::ADDED], NEW);
    for kept in [s::PINNED, s::CONFLICTING, s::UNSATISFIED, s::ABSENT] {
        assert_eq!(versions[kept], OLD, "{kept}");
    }
    assert!(is_there(&image, s::SHARED[1]) && !is_there(&image, s::SHARED[0]));
    assert!(!is_there(&image, s::STATE), "no script was run");
    assert_eq!(text(&image, s::CONFFILE).as_deref(), Some("setting = old\n"), "its age is not known");
    assert_eq!(text(&image, s::NEW_CONFFILE).as_deref(), Some("new\n"));
    assert!(
        ran.notes().contains(s::CONFFILE) && ran.notes().contains("postinst of copa-scripted"),
        "{}",
        ran.notes()
    );
    assert_eq!(image.layers().len(), subject.open(TAG).layers().len() + 1);
    let rescanned = subject.made.scan(PATCHED).unwrap();
    let left: Vec<_> = rescanned.findings.iter().map(|f| f.package.as_str()).collect();
    assert!(GOOD.iter().all(|package| !left.contains(package)), "{left:?}");
}

#[test]
fn without_a_report_all_that_can_be_is_updated_and_then_there_is_nothing_to_do() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    let (_, image) = subject.patched(None, &[]);
    let versions = dpkg::versions(&image).unwrap();
    for package in s::UPDATABLE {
        assert_eq!(versions[package], NEW, "{package}");
    }
    assert_eq!([&versions[s::CONFLICTING], &versions[s::UNSATISFIED]], [OLD, OLD]);
    let again = subject.patch((PATCHED, "again"), None, &[]);
    assert_eq!((again.code, &again.document["status"]), (Some(0), &"up-to-date".into()), "{}", again.stderr);
}

#[test]
fn the_same_run_gives_the_same_layer() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    let report = subject.wanting(&GOOD, DEBIAN);
    let digest = || subject.patched(Some(&report), &[]).0.document["patched"]["layer"].clone();
    assert_eq!(digest(), digest());
}

#[test]
fn a_second_patch_replaces_the_layer_and_keeps_the_first() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options::default());
    let first = subject.wanting(&[s::LIBRARY], DEBIAN);
    let layers = subject.patched(Some(&first), &[]).1.layers().len();
    let second = subject.wanting(&[s::HARMLESS], DEBIAN);
    let (ran, image) = subject.patched_from(PATCHED, Some(&second), &["--overwrite"]);
    assert_eq!(ran.document["image"]["repatched"], true);
    assert_eq!(image.layers().len(), layers, "layer count unchanged");
    let versions = dpkg::versions(&image).unwrap();
    assert_eq!([&versions[s::LIBRARY], &versions[s::HARMLESS], &versions[s::ADDED]], [NEW, NEW, NEW]);
    assert!(is_there(&image, s::SHARED[1]) && !is_there(&image, s::SHARED[0]));
}

#[test]
fn an_edited_conffile_stays_and_a_held_package_does_not_move() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let held = format!(
        "Package: {}\nStatus: hold ok installed\nVersion: {OLD}\nArchitecture: all\nMaintainer: a\nDescription: b\n",
        s::HARMLESS
    );
    let added = vec![
        Entry::file(s::CONFFILE.trim_start_matches('/'), "mine\n"),
        Entry::file(&format!("var/lib/dpkg/status.d/{}", s::HARMLESS), held),
    ];
    let subject = Subject::new(&Options { added, ..Options::default() });
    let report = subject.wanting(&[s::CONFIGURED, s::HARMLESS], DEBIAN);
    let (ran, image) = subject.patched(Some(&report), &["--ignore-errors"]);
    assert_eq!(text(&image, s::CONFFILE).as_deref(), Some("mine\n"));
    assert_eq!(ran.outcome(s::HARMLESS), "held", "{:#}", ran.document["findings"]);
    assert_eq!(dpkg::versions(&image).unwrap()[s::HARMLESS], OLD);
}

#[test]
fn indexes_that_cannot_be_believed_are_errors_of_their_own() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&small());
    let publish = |release: Release| subject.made.repository.publish(&release).unwrap();
    let signed = |signature| Release { signature, ..Release::default() };
    for (release, words) in [
        (signed(Signature::Tampered), "bad signature"),
        (signed(Signature::Stranger), "unknown key"),
        (signed(Signature::Missing), "not signed"),
        (signed(Signature::Weak), "too weak"),
        (Release { valid_until: Some(testkit::tree::EPOCH), ..Release::default() }, "expired"),
    ] {
        publish(release);
        subject.refused(None, &[], 7, &[words]);
    }
    publish(Release::default());
    subject.made.served.fail(".deb", Fault::Wrong);
    subject.refused(None, &[], 7, &["not what its index promises"]);
    subject.made.served.heal();
    publish(Release { date: testkit::tree::EPOCH + 1000, ..Release::default() });
    subject.patched(None, &[]);
    publish(Release { date: testkit::tree::EPOCH, ..Release::default() });
    subject.refused(None, &[], 7, &["older than"]);
}

#[test]
fn an_image_without_configuration_takes_that_of_a_folder() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&Options { repositories: Repositories::Unnamed, ..small() });
    let folder = subject.world.path("repositories");
    let put = |path: &str, bytes: &[u8]| {
        let path = folder.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    put("etc/apt/sources.list.d/copa.sources", subject.made.sources(KEYRING).as_bytes());
    put(KEYRING, &std::fs::read(subject.made.repository.key_path()).unwrap());
    let (ran, image) = subject.patched(None, &["--repositories", folder.to_str().unwrap()]);
    assert_eq!(dpkg::versions(&image).unwrap()[s::HARMLESS], NEW);
    let from = ran.document["indexes"][0]["url"].as_str().unwrap();
    assert!(from.starts_with(&subject.made.url()), "{from}");
    assert!(!is_there(&image, KEYRING), "the folder's files stay out of the image");
}

#[test]
fn an_image_of_another_architecture_is_patched_like_any_other() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let foreign = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };
    let subject = Subject::new(&Options { architecture: foreign.to_owned(), ..Options::default() });
    let report = subject.wanting(&GOOD, DEBIAN);
    let (_, image) = subject.patched(Some(&report), &[]);
    assert_eq!(image.config["architecture"], foreign);
    assert_eq!(dpkg::versions(&image).unwrap()[s::LIBRARY], NEW);
}

/// Why a real distroless image cannot be made and judged here, if so.
fn real_needs() -> Result<(), String> {
    let programs = probe::programs(&["docker-registry", "skopeo", "umoci", "syft", "chroot"]);
    probe::first_reason([probe::root(), distroless::needs(), probe::debian_roots(), programs])
}

#[test]
fn a_real_distroless_debian_has_no_fixable_finding_left_and_its_program_runs() {
    if let Err(reason) = real_needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let named = Distroless { repositories: Repositories::Named, ..Distroless::default() };
    let layout = distroless::image(named).unwrap();
    let before = ImageReader::open(layout.directory(), TAG).unwrap();
    let scanned = scan::layout(layout.directory(), TAG).unwrap();
    assert!(scanned.fixable() >= 20, "{}", scanned.fixable());
    let report = world.path("report.json");
    scanned.write(&report).unwrap();
    let registry = Registry::start().unwrap();
    let reference = registry.push(&layout, TAG, "app:1").unwrap();
    let arguments = ["patch", "-i", &reference, "-r", report.to_str().unwrap(), "-t", PATCHED, "--push"];
    let result = world.succeed(&arguments);
    assert_eq!(result["status"], "patched", "{result:#}");
    nothing_was_run(&result);
    let pulled = world.path("pulled");
    registry.pull(&format!("app:{PATCHED}"), &pulled, PATCHED).unwrap();
    let rescanned = scan::layout(&pulled, PATCHED).unwrap();
    assert_eq!(rescanned.fixable(), 0, "{:#?}", rescanned.findings);
    let after = ImageReader::open(&pulled, PATCHED).unwrap();
    assert_eq!(after.layers()[..before.layers().len()], before.layers()[..]);
    assert_eq!(after.layers().len(), before.layers().len() + 1);
    let own = dpkg::versions(&after).unwrap();
    assert_eq!(syft::packages(&pulled, PATCHED).unwrap(), own.clone().into_iter().collect());
    for package in result["packages"].as_array().unwrap() {
        assert_eq!(package["to"].as_str(), own.get(package["name"].as_str().unwrap()).map(String::as_str));
    }
    assert_eq!(world.succeed(&arguments)["patched"]["layer"], result["patched"]["layer"], "twice");
    its_program_is_new(&world, &pulled, &own);
    sums_hold(&world.path("bundle/rootfs"));
    assert_eq!(
        as_nobody(&reference, &report)["patched"]["layer"],
        result["patched"]["layer"],
        "without root"
    );
}

/// Runs the image's `openssl`, on the judge's side.
fn its_program_is_new(world: &World, pulled: &Path, own: &std::collections::BTreeMap<String, String>) {
    let bundle = world.path("bundle");
    let image = format!("{}:{PATCHED}", pulled.display());
    argv("umoci", ["unpack", "--image", &image, bundle.to_str().unwrap()]).stdout().unwrap();
    let root = bundle.join("rootfs");
    let said = argv("chroot", [root.to_str().unwrap(), "/usr/bin/openssl", "version"]).text().unwrap();
    let upstream = own["openssl"].split('-').next().unwrap();
    assert!(said.contains(upstream), "{said} is of {upstream}");
    assert_eq!(said.matches(upstream).count(), 2, "program and library are of one version: {said}");
}

/// Every file that the records list is as they say, by md5sum.
fn sums_hold(root: &Path) {
    let records = root.join("var/lib/dpkg/status.d");
    let mut checked = 0;
    for entry in std::fs::read_dir(records).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "md5sums") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // The maker of the image has its own os-release.
        let lines: String =
            text.lines().filter(|l| !l.ends_with("usr/lib/os-release")).map(|l| format!("{l}\n")).collect();
        let list = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(list.path(), &lines).unwrap();
        let mut command = std::process::Command::new("md5sum");
        let out = command.args(["--check", "--quiet"]).arg(list.path()).current_dir(root).output().unwrap();
        assert!(out.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&out.stdout));
        checked += lines.lines().count();
    }
    assert!(checked > 100, "{checked}");
}

/// The same run as a user without any rights.
fn as_nobody(reference: &str, report: &Path) -> Value {
    let world = World::new();
    let (own_report, program) = (world.path("report.json"), world.path("copa"));
    std::fs::copy(report, &own_report).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_copa"), &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&own_report, std::fs::Permissions::from_mode(0o644)).unwrap();
    for folder in [world.folder.path(), &world.path("home"), &world.path("cache")] {
        std::fs::create_dir_all(folder).unwrap();
        std::os::unix::fs::chown(folder, Some(65_534), Some(65_534)).unwrap();
    }
    let mut command = std::process::Command::new(&program);
    command.args(["patch", "-i", reference, "-r", own_report.to_str().unwrap(), "-t", "nobody", "--push"]);
    command.args(["--result", "-"]).env_clear().env("HOME", world.path("home"));
    command.env("COPA_CACHE_DIR", world.path("cache")).uid(65_534).gid(65_534).current_dir("/");
    let done = Done::of(command.output().unwrap());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

/// A real Debian that has dpkg's own records, a shell, and neither dpkg nor apt.
fn toolless() -> Throwaway {
    let gone = Extra::layer("gone usr/bin/apt-get\ngone usr/bin/dpkg\n");
    Throwaway::with(&whole::updates(), &gone)
}

#[test]
fn dpkgs_own_records_are_rewritten_as_the_real_dpkg_wants_them() {
    if let Err(reason) = throwaway::needs().and_then(|()| probe::programs(&["umoci"])) {
        skip!("{reason}");
    }
    let made = toolless();
    let report = made.wanting(&[whole::HELD]);
    let (ran, image) = made.patched(&report, &[]);
    nothing_was_run(&ran.document);
    assert_eq!(dpkg::versions(&image).unwrap()[whole::HELD], whole::NEW);
    let bundle = made.world.path("bundle");
    let name = format!("{}:{}", made.layout.directory().display(), throwaway::PATCHED);
    argv("umoci", ["unpack", "--image", &name, bundle.to_str().unwrap()]).stdout().unwrap();
    let root = bundle.join("rootfs");
    let dpkg = |arguments: &[&str]| {
        let root = format!("--root={}", root.display());
        argv("dpkg", [&[root.as_str()], arguments].concat()).text().unwrap()
    };
    assert_eq!(dpkg(&["--audit"]), "", "dpkg finds nothing amiss");
    assert_eq!(dpkg(&["--verify", whole::HELD]), "");
    assert!(dpkg(&["--listfiles", whole::HELD]).contains(&format!("/usr/share/{}/data\n", whole::HELD)));
    let listed = dpkg(&["--list", whole::HELD]);
    assert!(listed.lines().any(|line| line.starts_with("ii ") && line.contains(whole::NEW)), "{listed}");
}

#[test]
fn scripts_that_would_have_to_run_are_named_and_refused_unless_they_may_be_skipped() {
    if let Err(reason) = throwaway::needs() {
        skip!("{reason}");
    }
    let made = toolless();
    let report = made.wanting(&[whole::BASE]);
    made.refused(
        &report,
        &[],
        7,
        &["scripts of packages would have to run", "postinst of copa-base", "--skip-scripts"],
    );
    let (ran, image) = made.patched(&report, &["--skip-scripts"]);
    nothing_was_run(&ran.document);
    assert!(
        ran.document["notes"].to_string().contains("postinst of copa-base"),
        "{:#}",
        ran.document["notes"]
    );
    assert!(!is_there(&image, whole::STATE));
    assert_eq!(text(&image, whole::CONFFILE).as_deref(), Some("setting = new\n"), "nobody changed it");
    assert_eq!(dpkg::versions(&image).unwrap()[whole::EXTRA], whole::NEW, "what it needs came with it");
}
