//! Images of other architectures: 32-bit x86 by the processor, others by an emulator, and a clear refusal without one.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/emulation.rs"]
mod emulation;
mod support;

use embedded::{Embedded, host::Mode};
use emulation::Emulation;
use engine::{Context, Engine as _, Error, Exec, Look, Mount, OpenRequest, Recipe, Run, Step};
use oci::Platform;
use std::{collections::BTreeMap, fs, io::BufReader, path::Path};
use support::{Bed, Files, changed, exec, image_of, in_each_mode, in_each_mode_and_user, recipe, text};
use testkit::{
    command::argv,
    mirror::Mirror,
    probe, skip,
    tar::{Entry, Reader},
    workspace,
};

const QEMU: &str = "/usr/bin/qemu-aarch64-static";
/// ELF's numbers of machines.
const AARCH64: u8 = 183;
const MIPS: u8 = 8;

fn can_run(bed: &Bed, platform: &str) -> Result<(), Error> {
    let platform: Platform = platform.parse().unwrap();
    bed.block_on(Embedded::new(bed.options.clone()).can_run(&platform, &Context::silent()))
}

fn refusal(bed: &Bed, platform: &str) -> (String, String) {
    match can_run(bed, platform) {
        Err(Error::Unavailable { what, remedy, .. }) => (what, remedy),
        other => panic!("{platform}: {other:?}"),
    }
}

fn run(bed: &Bed, layers: &[Files], platform: &str, recipe: &Recipe) -> Result<Run, Error> {
    let platform: Platform = platform.parse().unwrap();
    let (image, blobs) = image_of(layers, &platform);
    let request = OpenRequest { image, base_layers: layers.len(), blobs, keep_blobs: false };
    let mut root = bed.block_on(Embedded::new(bed.options.clone()).open(request, &Context::silent()))?;
    bed.block_on(root.run(recipe, &Context::silent()))
}

