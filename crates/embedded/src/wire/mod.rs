//! What supervisor and sandbox say to one another, over one socket pair that is the child's standard input.
//!
//! An end of file on it means that the other side is gone.

mod channel;
mod message;

pub(crate) use channel::Channel;
pub(crate) use message::{Order, Owned, Report, Setup};
