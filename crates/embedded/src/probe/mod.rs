//! What the engine can do on this host: each rung of its ladder is tried by doing it.

mod inside;
mod place;
mod rungs;

pub(crate) use inside::run as run_inside;

use crate::stage;
use serde::{Deserialize, Serialize};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// What to try with.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// The program that is started for our stages; it must call [`entry`](crate::entry) first of all.
    pub helper: PathBuf,
    /// Where the store is, or will be.
    pub cache: PathBuf,
}

/// One thing that the engine needs, or makes use of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// What it is.
    pub name: String,
    /// How it stands.
    pub state: RungState,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty where nothing needs to be done.
    pub remedy: String,
}

/// How a rung stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RungState {
    /// It works.
    Ok,
    /// It works in a lesser way, or something else takes its place.
    Degraded,
    /// It does not work, and the engine needs it.
    Missing,
}

/// Tries everything. Slow for a function that returns a list (some tens of milliseconds), and blocking.
pub fn probe(options: &ProbeOptions) -> Vec<Rung> {
    let (mut command, folder) = (Command::new(&options.helper), place::existing(&options.cache));
    command.arg(stage::PROBE).arg(&folder).stdin(Stdio::null()).stderr(Stdio::null());
    let said = command.output().map_err(|e| e.to_string());
    let parsed =
        said.and_then(|o| serde_json::from_slice(&o.stdout).map_err(|e| format!("{}: {e}", o.status)));
    parsed.unwrap_or_else(|why| {
        let detail = format!("running {}: {why}", options.helper.display());
        vec![Rung { name: "own program".into(), state: RungState::Missing, detail, remedy: String::new() }]
    })
}
