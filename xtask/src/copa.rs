//! Builds `copa` and runs it as a user would, watching its time and memory from outside.

use crate::failure::Failure;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use testkit::command::argv;
use testkit::workspace;

/// How often the memory of the running process is looked at. The kernel keeps the peak, so only a peak in its last moments
/// can be missed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The built program.
#[derive(Debug, Clone)]
pub struct Copa {
    program: PathBuf,
    /// Where it keeps its cache.
    pub cache: PathBuf,
    /// What it finds in its environment beside this process's own.
    environment: Vec<(OsString, OsString)>,
}

/// A run of it.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub status: ExitStatus,
    /// How long it took.
    pub took: Duration,
    /// The most memory that its own process had, in KiB.
    pub peak_kib: u64,
    /// Its result document; null where it wrote none.
    pub result: Value,
    /// The end of what it said, where it was not said to the terminal.
    pub words: String,
}

/// Where a run's words go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// To the terminal.
    Shown,
    /// Kept for the failure.
    Kept,
}

impl Copa {
    /// The program that is given, else one built for speed, with its cache in `cache`.
    pub fn given_or_built(given: Option<&Path>, cache: &Path) -> Result<Copa, Failure> {
        let program = match given {
            Some(program) => std::path::absolute(program).map_err(Failure::file(program))?,
            None => build()?,
        };
        Ok(Copa { program, cache: cache.to_owned(), environment: Vec::new() })
    }

    /// The same program with another cache.
    pub fn with_cache(&self, cache: &Path) -> Copa {
        Copa { cache: cache.to_owned(), ..self.clone() }
    }

    /// The same program with another environment.
    pub fn with_environment(self, environment: Vec<(OsString, OsString)>) -> Copa {
        Copa { environment, ..self }
    }

    /// How a user would type this run.
    pub fn typed(&self, arguments: &[OsString]) -> String {
        arguments.iter().fold("copa".to_owned(), |line, argument| line + " " + &argument.to_string_lossy())
    }

    /// Runs it with its result document.
    pub fn run(&self, arguments: &[OsString], talk: Talk) -> Result<Run, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::file("temporary folder"))?;
        let (result, words) = (folder.path().join("result.json"), folder.path().join("words"));
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .arg("--result")
            .arg(&result)
            .arg("--cache-dir")
            .arg(&self.cache)
            .stdin(Stdio::null());
        if talk == Talk::Kept {
            let file = fs::File::create(&words).map_err(Failure::file(&words))?;
            command.stdout(file.try_clone().map_err(Failure::file(&words))?).stderr(file);
        }
        let begun = Instant::now();
        let mut child = command.spawn().map_err(Failure::file(&self.program))?;
        let (status, peak_kib) = watch(&mut child)?;
        let took = begun.elapsed();
        let result =
            fs::read(&result).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let words = fs::read_to_string(&words).unwrap_or_default();
        Ok(Run { status, took, peak_kib, result, words })
    }

    /// Like [`Copa::run`], where anything but success is a failure.
    pub fn succeed(&self, arguments: &[OsString], talk: Talk) -> Result<Run, Failure> {
        let run = self.run(arguments, talk)?;
        if run.status.success() {
            return Ok(run);
        }
        let tail: Vec<&str> = run.words.lines().rev().take(20).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Err(Failure::new(format!("`{}` failed ({})\n{}", self.typed(arguments), run.status, tail.join("\n"))))
    }
}

fn build() -> Result<PathBuf, Failure> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--locked", "--package", "cli", "--bin", "copa"])
        .current_dir(workspace::root());
    let status = cargo.status().map_err(Failure::file("cargo"))?;
    if !status.success() {
        return Err(Failure::new("`copa` does not build"));
    }
    let metadata = argv("cargo", ["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .folder(&workspace::root());
    let metadata: Value = serde_json::from_slice(&metadata.stdout()?).map_err(Failure::new)?;
    let target = metadata["target_directory"]
        .as_str()
        .ok_or_else(|| Failure::new("cargo names no target directory"))?;
    Ok(Path::new(target).join("release/copa"))
}

impl Run {
    /// A counter of the result document.
    pub fn counter(&self, name: &str) -> Option<u64> {
        self.result["counters"][name].as_u64()
    }

    /// Seconds it took.
    pub fn seconds(&self) -> f64 {
        self.took.as_secs_f64()
    }
}

/// Arguments from words of several kinds.
#[macro_export]
macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$(std::ffi::OsString::from($word)),*] };
}

fn watch(child: &mut Child) -> Result<(ExitStatus, u64), Failure> {
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(&status_file).unwrap_or_default();
        peak = peak.max(peak_of(&status).unwrap_or(0));
        if let Some(status) = child.try_wait().map_err(Failure::file("copa"))? {
            return Ok((status, peak));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_the_peak() {
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t   10240 kB\n"), Some(10240));
        let mut child = Command::new("sleep").arg("0.1").spawn().unwrap();
        let (status, peak) = watch(&mut child).unwrap();
        assert!(status.success() && peak > 0);
    }
}
