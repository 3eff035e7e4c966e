//! pacman's records: the database of installed packages and pacman.conf.
//!
//! Formats: libalpm's `be_local.c`; pacman.conf(5).

pub mod conf;
pub mod local;
mod pattern;
