//! Real RPM repositories, really signed, well and badly: what is taken, and with which error each bad input ends.
#![allow(clippy::unwrap_used)]

#[path = "rpm/bad.rs"]
mod bad;
#[path = "rpm/good.rs"]
mod good;
#[path = "rpm/lab.rs"]
mod lab;
