//! Programs run by argument vector, with a time limit, their words kept for the error.

use crate::{Error, tools};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Nothing that makes test material takes longer (building a tool is the slowest), unless it hangs.
const LIMIT_SECONDS: u32 = 1800;

/// How much of a failed program's words an error repeats.
const TAIL_CHARACTERS: usize = 2000;

/// A program to run.
#[derive(Debug, Clone)]
pub struct Argv {
    program: String,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<OsString>,
}

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
}

/// A program and its arguments.
pub fn argv<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Argv {
    let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
    Argv { program: program.to_owned(), arguments, environment: Vec::new(), folder: None }
}

impl Argv {
    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Runs it in `folder`.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.as_os_str().to_owned());
        self
    }

    /// Runs it to its end, whatever that is.
    pub fn output(&self) -> Result<Ran, Error> {
        self.run(None)
    }

    /// Runs it and gives its stdout; a bad end is an error with the end of its words.
    pub fn stdout(&self) -> Result<Vec<u8>, Error> {
        self.judged(None)
    }

    /// Like [`Argv::stdout`], as text.
    pub fn text(&self) -> Result<String, Error> {
        let text = String::from_utf8_lossy(&self.stdout()?).into_owned();
        Ok(text)
    }

    /// Like [`Argv::stdout`], with `input` on its stdin.
    pub fn filter(&self, input: &[u8]) -> Result<Vec<u8>, Error> {
        self.judged(Some(input))
    }

    fn judged(&self, input: Option<&[u8]>) -> Result<Vec<u8>, Error> {
        let ran = self.run(input)?;
        if ran.status.success() {
            return Ok(ran.stdout);
        }
        let words = if ran.stderr.is_empty() { &ran.stdout } else { &ran.stderr };
        let output = tail(&String::from_utf8_lossy(words));
        Err(Error::Failed { command: self.to_string(), status: ran.status.to_string(), output })
    }

    fn run(&self, input: Option<&[u8]>) -> Result<Ran, Error> {
        let mut child = self.command()?.spawn().map_err(Error::io(&self.program))?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let output = std::thread::scope(|scope| {
            // A program that does not want all its input closes the pipe; its exit status tells.
            scope.spawn(move || stdin.write_all(input.unwrap_or_default()));
            child.wait_with_output().map_err(Error::io(&self.program))
        })?;
        Ok(Ran { status: output.status, stdout: output.stdout, stderr: output.stderr })
    }

    fn command(&self) -> Result<Command, Error> {
        let program = tools::find(&self.program)?;
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", &LIMIT_SECONDS.to_string()]).arg(program).args(&self.arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        Ok(command)
    }
}

impl std::fmt::Display for Argv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", argument.to_string_lossy()))
    }
}

fn tail(words: &str) -> String {
    let words = words.trim();
    let skipped = words.chars().count().saturating_sub(TAIL_CHARACTERS);
    words.chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_input_pass_through() {
        assert_eq!(argv("printf", ["%s", "a b"]).text().unwrap(), "a b");
        assert_eq!(argv("cat", [""; 0]).filter(b"in").unwrap(), b"in");
    }

    #[test]
    fn a_bad_end_names_the_command_and_its_words() {
        let error = argv("ls", ["/nowhere-at-all"]).stdout().unwrap_err().to_string();
        assert!(error.contains("ls /nowhere-at-all") && error.contains("No such file"), "{error}");
        assert!(argv("no-such-program", [""; 0]).stdout().unwrap_err().to_string().contains("not installed"));
    }
}
