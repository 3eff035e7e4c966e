//! Real repositories, really signed, well and badly: what is taken, and with which error each bad input ends.
#![allow(clippy::unwrap_used)]

#[path = "apt/bad.rs"]
mod bad;
#[path = "apt/good.rs"]
mod good;
#[path = "apt/lab.rs"]
mod lab;
#[path = "apt/real.rs"]
mod real;
