//! Pushes that end in the middle, at any byte: the tag is where it was or where it should be, and the next run brings it there.

use super::judges;
use super::subject::{self, Subject};
use crate::world::Done;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use testkit::command::argv;
use testkit::fault_registry::{Access, Break, Fault, FaultRegistry};
use testkit::registry::Registry;
use testkit::{debian_root, image, skip};

/// How often a push is stopped.
const ROUNDS: u64 = 10;
/// Bytes that the patch layer has at least, so that there is a middle.
const NOISE: usize = 200_000;
/// Bytes of the configuration and the manifests, about.
const LAST: u64 = 5000;
/// The longest that a run may take to come to its point, and to end.
const LIMIT: Duration = Duration::from_secs(60);

/// Where pushes go: a real registry, with one before it that counts and breaks.
struct Setting {
    subject: Subject,
    real: Registry,
    front: FaultRegistry,
}

impl Setting {
    fn new() -> Setting {
        let (subject, real) = (Subject::of(image::native_architecture(), NOISE), Registry::start().unwrap());
        real.push(&subject.made.layout, debian_root::TAG, "team/app:v1").unwrap();
        let front = FaultRegistry::in_front_of(&real.host(), Access::Open);
        Setting { subject, real, front }
    }

    /// Begins to patch the image into another repository of the same registry.
    fn start(&self, repository: &str) -> Child {
        let (host, served) = (self.front.host(), self.subject.made.served.host());
        let (image, to) = (format!("docker://{host}/team/app:v1"), format!("{host}/{repository}:patched"));
        let arguments = ["patch", "-i", &image, "--push", "-t", &to, "--allow-host", &served];
        let mut command = self.subject.world.copa(&arguments);
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Patches to the end; what the tag leads to then.
    fn finish(&self, repository: &str) -> String {
        let done = Done::of(self.start(repository).wait_with_output().unwrap());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        self.tag(repository).unwrap()
    }

    /// What the tag leads to in the real registry.
    fn tag(&self, repository: &str) -> Option<String> {
        let reference = self.real.reference(&format!("{repository}:patched"));
        let asked = argv("crane", ["digest", "--insecure", &reference]).output().unwrap();
        asked.status.success().then(|| String::from_utf8(asked.stdout).unwrap().trim().to_owned())
    }

    /// Lets a push run until so many bytes went up, then sends a signal; in every second round the registry vanishes too.
    fn stop(&self, round: u64, at: u64, repository: &str) -> Option<i32> {
        self.front.clear_requests();
        self.front.mend();
        if round.is_multiple_of(2) {
            self.front.break_after(Break::BytesUp(at));
        } else {
            // Slow enough to be met in the middle of it.
            self.front.fault_always("*", "/blobs/uploads/", Fault::Delay(Duration::from_millis(20)));
        }
        let mut child = self.start(repository);
        let begun = Instant::now();
        while self.front.bytes().0 < at && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < LIMIT, "it does not come to byte {at}");
            std::thread::sleep(Duration::from_millis(1));
        }
        let signal = if round % 4 < 2 { "INT" } else { "KILL" };
        // It may have ended by itself between two looks.
        let _ = argv("kill", ["-s", signal, &child.id().to_string()]).output();
        let done = Done::of(child.wait_with_output().unwrap());
        assert!(begun.elapsed() < LIMIT, "it does not end");
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
        self.front.clear_faults();
        self.front.mend();
        done.code
    }
}

/// The next of a row of numbers that is always the same.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn a_push_that_is_stopped_anywhere_never_leaves_a_wrong_tag_and_is_completed_by_the_next() {
    if let Err(reason) = subject::needs() {
        skip!("{reason}");
    }
    let setting = Setting::new();
    let right = setting.finish("team/whole");
    let all = setting.front.bytes().0;
    assert!(all > 100_000, "{all}");
    let (mut state, mut ends) = (4, Vec::new());
    for round in 0..ROUNDS {
        let repository = format!("team/round-{round}");
        // The patch layer is most of it; the configuration and the manifests come last.
        let at = if round % 3 == 2 { all - 1 - next(&mut state) % LAST } else { next(&mut state) % all };
        let old = round.is_multiple_of(3).then(|| {
            let name = format!("{repository}:patched");
            setting.real.push(&setting.subject.made.layout, debian_root::TAG, &name).unwrap();
            setting.tag(&repository).unwrap()
        });
        let code = setting.stop(round, at, &repository);
        let left = setting.tag(&repository);
        let is_right = left.as_deref() == Some(&right);
        assert!(is_right || left == old, "stopped at byte {at} of {all}: {left:?}, not {right} or {old:?}");
        assert!(code != Some(0) || is_right, "what says that it is done is done");
        ends.push(format!("byte {at}: {code:?}, {}", if is_right { "done" } else { "as it was" }));
        assert_eq!(setting.finish(&repository), right, "round {round}");
        judges::crane_validates(&setting.real.reference(&format!("{repository}:patched")));
    }
    eprintln!("{ends:#?}");
    let stopped = ends.iter().filter(|end| end.ends_with("as it was")).count();
    assert!(stopped >= 5, "most were stopped before their end: {ends:#?}");
    eprintln!(
        "row: stopped_pushes | {ROUNDS} at random bytes, by SIGINT and SIGKILL, the registry gone or slow | the tag as it was or right; \
         right after the next run, and `crane validate` agrees"
    );
}
