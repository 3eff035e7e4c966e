//! The messages.

use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// How the sandbox is to be set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Unpacked layers, lowest first, by absolute path.
    pub layers: Vec<PathBuf>,
    /// Unpacked layers of an image in whose tree steps run, lowest first; the image is then at [`engine::TARGET`]. Empty where
    /// they run in the image itself.
    pub tooling: Vec<PathBuf>,
    /// A folder of ours with `upper`, `work` and `root` in it, and for a tooling image the same in `tooling`; where the upper is in memory, the mount that comes with
    /// this message is put on it first and has them.
    pub work: PathBuf,
    /// Overlay keeps its marks in user attributes: needed in a user namespace.
    pub user_attributes: bool,
    /// Owners are emulated: one id is mapped.
    pub emulate_owners: bool,
    /// Programs of 32-bit x86 may run.
    pub x86_32: bool,
    /// Whether a listener for the egress proxy is wanted.
    pub network: bool,
    /// Most processes at a time.
    pub processes_max: u32,
    /// Whether the upper came with the message.
    pub upper_in_memory: bool,
    /// Whether a mount with files to show came with the message.
    pub shown: bool,
}

/// From supervisor to init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// First of all. With it: the upper in memory, then the files to show, as far as `Setup` announces them.
    Setup(Setup),
    /// Run a program; with it the pipe for its output.
    Exec {
        /// Program and arguments.
        argv: Vec<String>,
        /// Variables beside the fixed ones.
        env: BTreeMap<String, String>,
        /// Tell it of the proxy.
        network: bool,
    },
    /// Write a file; with it its content as a file from its beginning.
    Write {
        /// Absolute path in the root.
        path: String,
        /// Permission bits.
        mode: u32,
    },
    /// Remove a file if it is there.
    Remove {
        /// Absolute path in the root.
        path: String,
    },
}

/// An owner that could not be noted on the thing itself: a link, a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owned {
    /// Where it was at the time.
    pub path: Vec<u8>,
    /// Its number as the overlay gives it.
    pub inode: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// From the stages to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Init exists; with it its process descriptor.
    Born,
    /// The sandbox stands; with it the listener, if one was wanted.
    Up {
        /// Folders at the top of the root made for mounts, to be taken away afterwards.
        made: Vec<String>,
        /// Whether a sync was seen to do nothing.
        syncs_suppressed: bool,
    },
    /// Owners noted; comes before the end of the program that set them.
    Owned(Vec<Owned>),
    /// A program ended, and everything that it left running is dead.
    Exited {
        /// Its exit code; 128 + n for signal n; 127 where it could not be started.
        code: i32,
    },
    /// A file step is done.
    Done,
    /// Something could not be done.
    Failed(Failure),
}
