//! The stage that tries: it becomes uid 0 as a run would, and tells what it found on its standard output.

use super::{Rung, RungState, rungs};
use crate::host::{HostOptions, Mode, enter};
use std::{io::Write as _, path::PathBuf};

/// Runs the stage; the exit code.
pub(crate) fn run() -> i32 {
    let folder = std::env::args_os().nth(2).map(PathBuf::from).unwrap_or_default();
    let rungs = match enter(&HostOptions::default()) {
        Ok(mode) => std::iter::once(identity(mode)).chain(rungs::all(mode, &folder)).collect(),
        Err(error) => vec![refused(error)],
    };
    let told = serde_json::to_vec(&rungs).is_ok_and(|json| std::io::stdout().write_all(&json).is_ok());
    i32::from(!told)
}

fn identity(mode: Mode) -> Rung {
    let (state, detail, remedy) = match mode {
        Mode::Root => (RungState::Ok, "the machine's root", ""),
        Mode::UserNamespace => (RungState::Ok, "root of a user namespace with a range of ids", ""),
        Mode::SingleId => (
            RungState::Degraded,
            "root of a user namespace with one id; owners are emulated and recorded",
            "install newuidmap (package uidmap or shadow-utils) and give the user a range: \
             `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`",
        ),
    };
    Rung { name: "identity".into(), state, detail: detail.into(), remedy: remedy.into() }
}

fn refused(error: engine::Error) -> Rung {
    let (detail, remedy) = match error {
        engine::Error::Unavailable { what, remedy, .. } => (what, remedy),
        other => (other.to_string(), String::new()),
    };
    Rung { name: "identity".into(), state: RungState::Missing, detail, remedy }
}
