//! The egress proxy, from the sandbox's side, against servers on loopback.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

mod admission;
mod apt;
mod caching;
mod faults;
mod origin;
mod sandbox;
mod tunnels;
mod upstream;
