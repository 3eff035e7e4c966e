//! Our stages alone, as a program for tests.

fn main() {
    embedded::entry();
}
