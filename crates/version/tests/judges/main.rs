//! The order of versions against that of the package managers themselves, on generated versions; and the laws of an order.

#![allow(clippy::unwrap_used)]

mod dpkg;
mod generated;
mod laws;
mod orders;
