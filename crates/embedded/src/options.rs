//! How the engine is set up.

use crate::host::Mode;
use fetch::egress::EgressOptions;
use std::{path::PathBuf, sync::Arc};

/// Everything the engine is given.
#[derive(Clone)]
pub struct EngineOptions {
    /// Where layers are kept.
    pub store: Arc<store::Store>,
    /// How we are uid 0, as [`enter`](crate::host::enter) said.
    pub mode: Mode,
    /// The program that is started for the stages of a sandbox. It must call [`entry`](crate::entry) first of all.
    pub helper: PathBuf,
    /// Most memory that the changes of one run may take; more goes to the disk. `None` takes half of what is free, up to
    /// 4 GiB; 0 always takes the disk.
    pub memory_bytes_max: Option<u64>,
    /// The network of steps that have one. Its `hosts` are taken from the recipe.
    pub egress: EgressOptions,
    /// Most processes in a sandbox at a time; at least 400, because the kernel keeps the first 300 numbers for itself.
    pub processes_max: u32,
    /// Layers that are got and unpacked at a time.
    pub parallel_layers: usize,
}

impl EngineOptions {
    /// With every choice left to the engine.
    pub fn new(store: Arc<store::Store>, mode: Mode) -> Self {
        EngineOptions {
            store,
            mode,
            helper: PathBuf::from("/proc/self/exe"),
            memory_bytes_max: None,
            egress: EgressOptions::default(),
            processes_max: PROCESSES_MAX,
            parallel_layers: PARALLEL_LAYERS,
        }
    }
}

/// Unpacking keeps a core busy and waits for the network in between; more at a time gains little and costs memory.
const PARALLEL_LAYERS: usize = 4;
/// Package tools need a few dozen; a fork bomb ends here.
const PROCESSES_MAX: u32 = 4096;
