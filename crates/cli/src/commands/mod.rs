//! One file a command. A command takes arguments and settings, and gives its exit code or its failure.

mod cache;
mod completion;
mod doctor;
mod generate;
mod generate_docs;
mod inspect;
mod patch;

use crate::{
    args::{Cli, Command, grammar},
    error::Failure,
    exit, logs, output,
    settings::{Settings, environment::Environment},
    ui,
};

/// Runs the command and gives the process's exit code.
pub fn run(cli: &Cli, environment: &Environment) -> u8 {
    let objects = wants_objects(cli);
    if cli.global.debug {
        logs::start(objects);
    }
    let done = match &cli.command {
        None => usage(),
        Some(command) => dispatch(command, cli, environment),
    };
    match done {
        Ok(code) => code.code,
        Err(failure) => {
            output::say(&if objects { ui::failure_object(&failure) } else { failure.to_string() });
            failure.kind.code().code
        }
    }
}

/// Whether standard error is for a machine.
fn wants_objects(cli: &Cli) -> bool {
    let progress = match &cli.command {
        Some(Command::Patch(args)) => &args.run.progress,
        Some(Command::Plan(args)) => &args.run.progress,
        Some(Command::Generate(args)) => &args.run.progress,
        _ => return false,
    };
    progress == "rawjson"
}

fn dispatch(command: &Command, cli: &Cli, environment: &Environment) -> Result<exit::Code, Failure> {
    let settings = || Settings::resolve(&cli.global, environment);
    match command {
        Command::Patch(args) => patch::patch(args, &settings()?),
        Command::Plan(args) => patch::plan(args, &settings()?),
        Command::Generate(args) => generate::run(args, &settings()?),
        Command::Inspect(args) => inspect::run(args, &settings()?).map(|()| exit::OK),
        Command::Doctor(args) => doctor::run(args, &settings()?),
        Command::Cache(args) => cache::run(&args.command, &settings()?).map(|()| exit::OK),
        Command::Completion(args) => completion::run(args).map(|()| exit::OK),
        Command::GenerateDocs(args) => generate_docs::run(args).map(|()| exit::OK),
    }
}

fn usage() -> Result<exit::Code, Failure> {
    let help = grammar().render_help().to_string();
    output::write(std::path::Path::new(output::STDOUT), help.as_bytes())?;
    Ok(exit::OK)
}
