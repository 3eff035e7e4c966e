//! The image that the table is about: three packages of a throw-away repository in three layers, and a busybox that runs. It is
//! patched without running anything, so that what is seen is how it comes and goes.

use crate::world::World;
use testkit::debian_root;
use testkit::distroless::{
    hermetic::{Hermetic, Options},
    scenario as s,
};
use testkit::image_reader::ImageReader;
use testkit::tar::{Entry, Reader};
use testkit::{
    apt_repository::{self, PackageSpec},
    image, probe, tiny_image,
};

/// Packages of the image.
const PACKAGES: [&str; 3] = [s::LIBRARY, s::HARMLESS, s::ADDED];
/// Programs of it: what is needed to look into a running container.
const PROGRAMS: [&str; 3] = ["bin/busybox", "bin/cat", "bin/uname"];
/// A file of [`s::HARMLESS`] that says how old it is.
pub const AGE: &str = "/usr/share/copa-harmless/data";
/// What [`AGE`] says in the patched image.
pub const PATCHED_AGE: &str = "new\n";

/// The image, the repository of its updates, and a place to run.
pub struct Subject {
    pub world: World,
    pub made: Hermetic,
}

/// Why it cannot be made or judged here, if so.
pub fn needs() -> Result<(), String> {
    let programs = probe::programs(&["docker-registry", "skopeo", "umoci", "crane", "zstd"]);
    probe::first_reason([apt_repository::needs(), tiny_image::needs(), probe::root(), programs])
}

impl Subject {
    pub fn new() -> Subject {
        Subject::of(image::native_architecture(), 0)
    }

    /// The same for an architecture, with so many bytes more in what comes new.
    pub fn of(architecture: &str, noise: usize) -> Subject {
        let only = |all: Vec<PackageSpec>| {
            all.into_iter().filter(|spec| PACKAGES.contains(&spec.name())).collect::<Vec<_>>()
        };
        let (installed, mut offered) = (only(s::installed()), only(s::updates()));
        let noisy = offered.pop().unwrap();
        offered.push(noisy.file("/usr/share/copa-noise", &noise_text(noise)));
        let (architecture, added) = (architecture.to_owned(), programs(architecture));
        let options = Options { architecture, installed, offered, added, ..Options::default() };
        Subject { world: World::new(), made: Hermetic::new(&options).unwrap() }
    }

    /// The image as it was made, before it went anywhere.
    pub fn original(&self) -> ImageReader {
        ImageReader::open(self.made.layout.directory(), debian_root::TAG).unwrap()
    }
}

fn programs(architecture: &str) -> Vec<Entry> {
    let tiny = tiny_image::image(architecture).unwrap();
    let image::Layer::Tar(layer) = &tiny.layers[0] else { panic!("a small image is in memory") };
    let entries = Reader::new(&layer[..]).collect().unwrap();
    let is_wanted = |entry: &Entry| PROGRAMS.iter().any(|path| path.as_bytes() == entry.path);
    [Entry::directory("bin")].into_iter().chain(entries.into_iter().filter(is_wanted)).collect()
}

/// Text that does not get much smaller by compression; always the same.
fn noise_text(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + u8::try_from((state >> 40) % 90).unwrap())
    };
    (0..bytes).map(|_| next()).collect()
}
