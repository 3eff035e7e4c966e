//! `cargo xtask`: setup, demo, test, tidy, bench, docs.
fn main() {}
