//! Images made of a few files, an engine on a store of its own, and running a test in every mode that this machine allows.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "support of tests, of which each uses its part"
)]

use embedded::{
    Embedded, EngineOptions,
    host::{HostOptions, Mode, enter},
};
use engine::{
    BlobSource, BlobStream, Context, Engine, Error, Exec, OpenRequest, Recipe, Root, Run, Step, When,
};
use layer::{Change, Entry, EntryPath, Kind, TarWriter};
use oci::{Descriptor, DiffId, Digest, Image, Platform, media_type};
use std::{
    collections::{BTreeMap, HashMap},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use store::{Store, StoreOptions};

const STAGE: &str = env!("CARGO_BIN_EXE_embedded-stage");
const GUEST: &str = env!("CARGO_BIN_EXE_embedded-guest");
const INSIDE: &str = "EMBEDDED_TEST_INSIDE";

/// Runs the body as the machine's root, in a user namespace, and with a single id. What this machine does not allow is skipped.
pub fn in_each_mode(test: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    for mode in ["root", "user", "single"] {
        judge(test, mode, Command::new(STAGE).args(["enter", mode]));
    }
}

/// The same, and from an ordinary user too.
pub fn in_each_mode_and_user(test: &str, body: fn()) {
    in_each_mode(test, body);
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    let reachable =
        |path: &Path| path.ancestors().all(|p| p.metadata().unwrap().permissions().mode() & 1 == 1);
    let known = ["/etc/subuid", "/etc/subgid"].iter().all(|file| Path::new(file).exists());
    if !rustix::process::geteuid().is_root() || !reachable(Path::new(STAGE)) || !known {
        eprintln!(
            "skipped: {test} as an ordinary user: needs root, and a build folder that everybody may read"
        );
        return;
    }
    let ids = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&ids, "nobody:200000:65536\n").unwrap();
    std::fs::set_permissions(&ids, std::fs::Permissions::from_mode(0o644)).unwrap();
    for mode in ["user", "single"] {
        judge(test, mode, Command::new(STAGE).arg("ordinary").arg(ids.path()).arg(mode));
    }
}

fn judge(test: &str, mode: &str, run: &mut Command) {
    let run = run.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let output = run.env(INSIDE, mode).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let refused = said.lines().find(|l| l.contains("engine is unavailable"));
    match (output.status.success(), refused) {
        (false, Some(refused)) => eprintln!("skipped: {test} in mode {mode}: {refused}"),
        (success, _) => assert!(success && said.contains("1 passed"), "{test} in mode {mode}:\n{said}"),
    }
}

/// The files of one layer.
#[derive(Default, Clone)]
pub struct Files(Vec<(Entry, Vec<u8>)>, Option<Vec<u8>>);

impl Files {
    /// The program of our images, with the libraries that it needs.
    pub fn guest() -> Files {
        let mut files = Files::default();
        for library in libraries() {
            let content = std::fs::read(&library).unwrap();
            files = files.file(&library, 0o755, &content);
        }
        let content = std::fs::read(GUEST).unwrap();
        files.file("/guest", 0o755, &content).folder("/tmp", 0o1777).folder("/etc", 0o755)
    }

    pub fn file(self, path: &str, mode: u32, content: &[u8]) -> Files {
        let kind = Kind::File { size: content.len() as u64 };
        self.entry(path, kind, mode, content)
    }

    pub fn folder(self, path: &str, mode: u32) -> Files {
        self.entry(path, Kind::Directory, mode, b"")
    }

    pub fn link(self, path: &str, target: &str) -> Files {
        self.entry(path, Kind::Symlink { target: target.into() }, 0o777, b"")
    }

    pub fn device(self, path: &str, block: bool, major: u32, minor: u32) -> Files {
        let kind = if block { Kind::Block { major, minor } } else { Kind::Char { major, minor } };
        self.entry(path, kind, 0o666, b"")
    }

    pub fn owner(mut self, uid: u32, gid: u32) -> Files {
        let (last, _) = self.0.last_mut().unwrap();
        (last.uid, last.gid) = (uid, gid);
        self
    }

    fn entry(mut self, path: &str, kind: Kind, mode: u32, content: &[u8]) -> Files {
        let path = EntryPath::new(path.as_bytes()).unwrap();
        let entry =
            Entry { path, kind, mode, uid: 0, gid: 0, mtime: (1_000_000, 0), xattrs: BTreeMap::new() };
        self.0.push((entry, content.to_vec()));
        self
    }

    /// A layer that exists as a tar already.
    pub fn of_tar(tar: Vec<u8>) -> Files {
        Files(Vec::new(), Some(tar))
    }

    fn tar(&self) -> Vec<u8> {
        if let Some(tar) = &self.1 {
            return tar.clone();
        }

        let mut tar = TarWriter::new(Vec::new());
        for (entry, content) in &self.0 {
            let mut content = &content[..];
            let is_file = matches!(entry.kind, Kind::File { .. });
            tar.entry(entry, is_file.then_some(&mut content as &mut dyn std::io::Read)).unwrap();
        }
        tar.finish().unwrap()
    }
}

/// Libraries of the guest program, as the loader finds them.
fn libraries() -> Vec<String> {
    let traced = Command::new(GUEST).env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
    let text = String::from_utf8(traced.stdout).unwrap();
    let paths =
        text.split_whitespace().filter(|word| word.starts_with('/') && std::path::Path::new(word).is_file());
    paths.map(str::to_owned).collect()
}

