//! Images that are not what they should be: records that are no files, folders that are links, tools that are traps.

use crate::throwaway::{Extra, Throwaway, needs};
use std::net::TcpListener;
use testkit::apt_repository::scenario;
use testkit::tar::{self, Entry, Kind};
use testkit::{skip, tree};

/// The failure of images.
const IMAGE: i32 = 4;
/// The failure of packages.
const PACKAGES: i32 = 7;

fn entries(entries: &[Entry]) -> Extra {
    Extra { layers: vec![tar::write(entries)], ..Extra::default() }
}

#[test]
fn a_database_that_is_no_database_is_refused() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let canary = subject.world.path("canary");
    std::fs::write(
        &canary,
        "Package: canary\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n",
    )
    .unwrap();
    let status = "var/lib/dpkg/status";
    let at = |kind| Entry::new(status, kind);
    let link = |to: &str| at(Kind::Symlink(to.as_bytes().to_vec()));
    let up = format!("{}{}", "../".repeat(40), canary.display());
    let huge = Entry::file(status, vec![b'\n'; (64 << 20) + 1]);
    for (name, entry) in [
        ("fifo", at(Kind::Fifo)),
        ("character device", at(Kind::CharDevice(1, 5))),
        ("folder", at(Kind::Directory)),
        ("environment", link("/proc/self/environ")),
        ("host file", link(canary.to_str().unwrap())),
        ("host file, upwards", link(&up)),
        ("itself", link("status")),
        ("junk", Entry::file(status, [0xff, 0, 1, 2].repeat(5000))),
        ("empty", Entry::file(status, "")),
        ("too large", huge),
        (
            "hostile name",
            Entry::file(
                status,
                "Package: --force-all\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n",
            ),
        ),
    ] {
        eprintln!("{name}");
        subject.add(crate::throwaway::TAG, &entries(&[entry]));
        let ran = subject.refused(&subject.wanting(&[scenario::BASE]), &[], IMAGE, &[]);
        assert!(ran.stderr.contains(status) || ran.stderr.contains("copa-base"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    }
    assert_eq!(subject.served.log(), []);
    // Where the link stays inside the image, it is followed.
    let moved = Entry::file("srv/status", crate::throwaway::installed_status());
    subject.add(crate::throwaway::TAG, &entries(&[moved, link("../../../../../srv/status")]));
    let ran = subject.patch(&subject.report(&[("copa-absent", "1")]), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn an_image_of_no_or_another_distribution_is_refused() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let named = |id: &str| {
        format!(
            "gone etc/os-release\nfile usr/lib/os-release text=ID={id}\\nVERSION_ID=3.18.4\\nPRETTY_NAME=\"Some\\sLinux\\sv3.18\"\\n"
        )
    };
    let (gentoo, alpine) = (named("gentoo"), named("alpine"));
    for (layer, words) in [
        ("gone etc/os-release\ngone usr/lib/os-release", &["not supported yet", "os-release"][..]),
        (&*gentoo, &["not supported yet", "Some Linux v3.18"]),
        (&*alpine, &["/lib/apk/db/installed", "no package database"]),
        ("fifo etc/os-release", &["os-release"]),
        ("file etc/os-release text=ID=debian\\nID='\\n", &["os-release"]),
        ("file etc/os-release size=100000", &["os-release"]),
        ("file usr/lib/os-release text=x\nsymlink etc/os-release to=/proc/self/environ", &["os-release"]),
        (
            "gone var/lib/dpkg/status\nfile var/lib/dpkg/status.d/base text=x",
            &["/var/lib/dpkg/status.d", "no field"],
        ),
    ] {
        eprintln!("{layer}");
        subject.add(crate::throwaway::TAG, &Extra::layer(layer));
        let report = subject
            .report_of(serde_json::json!({ "Family": "alpine", "Name": "3.18.4" }), &[("busybox", "2")]);
        subject.refused(&report, &[], IMAGE, words);
    }
    assert_eq!(subject.served.log(), []);
}

#[test]
fn mount_points_that_are_something_else_stay_so() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let outside = tempfile::tempdir().unwrap();
    let canary = outside.path().display().to_string();
    for (layer, code) in [
        (format!("symlink dev to={canary}"), IMAGE),
        (format!("symlink proc to={canary}\nsymlink sys to=/etc"), IMAGE),
        ("file dev text=x\nfile proc text=x\nfile sys text=x".to_owned(), IMAGE),
        ("symlink etc/resolv.conf to=/run/systemd/resolve/stub-resolv.conf".to_owned(), 0),
        ("file etc/resolv.conf text=x\nfile etc/hosts text=192.0.2.1\\slocalhost\\n".to_owned(), 0),
        ("symlink run to=var/run\nsymlink var/run to=/run".to_owned(), 0),
    ] {
        eprintln!("{layer}");
        let subject = Throwaway::with(&scenario::updates(), &Extra::layer(&layer));
        let before = std::fs::read_dir(outside.path()).unwrap().count();
        let ran = subject.patch(&subject.wanting(&[scenario::BASE]), &[]);
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), before);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        if code == IMAGE {
            continue;
        }
        let image =
            testkit::image_reader::ImageReader::open(subject.layout.directory(), crate::throwaway::PATCHED)
                .unwrap();
        let changed = image.layer_entries(image.layers().len() - 1).unwrap();
        let paths: Vec<_> = changed.iter().map(|e| String::from_utf8_lossy(&e.path).into_owned()).collect();
        let special = ["dev", "proc", "sys", "run", "etc/resolv.conf", "etc/hosts", "var/run"];
        assert!(!paths.iter().any(|p| special.contains(&p.trim_end_matches('/'))), "{paths:?}");
    }
}

