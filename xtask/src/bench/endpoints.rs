//! What it takes to bring a patched image back into a daemon of this machine, and to read it from there; and what many layers and
//! many files cost.

use super::{
    Bench,
    images::Images,
    measure::{Row, Target, median},
};
use crate::{copa::Copa, copa::Run, failure::Failure, words};
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    time::Instant,
};
use testkit::{
    command::{Argv, argv},
    daemon::{DockerVersion, Dockerd, Podman, Store},
    debian_root::{self, Suite, TAG},
    image::{Image, Layer, Layout},
    tar::{self, Entry},
};

/// The names of the rows, as `--rows` takes them.
pub(super) const ROWS: [&str; 3] = ["load", "layers", "files"];

/// Longest time for giving a daemon one new layer, and for reading a manifest from it, in seconds.
const LOAD_SECONDS_MAX: f64 = 0.3;
/// The image's name in a daemon.
const NAME: &str = "bench.example/large:1";
/// Numbers of layers; image and runtimes stop near 127.
const LAYERS: [usize; 3] = [10, 127, 500];
/// Numbers of files in one layer.
const FILES: [usize; 2] = [100_000, 1_000_000];
/// How many files a folder has.
const FILES_A_FOLDER: usize = 1000;
/// How many more seconds ten times the files may take, as a factor: linear, with some room.
const LINEAR: f64 = 13.0;

/// A daemon to load into.
enum Daemon {
    Docker(Dockerd),
    Podman(Podman),
}

impl Daemon {
    fn command(&self, arguments: &[&str]) -> Argv {
        match self {
            Daemon::Docker(docker) => docker.docker(arguments),
            Daemon::Podman(podman) => podman.podman(arguments),
        }
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        match self {
            Daemon::Docker(docker) => docker.environment().map(|(name, value)| (name.into(), value)).into(),
            Daemon::Podman(podman) => {
                podman.environment().into_iter().map(|(name, value)| (name.into(), value)).collect()
            }
        }
    }

    fn address(&self) -> String {
        let transport = if matches!(self, Daemon::Docker(_)) { "docker-daemon" } else { "podman" };
        format!("{transport}:{NAME}")
    }
}

/// Starts a daemon.
type Start = fn() -> Result<Daemon, testkit::Error>;

/// The kinds, one after the other.
const DAEMONS: [(&str, Start); 4] = [
    ("docker 28, classic store", || docker(DockerVersion::V28, Store::Classic)),
    ("docker 28, containerd store", || docker(DockerVersion::V28, Store::Containerd)),
    ("docker 26, classic store", || docker(DockerVersion::V26, Store::Classic)),
    ("podman", || Podman::start().map(Daemon::Podman)),
];

fn docker(version: DockerVersion, store: Store) -> Result<Daemon, testkit::Error> {
    Dockerd::start(version, store).map(Daemon::Docker)
}

impl Bench {
    /// The wanted rows of this file.
    pub(super) fn endpoints(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        if self.request.wants("load") {
            for (name, start) in DAEMONS {
                rows.extend(self.load(name, &start()?)?);
            }
        }
        if self.request.wants("layers") {
            rows.extend(self.layers()?);
        }
        if self.request.wants("files") {
            rows.extend(self.files()?);
        }
        Ok(rows)
    }

    /// The large image patched where it is: against loading it whole, by hand.
    fn load(&mut self, daemon_name: &str, daemon: &Daemon) -> Result<Vec<Row>, Failure> {
        if self.images.is_none() {
            self.images = Some(Images::make(&self.folder, self.request.ballast_mb)?);
        }
        let archive = self.folder.join("load.tar");
        let target = format!("docker-archive:{}:{NAME}", archive.display());
        argv("skopeo", ["copy", "--quiet", &self.images().layout("large").name(TAG), &target]).stdout()?;
        let begun = Instant::now();
        daemon.command(&["load", "--quiet", "--input"]).arg(&archive).stdout()?;
        let whole = begun.elapsed().as_secs_f64();
        fs::remove_file(&archive).map_err(Failure::file(&archive))?;
        let copa = self.fresh().with_environment(daemon.environment());
        let (mut loads, mut reads) = (Vec::new(), Vec::new());
        for number in 0..self.request.runs {
            let run = self.patch_in_place(&copa, daemon, &format!("patched{number}"))?;
            loads.push(phase(&run, "deliver"));
            reads.push(phase(&run, "resolve"));
        }
        self.forget(&copa)?;
        let row = |what: &str, times: &[f64], target| {
            Row::against(&format!("{daemon_name}: {what}, s"), whole, median(times), target)
        };
        // The other stores have no manifest, or no compressed layers, to be had by themselves.
        let read = match daemon_name.contains("containerd store") {
            true => Target::AtMost(LOAD_SECONDS_MAX),
            false => Target::None,
        };
        Ok(vec![
            row("one new layer loaded (floor: all)", &loads, Target::AtMost(LOAD_SECONDS_MAX)),
            row("manifest read", &reads, read),
        ])
    }

