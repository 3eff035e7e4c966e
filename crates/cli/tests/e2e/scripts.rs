//! Maintainer scripts that fail, ask, hang, leave something running or break things, and a package tool that cannot or
//! must not do what is asked.

use crate::throwaway::{Extra, TAG, Throwaway, needs};
use std::time::{Duration, Instant};
use testkit::apt_repository::{PackageSpec, Script, scenario};
use testkit::image_reader::ImageReader;
use testkit::{dpkg, skip, tree};

/// The failure of packages.
const PACKAGES: i32 = 7;
/// The failure of time.
const TIMEOUT: i32 = 9;

fn content(image: &ImageReader, path: &str) -> Option<String> {
    let path = &path.as_bytes()[1..];
    let shown = image.files(|at| at == path).unwrap().remove(path)?;
    Some(String::from_utf8(shown.entry.content()?.to_vec()).unwrap())
}

/// Processes that sleep for this number of seconds, which only one test uses.
fn sleepers(seconds: &str) -> usize {
    let line = format!("sleep\0{seconds}\0");
    let lines = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.filter(|found| *found == line.as_bytes()).count()
}

/// A number of seconds that no other test, and no other run of this one, sleeps for.
fn seconds(test: u32) -> String {
    format!("{}.{}", 80_000 + test, std::process::id())
}

#[test]
fn a_script_that_fails_is_told_with_its_words() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::all_updates());
    let report = subject.wanting(&[scenario::BROKEN]);
    let ran = subject.refused(&report, &[], PACKAGES, &["copa-broken: this is why it fails"]);
    assert!(ran.stderr.contains("Installing 1 security update"), "{}", ran.stderr);
    // A package that is half there is worse than one that is old: not even with this is such an image made.
    let both = subject.wanting(&[scenario::BASE, scenario::BROKEN]);
    subject.refused(&both, &["--ignore-errors"], PACKAGES, &[scenario::BROKEN, "half-configured"]);
    subject.patched(&subject.wanting(&[scenario::BASE]), &[]);
}

#[test]
fn nobody_answers_questions() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::all_updates());
    let begun = Instant::now();
    let report = subject.wanting(&[scenario::PROMPT, scenario::ASKER]);
    let (_, image) = subject.patched(&report, &["--timeout", "2m"]);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(content(&image, scenario::ANSWER).as_deref(), Some("no terminal\nno stdin\n"));
    assert_eq!(content(&image, scenario::ASKED).as_deref(), Some("default\n"));
    assert_eq!(content(&image, scenario::PROMPT_CONFFILE).as_deref(), Some("answer = new\n"));

    let mine = "file etc/copa-prompt.conf text=answer\\s=\\smine\\n";
    subject.add(TAG, &Extra::layer(mine));
    let (_, image) = subject.patched(&subject.wanting(&[scenario::PROMPT]), &[]);
    assert_eq!(content(&image, scenario::PROMPT_CONFFILE).as_deref(), Some("answer = mine\n"));
}

#[test]
fn what_a_script_leaves_running_ends_with_the_run() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let long = seconds(1);
    let postinst = format!(
        "#!/bin/sh\nsetsid sleep {long} </dev/null >/dev/null 2>&1 &\nsetsid sleep {long} &\nnohup sleep {long} &\nexit 0\n"
    );
    let lingering = PackageSpec::new(scenario::HELD, scenario::NEW).script(Script::Postinst, &postinst);
    let offered =
        scenario::all_updates().into_iter().filter(|p| p.name() != scenario::HELD).chain([lingering]);
    let subject = Throwaway::offering(&offered.collect::<Vec<_>>());
    let (_, image) =
        subject.patched(&subject.wanting(&[scenario::HELD, scenario::DAEMON]), &["--timeout", "2m"]);
    assert_eq!(content(&image, scenario::STARTED), None, "no service is started");
    assert_eq!(sleepers(&long), 0);
}

#[test]
fn a_script_that_hangs_ends_with_the_time() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let long = seconds(2);
    let postinst = format!("#!/bin/sh\ntrap '' TERM INT HUP\nsetsid sleep {long} &\nsleep {long}\n");
    let slow = PackageSpec::new(scenario::SLOW, scenario::NEW).script(Script::Postinst, &postinst);
    let subject = Throwaway::offering(&[slow]);
    let begun = Instant::now();
    subject.refused(&subject.wanting(&[scenario::SLOW]), &["--timeout", "6s"], TIMEOUT, &["6s"]);
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert_eq!(sleepers(&long), 0);
}

