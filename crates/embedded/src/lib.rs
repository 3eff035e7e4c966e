//! The engine in-process: namespaces, overlay, seccomp, egress door. The only room with unsafe code.
//!
//! A run is three processes: the supervisor (the program that uses this library), `namespaces` (waits outside), and `init`
//! (process 1 inside), which starts what the recipe says. The latter two are the same program, started again by [`entry`].

mod failure;
mod proxy;
mod seccomp;
mod stage;
mod supervise;
mod sys;
mod text;
mod upper;
mod wire;

/// Must be called first of all in `main`, before any thread is started: where this program was started as a stage of a
/// sandbox, the stage is run and the process ends here.
pub fn entry() {
    if let Some(word) = std::env::args_os().nth(1) {
        stage::dispatch(&word);
    }
}
