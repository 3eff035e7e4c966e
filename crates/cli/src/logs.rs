//! What `--debug` tells beside: the log of all rooms, on standard error.

use crate::{output, ui};
use std::io::{self, Write};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// Rooms that log, in full; of other people's libraries only what matters: some tell every byte they read.
const FILTER: &str = "info,pgp=warn,copa=debug,embedded=debug,endpoint=debug,fetch=debug,patch=debug,registry=debug,\
    repository=debug,store=debug";

/// Starts to log. `objects` makes each line a JSON object, as everything else on standard error is then.
pub fn start(objects: bool) {
    let filter = EnvFilter::new(FILTER);
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Lines { objects });
    // A second start would be ours alone to make, and harmless.
    let _ = log.try_init();
}

/// A writer that gets one whole line a call.
struct Lines {
    objects: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { objects: self.objects }
    }
}

struct Line {
    objects: bool,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = text.trim_end();
        output::say(&if self.objects { ui::log_object(line) } else { ui::text::printable_lines(line) });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
