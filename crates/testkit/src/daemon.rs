//! Real daemons and tools that keep images on a machine (docker, containerd, podman), each with a store of its own in a temporary
//! folder, from Debian's packages unpacked under `.testkit`. What they start and mount is gone when they are dropped.

mod apart;
mod cgroup;
mod containerd;
mod dockerd;
mod leftovers;
mod place;
mod podman;

pub use containerd::{Containerd, ContainerdVersion};
pub use dockerd::{DockerVersion, Dockerd, Store};
pub use podman::Podman;

use crate::bundle::{Bundle, RUNTIME};
use crate::probe;

/// Whether daemons of these programs can run here; a reason to skip where they cannot.
fn needs(programs: &Bundle) -> Result<(), String> {
    let tools = probe::programs(&["setpriv", "unshare", "skopeo"]);
    let needs = [probe::root(), tools, probe::mounting(), programs.needs(), RUNTIME.needs()];
    probe::first_reason(needs)?;
    probe::first_reason([cgroup::needs(), place::needs()])
}
