//! A sandbox on an image of one folder, to try what works.

use crate::{
    failure::Doing as _,
    supervise::{Ended, Sandbox, Start, Stop},
    upper::Upper,
    wire::Setup,
};
use layer::Flavor;
use rustix::fs::{Mode, OFlags, open};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Enough for a sandbox that does nothing.
const BYTES: u64 = 64 << 20;
/// As in a run.
const PROCESSES_MAX: u32 = 4096;

/// What to try with.
pub(crate) struct Trial<'a> {
    /// The program that runs our stages.
    pub helper: &'a Path,
    /// How layers are kept.
    pub flavor: Flavor,
    /// The image's one layer.
    pub layer: PathBuf,
    /// Where changes go where they cannot go to memory; it is made.
    pub work: PathBuf,
    /// Whether a listener for the proxy is wanted.
    pub network: bool,
    /// Whether programs of 32-bit x86 may run.
    pub x86_32: bool,
}

/// A sandbox that stands.
pub(crate) struct Standing {
    /// It.
    pub sandbox: Sandbox,
    /// Whether its changes are in memory.
    pub in_memory: bool,
    /// Where they are.
    _upper: Upper,
}

/// Starts it. The calling thread must live as long as the sandbox.
pub(crate) fn start(trial: &Trial<'_>, stop: &Stop) -> Result<Standing, Ended> {
    let doing = format!("making a folder {}", trial.work.display());
    fs::create_dir(&trial.work).doing(&doing)?;
    let upper = match Upper::in_memory(BYTES) {
        Ok(upper) => upper,
        Err(_) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Upper::in_folder(open(&trial.work, flags, Mode::empty()).doing(&doing)?)?
        }
    };
    let setup = Setup {
        layers: vec![trial.layer.clone()],
        tooling: Vec::new(),
        work: trial.work.clone(),
        user_attributes: trial.flavor != Flavor::Native,
        emulate_owners: trial.flavor == Flavor::SingleId,
        network: trial.network,
        x86_32: trial.x86_32,
        processes_max: PROCESSES_MAX,
        upper_in_memory: upper.mount().is_some(),
        shown: false,
    };
    let start = Start { helper: trial.helper, setup, upper: upper.mount(), shown: None, disk: None };
    let sandbox = Sandbox::start(start, stop)?;
    Ok(Standing { sandbox, in_memory: upper.mount().is_some(), _upper: upper })
}
