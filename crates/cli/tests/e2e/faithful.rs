//! What is delivered is what the sandbox had: base and patch layer, unpacked by `umoci`, equal the sandbox's root in kind,
//! owner, mode, attributes, links, times and content, but for what a recipe leaves out on purpose.

use crate::world::{World, needs};
use embedded::{Embedded, EngineOptions, host::Mode};
use endpoint::{Content, Destination, LayoutDestination, LayoutSource, Source, WriteRequest};
use engine::{CancellationToken, Context, Engine, Exclusion, OpenRequest, Root, Run};
use layer::{Entry, EntryPath, Flavor, Kind, PackOptions, Packed, Tree};
use oci::{Digest, Image, media_type::Compression};
use plan::{Plan, Scope};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testkit::debian_root::{self, Suite};
use testkit::{command::argv, skip};

/// More names than any directory of a Debian root has.
const NAMES_MAX: usize = 1_000_000;

/// An object, and the digest of its content where it is a file.
type Seen = BTreeMap<EntryPath, (Entry, Option<Digest>)>;

#[test]
fn base_and_patch_unpacked_equal_the_root_of_the_sandbox() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(compare());
}

async fn compare() {
    let world = World::new();
    let layout = debian_root::image(Suite::Bookworm).unwrap();
    let folder = world.path("layout");
    argv("cp", ["-a", layout.directory().to_str().unwrap(), folder.to_str().unwrap()]).stdout().unwrap();
    let source = Arc::new(LayoutSource::new(folder.clone(), Some(debian_root::TAG.to_owned())));
    let image = source.image(&oci::Platform::host()).await.unwrap().image;
    let mut root = engine(&world).open(open(&image, source.clone()), &Context::silent()).await.unwrap();
    let (run, exclusions) = run(&mut *root).await;
    let expected = walk(&*run.after);
    let base = walk(&*run.base);
    let (window, blob) = (run.window, world.path("patch"));
    let packed = pack(run, &exclusions, &blob);
    deliver(&image, &packed, &*source, (&folder, &blob)).await;
    let unpacked = unpack(&world, &folder);
    Comparison { expected, base, unpacked, exclusions, window, epoch: packed.epoch }.check();
}

fn engine(world: &World) -> Embedded {
    let store = store::Store::open(store::StoreOptions {
        dir: world.path("cache"),
        flavor: Flavor::Native,
        size_max: None,
    });
    let mut options = EngineOptions::new(Arc::new(store.unwrap()), Mode::Root);
    options.helper = PathBuf::from(env!("CARGO_BIN_EXE_copa"));
    Embedded::new(options)
}

fn open(image: &Image, blobs: Arc<LayoutSource>) -> OpenRequest {
    OpenRequest { image: image.clone(), base_layers: image.layers.len(), blobs, keep_blobs: false }
}

/// Updates everything, as a patch without a report does.
async fn run(root: &mut dyn Root) -> (Run, Vec<Exclusion>) {
    let os = adapter::os_release(&engine::collect(root.tree(), &adapter::os_looks()).unwrap()).unwrap();
    let adapter = adapter::choose(&os).unwrap();
    let facts = adapter.facts(os, &engine::collect(root.tree(), &adapter.looks()).unwrap()).unwrap();
    let plan = Plan {
        scope: Scope::UpdateAll,
        left_out: Vec::new(),
        excluded: Default::default(),
        notes: Vec::new(),
    };
    let settings =
        adapter::Settings { proxy_url: Some("http://127.0.0.1:3128".to_owned()), ..Default::default() };
    let recipe = adapter.recipe(&plan, &facts, &settings).unwrap();
    let run = root.run(&recipe, &Context::silent()).await.unwrap();
    (run, recipe.exclusions)
}

fn pack(mut run: Run, exclusions: &[Exclusion], blob: &Path) -> Packed {
    let excluded = |path: &EntryPath| exclusions.iter().any(|e| e.covers(path.as_bytes()));
    let options = PackOptions {
        excluded: &excluded,
        source_date_epoch: None,
        run_window: run.window,
        compression: Compression::Gzip,
        level: None,
        threads: 2,
        cancel: &|| false,
    };
    let mut out = std::fs::File::create(blob).unwrap();
    layer::pack(&mut *run.changes, &*run.base, &options, &mut out).unwrap()
}