#[test]
fn a_script_that_kills_everything_is_a_failure() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for script in ["kill -9 1; kill -9 -1", "kill -9 $PPID", "kill -TERM 1; exit 3"] {
        let killer = PackageSpec::new(scenario::HELD, scenario::NEW)
            .script(Script::Postinst, &format!("#!/bin/sh\n{script}\n"));
        let subject = Throwaway::offering(&[killer]);
        subject.refused(
            &subject.wanting(&[scenario::HELD]),
            &[],
            PACKAGES,
            &["Installing 1 security update"],
        );
    }
}

#[test]
fn nothing_is_removed() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::all_updates());
    subject.refused(&subject.wanting(&[scenario::REMOVER]), &[], PACKAGES, &[scenario::VICTIM]);
    // The others can go on without it, and it is said.
    let both = subject.wanting(&[scenario::BASE, scenario::REMOVER]);
    let (ran, image) = subject.patched(&both, &["--ignore-errors"]);
    assert_eq!(ran.outcomes(), [(scenario::BASE, "fixed"), (scenario::REMOVER, "failed")]);
    let versions = dpkg::versions(&image).unwrap();
    assert_eq!(versions[scenario::REMOVER], scenario::OLD);
    assert_eq!(versions[scenario::VICTIM], scenario::OLD);
    assert_eq!(versions[scenario::BASE], scenario::NEW);
}

#[test]
fn a_repository_that_is_behind_is_no_success() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let newer = "1:2.0-1";
    let report = subject.report(&[
        (scenario::BASE, scenario::NEW),
        (scenario::VICTIM, newer),
        (scenario::BASE, newer),
    ]);
    let ran = subject.refused(&report, &[], PACKAGES, &[scenario::VICTIM, newer]);
    let behind = [
        (scenario::BASE, "fixed"),
        (scenario::VICTIM, "repository-behind"),
        (scenario::BASE, "repository-behind"),
    ];
    assert_eq!(ran.outcomes(), behind);
    let (ran, image) = subject.patched(&report, &["--ignore-errors"]);
    assert_eq!(ran.outcomes(), behind);
    assert_eq!(dpkg::versions(&image).unwrap()[scenario::BASE], scenario::NEW);
    let ran = subject.patch(&report, &["--ignore-errors", "--detailed-exit-code"]);
    assert_eq!(ran.code, Some(21), "{}", ran.stderr);
    let only = subject.report(&[(scenario::VICTIM, newer)]);
    let names = || std::fs::read(subject.layout.directory().join("index.json")).unwrap();
    let before = names();
    let ran = subject.patch(&only, &["--ignore-errors", "--detailed-exit-code"]);
    assert_eq!(ran.code, Some(21), "what was to be fixed and was not is something to do: {}", ran.stderr);
    assert_eq!(ran.document["status"], "up-to-date", "{}", ran.stderr);
    assert_eq!(names(), before, "nothing changed, so no image");
}

/// A package tool that does something else than it was asked, and says that all is well.
fn lying_tool(program: &str) -> Extra {
    let script =
        format!("#!/usr/bin/perl -i\nuse strict; my $f = '/var/lib/dpkg/status';\n{program}\nexit 0;\n");
    let entry = testkit::tar::Entry::file("usr/bin/apt-get", script).mode(0o755);
    Extra { layers: vec![testkit::tar::write(&[entry])], ..Extra::default() }
}

#[test]
fn a_tool_that_lies_is_found_out() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let edit = |what: &str| {
        format!(
            "open(my $in, '<', $f) or die; local $/; my $t = <$in>; close $in; {what}; \
             open(my $out, '>', $f) or die; print $out $t; close $out;"
        )
    };
    let held = scenario::HELD;
    let database = "/var/lib/dpkg/status";
    for (program, code, words) in [
        (String::new(), PACKAGES, vec![held, scenario::OLD]),
        (
            edit(&format!("$t =~ s/(Package: {held}\\n.*?)Version: \\S+/$1Version: 0.1/s")),
            PACKAGES,
            vec![held, "downgraded", "0.1"],
        ),
        (edit(&format!("$t =~ s/Package: {held}\\n.*?\\n\\n//s")), PACKAGES, vec![held, "removed"]),
        (edit("$t = 'junk' x 1000"), PACKAGES, vec![database]),
        // What is no file at all cannot even be read, as if the image had it so.
        (edit("unlink $f; mkdir $f; exit 0"), 4, vec![database]),
        (edit("unlink $f; symlink '/proc/self/environ', $f; exit 0"), PACKAGES, vec![database]),
    ] {
        let subject = Throwaway::with(&scenario::updates(), &lying_tool(&program));
        eprintln!("{program}");
        subject.refused(&subject.wanting(&[held]), &[], code, &words);
    }
    let subject = Throwaway::with(
        &scenario::updates(),
        &Extra { layers: vec![tree::layer("file etc/x text=y")], ..Extra::default() },
    );
    subject.patched(&subject.wanting(&[held]), &[]);
}
