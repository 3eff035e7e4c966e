//! Being uid 0 where it is needed, and the cache in the form that fits.

use crate::{error::Failure, exit::Kind, settings::Settings, ui::text::printable};
use embedded::host::{HostOptions, Mode, enter};
use layer::Flavor;
use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt};
use store::{Store, StoreOptions};

/// Becomes uid 0, in a user namespace if need be: then the program starts again, so nothing may have been done before.
pub fn become_root() -> Result<Mode, Failure> {
    enter(&HostOptions::default()).map_err(|error| Failure::of(Kind::Engine, &error).engine(&error))
}

/// Opens the cache, and makes it where there is none.
pub fn open_store(settings: &Settings, mode: Mode) -> Result<Store, Failure> {
    if let Some(parent) = settings.cache_dir.parent() {
        // What is wrong with it shows when the cache itself is made.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(parent);
    }
    let options = StoreOptions { dir: settings.cache_dir.clone(), flavor: flavor(mode), size_max: None };
    let shown = settings.cache_dir.to_string_lossy();
    Store::open(options)
        .map_err(|e| Failure::from(e).about(format!("cannot use the cache in {}", printable(&shown))))
}

fn flavor(mode: Mode) -> Flavor {
    match mode {
        Mode::Root => Flavor::Native,
        Mode::UserNamespace => Flavor::UserNamespace,
        Mode::SingleId => Flavor::SingleId,
    }
}
