//! Flag > environment > configuration file > default, for every flag by one rule: what is not typed is put behind what is
//! typed as if it had been, and the grammar reads the whole. So each value is checked by one and the same rule wherever
//! it comes from.

use super::{
    environment::Environment,
    file::{ConfigFile, Value},
};
use crate::{
    args::{Cli, grammar},
    error::Failure,
    ui::text::printable,
};
use clap::{
    Arg, ArgAction, ArgMatches, FromArgMatches,
    error::{ContextKind, ErrorKind},
    parser::ValueSource,
};
use std::{collections::BTreeMap, ffi::OsString};

/// Commands whose own flags can be set outside the command line; those of the others are asked for each time.
const SETTABLE: [&str; 4] = ["patch", "plan", "generate", "inspect"];

/// Why there are no arguments to work with.
#[derive(Debug)]
pub enum Refused {
    /// The grammar's own message: an error, or help and version that were asked for.
    Grammar(Box<clap::Error>),
    /// A setting from outside the command line.
    Setting(Failure),
}

/// Reads everything.
pub fn read(argv: Vec<OsString>, environment: &Environment) -> Result<Cli, Refused> {
    let config = |known: &[String]| ConfigFile::find(environment, known).map_err(Refused::Setting);
    let typed = Typed::new(argv);
    let (name, flags) = flags_of(&typed.matches()?);
    // Without a command there is nothing but the usage to print, whatever the file says.
    let config = match name {
        Some(_) => config(&settable_flags())?,
        None => ConfigFile::default(),
    };
    let matches = typed.matches()?;
    let mut added = Added::default();
    for flag in flags.iter().filter(|f| !typed.has(f, leaf(&matches))) {
        added.flag(flag, environment, &config).map_err(Refused::Setting)?;
    }
    let matches = typed.matches_with(&added.arguments).map_err(|e| added.blame(e))?;
    Cli::from_arg_matches(&matches).map_err(|e| Refused::Grammar(Box::new(e)))
}

/// The names of all flags that environment and configuration file can set.
pub fn settable_flags() -> Vec<String> {
    let mut grammar = grammar();
    grammar.build();
    let commands = grammar.get_subcommands().filter(|c| SETTABLE.contains(&c.get_name()));
    let flags = commands.flat_map(|c| c.get_arguments()).filter(|a| settable(a));
    let names: std::collections::BTreeSet<String> =
        flags.filter_map(|a| a.get_long().map(str::to_owned)).collect();
    names.into_iter().collect()
}

/// The variable of a flag.
pub fn variable(flag: &str) -> String {
    format!("COPA_{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// Help and version are no settings.
fn settable(arg: &Arg) -> bool {
    arg.get_long().is_some()
        && matches!(arg.get_action(), ArgAction::Set | ArgAction::Append | ArgAction::SetTrue)
}

/// The command that was typed, and those of its flags that can be set outside.
fn flags_of(matches: &ArgMatches) -> (Option<String>, Vec<Arg>) {
    let mut grammar = grammar();
    grammar.build();
    let (mut command, mut matches, mut name) = (&grammar, matches, None);
    while let Some((next, below)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(next) else { break };
        (command, matches, name) = (found, below, name.or(Some(next.to_owned())));
    }
    let all = name.as_deref().is_some_and(|n| SETTABLE.contains(&n));
    let flags = command.get_arguments().filter(|a| settable(a) && (all || a.is_global_set()));
    (name.clone(), flags.cloned().collect())
}

/// The matches of the innermost command.
fn leaf(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, below)| leaf(below))
}

/// The arguments as typed, with `--flag=false` and `--flag=true` of flags without value understood, as Go's flag
/// packages do.
struct Typed {
    arguments: Vec<OsString>,
    off: Vec<String>,
}

impl Typed {
    fn new(argv: Vec<OsString>) -> Self {
        let switches = switches();
        let mut typed = Typed { arguments: Vec::new(), off: Vec::new() };
        let mut literal = false;
        for argument in argv {
            literal |= argument == "--";
            match argument.to_str().filter(|_| !literal).and_then(|text| as_switch(text, &switches)) {
                Some((flag, true)) => typed.arguments.push(format!("--{flag}").into()),
                Some((flag, false)) => typed.off.push(flag),
                None => typed.arguments.push(argument),
            }
        }
        typed
    }

