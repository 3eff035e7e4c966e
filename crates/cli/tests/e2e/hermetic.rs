//! Images without a shell and the throw-away repository of their updates, and how the program is run on them.

use crate::within;
pub use crate::within::Ran;
use crate::world::World;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use testkit::distroless::{
    hermetic::{Hermetic, Options},
    scenario::{NEW, OLD},
};
use testkit::image_reader::ImageReader;
use testkit::{apt_repository, probe};

/// The tag of the image as it was.
pub const TAG: &str = testkit::debian_root::TAG;
/// The tag of the patched image.
pub const PATCHED: &str = "patched";

/// What the program does where it unpacks.
const STEPS: [&str; 3] = ["Fetching package indexes", "Getting", "Unpacking"];

/// Why this cannot run here, if so.
pub fn needs() -> Result<(), String> {
    probe::first_reason([apt_repository::needs(), probe::programs(&["zstd"])])
}

/// An image, its repository, and a place to run.
pub struct Subject {
    pub world: World,
    pub made: Hermetic,
}

impl Subject {
    pub fn new(options: &Options) -> Subject {
        Subject { world: World::new(), made: Hermetic::new(options).unwrap() }
    }

    /// A report that wants these packages at their new versions.
    pub fn wanting(&self, packages: &[&str], family: (&str, &str)) -> PathBuf {
        let wanted: Vec<_> = packages.iter().map(|package| (*package, OLD, NEW)).collect();
        within::report(&self.world, family, &wanted)
    }

    /// Patches a tag to another.
    pub fn patch(&self, tags: (&str, &str), report: Option<&Path>, more: &[&str]) -> Ran {
        within::patch((&self.world, &self.made.layout, &self.made.served.host()), tags, report, more)
    }

    /// Patches, which must succeed without a program run, and opens the patched image.
    pub fn patched(&self, report: Option<&Path>, more: &[&str]) -> (Ran, ImageReader) {
        self.patched_from(TAG, report, more)
    }

    /// The same, from another tag.
    pub fn patched_from(&self, from: &str, report: Option<&Path>, more: &[&str]) -> (Ran, ImageReader) {
        let ran = self.patch((from, PATCHED), report, more);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.document["status"], "patched", "{}\n{:#}", ran.stderr, ran.document);
        nothing_was_run(&ran.document);
        (ran, self.open(PATCHED))
    }

    /// Patches, which must fail with this code and these words, and leave the layout as it was.
    pub fn refused(&self, report: Option<&Path>, more: &[&str], code: i32, words: &[&str]) -> Ran {
        let before = self.contents();
        let ran = self.patch((TAG, PATCHED), report, more);
        assert_eq!(ran.code, Some(code), "{words:?}\n{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in\n{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        assert_eq!(ran.document["error"]["exitCode"], code);
        assert_eq!(self.contents(), before, "no tag is moved, nothing is written to the layout");
        ran
    }

    pub fn open(&self, tag: &str) -> ImageReader {
        ImageReader::open(self.made.layout.directory(), tag).unwrap()
    }

    /// The index of the layout, and the names of its blobs.
    fn contents(&self) -> (String, Vec<std::ffi::OsString>) {
        let directory = self.made.layout.directory();
        let blobs = std::fs::read_dir(directory.join("blobs/sha256")).unwrap();
        let mut blobs: Vec<_> = blobs.map(|entry| entry.unwrap().file_name()).collect();
        blobs.sort();
        (std::fs::read_to_string(directory.join("index.json")).unwrap(), blobs)
    }
}

impl Ran {
    /// Outcome of the finding on a package.
    pub fn outcome(&self, package: &str) -> &str {
        let findings = self.document["findings"].as_array().unwrap();
        findings.iter().find(|f| f["package"] == package).unwrap()["outcome"].as_str().unwrap()
    }

    /// All that the user was told beside.
    pub fn notes(&self) -> String {
        self.document["notes"].to_string()
    }
}

/// The document says that nothing but our own work was done: no program, no tooling, no request of a sandbox, no layer walked.
pub fn nothing_was_run(document: &Value) {
    assert_eq!(document["strategy"], "unpacked");
    assert!(document.get("tooling").is_none(), "{document:#}");
    assert_eq!(document["fetches"], json!([]));
    let titles = document["steps"].as_array().unwrap().iter().map(|s| s["title"].as_str().unwrap());
    for (title, start) in titles.clone().zip(STEPS) {
        assert!(title.starts_with(start), "{title}");
    }
    assert_eq!(titles.count(), STEPS.len());
    assert!(!document["indexes"].as_array().unwrap().is_empty());
    crate::main_job::counters_hold(document);
}

/// The text of a file of an image, if it is there.
pub fn text(image: &ImageReader, path: &str) -> Option<String> {
    let path = path.trim_start_matches('/').as_bytes();
    let file = image.files(|at| at == path).unwrap().into_values().next()?;
    Some(String::from_utf8_lossy(file.entry.content().unwrap_or_default()).into_owned())
}

/// Whether an image has anything at a path.
pub fn is_there(image: &ImageReader, path: &str) -> bool {
    let path = path.trim_start_matches('/').as_bytes();
    !image.files(|at| at == path).unwrap().is_empty()
}
