//! The engine in-process: namespaces, overlay, seccomp, egress door. The only room with unsafe code.
//!
//! A run is three processes: the supervisor (the program that uses this library), `namespaces` (waits outside), and `init`
//! (process 1 inside), which starts what the recipe says. The latter two are the same program, started again by [`entry`].

mod earlier;
mod embedded;
mod errors;
mod evidence;
mod failure;
mod fetches;
mod foreign;
mod held;
pub mod host;
mod incoming;
mod lower;
mod memory;
mod opened;
mod options;
mod owned;
mod probe;
mod proxy;
mod ready;
mod run;
mod seccomp;
mod stage;
mod steps;
mod supervise;
mod sys;
mod text;
mod trial;
mod upper;
mod wire;

pub use embedded::Embedded;
pub use options::EngineOptions;
pub use probe::{ProbeOptions, Rung, RungState, probe};

/// What this engine is called.
const NAME: &str = "embedded";

/// Must be called first of all in `main`, before any thread is started: where this program was started as a stage of a
/// sandbox, the stage is run and the process ends here.
pub fn entry() {
    if let Some(word) = std::env::args_os().nth(1) {
        stage::dispatch(&word);
    }
}