    fn matches(&self) -> Result<ArgMatches, Refused> {
        self.matches_with(&[]).map_err(|e| Refused::Grammar(Box::new(e)))
    }

    fn matches_with(&self, added: &[OsString]) -> Result<ArgMatches, clap::Error> {
        let end = self.arguments.iter().position(|a| a == "--").unwrap_or(self.arguments.len());
        let (before, after) = self.arguments.split_at(end);
        grammar().try_get_matches_from(before.iter().chain(added).chain(after))
    }

    fn has(&self, arg: &Arg, matches: &ArgMatches) -> bool {
        let off = arg.get_long().is_some_and(|long| self.off.iter().any(|o| o == long));
        off || matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    }
}

/// Long names of the flags without value.
fn switches() -> Vec<String> {
    fn collect(command: &clap::Command, into: &mut Vec<String>) {
        let switches = command.get_arguments().filter(|a| matches!(a.get_action(), ArgAction::SetTrue));
        into.extend(switches.filter_map(|a| a.get_long().map(str::to_owned)));
        command.get_subcommands().for_each(|c| collect(c, into));
    }
    let mut all = Vec::new();
    collect(&grammar(), &mut all);
    all
}

fn as_switch(text: &str, switches: &[String]) -> Option<(String, bool)> {
    let (flag, value) = text.strip_prefix("--")?.split_once('=')?;
    let known = switches.iter().find(|s| *s == flag)?;
    Some((known.clone(), as_bool(value)?))
}

fn as_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" | "yes" | "on" => Some(true),
        "false" | "0" | "f" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// What environment and configuration file add to the arguments, and where each comes from.
#[derive(Default)]
struct Added {
    arguments: Vec<OsString>,
    origins: BTreeMap<String, String>,
}

impl Added {
    fn flag(&mut self, arg: &Arg, environment: &Environment, config: &ConfigFile) -> Result<(), Failure> {
        let Some(flag) = arg.get_long() else { return Ok(()) };
        let variable = variable(flag);
        let (value, origin) = match (environment.os(&variable), config.get(flag)) {
            (Some(value), _) => (value.to_owned(), variable),
            (None, Some(value)) => {
                let origin = format!("{flag} in {}", printable(&config.path.to_string_lossy()));
                (one_value(arg, value, &origin)?.into(), origin)
            }
            (None, None) => return Ok(()),
        };
        self.push(arg, flag, value, origin)
    }

    fn push(&mut self, arg: &Arg, flag: &str, value: OsString, origin: String) -> Result<(), Failure> {
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            let text = value.to_string_lossy();
            let on = as_bool(&text).ok_or_else(|| {
                Failure::config(format!("\"{}\" is neither true nor false", printable(&text)))
                    .because(format!("it is the value of {origin}"))
            })?;
            self.arguments.extend(on.then(|| format!("--{flag}").into()));
        } else {
            let mut argument = OsString::from(format!("--{flag}="));
            argument.push(value);
            self.arguments.push(argument);
        }
        self.origins.insert(flag.to_owned(), origin);
        Ok(())
    }

    /// An error about a value that was not typed names where the value comes from.
    fn blame(&self, error: clap::Error) -> Refused {
        let context = |kind| error.get(kind).map(|v| v.to_string()).unwrap_or_default();
        let argument = context(ContextKind::InvalidArg);
        let flag = argument.trim_start_matches('-').split(' ').next().unwrap_or_default();
        let ours = matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
        let Some(origin) = self.origins.get(flag).filter(|_| ours) else {
            return Refused::Grammar(Box::new(error));
        };
        let value = context(ContextKind::InvalidValue);
        let failure = Failure::config(format!("invalid value \"{}\" for {origin}", printable(&value)));
        let valid = context(ContextKind::ValidValue);
        let why = std::error::Error::source(&error).map(|e| printable(&e.to_string()).into_owned());
        Refused::Setting(match (why, valid.is_empty()) {
            (Some(why), _) => failure.because(why),
            (None, false) => failure.hint(format!("possible values: {valid}")),
            (None, true) => failure,
        })
    }
}

