//! `copa`: the program.
fn main() {}
