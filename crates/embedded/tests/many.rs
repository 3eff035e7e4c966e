//! Images of very many layers and files: they work, in linear time and little memory, and nothing cached is read again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

mod support;

use embedded::Embedded;
use engine::{BlobSource, BlobStream, Context, Engine as _, Error, OpenRequest, Root};
use layer::EntryPath;
use oci::{Descriptor, Image};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use support::{Bed, Blobs, Files, changed, guest, image, in_each_mode, recipe};

/// Overlayfs takes no more layers than this, and `oci` no image of more.
const LAYERS_MAX: usize = 500;
/// A folder in memory: making and removing so many layers and files takes a disk a minute.
const MEMORY: &str = "/dev/shm";
/// Most memory of our process, the test's own copy of the image not counted.
const MEMORY_MAX: u64 = 200 << 20;

struct Counted(Arc<Blobs>, Arc<AtomicUsize>);

#[async_trait::async_trait]
impl BlobSource for Counted {
    async fn open(&self, descriptor: &Descriptor) -> Result<BlobStream, Error> {
        self.1.fetch_add(1, Ordering::AcqRel);
        self.0.open(descriptor).await
    }
}

/// An image, and how often a blob of it was asked for.
struct Given {
    image: Image,
    blobs: Arc<Blobs>,
    opened: Arc<AtomicUsize>,
}

impl Given {
    fn new(layers: &[Files]) -> Given {
        let (image, blobs) = image(layers);
        Given { image, blobs, opened: Arc::default() }
    }

    fn open(&self, bed: &Bed) -> Result<Box<dyn Root>, Error> {
        let (image, base_layers) = (self.image.clone(), self.image.layers.len());
        let blobs = Arc::new(Counted(self.blobs.clone(), self.opened.clone()));
        let request = OpenRequest { image, base_layers, blobs, keep_blobs: false };
        bed.block_on(Embedded::new(bed.options.clone()).open(request, &Context::silent()))
    }

    fn opened(&self) -> usize {
        self.opened.swap(0, Ordering::AcqRel)
    }
}

/// The memory that this process takes, in bytes: what it has (`VmRSS`), or had at most (`VmHWM`).
fn memory(which: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap();
    let kib = line.trim_start_matches(':').trim().trim_end_matches("kB").trim();
    kib.parse::<u64>().unwrap() << 10
}

/// Small layers on top of one with a program; each has a file of its own, and a file that all of them have.
fn stack(count: usize) -> Vec<Files> {
    let small = |n: usize| {
        let own = format!("/many/{n}");
        Files::default().file(&own, 0o644, b"x").file("/same", 0o644, n.to_string().as_bytes())
    };
    std::iter::once(Files::guest()).chain((1..count).map(small)).collect()
}

#[test]
fn images_of_127_and_of_500_layers_are_run() {
    in_each_mode("images_of_127_and_of_500_layers_are_run", || {
        let bed = Bed::within(Path::new(MEMORY));
        let mut took = Vec::new();
        for count in [127, LAYERS_MAX] {
            let given = Given::new(&stack(count));
            given.open(&bed).unwrap();
            given.opened();
            let begun = Instant::now();
            let mut root = given.open(&bed).unwrap();
            let steps = recipe(vec![
                guest(&["read", "/same"]),
                guest(&["list", "/many"]),
                guest(&["write", "/many/new", "x"]),
                guest(&["remove", "/many/1"]),
            ]);
            let mut run = bed.block_on(root.run(&steps, &Context::silent())).unwrap();
            took.push(begun.elapsed());
            assert_eq!(given.opened(), 0, "everything was in the cache");
            assert_eq!(run.steps[0].tail.trim(), (count - 1).to_string());
            assert_eq!(run.steps[1].tail.lines().count(), count - 1);
            assert_eq!(changed(&mut run), ["+/many", "-/many/1", "+/many/new"]);
            let same = run.after.read(&EntryPath::new(b"same").unwrap(), 9).unwrap();
            assert_eq!(same, Some((count - 1).to_string().into_bytes()));
        }
        // Four times as many: more than that, and something is not linear.
        assert!(took[1] < took[0] * 12 + Duration::from_secs(1), "{took:?}");
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

/// So many files, in folders of a thousand each.
fn files(count: usize) -> Files {
    let one = |n: usize| format!("/data/{}/{n}", n / 1000);
    (0..count).fold(Files::default(), |files, n| files.file(&one(n), 0o644, b"x"))
}

#[test]
fn a_hundred_thousand_files_take_little_memory() {
    in_each_mode("a_hundred_thousand_files_take_little_memory", || {
        let bed = Bed::within(Path::new(MEMORY));
        let given = Given::new(&[Files::guest(), files(100_000)]);
        let before = memory("VmRSS");
        fs::write("/proc/self/clear_refs", "5").unwrap();
        given.open(&bed).unwrap();
        let begun = Instant::now();
        let mut root = given.open(&bed).unwrap();
        let steps =
            recipe(vec![guest(&["write", "/data/7/new", "x"]), guest(&["write", "/data/7/7001", "y"])]);
        let mut run = bed.block_on(root.run(&steps, &Context::silent())).unwrap();
        // Opening and running looks at what changed, not at what is there.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert_eq!(changed(&mut run), ["+/data", "+/data/7", "+/data/7/7001", "+/data/7/new"]);
        let used = memory("VmHWM").saturating_sub(before);
        assert!(used < MEMORY_MAX, "{} MiB", used >> 20);
        assert_eq!(given.opened(), 2);
        drop(run);
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

#[test]
fn the_same_file_in_sixty_layers_is_read_once() {
    in_each_mode("the_same_file_in_sixty_layers_is_read_once", || {
        let bed = Bed::new();
        let same = |n: u8| Files::default().file("/same", 0o644, &vec![n; 200_000]);
        let layers: Vec<Files> = std::iter::once(Files::guest()).chain((0..60).map(same)).collect();
        let given = Given::new(&layers);
        let root = given.open(&bed).unwrap();
        let content = root.tree().read(&EntryPath::new(b"same").unwrap(), 1 << 20).unwrap().unwrap();
        assert!(content.len() == 200_000 && content[0] == 59);
        assert_eq!(given.opened(), 61);
        given.open(&bed).unwrap();
        assert_eq!(given.opened(), 0);
    });
}
