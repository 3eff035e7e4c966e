//! `copa`: the program. Reads what is wanted, has it done, says how it went.

mod args;
mod commands;
mod error;
mod exit;
mod findings;
mod host;
mod image_format;
mod job;
mod lifecycle_api;
mod local_places;
mod logs;
mod output;
mod places;
mod policy;
mod reference_docs;
mod registry_access;
mod repositories;
mod settings;
mod several;
mod source_policy;
mod stop;
mod stored_source;
mod streams;
mod target;
mod tooling;
mod ui;
mod vex_files;
mod wiring;
mod work_folder;

use crate::settings::{environment::Environment, layered};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Stages of the sandbox are this same program started again: before anything else, and before any thread.
    embedded::entry();
    let environment = Environment::capture();
    let code = match layered::read(std::env::args_os().collect(), &environment) {
        Ok(cli) => commands::run(&cli, &environment),
        Err(layered::Refused::Grammar(error)) => grammar_says(&error),
        Err(layered::Refused::Setting(failure)) => {
            output::say(&failure.to_string());
            failure.kind.code().code
        }
    };
    ExitCode::from(code)
}

/// Help and version are data and success; everything else that the grammar has to say is an error in usage.
fn grammar_says(error: &clap::Error) -> u8 {
    let _ = error.print();
    u8::try_from(error.exit_code()).unwrap_or(exit::Kind::Usage.code().code)
}
