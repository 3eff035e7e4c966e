//! What every end-to-end test needs: the program with a home and cache of its own, a registry, images in it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;
use testkit::debian_root::{self, Suite};
use testkit::{image::Layout, probe, registry::Registry, scan, schema};

/// A place where the program runs and leaves nothing of its own elsewhere.
pub struct World {
    pub folder: TempDir,
}

/// How a run ended.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Why a real Debian image cannot be patched here, if so.
pub fn needs() -> Result<(), String> {
    probe::first_reason([
        probe::root(),
        probe::mounting(),
        probe::debian_roots(),
        probe::programs(&["docker-registry", "skopeo", "umoci", "syft"]),
    ])
}

impl World {
    pub fn new() -> World {
        World { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, with nothing of the tester's environment but PATH.
    pub fn copa(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_copa"));
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("COPA_CACHE_DIR", self.path("cache")).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        Done::of(self.copa(arguments).output().unwrap())
    }

    /// Runs, and gives the result document, which is as its schema says; a failure shows what the program said.
    pub fn succeed(&self, arguments: &[&str]) -> Value {
        let done = self.run(&[arguments, &["--result", "-"]].concat());
        assert_eq!(done.code, Some(0), "{arguments:?}\n{}\n{}", done.stderr, done.stdout);
        let document = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(schema::complaints(&published_schema(), &document), [""; 0]);
        document
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.copa(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// The schema of result documents that is published.
pub fn published_schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/result.schema.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

impl Done {
    pub fn of(output: Output) -> Done {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A vulnerable Debian in a registry, and a report of it.
pub struct Vulnerable {
    pub registry: Registry,
    pub reference: String,
    pub report: PathBuf,
    pub fixable: usize,
    pub layout: Layout,
}

impl Vulnerable {
    pub fn in_registry(world: &World) -> Vulnerable {
        let layout = debian_root::image(Suite::Bookworm).unwrap();
        let registry = Registry::start().unwrap();
        let reference = registry.push(&layout, debian_root::TAG, "library/debian:12").unwrap();
        let scanned = scan::layout(layout.directory(), debian_root::TAG).unwrap();
        let report = world.path("report.json");
        scanned.write(&report).unwrap();
        Vulnerable { registry, reference, report, fixable: scanned.fixable(), layout }
    }

    pub fn report(&self) -> &str {
        self.report.to_str().unwrap()
    }

    /// Pulls a tag of the same repository into a layout of its own.
    pub fn pull(&self, world: &World, tag: &str) -> PathBuf {
        let folder = world.path(&format!("pulled-{tag}"));
        self.registry.pull(&format!("library/debian:{tag}"), &folder, tag).unwrap();
        folder
    }
}

/// Mount points of this mount namespace below a folder.
pub fn mounts_below(folder: &Path) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let at = folder.to_str().unwrap();
    mounts.lines().filter(|l| l.contains(at)).map(str::to_owned).collect()
}

/// A process, told from a later one of the same number by when it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub id: u32,
    parent: u32,
    started: String,
    line: String,
}

/// Every process there is. Fields of `/proc/PID/stat` are counted after the name, which may hold anything.
fn processes() -> Vec<Process> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let line =
            String::from_utf8_lossy(&std::fs::read(entry.path().join("cmdline")).ok()?).replace('\0', " ");
        // What has ended and only waits to be asked for its exit code runs no more.
        let alive = fields[0] != "Z";
        alive.then(|| {
            Some(Process { id, parent: fields[1].parse().ok()?, started: fields[19].to_owned(), line })
        })?
    };
    std::fs::read_dir("/proc").unwrap().filter_map(read).collect()
}

/// The processes that a process has started, and those that they have.
pub fn descendants(of: u32) -> Vec<Process> {
    let all = processes();
    let mut family: Vec<Process> = all.iter().filter(|p| p.parent == of).cloned().collect();
    let mut at = 0;
    while at < family.len() {
        let id = family[at].id;
        family.extend(all.iter().filter(|p| p.parent == id).cloned());
        at += 1;
    }
    family
}

/// Those of some processes that still run.
pub fn still_running(of: &[Process]) -> Vec<Process> {
    let now = processes();
    of.iter().filter(|p| now.iter().any(|n| (n.id, &n.started) == (p.id, &p.started))).cloned().collect()
}