/// A package tool that tries what a shell can try, says what it gained, and ends well.
fn trap(listener: &str, secret: &str, folder: &str) -> String {
    format!(
        "#!/bin/bash\n\
         gained() {{ echo \"GAINED $1\"; }}\n\
         for to in {listener} 169.254.169.254:80 10.0.0.1:80; do\n\
           (exec 3<>\"/dev/tcp/${{to%:*}}/${{to#*:}}\") 2>/dev/null && gained \"connection to $to\"\n\
         done\n\
         grep -qs {secret} /proc/*/environ && gained 'a variable'\n\
         grep -qs copa /proc/1/cmdline && [ -w /proc/1/exe ] && gained 'our program'\n\
         grep -qs 'e2[e]' /proc/*/cmdline && gained 'a process of the host'\n\
         for fd in /proc/self/fd/*; do case $(readlink $fd) in *cache*|{folder}*) gained \"file $fd\" ;; esac; done\n\
         (echo x >/dev/tty) 2>/dev/null && gained 'a terminal'\n\
         (echo 1 >/proc/sys/kernel/panic) 2>/dev/null && gained 'a setting of the kernel'\n\
         (: >/sys/kernel/mm/ksm/run) 2>/dev/null && gained 'sysfs'\n\
         mount -t tmpfs none /mnt 2>/dev/null && gained 'a mount'\n\
         mknod /root/disk b 8 0 2>/dev/null && head -c1 /root/disk 2>/dev/null && gained 'a disk'\n\
         chroot /proc/1/root true 2>/dev/null && [ -e /proc/1/root{folder} ] && gained 'the root of the host'\n\
         [ -e {folder} ] && gained 'a folder of the host'\n\
         (setsid bash -c 'trap \"\" TERM HUP; exec sleep {secret}' &)\n\
         : >/root/TRIED\n\
         echo TRIED everything\n\
         exit 0\n"
    )
}

#[test]
fn a_tool_that_is_a_trap_gains_nothing() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let secret = format!("70001.{}", std::process::id());
    let subject = Throwaway::offering(&scenario::updates());
    let folder = subject.world.folder.path().to_str().unwrap();
    let tool = Entry::file("usr/bin/apt-get", trap(&address, &secret, folder)).mode(0o755);
    subject.add(crate::throwaway::TAG, &entries(&[tool]));
    let report = subject.wanting(&[scenario::BASE]);
    let mut command = subject.command(&report, &[]);
    command.env("COPA_TEST_SECRET", &secret).env("REGISTRY_TOKEN", &secret);
    let ran = subject.finish(command);
    assert_eq!(ran.code, Some(PACKAGES), "{}", ran.stderr);
    assert!(ran.stderr.contains("TRIED everything"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("GAINED"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(&secret), "{}", ran.stderr);
    assert_eq!(ran.outcomes(), [(scenario::BASE, "repository-behind")]);
    assert_eq!(ran.document["fetches"], serde_json::json!([]));
    assert!(listener.accept().is_err(), "nobody came");
    assert_eq!(subject.served.log(), []);
    let line = format!("sleep\0{secret}\0");
    let alive = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    assert_eq!(alive.filter(|found| *found == line.as_bytes()).count(), 0);
}

#[test]
fn shells_and_libraries_of_the_image_are_not_used_to_look_at_it() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    // Nothing in this image can run, and still it can be planned for.
    let broken = "file usr/bin/dash mode=755 text=junk\nfile usr/bin/dpkg mode=755 text=junk\nfile etc/nsswitch.conf text=junk\n\
        file etc/ld.so.preload text=/evil.so\\n\nfile etc/passwd text=junk";
    let subject = Throwaway::with(
        &scenario::updates(),
        &Extra { layers: vec![tree::layer(broken)], ..Extra::default() },
    );
    let ran = subject.patch(&subject.wanting(&[scenario::BASE]), &["--dry-run"]);
    assert_eq!((ran.code, &ran.document["status"]), (Some(0), &"planned".into()), "{}", ran.stderr);
    subject.refused(&subject.wanting(&[scenario::BASE]), &[], PACKAGES, &[]);
}
