//! A daemon with processes and mounts of its own: the kernel ends all that it started, and undoes all that it mounted, with it.
//! It shares the network and the files of this machine.

use crate::bundle::{self, Bundle, RUNTIME};
use crate::{Error, tools};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starting takes half a second; on a machine under full load, longer.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Ending takes some milliseconds.
const END_LIMIT: Duration = Duration::from_secs(20);

/// How often it is asked whether something has happened.
const PAUSE: Duration = Duration::from_millis(10);

/// How much of a daemon's log an error repeats.
const TAIL_LINES: usize = 12;

/// A running daemon. It ends with the thread that started it, also where that is killed.
#[derive(Debug)]
pub(super) struct Apart {
    /// `unshare`, whose only child is the first process of the namespace.
    outer: Child,
    log: PathBuf,
}

impl Apart {
    /// Starts `program` of a bundle.
    pub(super) fn start(
        programs: &Bundle,
        program: &str,
        arguments: &[&Path],
        folder: &Path,
    ) -> Result<Apart, Error> {
        let log = folder.join("log");
        let output = File::create(&log).map_err(Error::io(&log))?;
        let errors = output.try_clone().map_err(Error::io(&log))?;
        let mut command = Command::new(tools::find("setpriv")?);
        command.args(["--pdeathsig", "KILL", "--"]).arg(tools::find("unshare")?);
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
        // The first process of a namespace gets those that lost their parents.
        command.arg(RUNTIME.folder().join("usr/bin/tini-static")).arg("--").arg(program).args(arguments);
        command.env("PATH", bundle::search_path(&[*programs, RUNTIME]));
        let folder = fs::canonicalize(folder).map_err(Error::io(folder))?;
        command.current_dir(folder).stdin(Stdio::null()).stdout(output).stderr(errors);
        let outer = command.spawn().map_err(Error::io(program))?;
        Ok(Apart { outer, log })
    }

    /// Waits until it is ready.
    pub(super) fn wait_until(&mut self, ready: impl Fn() -> bool) -> Result<(), Error> {
        let begun = Instant::now();
        while !ready() {
            let ended = self.outer.try_wait().map_err(Error::io("daemon"))?;
            if ended.is_some() || begun.elapsed() > START_LIMIT {
                return Err(Error::Unavailable(format!("the daemon did not start: {}", self.last_words())));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// The first process of its namespace, by the number that it has outside.
    pub(super) fn first_process(&self) -> Option<u32> {
        let outer = self.outer.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let first = self.first_process();
        // It may have ended by itself; either way it is gone afterwards. The kernel kills the first process with it, and does
        // not call that dead before all others of the namespace are.
        let _ = self.outer.kill();
        let _ = self.outer.wait();
        let begun = Instant::now();
        while first.is_some_and(is_alive) && begun.elapsed() < END_LIMIT {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Whether a process runs still; one that only nobody has asked for its end does not.
fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}
