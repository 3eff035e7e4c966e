//! A real containerd, of two versions, and its own command line.

use super::{apart::Apart, place};
use crate::bundle::{Bundle, DOCKER_26, DOCKER_28, RUNTIME};
use crate::command::{Argv, argv};
use crate::{Error, image::Layout};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Which containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerdVersion {
    /// That of Debian 13: 1.7.
    V1,
    /// That of what will be Debian 14: 2.1 when this was written.
    V2,
}

impl ContainerdVersion {
    /// All of them.
    pub const ALL: [ContainerdVersion; 2] = [ContainerdVersion::V1, ContainerdVersion::V2];

    fn programs(self) -> Bundle {
        match self {
            ContainerdVersion::V1 => DOCKER_26,
            ContainerdVersion::V2 => DOCKER_28,
        }
    }
}

/// A running containerd, with nothing in it.
#[derive(Debug)]
pub struct Containerd {
    process: Apart,
    programs: Bundle,
    folder: TempDir,
}

impl Containerd {
    /// The namespace that its command line speaks of unless told otherwise.
    pub const NAMESPACE: &'static str = "default";

    /// Whether there can be one here; a reason to skip where there cannot.
    pub fn probe() -> Result<(), String> {
        ContainerdVersion::ALL.iter().try_for_each(|version| super::needs(&version.programs()))
    }

    /// Starts one. Its programs are brought first, where they are not there yet.
    pub fn start(version: ContainerdVersion) -> Result<Containerd, Error> {
        let programs = version.programs();
        programs.bring()?;
        RUNTIME.bring()?;
        let folder = place::folder()?;
        let configuration = folder.path().join("config.toml");
        fs::write(&configuration, configuration_text(folder.path())).map_err(Error::io(&configuration))?;
        let arguments = [Path::new("--config"), &configuration];
        let process = Apart::start(&programs, "containerd", &arguments, folder.path())?;
        let mut daemon = Containerd { process, programs, folder };
        let (socket, version) = (daemon.socket(), daemon.ctr(&["version"]));
        daemon.process.wait_until(|| socket.exists() && version.stdout().is_ok())?;
        Ok(daemon)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("containerd.sock")
    }

    /// What the environment of a program must hold for it to find this daemon.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [("CONTAINERD_ADDRESS", self.socket().into()), ("CONTAINERD_NAMESPACE", Self::NAMESPACE.into())]
    }

    /// The folder with the `ctr` of its version, for a search path.
    pub fn programs(&self) -> PathBuf {
        self.programs.folder().join("usr/bin")
    }

    /// Its own command line, speaking to it.
    pub fn ctr(&self, arguments: &[&str]) -> Argv {
        let program = self.programs().join("ctr");
        let ctr = argv(&program.to_string_lossy(), arguments);
        self.environment().into_iter().fold(ctr, |ctr, (name, value)| ctr.env(name, value))
    }

    /// Loads the image `tag` of a layout as `name` (in full: `docker.io/library/a:b`), whole, for this machine's platform.
    pub fn load(&self, layout: &Layout, tag: &str, name: &str) -> Result<(), Error> {
        let archive = self.folder.path().join("load.tar");
        let target = format!("oci-archive:{}:{name}", archive.display());
        argv("skopeo", ["copy", "--quiet", &layout.name(tag), &target]).stdout()?;
        let loaded = self.ctr(&["images", "import"]).arg(&archive).stdout();
        fs::remove_file(&archive).map_err(Error::io(archive))?;
        loaded.map(drop)
    }

    /// The end of its log, for a test that wants to know why.
    pub fn last_words(&self) -> String {
        self.process.last_words()
    }

    /// The first process of its own; all others are below it.
    pub fn first_process(&self) -> Option<u32> {
        self.process.first_process()
    }
}

fn configuration_text(folder: &Path) -> String {
    let below = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (root, state, socket) = (below("root"), below("state"), below("containerd.sock"));
    format!(
        "version = 2\nroot = {root:?}\nstate = {state:?}\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {socket:?}\n"
    )
}
