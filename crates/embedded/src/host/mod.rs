//! Becoming uid 0 without being root: the whole program runs again as the root of a user namespace of its own, so that
//! unpacking, running, packing and cleaning up all see the same owners.

mod enter;
mod forward;
mod ids;
mod map;
mod open_files;
mod refusal;

pub use enter::{HostOptions, Mode, enter};
pub(crate) use refusal::remedy;
