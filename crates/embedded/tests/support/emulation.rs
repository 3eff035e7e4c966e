//! Emulators registered for a test and gone after it: in a user namespace in a `binfmt_misc` of its own, which hides the machine's;
//! as the machine's root under names of our own beside what is there.

use embedded::host::Mode;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{fs, path::PathBuf};

const SHOWN: &str = "/proc/sys/fs/binfmt_misc";

/// What is registered.
pub struct Emulation {
    folder: Option<tempfile::TempDir>,
    names: Vec<String>,
}

impl Emulation {
    /// None yet. In a user namespace this hides whatever the machine has; `Err` where the kernel has no such thing.
    pub fn new(mode: Mode) -> Result<Emulation, String> {
        let folder = (mode == Mode::Root).then(|| tempfile::tempdir().unwrap());
        let emulation = Emulation { folder, names: Vec::new() };
        mount("binfmt_misc", emulation.path(), "binfmt_misc", MountFlags::empty(), None)
            .map_err(|errno| format!("no binfmt_misc of its own: {errno}"))?;
        Ok(emulation)
    }

    fn path(&self) -> PathBuf {
        self.folder.as_ref().map_or(PathBuf::from(SHOWN), |folder| folder.path().to_owned())
    }

    /// Registers an interpreter for programs of an ELF machine (64 bits, little-endian) with flags.
    pub fn register(&mut self, machine: u8, interpreter: &str, flags: &str) {
        let name = format!("copa-test-{}-{}", std::process::id(), self.names.len());
        let magic =
            format!(r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x{machine:02x}\x00");
        let mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
        let entry = format!(":{name}:M::{magic}:{mask}:{interpreter}:{flags}");
        fs::write(self.path().join("register"), entry).unwrap();
        self.names.push(name);
    }

    /// Writes to the entry registered last: 0 switches it off.
    pub fn set_last(&self, what: &str) {
        fs::write(self.path().join(self.names.last().unwrap()), what).unwrap();
    }
}

impl Drop for Emulation {
    fn drop(&mut self) {
        for name in &self.names {
            fs::write(self.path().join(name), "-1").ok();
        }
        unmount(self.path(), UnmountFlags::DETACH).ok();
    }
}
