//! A program of a hostile image.

fn main() {}