fn one_value(arg: &Arg, value: &Value, origin: &str) -> Result<String, Failure> {
    match value {
        Value::One(text) => Ok(text.clone()),
        Value::Many(all) if matches!(arg.get_action(), ArgAction::Append) => Ok(all.join(",")),
        Value::Many(_) => Err(Failure::config(format!("{origin} must be one value, not a list"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, PatchArgs};
    use std::time::Duration;

    /// Reads `copa patch` with typed arguments, variables and the text of a configuration file.
    fn patch(typed: &[&str], variables: &[(&str, &str)], file: &str) -> Result<PatchArgs, Refused> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, file).unwrap();
        let mut pairs: Vec<(&str, &str)> = variables.to_vec();
        pairs.push(("COPA_CONFIG", path.to_str().unwrap()));
        let environment = Environment::of(pairs);
        let argv = ["copa", "patch"].iter().chain(typed).map(OsString::from).collect();
        match read(argv, &environment)?.command {
            Some(Command::Patch(args)) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_command_about_an_image_goes_by_the_same_settings() {
        let environment = Environment::of([("COPA_CA_CERT", "ca.pem")]);
        for command in ["patch", "plan", "generate", "inspect"] {
            let argv: Vec<OsString> = ["copa", command, "--timeout=1m"].map(OsString::from).into();
            let image = (command == "inspect").then(|| "app:1".into());
            let cli = read(argv.into_iter().chain(image).collect(), &environment).unwrap();
            let certificates = match cli.command.unwrap() {
                Command::Patch(args) => args.run.ca_cert,
                Command::Plan(args) => args.run.ca_cert,
                Command::Generate(args) => args.run.ca_cert,
                Command::Inspect(args) => args.ca_cert,
                other => panic!("{other:?}"),
            };
            assert_eq!(certificates.as_deref(), Some("ca.pem".as_ref()), "{command}");
        }
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let minutes = |m: u64| Duration::from_secs(m * 60);
        let file = "timeout: 3m";
        let variable = [("COPA_TIMEOUT", "2m")];
        for (typed, variables, file, expected) in [
            (&["--timeout", "1m"][..], &variable[..], file, 1),
            (&[], &variable, file, 2),
            (&[], &[("COPA_TIMEOUT", "")], file, 3),
            (&[], &[], file, 3),
            (&[], &[], "", 5),
        ] {
            assert_eq!(
                patch(typed, variables, file).unwrap().run.timeout,
                minutes(expected),
                "{typed:?} {variables:?}"
            );
        }
    }

    #[test]
    fn switches_can_be_turned_off_again() {
        let on = [("COPA_PUSH", "true")];
        for (typed, variables, file, expected) in [
            (&[][..], &[][..], "", false),
            (&["--push"], &[], "", true),
            (&["--push=true"], &[], "push: false", true),
            (&["--push=false"], &on, "", false),
            (&["--push=0"], &[], "push: true", false),
            (&[], &on, "push: false", true),
            (&[], &[("COPA_PUSH", "no")], "push: true", false),
            (&[], &[], "push: true", true),
        ] {
            assert_eq!(
                patch(typed, variables, file).unwrap().target.push,
                expected,
                "{typed:?} {variables:?} {file}"
            );
        }
    }

    #[test]
    fn lists_come_from_anywhere() {
        let hosts = |typed: &[&str], v: &[(&str, &str)], f: &str| patch(typed, v, f).unwrap().run.allow_host;
        let (variable, file) = ([("COPA_ALLOW_HOST", "c,d:80")], "allow-host: [e, f]");
        assert_eq!(hosts(&["--allow-host", "a", "--allow-host", "b"], &variable, file), ["a", "b"]);
        assert_eq!(hosts(&[], &variable, file), ["c", "d:80"]);
        assert_eq!(hosts(&[], &[], file), ["e", "f"]);
    }

    #[test]
    fn a_bad_value_is_blamed_on_where_it_comes_from() {
        let blamed = |variables: &[(&str, &str)], file: &str| match patch(&[], variables, file) {
            Err(Refused::Setting(failure)) => failure.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(blamed(&[("COPA_TIMEOUT", "soon")], "").contains("COPA_TIMEOUT"));
        assert!(blamed(&[("COPA_ENGINE", "steam")], "").contains("COPA_ENGINE"));
        assert!(blamed(&[("COPA_PUSH", "maybe")], "").contains("COPA_PUSH"));
        assert!(blamed(&[], "timeout: soon").contains("timeout in "));
        assert!(blamed(&[], "timeout: [a]").contains("not a list"));
        assert!(matches!(patch(&["--timeout", "soon"], &[], ""), Err(Refused::Grammar(_))));
    }
}
