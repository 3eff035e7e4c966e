//! Progress redrawn in place: a line each phase, below it what it is doing right now.

use super::{
    Display,
    paint::Paint,
    text::{counted, printable, short_digest, took},
    warning_line,
};
use engine::LayerStage;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use patch::Event;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(100);
const SPINNER: &str = "{spinner} {msg}  {elapsed}";
const STEP: &str = "  {spinner} {prefix}  {elapsed}  {wide_msg}";
const BLOB: &str = "  {prefix} [{bar:24}] {decimal_bytes} / {decimal_total_bytes}";

/// The terminal.
pub struct Live {
    all: MultiProgress,
    paint: Paint,
    phase: Option<(ProgressBar, &'static str)>,
    step: Option<ProgressBar>,
    blobs: BTreeMap<String, ProgressBar>,
    cached: usize,
    said: bool,
}

impl Live {
    /// On standard error.
    pub fn new(paint: Paint) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Live { all, paint, phase: None, step: None, blobs: BTreeMap::new(), cached: 0, said: false }
    }

    fn spinner(&self, template: &str) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new_spinner());
        bar.set_style(style(template).tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
        bar.enable_steady_tick(TICK);
        bar
    }

    fn say(&mut self, line: &str) {
        self.said = true;
        let _ = self.all.println(line);
    }

    /// A blob at work; it has a bar until it is through.
    fn blob(&mut self, digest: &str, done: u64, total: u64, through: bool) {
        if through {
            if let Some(bar) = self.blobs.remove(digest) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = self.blobs.entry(digest.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(total));
            bar.set_style(style(BLOB).progress_chars("━╸ "));
            bar.set_prefix(short_digest(digest).to_owned());
            bar
        });
        bar.set_position(done);
    }

    fn engine(&mut self, event: &engine::Event) {
        match event {
            engine::Event::Layer { stage: LayerStage::Cached, .. } => self.cached += 1,
            engine::Event::Layer { digest, done, total, stage } => {
                self.blob(&digest.to_string(), *done, *total, *stage == LayerStage::Ready);
            }
            engine::Event::StepStarted { index, total, title } => {
                self.clear_step();
                let bar = self.spinner(STEP);
                bar.set_prefix(format!("[{}/{total}] {}", index + 1, printable(title)));
                self.step = Some(bar);
            }
            engine::Event::StepOutput { line, .. } => {
                if let Some(bar) = &self.step {
                    bar.set_message(self.paint.faint(&printable(line)));
                }
            }
            engine::Event::StepEnded { .. } => self.clear_step(),
        }
    }

    fn clear_step(&mut self) {
        if let Some(bar) = self.step.take() {
            bar.finish_and_clear();
        }
    }

    fn clear(&mut self) {
        self.clear_step();
        std::mem::take(&mut self.blobs).into_values().for_each(|bar| bar.finish_and_clear());
    }

    fn phase_started(&mut self, title: &'static str) {
        self.clear();
        let bar = self.spinner(SPINNER);
        bar.set_message(title);
        self.phase = Some((bar, title));
    }

    fn phase_ended(&mut self, time: Duration) {
        self.clear();
        let cached = match std::mem::take(&mut self.cached) {
            0 => String::new(),
            n => format!(", {} already in the cache", counted(n, "layer")),
        };
        if let Some((bar, title)) = self.phase.take() {
            bar.finish_and_clear();
            let detail = self.paint.faint(&format!("{}{cached}", took(time)));
            self.say(&format!("{} {title}  {detail}", self.paint.good("✓")));
        }
    }
}

impl Display for Live {
    fn event(&mut self, event: &Event, _: Instant) {
        match event {
            Event::PhaseStarted(phase) => self.phase_started(phase.title()),
            Event::PhaseEnded(_, time) => self.phase_ended(*time),
            Event::Engine(event) => self.engine(event),
            Event::Upload { digest, done, total } => {
                self.blob(&digest.to_string(), *done, *total, done == total)
            }
            Event::Planned(lines) if lines.is_empty() => {}
            Event::Planned(lines) => {
                let fixes = counted(lines.len(), "package");
                self.say(&self.paint.faint(&format!("  {fixes} to be brought to a fixed version")));
            }
            Event::Warning(text) => self.say(&warning_line(text, self.paint)),
        }
    }

    /// What is still at work when the end comes did not get through.
    fn end(&mut self) -> bool {
        self.clear();
        if let Some((bar, title)) = self.phase.take() {
            bar.finish_and_clear();
            self.say(&format!("{} {title}", self.paint.bad("✗")));
        }
        self.said
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::InMemoryTerm;

    #[test]
    fn the_templates_are_sound() {
        for template in [SPINNER, STEP, BLOB] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_run_leaves_its_phases_and_warnings_on_the_screen() {
        let term = InMemoryTerm::new(20, 80);
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let mut live = Live::new(Paint(false));
        live.all = MultiProgress::with_draw_target(target);
        let digest = oci::Digest::of(b"x");
        let layer = |done, stage| {
            Event::Engine(engine::Event::Layer { digest: digest.clone(), done, total: 10, stage })
        };
        let now = Instant::now();
        for event in [
            Event::PhaseStarted(patch::Phase::Pull),
            layer(5, LayerStage::Pulling),
            layer(10, LayerStage::Ready),
            Event::PhaseEnded(patch::Phase::Pull, Duration::from_millis(1500)),
            Event::Warning("held: libx".into()),
            Event::PhaseStarted(patch::Phase::Run),
            Event::Engine(engine::Event::StepStarted { index: 0, total: 1, title: "Refreshing".into() }),
            Event::Engine(engine::Event::StepOutput { index: 0, line: "Get:1".into() }),
        ] {
            live.event(&event, now);
        }
        assert!(live.end());
        assert_eq!(term.contents(), "✓ Pulling layers  1.5s\nwarning: held: libx\n✗ Patching packages");
    }
}
