//! Scanner plugins: `copa-<name> <report>` prints a native manifest. Its time and output are bounded, its own processes
//! end with it, and what it says on standard error is kept apart from what it prints.

use crate::{Error, Findings, Format, error::shown, read};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
    time::Timespec,
};
use std::{
    ffi::OsStr,
    fmt, io,
    io::Read,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// What is shown of a plugin's standard error when it fails: the end, where the reason stands.
const STDERR_BYTES_MAX: usize = 64 * 1024;

/// How often time and cancellation are looked at while a plugin is silent.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// What every plugin's file name begins with.
const PREFIX: &str = "copa-";

/// A plugin to run.
pub struct PluginRequest<'a> {
    /// Its name, without the prefix.
    pub name: &'a str,
    /// The program, found by [`resolve`].
    pub program: &'a Path,
    /// The report it shall read; its only argument.
    pub report: &'a Path,
    /// How long it may take.
    pub timeout: Duration,
    /// How much it may print.
    pub output_bytes_max: u64,
    /// Asked every few milliseconds; true ends it.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// The program of a plugin, from the directories of a PATH. Relative and empty entries are passed over: what lies in the
/// current directory is never run.
pub fn resolve(name: &str, path: &OsStr) -> Result<PathBuf, Error> {
    check_name(name)?;
    let candidates = std::env::split_paths(path).filter(|dir| dir.is_absolute());
    let runnable = |program: &PathBuf| {
        program.is_file() && rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok()
    };
    let found = candidates.map(|dir| dir.join(format!("{PREFIX}{name}"))).find(runnable);
    found.ok_or_else(|| Error::PluginMissing { program: format!("{PREFIX}{name}") })
}

/// `^[a-zA-Z0-9][a-zA-Z0-9_-]*$`, so that a name can be no path.
fn check_name(name: &str) -> Result<(), Error> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    match first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        true => Ok(()),
        false => Err(Error::PluginName { escaped: shown(name) }),
    }
}

/// Runs a plugin and reads what it prints.
pub fn run_plugin(request: &PluginRequest) -> Result<Findings, Error> {
    check_name(request.name)?;
    let mut running = Running::start(request)?;
    let parsed = read(&mut running, Format::Native);
    let ended = running.finish();
    let failed = |running: &Running, what: String| Error::Plugin {
        program: format!("{PREFIX}{}", request.name),
        what,
        stderr: running.stderr_tail(),
    };
    match ended {
        Err(_) if matches!(running.stopped, Some(Stop::Cancelled)) => Err(Error::Cancelled),
        Err(error) => Err(failed(&running, error.to_string())),
        Ok(status) if !status.success() => Err(failed(&running, format!("failed with {status}"))),
        Ok(_) => parsed,
    }
}

/// Why a plugin was stopped.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Stop {
    #[error("took longer than {0:?}")]
    Time(Duration),
    #[error("printed more than {0} bytes")]
    Output(u64),
    #[error("was interrupted")]
    Cancelled,
}

/// A plugin that runs. Reading from it reads its standard output.
struct Running<'a> {
    request: &'a PluginRequest<'a>,
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    stderr_kept: Vec<u8>,
    printed: u64,
    started: Instant,
    stopped: Option<Stop>,
    reaped: bool,
}

