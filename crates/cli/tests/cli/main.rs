//! The program as users run it: arguments and files in; exit code, standard output and standard error out.

mod cache;
mod docs;
mod harness;
mod help;
mod reports;
mod settings;
mod usage;
