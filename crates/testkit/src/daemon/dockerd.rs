//! A real docker daemon, of two versions and with both ways of keeping images, and the command line that goes with it.

use super::{apart::Apart, cgroup, place};
use crate::bundle::{Bundle, DOCKER_26, DOCKER_28, RUNTIME};
use crate::command::{Argv, argv};
use crate::{Error, image::Layout};
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// An answer to a ping takes a millisecond once the daemon is ready.
const PING_LIMIT: Duration = Duration::from_secs(5);

/// Which docker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerVersion {
    /// That of Debian 13: 26.1.
    V26,
    /// That of what will be Debian 14: 28.5 when this was written.
    V28,
}

/// How a docker daemon keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// By itself, layers unpacked in `overlay2`; images are known by their configurations.
    Classic,
    /// In the containerd that it runs, with manifests and compressed layers.
    Containerd,
}

impl DockerVersion {
    /// All of them.
    pub const ALL: [DockerVersion; 2] = [DockerVersion::V26, DockerVersion::V28];

    fn programs(self) -> Bundle {
        match self {
            DockerVersion::V26 => DOCKER_26,
            DockerVersion::V28 => DOCKER_28,
        }
    }
}

impl Store {
    /// Both of them.
    pub const ALL: [Store; 2] = [Store::Classic, Store::Containerd];
}

/// A running docker daemon, with nothing in it. Containers have no network but `none` and `host`. It reaches registries on
/// loopback, over plain http too.
#[derive(Debug)]
pub struct Dockerd {
    process: Apart,
    programs: Bundle,
    control_group: String,
    folder: TempDir,
}

impl Dockerd {
    /// Whether there can be one here; a reason to skip where there cannot.
    pub fn probe() -> Result<(), String> {
        DockerVersion::ALL.iter().try_for_each(|version| super::needs(&version.programs()))
    }

    /// Starts one. Its programs are brought first, where they are not there yet.
    pub fn start(version: DockerVersion, store: Store) -> Result<Dockerd, Error> {
        let programs = version.programs();
        programs.bring()?;
        RUNTIME.bring()?;
        let folder = place::folder()?;
        let name = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let control_group = format!("copa-testkit-{name}");
        let configuration = folder.path().join("daemon.json");
        let text = configuration_text(folder.path(), &control_group, store);
        fs::write(&configuration, text).map_err(Error::io(&configuration))?;
        let client = folder.path().join("client");
        fs::create_dir(&client).map_err(Error::io(client))?;
        let arguments = [Path::new("--config-file"), &configuration];
        let process = Apart::start(&programs, "dockerd", &arguments, folder.path())?;
        let mut daemon = Dockerd { process, programs, control_group, folder };
        let socket = daemon.socket();
        daemon.process.wait_until(|| answers(&socket))?;
        Ok(daemon)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Its address, as `DOCKER_HOST` names it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Where it keeps its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What the environment of a program must hold for it to find this daemon and no other configuration of docker.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        let client = self.folder.path().join("client");
        [("DOCKER_HOST", self.host().into()), ("DOCKER_CONFIG", client.into())]
    }

    /// The folder with the `docker` command line of its version (and the programs of the daemon), for a search path.
    pub fn programs(&self) -> PathBuf {
        self.programs.folder().join("usr/bin")
    }

    /// Its own command line, speaking to it.
    pub fn docker(&self, arguments: &[&str]) -> Argv {
        let program = self.programs().join("docker");
        let docker = argv(&program.to_string_lossy(), arguments);
        self.environment().into_iter().fold(docker, |docker, (name, value)| docker.env(name, value))
    }

    /// Loads the image `tag` of a layout as `name`, whole, from an archive that `skopeo` writes.
    pub fn load(&self, layout: &Layout, tag: &str, name: &str) -> Result<(), Error> {
        let archive = self.folder.path().join("load.tar");
        let target = format!("docker-archive:{}:{name}", archive.display());
        argv("skopeo", ["copy", "--quiet", &layout.name(tag), &target]).stdout()?;
        let loaded = self.docker(&["load", "--quiet", "--input"]).arg(&archive).stdout();
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

    /// Ends its containers, so that nothing of them is left outside its folder.
    fn remove_containers(&self) -> Result<(), Error> {
        let containers = self.docker(&["ps", "--all", "--quiet"]).text()?;
        let remove = self.docker(&["rm", "--force"]);
        if containers.trim().is_empty() {
            return Ok(());
        }
        containers.split_whitespace().fold(remove, Argv::arg).stdout().map(drop)
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if answers(&self.socket()) {
            // Where it does not do so, its processes end with it all the same.
            let _ = self.remove_containers();
        }
        cgroup::remove(&self.control_group);
    }
}

fn configuration_text(folder: &Path, control_group: &str, store: Store) -> String {
    let below = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let configuration = json!({
        "features": { "containerd-snapshotter": store == Store::Containerd },
        "data-root": below("data"), "exec-root": below("run"), "pidfile": below("pid"),
        "hosts": [format!("unix://{}", below("docker.sock"))],
        "iptables": false, "ip6tables": false, "bridge": "none", "ip-forward": false, "ip-masq": false,
        "exec-opts": ["native.cgroupdriver=cgroupfs"], "cgroup-parent": format!("/{control_group}"),
    });
    configuration.to_string()
}

/// Whether a daemon answers a ping (`GET /_ping` of the Engine API).
fn answers(socket: &Path) -> bool {
    let ping = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PING_LIMIT))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer)?;
        Ok(answer)
    };
    ping().is_ok_and(|answer| answer.contains(" 200 OK\r\n"))
}
