//! What the user sees while copa works and at its end. Everything goes to standard error; data goes to standard output
//! and is not made here.

mod json;
mod lines;
mod live;
pub mod paint;
mod plan_text;
mod summary;
pub mod text;

pub use json::{failure_object, log_object, result_object};
pub use plan_text::plan_text;
pub use summary::summary;

use crate::output;
use patch::Event;
use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Instant,
};

/// Events waiting to be drawn. A terminal that stands still must not hold up the work nor eat memory: what does not fit is
/// not drawn.
const WAITING_MAX: usize = 16_384;

/// Longest line that is written at once; a result object may be longer.
const LINE_BYTES: usize = 64 << 10;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Redrawn in place.
    Live,
    /// Line after line.
    Lines,
    /// Warnings only.
    Quiet,
    /// One JSON object an event.
    Json,
}

impl Style {
    /// From the flag's value, and whether standard error is a terminal. What cannot be done becomes a warning.
    pub fn choose(wanted: &str, terminal: bool, debug: bool) -> (Style, Option<String>) {
        let auto = if terminal && !debug { Style::Live } else { Style::Lines };
        match wanted {
            "auto" => (auto, None),
            "tty" if terminal => (auto, None),
            "tty" => (
                Style::Lines,
                Some("standard error is no terminal: progress is shown line by line".to_owned()),
            ),
            "plain" => (Style::Lines, None),
            "quiet" => (Style::Quiet, None),
            "rawjson" => (Style::Json, None),
            other => {
                let shown = text::printable(other);
                (
                    auto,
                    Some(format!(
                        "unknown progress style \"{shown}\", taking auto (auto, tty, plain, quiet, rawjson)"
                    )),
                )
            }
        }
    }
}

/// Draws events of one style.
trait Display: Send {
    /// One event, and when it was.
    fn event(&mut self, event: &Event, at: Instant);
    /// No more will come. Whether the cursor is left at the end of a line.
    fn end(&mut self) -> bool {
        false
    }
}

enum Message {
    Event(Box<Event>, Instant),
    End,
}

/// Draws on a thread of its own, so that the work never waits for the terminal.
pub struct Progress {
    sender: SyncSender<Message>,
    thread: JoinHandle<bool>,
}

impl Progress {
    /// Starts to draw.
    pub fn start(style: Style, paint: paint::Paint) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let display = display(style, paint);
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || draw(display, &receiver))?;
        Ok(Progress { sender, thread })
    }

    /// Where events go; never blocks.
    pub fn sink(&self) -> Arc<dyn Fn(Event) + Send + Sync> {
        let sender = self.sender.clone();
        Arc::new(move |event| {
            let _ = sender.try_send(Message::Event(Box::new(event), Instant::now()));
        })
    }

    /// Draws what is left and stops.
    pub fn finish(self) {
        let _ = self.sender.send(Message::End);
        if self.thread.join().unwrap_or(false) {
            output::say("\n");
        }
    }
}

fn display(style: Style, paint: paint::Paint) -> Box<dyn Display> {
    match style {
        Style::Live => Box::new(live::Live::new(paint)),
        Style::Lines => Box::new(lines::Lines::new(whole_lines(), paint)),
        Style::Quiet => Box::new(lines::Warnings(whole_lines(), paint)),
        Style::Json => Box::new(json::Json(whole_lines())),
    }
}

/// Standard error, a line at a time: other programs of a pipeline write to the same.
fn whole_lines() -> io::LineWriter<io::Stderr> {
    io::LineWriter::with_capacity(LINE_BYTES, io::stderr())
}

fn draw(mut display: Box<dyn Display>, receiver: &Receiver<Message>) -> bool {
    while let Ok(Message::Event(event, at)) = receiver.recv() {
        display.event(&event, at);
    }
    display.end()
}

/// The platform that an event is about, where several are worked on, and what happened.
fn parted(event: &Event) -> (Option<&Arc<str>>, &Event) {
    match event {
        Event::Platform { platform, event } => (Some(platform), event),
        event => (None, event),
    }
}

/// A warning about one of several platforms as it is printed.
fn warning_of(platform: Option<&str>, warning: &str, paint: paint::Paint) -> String {
    match platform {
        Some(platform) => warning_line(&format!("{platform}: {warning}"), paint),
        None => warning_line(warning, paint),
    }
}

/// A warning as it is printed.
pub fn warning_line(warning: &str, paint: paint::Paint) -> String {
    format!("{} {}", paint.warn("warning:"), text::printable(warning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_are_chosen_as_asked_or_as_can_be() {
        for (wanted, terminal, debug, style, warned) in [
            ("auto", true, false, Style::Live, false),
            ("auto", true, true, Style::Lines, false),
            ("auto", false, false, Style::Lines, false),
            ("tty", true, false, Style::Live, false),
            ("tty", false, false, Style::Lines, true),
            ("plain", true, false, Style::Lines, false),
            ("quiet", true, true, Style::Quiet, false),
            ("rawjson", false, false, Style::Json, false),
            ("fancy\u{7}", true, false, Style::Live, true),
        ] {
            let (chosen, warning) = Style::choose(wanted, terminal, debug);
            assert_eq!((chosen, warning.is_some()), (style, warned), "{wanted}");
            assert!(!warning.unwrap_or_default().contains('\u{7}'));
        }
    }

    #[test]
    fn a_full_queue_drops_instead_of_blocking() {
        let (sender, receiver) = sync_channel(1);
        let thread = std::thread::spawn(|| false);
        let progress = Progress { sender, thread };
        let sink = progress.sink();
        for n in 0..10 {
            sink(Event::Warning(n.to_string()));
        }
        assert!(matches!(receiver.recv(), Ok(Message::Event(..))));
        drop(receiver);
        progress.finish();
    }
}