/// Blobs in memory.
pub struct Blobs(HashMap<Digest, Vec<u8>>);

#[async_trait::async_trait]
impl BlobSource for Blobs {
    async fn open(&self, descriptor: &Descriptor) -> Result<BlobStream, Error> {
        let content = self.0.get(&descriptor.digest).cloned().ok_or_else(|| Error::Source {
            item: descriptor.digest.to_string(),
            source: "no such blob".into(),
        })?;
        Ok(Box::new(std::io::Cursor::new(content)))
    }
}

/// An image of these layers, and its blobs.
pub fn image(layers: &[Files]) -> (Image, Arc<Blobs>) {
    image_of(layers, &Platform::new("linux", "amd64", None))
}

/// The same of a platform.
pub fn image_of(layers: &[Files], platform: &Platform) -> (Image, Arc<Blobs>) {
    let tars: Vec<Vec<u8>> = layers.iter().map(Files::tar).collect();
    let descriptors: Vec<Descriptor> =
        tars.iter().map(|t| Descriptor::of(media_type::OCI_LAYER, t)).collect();
    let diff_ids: Vec<DiffId> = tars.iter().map(|t| DiffId(Digest::of(t))).collect();
    let config = serde_json::json!({"architecture": platform.architecture, "os": platform.os, "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = serde_json::to_vec(&config).unwrap();
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, &config), "layers": descriptors});
    let image = Image::new(serde_json::to_vec(&manifest).unwrap(), None, config).unwrap();
    let blobs = descriptors.iter().map(|d| d.digest.clone()).zip(tars).collect();
    (image, Arc::new(Blobs(blobs)))
}

/// An engine on a store of its own.
pub struct Bed {
    pub mode: Mode,
    pub folder: tempfile::TempDir,
    pub options: EngineOptions,
    runtime: tokio::runtime::Runtime,
}

impl Bed {
    pub fn new() -> Bed {
        Bed::within(&std::env::temp_dir())
    }

    /// With its store below a certain folder.
    pub fn within(folder: &Path) -> Bed {
        let mode = enter(&HostOptions::default()).unwrap();
        let folder = tempfile::tempdir_in(folder).unwrap();
        let dir = folder.path().join("store");
        let store = Store::open(StoreOptions { dir, flavor: mode.flavor(), size_max: None }).unwrap();
        let options =
            EngineOptions { helper: PathBuf::from(STAGE), ..EngineOptions::new(Arc::new(store), mode) };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Bed { mode, folder, options, runtime }
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Opens an image of which all layers are the base.
    pub fn open(&self, layers: &[Files]) -> Result<Box<dyn Root>, Error> {
        self.open_patched(layers, layers.len())
    }

    /// Opens an image of which the first layers are the base.
    pub fn open_patched(&self, layers: &[Files], base_layers: usize) -> Result<Box<dyn Root>, Error> {
        let (image, blobs) = image(layers);
        let request = OpenRequest { image, base_layers, blobs, keep_blobs: false };
        self.block_on(Embedded::new(self.options.clone()).open(request, &Context::silent()))
    }

    /// Opens an image of which the first layers are the base, with another image's programs to work on it.
    pub fn open_with(
        &self,
        layers: &[Files],
        base_layers: usize,
        tooling: &[Files],
    ) -> Result<Box<dyn Root>, Error> {
        let mut root = self.open_patched(layers, base_layers)?;
        let (image, blobs) = image(tooling);
        let request = OpenRequest { image, base_layers: tooling.len(), blobs, keep_blobs: false };
        self.block_on(root.attach_tooling(request, &Context::silent()))?;
        Ok(root)
    }

    /// Opens an image and runs a recipe on it.
    pub fn run(&self, layers: &[Files], recipe: &Recipe) -> Result<Run, Error> {
        let mut root = self.open(layers)?;
        self.block_on(root.run(recipe, &Context::silent()))
    }

    /// Names in the folder for work in progress: nothing, when all is over.
    pub fn left_over(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.options.store.dir().join("tmp")).unwrap();
        names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// A step that runs the guest program.
pub fn guest(words: &[&str]) -> Step {
    Step::Exec(exec(words))
}

/// The same, to change before it becomes a step.
pub fn exec(words: &[&str]) -> Exec {
    Exec {
        title: words.join(" "),
        argv: std::iter::once("/guest").chain(words.iter().copied()).map(str::to_owned).collect(),
        env: BTreeMap::new(),
        network: false,
        timeout: Duration::from_secs(30),
        when: When::Always,
        may_fail: false,
    }
}

/// A recipe of these steps.
pub fn recipe(steps: Vec<Step>) -> Recipe {
    Recipe { steps, ..Recipe::default() }
}

/// What a run changed, by path: `+` set, `-` removed, `o` opaque.
pub fn changed(run: &mut Run) -> Vec<String> {
    let mut seen = Vec::new();
    run.changes
        .walk(&mut |change| {
            seen.push(match change {
                Change::Set(entry, _) => format!("+{}", entry.path),
                Change::Remove(path) => format!("-{path}"),
                Change::Opaque(path) => format!("o{path}"),
            });
            Ok(())
        })
        .unwrap();
    seen
}

/// A file's text after a run.
pub fn text(run: &Run, path: &str) -> Option<String> {
    let content = run.after.read(&EntryPath::new(path.as_bytes()).unwrap(), 1 << 20).unwrap();
    content.map(|c| String::from_utf8(c).unwrap())
}
