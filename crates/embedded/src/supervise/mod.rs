//! The outside: starting a sandbox, giving it orders, hearing it, ending it.

mod output;
mod sandbox;
mod stop;

pub(crate) use output::Output;
pub(crate) use sandbox::{Ended, Sandbox, Start};
pub(crate) use stop::Stop;
