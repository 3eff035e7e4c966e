//! Real repositories of apk's form, really signed, well and badly: what is taken, and with which error each bad input ends.
#![allow(clippy::unwrap_used)]

#[path = "apk/bad.rs"]
mod bad;
#[path = "apk/good.rs"]
mod good;
#[path = "apk/lab.rs"]
mod lab;