impl<'a> Running<'a> {
    fn start(request: &'a PluginRequest<'a>) -> Result<Self, Error> {
        let program = format!("{PREFIX}{}", request.name);
        let mut command = Command::new(request.program);
        command.arg0(&program).arg(request.report).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| Error::PluginStart { program, source })?;
        Ok(Running {
            request,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            stderr_kept: Vec::new(),
            printed: 0,
            started: Instant::now(),
            stopped: None,
            reaped: false,
        })
    }

    /// Reads the rest of the output and waits for the end.
    fn finish(&mut self) -> Result<ExitStatus, io::Error> {
        io::copy(&mut &mut *self, &mut io::sink())?;
        while !self.has_exited()? {
            self.check()?;
            self.wait_for_output()?;
        }
        self.kill_group();
        self.drain_stderr()?;
        self.reaped = true;
        self.child.wait()
    }

    /// Whether the process has ended; it is not reaped yet, so that its process group cannot become another's.
    fn has_exited(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        Ok(waitid(WaitId::Pid(self.pid()), options)?.is_some())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Time and cancellation.
    fn check(&mut self) -> io::Result<()> {
        if self.started.elapsed() > self.request.timeout {
            self.stopped = Some(Stop::Time(self.request.timeout));
        } else if (self.request.cancelled)() {
            self.stopped = Some(Stop::Cancelled);
        }
        self.stopped.map_or(Ok(()), |stop| Err(io::Error::other(stop)))
    }

    /// Waits a tick for either stream; takes what is on standard error; says whether standard output has something.
    fn wait_for_output(&mut self) -> io::Result<bool> {
        let (out, err) = (self.stdout.as_ref(), self.stderr.as_ref());
        let mut fds: Vec<_> = out.map(|fd| PollFd::new(fd, PollFlags::IN)).into_iter().collect();
        fds.extend(err.map(|fd| PollFd::new(fd, PollFlags::IN)));
        match poll(&mut fds, Some(&TICK)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        let (out_ready, err_ready) =
            (out.is_some() && ready(0), err.is_some() && ready(usize::from(out.is_some())));
        if err_ready {
            self.take_stderr()?;
        }
        Ok(out_ready)
    }

    fn take_stderr(&mut self) -> io::Result<usize> {
        let Some(stderr) = &mut self.stderr else { return Ok(0) };
        let mut buffer = [0; 8192];
        let read = stderr.read(&mut buffer)?;
        if read == 0 {
            self.stderr = None;
        }
        self.stderr_kept.extend_from_slice(&buffer[..read]);
        let surplus = self.stderr_kept.len().saturating_sub(STDERR_BYTES_MAX);
        self.stderr_kept.drain(..surplus);
        Ok(read)
    }

    /// What is left after the end. A process that outlived its group must not keep us: only what is there is taken.
    fn drain_stderr(&mut self) -> io::Result<()> {
        while let Some(stderr) = &self.stderr {
            let mut fds = [PollFd::new(stderr, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&Timespec::default())).unwrap_or(0);
            if ready == 0 || self.take_stderr()? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn kill_group(&self) {
        // Only fails where nothing is left to kill.
        let _ = kill_process_group(self.pid(), Signal::KILL);
    }

    /// The end of standard error, fit for a terminal.
    fn stderr_tail(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr_kept);
        let printable = |c: char| match c {
            '\n' | ' '..='~' => c,
            '\t' => ' ',
            c if c.is_alphanumeric() => c,
            _ => '\u{fffd}',
        };
        text.trim_end().chars().map(printable).collect()
    }
}

impl Read for &mut Running<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            self.check()?;
            if self.stdout.is_none() {
                return Ok(0);
            }
            if !self.wait_for_output()? {
                // A process that it left behind would keep the output open.
                if self.has_exited()? {
                    self.kill_group();
                }
                continue;
            }
            let read = self.stdout.as_mut().map_or(Ok(0), |stdout| stdout.read(out))?;
            self.printed += read as u64;
            if read == 0 {
                self.stdout = None;
            } else if self.printed > self.request.output_bytes_max {
                self.stopped = Some(Stop::Output(self.request.output_bytes_max));
                continue;
            }
            return Ok(read);
        }
    }
}

impl Drop for Running<'_> {
    /// Whatever happened: nothing of it runs on, and no zombie stays.
    fn drop(&mut self) {
        if !self.reaped {
            self.kill_group();
            let _ = self.child.wait();
        }
    }
}

impl fmt::Debug for PluginRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginRequest").field("name", &self.name).field("program", &self.program).finish()
    }
}
