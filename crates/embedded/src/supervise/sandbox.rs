//! One sandbox, from its start to its end. Dropping it ends it and waits until nothing of it is left.

use super::{Output, Stop};
use crate::{
    failure::{Blame, Doing as _, Failure},
    stage,
    wire::{Channel, Order, Owned, Report, Setup},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{StatVfs, fstatvfs},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Signal, pidfd_send_signal},
    time::Timespec,
};
use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Longest time from start to standing: mounts only, but a busy machine is slow.
const START_MAX: Duration = Duration::from_secs(60);
/// Longest wait for what must come at once: the end of output whose writers are dead.
const SOON: Duration = Duration::from_secs(2);
/// What a run leaves free on the host's disk, which others need too.
const DISK_RESERVE: u64 = 256 << 20;
/// The same for files: a disk without numbers for new ones is full too, whatever room it has.
const FILES_RESERVE: u64 = 10_000;
/// How often the disk is looked at: no disk takes what is left in that time.
const DISK_WATCH: Duration = Duration::from_millis(100);
/// Bytes of output read at a time.
const CHUNK: usize = 64 << 10;

/// What a sandbox is started with.
pub(crate) struct Start<'a> {
    /// The program that runs our stages.
    pub helper: &'a Path,
    /// How it is set up.
    pub setup: Setup,
    /// The upper, where it is in memory.
    pub upper: Option<BorrowedFd<'a>>,
    /// Files to show.
    pub shown: Option<BorrowedFd<'a>>,
    /// A folder of the disk that changes go to, where they do.
    pub disk: Option<OwnedFd>,
}

/// Why a sandbox gave no answer, or not the one hoped for.
#[derive(Debug)]
pub(crate) enum Ended {
    /// We were told to stop.
    Stopped,
    /// It took too long.
    TimedOut,
    /// It was about to fill the host's disk.
    DiskFull,
    /// It died, by itself or by the kernel's hand.
    Died,
    /// It says what it could not do.
    Failed(Failure),
}

impl Ended {
    /// The same as something that could not be done.
    pub(crate) fn into_failure(self, doing: &str) -> Failure {
        let kind = match self {
            Ended::Failed(failure) => return failure,
            Ended::Stopped => io::ErrorKind::Interrupted,
            Ended::TimedOut => io::ErrorKind::TimedOut,
            Ended::DiskFull => io::ErrorKind::StorageFull,
            Ended::Died => io::ErrorKind::UnexpectedEof,
        };
        Failure { blame: Blame::Host, doing: doing.to_owned(), errno: None, why: kind.to_string() }
    }
}

/// A running sandbox.
pub(crate) struct Sandbox {
    outer: Child,
    init: Option<OwnedFd>,
    control: Channel,
    disk: Option<OwnedFd>,
    /// Folders at the top of the root made for mounts.
    pub made: Vec<String>,
    /// Whether syncs do nothing inside.
    pub syncs_suppressed: bool,
    /// Where the egress proxy is to listen.
    pub listener: Option<OwnedFd>,
    /// Owners that could not be noted on the things themselves, in the order in which they were set.
    pub owned: Vec<Owned>,
}

/// What is listened to while waiting for a report.
struct Watch<'w, 'o> {
    stop: &'w Stop,
    disk: Option<&'w OwnedFd>,
    deadline: Instant,
    output: Option<(OwnedFd, &'w mut Output<'o>)>,
}

impl Sandbox {
    /// Starts it and waits until it stands. The calling thread must live as long as the sandbox: the kernel ends it with
    /// the thread.
    pub(crate) fn start(start: Start<'_>, stop: &Stop) -> Result<Sandbox, Ended> {
        let (control, theirs) = Channel::pair().doing("talking to the sandbox")?;
        let outer = Command::new(start.helper)
            .arg(stage::NAMESPACES)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(&format!("starting {}", start.helper.display()))?;
        let mut sandbox = Sandbox {
            outer,
            init: None,
            control,
            disk: start.disk,
            made: Vec::new(),
            syncs_suppressed: false,
            listener: None,
            owned: Vec::new(),
        };
        let with: Vec<_> = start.upper.into_iter().chain(start.shown).collect();
        let told = sandbox.control.send(&Order::Setup(start.setup), &with);
        match (sandbox.stand(stop), told.doing("telling the sandbox its setup")) {
            // What ended before it was told has mostly said why.
            (Err(Ended::Died | Ended::TimedOut), Err(unheard)) => Err(unheard.into()),
            (stands, _) => stands.map(|()| sandbox),
        }
    }