async fn deliver(image: &Image, packed: &Packed, source: &dyn Source, (folder, blob): (&Path, &Path)) {
    let history = oci::History {
        created: "2026-01-01T00:00:00Z".into(),
        created_by: "test".into(),
        comment: String::new(),
    };
    let patch = oci::Patch {
        base_layers: image.layers.len(),
        blob: (packed.digest.clone(), packed.size),
        diff_id: packed.diff_id.clone(),
        compression: Compression::Gzip,
        history,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    };
    let patched = image.patched(&patch).unwrap();
    let content = Content::patched(patched, &[(packed.digest.clone(), blob.to_owned())].into());
    let write = WriteRequest {
        content: &content,
        source,
        progress: &|_, _, _| (),
        cancel: &CancellationToken::new(),
    };
    LayoutDestination::new(folder.to_owned(), Some("patched".into()), false).write(&write).await.unwrap();
}

fn unpack(world: &World, folder: &Path) -> Seen {
    let bundle = world.path("bundle");
    let image = format!("{}:patched", folder.display());
    argv("umoci", ["unpack", "--image", &image, bundle.to_str().unwrap()]).stdout().unwrap();
    let root = std::fs::File::open(bundle.join("rootfs")).unwrap();
    let whole = layer::LayerDir::new(root.into(), layer::Record::default(), Flavor::Native);
    walk(&layer::Overlay::new(vec![Arc::new(whole)]).unwrap())
}

fn walk(tree: &dyn Tree) -> Seen {
    let mut seen = Seen::new();
    let mut folders = vec![EntryPath::root()];
    while let Some(folder) = folders.pop() {
        for name in tree.list(&folder, NAMES_MAX).unwrap() {
            let path = folder.join(&name).unwrap();
            let entry = tree.entry(&path, false).unwrap().unwrap();
            let is_file = matches!(entry.kind, Kind::File { .. });
            let content = is_file.then(|| Digest::of(&tree.read(&path, 1 << 30).unwrap().unwrap()));
            if entry.kind == Kind::Directory {
                folders.push(path.clone());
            }
            seen.insert(path, (entry, content));
        }
    }
    seen
}

struct Comparison {
    expected: Seen,
    base: Seen,
    unpacked: Seen,
    exclusions: Vec<Exclusion>,
    window: (i64, i64),
    epoch: i64,
}

impl Comparison {
    fn check(&self) {
        let mut differences = Vec::new();
        let every: std::collections::BTreeSet<&EntryPath> =
            self.expected.keys().chain(self.unpacked.keys()).collect();
        let mut compared = 0;
        for path in every {
            // What is left out stays as the base has it.
            let left_out = self.exclusions.iter().any(|e| e.covers(path.as_bytes()));
            let wanted = if left_out { self.base.get(path) } else { self.expected.get(path) };
            compared += usize::from(!left_out);
            match (wanted, self.unpacked.get(path)) {
                (Some((wanted, content)), Some((found, found_content))) => {
                    let wanted = self.with_times(wanted, content, found);
                    if wanted != *found || content != found_content {
                        differences.push(format!("{path}: {wanted:?} but {found:?}"));
                    }
                }
                (None, None) => {}
                (wanted, found) => {
                    differences.push(format!("{path}: {} but {}", wanted.is_some(), found.is_some()))
                }
            }
        }
        assert!(compared > 1000, "only {compared} compared");
        assert!(
            differences.is_empty(),
            "{} differences, the first:\n{}",
            differences.len(),
            differences[..differences.len().min(20)].join("\n")
        );
    }

    /// Times follow docs/design/003: those of the run become the epoch; a directory, or a file with the content it had, that
    /// changed in time alone is as the base has it; layers hold whole seconds.
    fn with_times(&self, wanted: &Entry, content: &Option<Digest>, found: &Entry) -> Entry {
        let (from, to) = (self.window.0 - 1, self.window.1 + 1);
        let clamped = |t: i64| if (from..=to).contains(&t) || t > self.epoch { self.epoch } else { t };
        let mut wanted = wanted.clone();
        let of_base = self.base.get(&wanted.path);
        let as_base =
            of_base.is_some_and(|(entry, of_base)| entry.mtime.0 == found.mtime.0 && of_base == content);
        wanted.mtime = (if as_base { found.mtime.0 } else { clamped(wanted.mtime.0) }, found.mtime.1);
        wanted
    }
}