    fn patch_in_place(&mut self, copa: &Copa, daemon: &Daemon, tag: &str) -> Result<Run, Failure> {
        let report: &Path = self.images().report("large");
        let arguments = words![
            "patch",
            "--image",
            daemon.address(),
            "--report",
            report,
            "--tag",
            tag,
            "--allow-mismatch",
            "--timeout",
            "10m",
            "--progress",
            "plain",
        ];
        self.noted(copa, &arguments)
    }

    /// Images of more and more layers, in the store: opened, read, planned.
    fn layers(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows: Vec<Row> = Vec::new();
        let mut least = None;
        for count in LAYERS {
            let base = Layer::File(debian_root::root(Suite::Bookworm, &[])?);
            let more = (1..count).map(|n| Layer::text(&format!("file srv/{n} text={n}")));
            let layout =
                self.layout(&format!("layers-{count}"), std::iter::once(base).chain(more).collect())?;
            let copa = self.fresh();
            let cold = self.planned(&copa, &layout)?;
            let warm: Result<Vec<f64>, Failure> = (0..5).map(|_| self.planned(&copa, &layout)).collect();
            let warm = median(&warm?);
            self.forget(&copa)?;
            rows.push(Row::ours(&format!("{count} layers, cold, s"), cold, Target::None));
            let what = format!("{count} layers, warm, s (floor: {} layers)", LAYERS[0]);
            match least {
                None => rows.push(Row::ours(&format!("{count} layers, warm, s"), warm, Target::None)),
                Some(floor) => rows.push(Row::against(&what, floor, warm, Target::None)),
            }
            least = least.or(Some(warm));
        }
        Ok(rows)
    }

    /// Ten times the files take ten times as long, and no more memory.
    fn files(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        let mut fewest = None;
        for count in FILES {
            let layers = vec![
                Layer::File(debian_root::root(Suite::Bookworm, &[])?),
                Layer::File(many_files(&self.folder, count)?),
            ];
            let layout = self.layout(&format!("files-{count}"), layers)?;
            let copa = self.fresh();
            let cold = self.planned(&copa, &layout)?;
            self.forget(&copa)?;
            let what = format!("{count} files, cold, s");
            rows.push(match fewest {
                None => Row::ours(&what, cold, Target::None),
                Some(floor) => Row::against(&what, floor, cold, Target::AtMost(floor * LINEAR)),
            });
            fewest = Some(cold);
        }
        Ok(rows)
    }

    fn layout(&self, name: &str, layers: Vec<Layer>) -> Result<Layout, Failure> {
        let layout = Layout::create(&self.folder.join(name))?;
        layout.add(TAG, &Image::new(layers))?;
        Ok(layout)
    }

    fn planned(&mut self, copa: &Copa, layout: &Layout) -> Result<f64, Failure> {
        let arguments = words!["plan", "--image", layout.name(TAG), "--progress", "plain"];
        Ok(self.noted(copa, &arguments)?.seconds())
    }
}

/// Seconds of a phase.
fn phase(run: &Run, name: &str) -> f64 {
    run.result["timingsMs"][name].as_f64().map_or(f64::NAN, |ms| ms / 1000.0)
}

/// A layer of many files of a few bytes.
fn many_files(folder: &Path, count: usize) -> Result<std::path::PathBuf, Failure> {
    let path = folder.join(format!("files-{count}.tar"));
    let mut out = BufWriter::new(File::create(&path).map_err(Failure::file(&path))?);
    for group in 0..count / FILES_A_FOLDER {
        let name = format!("srv/many/{group:04}");
        let folder = std::iter::once(Entry::directory(&name));
        let files = (0..FILES_A_FOLDER).map(|n| Entry::file(&format!("{name}/{n:03}"), "x"));
        let mut bytes = tar::write(&folder.chain(files).collect::<Vec<_>>());
        // The end of the archive comes once, after the last.
        bytes.truncate(bytes.len() - 1024);
        out.write_all(&bytes).map_err(Failure::file(&path))?;
    }
    out.write_all(&[0; 1024]).and_then(|()| out.flush()).map_err(Failure::file(&path))?;
    Ok(path)
}
