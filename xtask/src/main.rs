//! `cargo xtask`: the project's own commands. Each is one file; this one only chooses.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal of whoever works on the project"
)]

mod advisories;
mod bench;
mod cells;
mod copa;
mod demo;
mod docs;
mod endpoints;
mod failure;
mod lifecycles;
mod matrix;
mod run_tests;
mod setup;
mod table;
mod test_user;
mod tidy;

use failure::Failure;
use std::process::ExitCode;

/// One command.
struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[
    Command { name: "setup", help: setup::HELP, run: setup::run },
    Command { name: "demo", help: demo::HELP, run: demo::run },
    Command { name: "test", help: run_tests::HELP, run: run_tests::run },
    Command { name: "matrix", help: matrix::HELP, run: matrix::run },
    Command { name: "endpoints", help: endpoints::HELP, run: endpoints::run },
    Command { name: "tidy", help: tidy::HELP, run: tidy::run },
    Command { name: "bench", help: bench::HELP, run: bench::run },
    Command { name: "advisories", help: advisories::HELP, run: advisories::run },
    Command { name: "lifecycles", help: lifecycles::HELP, run: lifecycles::run },
    Command { name: "docs", help: docs::HELP, run: docs::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(command) =
        arguments.first().and_then(|name| COMMANDS.iter().find(|command| command.name == name))
    else {
        let asked = matches!(arguments.first().map(String::as_str), Some("help" | "--help" | "-h"));
        print_overview();
        return if asked { ExitCode::SUCCESS } else { ExitCode::from(2) };
    };
    let rest = &arguments[1..];
    if rest.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{}", command.help.trim());
        return ExitCode::SUCCESS;
    }
    match (command.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}: {failure}", command.name);
            ExitCode::FAILURE
        }
    }
}

fn print_overview() {
    println!("cargo xtask COMMAND [--help]\n");
    for command in COMMANDS {
        let first_line = command.help.trim().lines().next().unwrap_or_default();
        println!("  {:10} {first_line}", command.name);
    }
}
