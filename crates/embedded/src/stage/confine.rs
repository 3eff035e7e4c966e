//! Giving up power: capabilities as a container runtime leaves them, less; then the filter of system calls. Init itself
//! lives by it, and all that it starts inherits it.

use crate::{
    failure::{Doing as _, Failure},
    seccomp::{Filter, Table, assemble},
    sys,
};
use rustix::{
    fs::{Mode, OFlags},
    process::{DumpableBehavior, set_dumpable_behavior},
    thread::{
        CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};
use std::os::fd::OwnedFd;

/// What installing packages needs. Not among them: making devices, raw sockets, binding low ports, anything of the system.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SYS_CHROOT);
/// Numbers of capabilities end here for good: the sets have 64 bits.
const CAPABILITIES: u32 = 64;

/// Gives up everything that steps must not have. Where the filter hands calls to us, the descriptor on which they wait.
pub(super) fn confine(filter: Filter) -> Result<Option<OwnedFd>, Failure> {
    let doing = "giving up capabilities";
    // Nobody inside may look into process 1: its open files, its program.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).doing("closing process 1 to others")?;
    for one in
        (0..CAPABILITIES).filter_map(|bit| Some(CapabilitySet::from_bits_retain(1u64.checked_shl(bit)?)))
    {
        // An error says that the kernel knows no capability of this number.
        let present = capability_is_in_bounding_set(one).unwrap_or(false);
        if present && !KEPT.contains(one) {
            remove_capability_from_bounding_set(one).doing(doing)?;
        }
    }
    clear_ambient_capability_set().doing(doing)?;
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: KEPT, permitted: KEPT, inheritable }).doing(doing)?;
    set_no_new_privs(true).doing("forbidding new privileges")?;
    stay_within()?;
    let tables = filter.tables();
    sys::install(&assemble(&tables), tables.iter().any(Table::asks))
        .doing("installing the filter of system calls")
}

/// Writing ends at our root. The kernel hands programs to emulators of the host where the host says so (`binfmt_misc`), and then
/// `/proc/self/exe` is the host's file: the one thing of it that a program of an image can name.
fn stay_within() -> Result<(), Failure> {
    let doing = "keeping writes within the root";
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    sys::write_only_below(root.doing(doing)?).map(drop).doing(doing)
}

/// Whether a sync does nothing now: it succeeds on a descriptor that is a path only, which a real one refuses.
pub(super) fn syncs_do_nothing() -> bool {
    let path_only = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    path_only.is_ok_and(|descriptor| rustix::fs::fsync(descriptor).is_ok())
}
