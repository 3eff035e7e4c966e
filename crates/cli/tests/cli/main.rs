//! The program as users run it: arguments and files in; exit code, standard output and standard error out.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod cache;
mod docs;
mod doctor;
mod harness;
mod help;
mod refused;
mod registries;
mod reports;
mod settings;
mod stopping;
mod usage;