    fn stand(&mut self, stop: &Stop) -> Result<(), Ended> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let (report, with) =
                self.next(&mut Watch { stop, disk: self.disk.as_ref(), deadline, output: None })?;
            match report {
                Report::Born => self.init = with.into_iter().next(),
                Report::Up { made, syncs_suppressed } => {
                    (self.made, self.syncs_suppressed) = (made, syncs_suppressed);
                    self.listener = with.into_iter().next();
                    return Ok(());
                }
                other => return Err(strange(&other)),
            }
        }
    }

    /// Runs a program until it and all that it started have ended; its exit code.
    pub(crate) fn exec(
        &mut self,
        order: &Order,
        timeout: Duration,
        stop: &Stop,
        output: &mut Output<'_>,
    ) -> Result<i32, Ended> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).doing("making a pipe for output")?;
        self.control.send(order, &[write.as_fd()]).doing("ordering a step")?;
        drop(write);
        let mut watch = Watch {
            stop,
            disk: self.disk.as_ref(),
            deadline: Instant::now() + timeout,
            output: Some((read, output)),
        };
        let code = loop {
            match self.next(&mut watch)?.0 {
                Report::Owned(some) => self.owned.extend(some),
                Report::Exited { code } => break code,
                other => return Err(strange(&other)),
            }
        };
        watch.deadline = Instant::now() + SOON;
        while watch.output.is_some() {
            watch.listen(None)?;
        }
        Ok(code)
    }

    /// Has a file written or removed.
    pub(crate) fn file(&mut self, order: &Order, with: &[BorrowedFd<'_>], stop: &Stop) -> Result<(), Ended> {
        self.control.send(order, with).doing("ordering a step")?;
        let deadline = Instant::now() + START_MAX;
        match self.next(&mut Watch { stop, disk: self.disk.as_ref(), deadline, output: None })?.0 {
            Report::Done => Ok(()),
            other => Err(strange(&other)),
        }
    }

    /// The next report, where it is no failure; output is taken meanwhile.
    fn next(&self, watch: &mut Watch<'_, '_>) -> Result<(Report, Vec<OwnedFd>), Ended> {
        while !watch.listen(Some(&self.control))? {}
        match self.control.receive().doing("hearing the sandbox")? {
            None => Err(Ended::Died),
            Some((Report::Failed(failure), _)) => Err(Ended::Failed(failure)),
            Some(got) => Ok(got),
        }
    }
}

impl Watch<'_, '_> {
    /// Waits for anything, and takes output; whether there is something on the channel.
    fn listen(&mut self, control: Option<&Channel>) -> Result<bool, Ended> {
        let mut left = self.deadline.checked_duration_since(Instant::now()).ok_or(Ended::TimedOut)?;
        if let Some(disk) = self.disk {
            if fstatvfs(disk).is_ok_and(|s| is_used_up(&s)) {
                return Err(Ended::DiskFull);
            }
            left = left.min(DISK_WATCH);
        }
        let left = Timespec::try_from(left).map_err(|_| Ended::TimedOut)?;
        let mut all = vec![PollFd::new(self.stop, PollFlags::IN)];
        let output = self.output.as_ref().map(|(pipe, _)| pipe);
        all.extend(output.iter().map(|pipe| PollFd::new(*pipe, PollFlags::IN)));
        all.extend(control.iter().map(|c| PollFd::new(*c, PollFlags::IN)));
        match poll(&mut all, Some(&left)) {
            Err(Errno::INTR) | Ok(0) => return Ok(false),
            other => other.doing("waiting for the sandbox")?,
        };
        let ready: Vec<bool> = all.iter().map(|p| !p.revents().is_empty()).collect();
        if ready[0] {
            return Err(Ended::Stopped);
        }
        if self.output.is_some() && ready[1] {
            self.take_output()?;
            // All of the output first: what a program said is taken before its end is.
            return Ok(false);
        }
        Ok(control.is_some() && ready.last() == Some(&true))
    }

    fn take_output(&mut self) -> Result<(), Ended> {
        let Some((pipe, output)) = &mut self.output else { return Ok(()) };
        let mut chunk = [0; CHUNK];
        match rustix::io::read(pipe, &mut chunk) {
            Err(Errno::INTR) => {}
            Ok(0) => self.output = None,
            got => output.take(&chunk[..got.doing("reading a step's output")?]),
        }
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        match &self.init {
            // Process 1 takes everything in its namespace with it, and only then the outer process ends.
            Some(init) => pidfd_send_signal(init, Signal::KILL).ok(),
            None => self.outer.kill().ok(),
        };
        if let Err(error) = self.outer.wait() {
            tracing::warn!(%error, "a sandbox could not be waited for");
        }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Ended::Failed(failure)
    }
}

/// Whether a disk has no more than what is left to others.
fn is_used_up(disk: &StatVfs) -> bool {
    let bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    // Some filesystems have no fixed number of files and say 0 of 0.
    bytes < DISK_RESERVE || (disk.f_files > FILES_RESERVE && disk.f_favail < FILES_RESERVE)
}

/// An answer that does not belong to the question.
fn strange(report: &Report) -> Ended {
    let failure = Failure {
        blame: Blame::Host,
        doing: "understanding the sandbox".to_owned(),
        errno: None,
        why: format!("unexpected answer {report:?}"),
    };
    Ended::Failed(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_used_up_when_room_or_numbers_of_files_are() {
        let any = rustix::fs::statvfs("/").unwrap();
        let plenty = DISK_RESERVE / 4096 + 1;
        for (blocks, files, files_left, want) in [
            (plenty, 1 << 20, 1 << 19, false),
            (plenty, 0, 0, false),
            (plenty - 2, 1 << 20, 1 << 19, true),
            (plenty, 1 << 20, FILES_RESERVE - 1, true),
        ] {
            let disk =
                StatVfs { f_frsize: 4096, f_bavail: blocks, f_files: files, f_favail: files_left, ..any };
            assert_eq!(is_used_up(&disk), want, "{blocks} {files} {files_left}");
        }
    }
}
