//! Progress redrawn in place: a line each phase, below it what it is doing right now.

use super::{
    Display,
    paint::Paint,
    parted,
    text::{counted, printable, short_digest, took},
    warning_of,
};
use engine::LayerStage;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use patch::Event;
use std::{
    collections::BTreeMap,
    sync::Arc,
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
    /// What is shown of the whole, and of each platform that is worked on beside others.
    rows: BTreeMap<Option<Arc<str>>, Row>,
    said: bool,
}

/// What one of them is doing right now.
#[derive(Default)]
struct Row {
    platform: Option<Arc<str>>,
    phase: Option<(ProgressBar, &'static str)>,
    step: Option<ProgressBar>,
    blobs: BTreeMap<String, ProgressBar>,
    cached: usize,
}

impl Row {
    /// The phase's words, and which platform it is of.
    fn titled(&self, title: &str) -> String {
        match &self.platform {
            Some(platform) => format!("{} {title}", printable(platform)),
            None => title.to_owned(),
        }
    }

    /// Puts a bar below the last that there is of the same platform.
    fn add(&self, all: &MultiProgress, bar: ProgressBar) -> ProgressBar {
        match self.blobs.values().next_back().or(self.step.as_ref()).or(self.phase.as_ref().map(|(p, _)| p)) {
            Some(above) => all.insert_after(above, bar),
            None => all.add(bar),
        }
    }

    fn spinner(&self, all: &MultiProgress, template: &str) -> ProgressBar {
        let bar = self.add(all, ProgressBar::new_spinner());
        bar.set_style(style(template).tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
        bar.enable_steady_tick(TICK);
        bar
    }

    /// A blob at work; it has a bar until it is through.
    fn blob(&mut self, all: &MultiProgress, digest: &str, (done, total): (u64, u64), through: bool) {
        if through {
            if let Some(bar) = self.blobs.remove(digest) {
                bar.finish_and_clear();
            }
            return;
        }
        if !self.blobs.contains_key(digest) {
            let bar = self.add(all, ProgressBar::new(total));
            bar.set_style(style(BLOB).progress_chars("━╸ "));
            bar.set_prefix(short_digest(digest).to_owned());
            self.blobs.insert(digest.to_owned(), bar);
        }
        self.blobs[digest].set_position(done);
    }

    fn engine(&mut self, all: &MultiProgress, event: &engine::Event, paint: Paint) {
        match event {
            engine::Event::Layer { stage: LayerStage::Cached, .. } => self.cached += 1,
            engine::Event::Layer { digest, done, total, stage } => {
                self.blob(all, &digest.to_string(), (*done, *total), *stage == LayerStage::Ready);
            }
            engine::Event::StepStarted { index, total, title } => {
                self.clear_step();
                let bar = self.spinner(all, STEP);
                bar.set_prefix(format!("[{}/{total}] {}", index + 1, printable(title)));
                self.step = Some(bar);
            }
            engine::Event::StepOutput { line, .. } => {
                if let Some(bar) = &self.step {
                    bar.set_message(paint.faint(&printable(line)));
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

    fn phase_started(&mut self, all: &MultiProgress, title: &'static str) {
        self.clear();
        let bar = self.spinner(all, SPINNER);
        bar.set_message(self.titled(title));
        self.phase = Some((bar, title));
    }

    /// Takes the phase away, and gives its words.
    fn phase_ended(&mut self) -> Option<(String, String)> {
        self.clear();
        let cached = match std::mem::take(&mut self.cached) {
            0 => String::new(),
            n => format!(", {} already in the cache", counted(n, "layer")),
        };
        let (bar, title) = self.phase.take()?;
        bar.finish_and_clear();
        Some((self.titled(title), cached))
    }
}

impl Live {
    /// On standard error.
    pub fn new(paint: Paint) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Live { all, paint, rows: BTreeMap::new(), said: false }
    }

    fn say(&mut self, line: &str) {
        self.said = true;
        let _ = self.all.println(line);
    }

    fn row(&mut self, row: &mut Row, event: &Event) {
        match event {
            Event::PhaseStarted(phase) => row.phase_started(&self.all, phase.title()),
            Event::PhaseEnded(_, time) => {
                if let Some((title, cached)) = row.phase_ended() {
                    let detail = self.paint.faint(&format!("{}{cached}", took(*time)));
                    self.say(&format!("{} {title}  {detail}", self.paint.good("✓")));
                }
            }
            Event::Engine(event) => row.engine(&self.all, event, self.paint),
            Event::Upload { digest, done, total } => {
                row.blob(&self.all, &digest.to_string(), (*done, *total), done == total)
            }
            Event::Planned(lines) if lines.is_empty() => {}
            Event::Planned(lines) => {
                let fixes = counted(lines.len(), "package");
                let text = row.titled(&format!("{fixes} to be brought to a fixed version"));
                self.say(&self.paint.faint(&format!("  {text}")));
            }
            Event::Warning(text) => self.say(&warning_of(row.platform.as_deref(), text, self.paint)),
            Event::Platform { event, .. } => self.row(row, event),
        }
    }
}

impl Display for Live {
    fn event(&mut self, event: &Event, _: Instant) {
        let (platform, event) = parted(event);
        let platform = platform.cloned();
        let mut row = self.rows.remove(&platform).unwrap_or_default();
        row.platform.clone_from(&platform);
        self.row(&mut row, event);
        self.rows.insert(platform, row);
    }

    /// What is still at work when the end comes did not get through.
    fn end(&mut self) -> bool {
        for mut row in std::mem::take(&mut self.rows).into_values() {
            if let Some((title, _)) = row.phase_ended() {
                self.say(&format!("{} {title}", self.paint.bad("✗")));
            }
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
