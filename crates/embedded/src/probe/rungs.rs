//! The rungs that are tried as uid 0.

use super::{Rung, RungState, place::Place};
use crate::{
    failure::{Doing as _, Failure},
    host::{self, Mode},
    memory::Share,
    seccomp::{Filter, Owners, assemble},
    supervise::Stop,
    sys::{self, Fork},
    trial::{self, Trial},
    upper::Upper,
    wire::Channel,
};
use rustix::{
    fs::{CWD, OFlags, ResolveFlags, openat2, statvfs},
    process::{WaitOptions, waitpid},
    thread::{UnshareFlags, set_no_new_privs},
};
use std::path::{Path, PathBuf};

/// Less than this and unpacking an image of usual size fails.
const ROOM: u64 = 2 << 30;

/// All of them.
pub(super) fn all(mode: Mode, folder: &Path) -> Vec<Rung> {
    let mut rungs = vec![
        needed("safe path resolution", openat2_works().map(|()| "openat2 works".into())),
        needed("namespaces", namespaces().map(|()| "mount, process, network, IPC, host name".into())),
        cache(folder),
        lesser("changes in memory", changes_in_memory(), "changes go to the disk, which is slower"),
    ];
    if mode == Mode::SingleId {
        let answered = in_child(listening).map(|()| "a filter hands calls to us".into());
        rungs.push(needed("emulated owners", answered));
    }
    rungs.push(needed("sandbox", sandbox(mode, folder)));
    rungs.push(lesser(
        "bound on processes",
        bound_on_processes(mode),
        "a fork bomb is bounded by memory only",
    ));
    rungs
}

fn needed(name: &str, found: Result<String, Failure>) -> Rung {
    match found {
        Ok(detail) => rung(name, RungState::Ok, detail, ""),
        Err(failure) => rung(name, RungState::Missing, failure.to_string(), &host::remedy(&failure)),
    }
}

fn lesser(name: &str, found: Result<String, Failure>, otherwise: &str) -> Rung {
    match found {
        Ok(detail) => rung(name, RungState::Ok, detail, ""),
        Err(failure) => rung(name, RungState::Degraded, format!("{failure}; {otherwise}"), ""),
    }
}

fn rung(name: &str, state: RungState, detail: String, remedy: &str) -> Rung {
    Rung { name: name.to_owned(), state, detail, remedy: remedy.to_owned() }
}

fn openat2_works() -> Result<(), Failure> {
    let mode = rustix::fs::Mode::empty();
    openat2(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, mode, ResolveFlags::NO_SYMLINKS)
        .map(drop)
        .doing("opening with openat2")
}

fn namespaces() -> Result<(), Failure> {
    in_child(|| {
        for (kind, name) in [
            (UnshareFlags::NEWNS, "a mount"),
            (UnshareFlags::NEWPID, "a process"),
            (UnshareFlags::NEWNET, "a network"),
            (UnshareFlags::NEWIPC, "an IPC"),
            (UnshareFlags::NEWUTS, "a host name"),
        ] {
            sys::unshare(kind).doing(&format!("making {name} namespace"))?;
        }
        Ok(())
    })
}

/// Whether the folder of the store can hold layers and changes.
fn cache(folder: &Path) -> Rung {
    let tried = Place::within(folder).and_then(|place| {
        let upper = Upper::in_folder(place.folder("changes")?)?;
        upper.changes()?;
        let stat = statvfs(folder).doing("asking for room on the disk")?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    });
    let shown = folder.display();
    match tried {
        Ok(free) if free < ROOM => {
            let detail = format!("{shown}: {} MiB free", free >> 20);
            rung(
                "cache folder",
                RungState::Degraded,
                detail,
                "free some room, or choose another folder with --cache-dir",
            )
        }
        Ok(free) => rung("cache folder", RungState::Ok, format!("{shown}: {} GiB free", free >> 30), ""),
        Err(failure) => {
            let remedy = "choose a folder on a local disk with --cache-dir";
            rung("cache folder", RungState::Missing, failure.to_string(), remedy)
        }
    }
}

fn changes_in_memory() -> Result<String, Failure> {
    let too_little = || std::io::Error::other("too little memory is free");
    let share = Share::take(None).ok_or_else(too_little).doing("keeping changes in memory")?;
    Upper::in_memory(share.bytes())?;
    Ok(format!("up to {} MiB", share.bytes() >> 20))
}

fn listening() -> Result<(), Failure> {
    set_no_new_privs(true).doing("forbidding new privileges")?;
    sys::install(&assemble(&Filter { owners: Owners::Emulated, x86_32: false }.tables()), true)
        .map(drop)
        .doing("installing a filter with a listener")
}

/// A whole sandbox on an empty image: overlay, `/proc`, `/dev`, network, filter.
fn sandbox(mode: Mode, folder: &Path) -> Result<String, Failure> {
    let place = Place::within(folder)?;
    place.folder("layer")?;
    let (layer, work) = (place.path.join("layer"), place.path.join("work"));
    let helper = PathBuf::from("/proc/self/exe");
    let trial = Trial { helper: &helper, flavor: mode.flavor(), layer, work, network: true, x86_32: false };
    let stop = Stop::new().doing("starting a sandbox")?;
    let standing = trial::start(&trial, &stop).map_err(|ended| ended.into_failure("starting a sandbox"))?;
    let where_to = if standing.in_memory { "memory" } else { "the disk" };
    let syncs = if standing.sandbox.syncs_suppressed { "syncs do nothing" } else { "syncs reach the disk" };
    Ok(format!("stands; changes in {where_to}; {syncs}"))
}

fn bound_on_processes(mode: Mode) -> Result<String, Failure> {
    if crate::stage::processes_are_capped() {
        return Ok("by the process namespace".into());
    }
    if mode != Mode::Root {
        return Ok("by a limit of the user namespace".into());
    }
    Err(std::io::Error::other("needs Linux 6.14 when run as the machine's root")).doing("bounding processes")
}

/// Does something that cannot be undone in a process of its own.
fn in_child(what: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let doing = "trying in a process of its own";
    let (ours, theirs) = Channel::pair().doing(doing)?;
    match sys::fork_alone().doing(doing)? {
        Fork::Child => {
            let told = Channel::from(theirs).send(&what(), &[]);
            #[expect(clippy::exit, reason = "the child of a fork must not run what its parent would")]
            std::process::exit(i32::from(told.is_err()))
        }
        Fork::Parent(child) => {
            drop(theirs);
            let said = ours.expect::<Result<(), Failure>>(doing);
            waitpid(Some(child), WaitOptions::empty()).doing(doing)?;
            said?.0
        }
    }
}
