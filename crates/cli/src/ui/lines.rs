//! Progress line after line: for logs, CI and `--progress plain`. Lines of one phase begin with its number.

use super::{
    Display,
    paint::Paint,
    text::{bytes, counted, printable, short_digest, took},
    warning_line,
};
use engine::LayerStage;
use patch::{Event, Phase};
use std::{
    collections::BTreeMap,
    io::Write,
    time::{Duration, Instant},
};

/// How often a blob on its way gets a line.
const EVERY: Duration = Duration::from_secs(5);

/// Lines to a writer.
pub struct Lines<W> {
    out: W,
    paint: Paint,
    phases: Vec<Phase>,
    step: Option<(usize, Instant)>,
    steps: usize,
    told: BTreeMap<String, Instant>,
    cached: usize,
}

impl<W: Write + Send> Lines<W> {
    /// To this writer.
    pub fn new(out: W, paint: Paint) -> Self {
        Lines { out, paint, phases: Vec::new(), step: None, steps: 0, told: BTreeMap::new(), cached: 0 }
    }

    /// One line of the phase at work. A reader that is gone is no reason to stop patching.
    fn line(&mut self, text: &str) {
        let number = self.phases.len().max(1);
        let _ = writeln!(self.out, "{} {text}", self.paint.faint(&format!("#{number}")));
    }

    fn layer(&mut self, digest: &str, (done, total): (u64, u64), stage: LayerStage, at: Instant) {
        match stage {
            LayerStage::Cached => self.cached += 1,
            LayerStage::Pulling => self.moving(digest, (done, total), at),
            LayerStage::Ready => self.line(&format!("{} {} done", short_digest(digest), bytes(total))),
        }
    }

    /// A blob on its way: a line at first sight and then now and again.
    fn moving(&mut self, digest: &str, (done, total): (u64, u64), at: Instant) {
        let due = self.told.get(digest).is_none_or(|last| at.duration_since(*last) >= EVERY);
        if due {
            self.told.insert(digest.to_owned(), at);
            self.line(&format!("{} {} / {}", short_digest(digest), bytes(done), bytes(total)));
        }
    }

    fn engine(&mut self, event: &engine::Event, at: Instant) {
        match event {
            engine::Event::Layer { digest, done, total, stage } => {
                self.layer(&digest.to_string(), (*done, *total), *stage, at);
            }
            engine::Event::StepStarted { index, total, title } => {
                (self.step, self.steps) = (Some((*index, at)), *total);
                self.line(&format!("[{}/{total}] {}", index + 1, printable(title)));
            }
            engine::Event::StepOutput { line, .. } => {
                let since = self.step.map_or(Duration::ZERO, |(_, start)| at.duration_since(start));
                self.line(&format!("{:.3} {}", since.as_secs_f64(), printable(line)));
            }
            engine::Event::StepEnded { index, exit: 0, took: time } => {
                self.line(&format!("[{}/{}] done {}", index + 1, self.steps, took(*time)));
            }
            engine::Event::StepEnded { index, exit, took: time } => {
                self.line(&format!("[{}/{}] exit code {exit} after {}", index + 1, self.steps, took(*time)));
            }
        }
    }

    fn phase_ended(&mut self, time: Duration) {
        if self.cached > 0 {
            let text = format!("{} already in the cache", counted(self.cached, "layer"));
            self.cached = 0;
            self.line(&text);
        }
        self.line(&self.paint.good(&format!("done {}", took(time))));
        self.told.clear();
    }
}

impl<W: Write + Send> Display for Lines<W> {
    fn event(&mut self, event: &Event, at: Instant) {
        match event {
            Event::PhaseStarted(phase) => {
                self.phases.push(*phase);
                self.line(&self.paint.strong(phase.title()));
            }
            Event::PhaseEnded(_, time) => self.phase_ended(*time),
            Event::Engine(event) => self.engine(event, at),
            Event::Upload { digest, done, total } if done == total => {
                self.line(&format!("{} {} done", short_digest(&digest.to_string()), bytes(*total)));
            }
            Event::Upload { digest, done, total } => self.moving(&digest.to_string(), (*done, *total), at),
            Event::Planned(lines) => lines.iter().for_each(|l| self.line(&printable(l))),
            Event::Warning(text) => {
                let _ = writeln!(self.out, "{}", warning_line(text, self.paint));
            }
        }
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
        if let Event::Warning(text) = event {
            let _ = writeln!(self.0, "{}", warning_line(text, self.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
