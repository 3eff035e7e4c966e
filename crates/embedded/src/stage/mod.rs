//! The inside: what our own program does when it is started again as a stage of a sandbox.
//!
//! `ns` makes the namespaces and waits; `init` is process 1 in them, builds the root, gives up its power and runs steps.

mod caller;
mod confine;
mod dev;
mod exec;
mod files;
mod init;
mod limits;
mod namespaces;
mod overlay;
mod owners;
mod place;
mod proc;
mod root;
mod seal;
mod sockets;
mod sysfs;
pub(crate) mod unmounted;

pub(crate) use limits::processes_are_capped;
pub(crate) use place::times;
use std::ffi::OsStr;

/// First argument of the stage that makes the namespaces.
pub(crate) const NAMESPACES: &str = "copa-sandbox-namespaces";
/// First argument of the stage that tries what works.
pub(crate) const PROBE: &str = "copa-sandbox-probe";
/// First argument of the stage that is process 1.
const INIT: &str = "copa-sandbox-init";

/// Runs the stage that the word names and never returns; returns at once if it names none.
pub(crate) fn dispatch(word: &OsStr) {
    let code = match word.to_str() {
        Some(NAMESPACES) => namespaces::run(),
        Some(INIT) => init::run(),
        Some(PROBE) => crate::probe::run_inside(),
        _ => return,
    };
    #[expect(clippy::exit, reason = "a stage is a whole process; nothing of its caller may run after it")]
    std::process::exit(code)
}
