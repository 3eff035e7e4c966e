//! Progress line after line: for logs, CI and `--progress plain`. Lines of one phase begin with its number.

use super::{
    Display,
    paint::Paint,
    parted,
    text::{bytes, counted, printable, short_digest, took},
    warning_of,
};
use engine::LayerStage;
use patch::Event;
use std::{
    collections::BTreeMap,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

/// How often a blob on its way gets a line.
const EVERY: Duration = Duration::from_secs(5);

/// Lines to a writer.
pub struct Lines<W> {
    out: W,
    paint: Paint,
    phases: usize,
    /// What is told of one after the other: the whole, and each platform that is worked on beside others.
    tracks: BTreeMap<Option<Arc<str>>, Track>,
}

/// Where one of them is.
#[derive(Default)]
struct Track {
    platform: Option<Arc<str>>,
    number: usize,
    step: Option<(usize, Instant)>,
    steps: usize,
    told: BTreeMap<String, Instant>,
    cached: usize,
}

impl<W: Write + Send> Lines<W> {
    /// To this writer.
    pub fn new(out: W, paint: Paint) -> Self {
        Lines { out, paint, phases: 0, tracks: BTreeMap::new() }
    }

    /// One line of the phase at work. A reader that is gone is no reason to stop patching.
    fn line(&mut self, track: &Track, text: &str) {
        let number = self.paint.faint(&format!("#{}", track.number.max(1)));
        let platform = track.platform.as_deref().map(|name| format!("[{}] ", printable(name)));
        let _ = writeln!(self.out, "{number} {}{text}", platform.unwrap_or_default());
    }

    fn layer(
        &mut self,
        track: &mut Track,
        digest: &str,
        (done, total): (u64, u64),
        (stage, at): (LayerStage, Instant),
    ) {
        match stage {
            LayerStage::Cached => track.cached += 1,
            LayerStage::Pulling => self.moving(track, digest, (done, total), at),
            LayerStage::Ready => self.line(track, &format!("{} {} done", short_digest(digest), bytes(total))),
        }
    }

    /// A blob on its way: a line at first sight and then now and again.
    fn moving(&mut self, track: &mut Track, digest: &str, (done, total): (u64, u64), at: Instant) {
        let due = track.told.get(digest).is_none_or(|last| at.duration_since(*last) >= EVERY);
        if due {
            track.told.insert(digest.to_owned(), at);
            self.line(track, &format!("{} {} / {}", short_digest(digest), bytes(done), bytes(total)));
        }
    }

    fn engine(&mut self, track: &mut Track, event: &engine::Event, at: Instant) {
        match event {
            engine::Event::Layer { digest, done, total, stage } => {
                self.layer(track, &digest.to_string(), (*done, *total), (*stage, at));
            }
            engine::Event::StepStarted { index, total, title } => {
                (track.step, track.steps) = (Some((*index, at)), *total);
                self.line(track, &format!("[{}/{total}] {}", index + 1, printable(title)));
            }
            engine::Event::StepOutput { line, .. } => {
                let since = track.step.map_or(Duration::ZERO, |(_, start)| at.duration_since(start));
                self.line(track, &format!("{:.3} {}", since.as_secs_f64(), printable(line)));
            }
            engine::Event::StepEnded { index, exit, took: time } => {
                let how = match exit {
                    0 => format!("done {}", took(*time)),
                    exit => format!("exit code {exit} after {}", took(*time)),
                };
                self.line(track, &format!("[{}/{}] {how}", index + 1, track.steps));
            }
        }
    }

    fn phase_ended(&mut self, track: &mut Track, time: Duration) {
        if track.cached > 0 {
            let text = format!("{} already in the cache", counted(track.cached, "layer"));
            track.cached = 0;
            self.line(track, &text);
        }
        self.line(track, &self.paint.good(&format!("done {}", took(time))));
        track.told.clear();
    }

    fn track(&mut self, track: &mut Track, event: &Event, at: Instant) {
        match event {
            Event::PhaseStarted(phase) => {
                self.phases += 1;
                track.number = self.phases;
                self.line(track, &self.paint.strong(phase.title()));
            }
            Event::PhaseEnded(_, time) => self.phase_ended(track, *time),
            Event::Engine(event) => self.engine(track, event, at),
            Event::Upload { digest, done, total } if done == total => {
                self.line(track, &format!("{} {} done", short_digest(&digest.to_string()), bytes(*total)));
            }
            Event::Upload { digest, done, total } => {
                self.moving(track, &digest.to_string(), (*done, *total), at);
            }
            Event::Planned(lines) => lines.iter().for_each(|l| self.line(track, &printable(l))),
            Event::Warning(text) => {
                let _ = writeln!(self.out, "{}", warning_of(track.platform.as_deref(), text, self.paint));
            }
            Event::Platform { event, .. } => self.track(track, event, at),
        }
    }
}

impl<W: Write + Send> Display for Lines<W> {
    fn event(&mut self, event: &Event, at: Instant) {
        let (platform, event) = parted(event);
        let platform = platform.cloned();
        let mut track = self.tracks.remove(&platform).unwrap_or_default();
        track.platform.clone_from(&platform);
        self.track(&mut track, event, at);
        self.tracks.insert(platform, track);
    }

    fn end(&mut self) -> bool {
        let _ = self.out.flush();
        false
    }
}

/// Warnings only.
pub struct Warnings<W>(pub W, pub Paint);

impl<W: Write + Send> Display for Warnings<W> {
    fn event(&mut self, event: &Event, _: Instant) {
        let (platform, event) = parted(event);
        if let Event::Warning(text) = event {
            let _ = writeln!(self.0, "{}", warning_of(platform.map(AsRef::as_ref), text, self.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use patch::Phase;

    #[test]
    fn platforms_side_by_side_are_told_apart() {
        let of =
            |platform: &str, event| Event::Platform { platform: platform.into(), event: Box::new(event) };
        let ended = || Event::PhaseEnded(Phase::Pull, Duration::from_secs(1));
        let events = [
            Event::PhaseStarted(Phase::Resolve),
            of("linux/amd64", Event::PhaseStarted(Phase::Pull)),
            of("linux/arm64", Event::PhaseStarted(Phase::Pull)),
            of("linux/arm64", Event::Warning("held: x".into())),
            of("linux/amd64", ended()),
            of("linux/arm64", ended()),
        ];
        let mut lines = Lines::new(Vec::new(), Paint(false));
        events.iter().for_each(|event| lines.event(event, Instant::now()));
        let expected = "#1 Resolving image\n#2 [linux/amd64] Pulling layers\n#3 [linux/arm64] Pulling layers\n\
             warning: linux/arm64: held: x\n#2 [linux/amd64] done 1.0s\n#3 [linux/arm64] done 1.0s\n";
        assert_eq!(String::from_utf8(lines.out).unwrap(), expected);
    }

    #[test]
    fn a_run_reads_like_a_log() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let layer = |what: &str, done, stage| {
            let digest = oci::Digest::of(what.as_bytes());
            Event::Engine(engine::Event::Layer { digest, done, total: 2_000_000, stage })
        };
        let output =
            |line: &str| Event::Engine(engine::Event::StepOutput { index: 0, line: line.to_owned() });
        let events = [
            (0, Event::PhaseStarted(Phase::Pull)),
            (1, layer("a", 0, LayerStage::Cached)),
            (2, layer("b", 500_000, LayerStage::Pulling)),
            (3, layer("b", 600_000, LayerStage::Pulling)),
            (5_100, layer("b", 1_500_000, LayerStage::Pulling)),
            (5_200, layer("b", 2_000_000, LayerStage::Ready)),
            (5_300, Event::PhaseEnded(Phase::Pull, Duration::from_millis(5_300))),
            (5_300, Event::PhaseStarted(Phase::Run)),
            (
                5_300,
                Event::Engine(engine::Event::StepStarted { index: 0, total: 2, title: "Refreshing".into() }),
            ),
            (5_712, output("Get:1 \u{1b}[31mx")),
            (
                6_000,
                Event::Engine(engine::Event::StepEnded {
                    index: 0,
                    exit: 100,
                    took: Duration::from_millis(700),
                }),
            ),
            (6_000, Event::Warning("held: x".into())),
        ];
        let mut lines = Lines::new(Vec::new(), Paint(false));
        for (at, event) in events {
            lines.event(&event, after(at));
        }
        let digest = oci::Digest::of(b"b").to_string();
        let b = short_digest(&digest);
        let expected = format!(
            "#1 Pulling layers\n#1 {b} 500.0 kB / 2.0 MB\n#1 {b} 1.5 MB / 2.0 MB\n#1 {b} 2.0 MB done\n\
             #1 1 layer already in the cache\n#1 done 5.3s\n#2 Patching packages\n#2 [1/2] Refreshing\n\
             #2 0.412 Get:1 \\u{{1b}}[31mx\n#2 [1/2] exit code 100 after 0.7s\nwarning: held: x\n"
        );
        assert_eq!(String::from_utf8(lines.out).unwrap(), expected);
    }
}