#[test]
fn what_no_kernel_runs_is_refused() {
    in_each_mode("what_no_kernel_runs_is_refused", || {
        let bed = Bed::new();
        can_run(&bed, &Platform::host().to_string()).unwrap();
        assert!(refusal(&bed, "windows/amd64").0.contains("programs of windows/amd64 do not run on Linux"));
        assert!(refusal(&bed, "linux/pdp11").0.contains("linux/pdp11"));
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

#[test]
fn without_an_emulator_the_remedy_is_told() {
    in_each_mode("without_an_emulator_the_remedy_is_told", || {
        let bed = Bed::new();
        if bed.mode == Mode::Root {
            // The machine's own entries are not ours to hide.
            return;
        }
        let mut emulation = match Emulation::new(bed.mode) {
            Ok(emulation) => emulation,
            Err(why) => return eprintln!("skipped: {why}"),
        };
        let (what, remedy) = refusal(&bed, "linux/mips64le");
        assert!(what.contains("emulation is not enabled for platform linux/mips64le: no entry"), "{what}");
        assert!(remedy.contains("apt-get install qemu-user-static"), "{remedy}");
        assert!(remedy.contains("tonistiigi/binfmt --install mips64le"), "{remedy}");
        // Without the flag F an interpreter is looked for in the image.
        emulation.register(MIPS, "/bin/true", "OC");
        let (what, _) = refusal(&bed, "linux/mips64le");
        assert!(what.contains("has no flag F") && what.contains("/bin/true"), "{what}");
        emulation.register(MIPS, "/bin/true", "F");
        let (what, _) = refusal(&bed, "linux/mips64le");
        assert!(what.contains("the emulator /bin/true of platform linux/mips64le does not work"), "{what}");
        emulation.set_last("0");
        // The kernel takes the one that is switched on.
        assert!(refusal(&bed, "linux/mips64le").0.contains("has no flag F"));
        drop(emulation);
        let mut emulation = Emulation::new(bed.mode).unwrap();
        emulation.register(MIPS, "/bin/true", "F");
        emulation.set_last("0");
        let (what, remedy) = refusal(&bed, "linux/mips64le");
        assert!(what.contains("is switched off") && remedy.contains("echo 1 | sudo tee"), "{what} {remedy}");
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

/// The program of 32 bits, as a layer.
fn narrow() -> Files {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("narrow");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/narrow.c");
    let how =
        ["-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector", "-fno-pic", "-O1", "-o"];
    argv("cc", how).arg(&program).arg(source).stdout().unwrap();
    let content = fs::read(program).unwrap();
    Files::default().file("/narrow", 0o755, &content).file("/short", 0o644, b"s").folder("/tmp", 0o1777)
}

fn narrow_runs() -> Result<(), String> {
    probe::programs(&["cc"])?;
    if !cfg!(target_arch = "x86_64") {
        return Err("not an amd64 machine".into());
    }
    // The kernel says so in the version of each process' own way in.
    let enabled = fs::read_to_string("/proc/sys/abi/vsyscall32").is_ok();
    if enabled { Ok(()) } else { Err("the kernel runs no 32-bit programs".into()) }
}

#[test]
fn programs_of_32_bits_run_by_their_own_rules_and_only_in_their_images() {
    if let Err(reason) = narrow_runs() {
        skip!("{reason}");
    }
    in_each_mode_and_user("programs_of_32_bits_run_by_their_own_rules_and_only_in_their_images", || {
        let bed = Bed::new();
        can_run(&bed, "linux/386").unwrap();
        let step = Exec { argv: vec!["/narrow".into()], network: true, may_fail: true, ..exec(&[]) };
        let steps = recipe(vec![Step::Exec(step)]);
        let run_on = |platform: &str| run(&bed, &[narrow()], platform, &steps).unwrap();
        let run = run_on("linux/386");
        assert_eq!(run.steps[0].exit, Some(0), "{}", run.steps[0].tail);
        let said: BTreeMap<&str, i32> = run.steps[0]
            .tail
            .lines()
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(name, result)| (name, result.parse().unwrap()))
            .collect();
        let (refused, unknown) = (-libc::EPERM, -libc::ENOSYS);
        let wanted = [
            ("open", 1),
            ("fsync of nothing", 0),
            ("fchown32", 0),
            ("chown16", 0),
            ("chown16 unchanged", 0),
            ("inet", 1),
            ("unix", 1),
            ("vsock", refused),
            ("packet", refused),
            ("alg", refused),
            ("direct vsock", refused),
            ("nowhere", -libc::EFAULT),
            ("pair", 0),
            ("pair writes", 1),
            ("pair reads", 1),
            ("pair of vsock", refused),
            ("mount", refused),
            ("unshare", refused),
            ("keyctl", refused),
            ("future", unknown),
        ];
        assert_eq!(said, BTreeMap::from(wanted));
        let owner = |name: &str| {
            let path = layer::EntryPath::new(name.as_bytes()).unwrap();
            let entry = run.after.entry(&path, false).unwrap().unwrap();
            (entry.uid, entry.gid)
        };
        assert_eq!((owner("/made"), owner("/short")), ((33, 44), (5, 7)));
        // An image of 64 bits has no use for a second way into the kernel.
        let elsewhere = run_on("linux/amd64");
        assert_eq!(elsewhere.steps[0].exit, Some(128 + libc::SIGSYS), "{}", elsewhere.steps[0].tail);
        assert_eq!(elsewhere.steps[0].tail, "");
    });
}

/// A Debian of another architecture with what dpkg needs and nothing configured: no program of it has run. Made once.
fn foreign_debian(architecture: &str) -> Vec<Entry> {
    let tar = workspace::cache().join(format!("roots/bookworm-{architecture}-dpkg.tar"));
    workspace::once(&tar, |unfinished| {
        let mirror = Mirror::of_this_machine()?;
        let release = format!(
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} bookworm main",
            mirror.archive
        );
        let how = [
            "--variant=extract",
            "--format=tar",
            "--include=dpkg,dash,coreutils,tar,diffutils,libc-bin",
            &format!("--architectures={architecture}"),
        ];
        let mode = if probe::root().is_ok() { "--mode=root" } else { "--mode=unshare" };
        argv("mmdebstrap", how).arg(mode).arg("bookworm").arg(unfinished).arg(release).stdout().map(drop)
    })
    .unwrap();
    let mut entries = Reader::new(BufReader::new(fs::File::open(tar).unwrap())).collect().unwrap();
    for entry in &mut entries {
        entry.path = entry.path.strip_prefix(b"./").unwrap_or(&entry.path).to_vec();
    }
    let needed = |path: &[u8]| {
        let path = String::from_utf8_lossy(path);
        let ballast = ["usr/share/", "dev/", "gconv", "usr/lib/apt", "var/cache", "var/lib/apt", "etc/apt"];
        !path.is_empty() && !ballast.iter().any(|part| path.contains(part))
    };
    entries.retain(|entry| needed(&entry.path));
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates"] {
        entries.push(Entry::directory(folder));
    }
    entries.push(Entry::file("var/lib/dpkg/status", ""));
    entries
}

/// A package whose script says on what machine it runs, starts others, changes owners and syncs.
fn deb(architecture: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join("made").join(name);
    fs::create_dir_all(at("DEBIAN")).unwrap();
    fs::create_dir_all(at("opt")).unwrap();
    let control = format!(
        "Package: made\nVersion: 2.0\nArchitecture: {architecture}\nMaintainer: Nobody <nobody@example.org>\n\
        Description: made for a test\n"
    );
    let script = "#!/bin/sh\nset -e\nuname -m > /opt/machine\necho a b | (read one two; echo $two > /opt/piped)\n\
        chown 33:44 /opt/machine\nsync\nsync /opt/machine\ntest -c /dev/null\ntest -r /proc/self/status\n";
    fs::write(at("DEBIAN/control"), control).unwrap();
    fs::write(at("DEBIAN/postinst"), script).unwrap();
    fs::write(at("opt/new"), "new").unwrap();
    argv("chmod", ["-R", "u=rwX,go=rX"]).arg(folder.path()).stdout().unwrap();
    argv("chmod", ["755"]).arg(at("DEBIAN/postinst")).stdout().unwrap();
    let out = folder.path().join("made.deb");
    argv("dpkg-deb", ["--root-owner-group", "--build"]).arg(at("")).arg(&out).stdout().unwrap();
    fs::read(out).unwrap()
}

/// Installs a package with the image's own dpkg, and looks at all that it did.
fn dpkg_works(bed: &Bed, architecture: &str, machine: &str) {
    let platform = format!("linux/{}", if architecture == "i386" { "386" } else { architecture });
    can_run(bed, &platform).unwrap();
    let argv = ["/usr/bin/dpkg", "--force-depends", "--install", "/dev/copa/made.deb"].map(str::to_owned);
    let step = Exec { argv: argv.into(), ..exec(&["dpkg"]) };
    let status = "/var/lib/dpkg/status";
    let wanted = Recipe {
        mounts: vec![Mount { name: "made.deb".into(), content: deb(architecture) }],
        evidence: vec![Look::File { path: status.into(), max_bytes: 1 << 20 }],
        ..recipe(vec![Step::Exec(step)])
    };
    let layers = [Files::of_tar(testkit::tar::write(&foreign_debian(architecture)))];
    let mut run = run(bed, &layers, &platform, &wanted).unwrap();
    let said = run.steps[0].tail.clone();
    let found = String::from_utf8(run.evidence[status].clone()).unwrap();
    assert!(found.contains("Status: install ok installed\n") && found.contains("Version: 2.0\n"), "{said}");
    assert_eq!(text(&run, "/opt/machine").as_deref(), Some(machine), "{said}");
    assert_eq!(text(&run, "/opt/piped").as_deref(), Some("b\n"));
    assert_eq!(text(&run, "/opt/new").as_deref(), Some("new"));
    let path = layer::EntryPath::new(b"opt/machine").unwrap();
    let entry = run.after.entry(&path, false).unwrap().unwrap();
    assert_eq!((entry.uid, entry.gid), (33, 44));
    assert!(run.syncs_suppressed);
    let outside = |line: &&String| !line[1..].starts_with("/var") && !line[1..].starts_with("/opt");
    let strange: Vec<String> = changed(&mut run).into_iter().filter(|line| outside(&line)).collect();
    assert_eq!(strange, [""; 0], "nothing of an emulator");
    drop(run);
    assert_eq!(bed.left_over(), [""; 0]);
}

fn debian_needs() -> Result<(), String> {
    probe::first_reason([probe::debian_roots(), probe::programs(&["dpkg-deb", "mmdebstrap"])])
}

#[test]
fn dpkg_of_another_architecture_works_through_an_emulator() {
    let there = || {
        let can = Path::new(QEMU).exists() && Platform::host().architecture != "arm64";
        can.then_some(()).ok_or_else(|| format!("no {QEMU} on this machine"))
    };
    if let Err(reason) = debian_needs().and_then(|()| there()) {
        skip!("{reason}");
    }
    foreign_debian("arm64");
    in_each_mode("dpkg_of_another_architecture_works_through_an_emulator", || {
        let bed = Bed::new();
        let mut emulation = match Emulation::new(bed.mode) {
            Ok(emulation) => emulation,
            Err(why) => return eprintln!("skipped: {why}"),
        };
        let own = bed.folder.path().join("qemu");
        fs::copy(QEMU, &own).unwrap();
        emulation.register(AARCH64, own.to_str().unwrap(), "OCF");
        dpkg_works(&bed, "arm64", "aarch64\n");
        the_emulator_is_not_written_to(&bed, &own);
    });
}

/// An emulated program is the emulator's file of the host, as `/proc/thread-self/exe` says (in `/proc/self` QEMU shows another).
fn the_emulator_is_not_written_to(bed: &Bed, emulator: &Path) {
    let tries = [
        ["/usr/bin/truncate", "--size=0", "/proc/thread-self/exe"],
        ["/bin/dd", "if=/dev/zero", "of=/proc/thread-self/exe"],
    ];
    let step = |argv: [&str; 3]| {
        Step::Exec(Exec { argv: argv.map(str::to_owned).into(), may_fail: true, ..exec(&["try"]) })
    };
    let layers = [Files::of_tar(testkit::tar::write(&foreign_debian("arm64")))];
    let run = run(bed, &layers, "linux/arm64", &recipe(tries.map(step).into())).unwrap();
    for step in &run.steps {
        assert!(step.exit == Some(1) && step.tail.contains("thread-self"), "{step:?}");
    }
    let same = fs::read(QEMU).unwrap() == fs::read(emulator).unwrap();
    assert!(same, "an image wrote to a file of the host");
}

#[test]
fn dpkg_of_32_bits_works_by_the_processor() {
    if let Err(reason) = debian_needs().and_then(|()| narrow_runs()) {
        skip!("{reason}");
    }
    foreign_debian("i386");
    in_each_mode("dpkg_of_32_bits_works_by_the_processor", || dpkg_works(&Bed::new(), "i386", "i686\n"));
}
