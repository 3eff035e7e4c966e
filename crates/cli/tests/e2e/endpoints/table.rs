//! One row of the table: one kind of source, whose image is patched to every kind of destination that goes with it.

use super::judges::{self, Pair};
use super::place::{KINDS, Kind, Place, search_path};
use super::subject::{self, AGE, PATCHED_AGE, Subject};
use crate::world::{Done, mounts_below, published_schema};
use serde_json::Value;
use std::cell::RefCell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use testkit::image_reader::ImageReader;
use testkit::registry::Registry;
use testkit::{probe, schema, skip};

/// The tag of the image as it was.
const TAG: &str = "v1";

/// A source with its image.
struct Row {
    subject: Subject,
    before: ImageReader,
    source: Place,
    /// Archives that were written, with the tag in them: for the daemons of this row to load.
    archives: RefCell<Vec<(PathBuf, String)>>,
    /// For `crane`, which reads no layouts.
    judge: Registry,
}

/// Fills the row; each cell is told on stderr, for the table. One that fails does not hide the others.
pub fn row(kind: Kind) {
    if let Err(reason) = probe::first_reason([subject::needs(), kind.needs()]) {
        KINDS.iter().for_each(|to| tell(kind, *to, &format!("skip ({reason})")));
        skip!("{reason}");
    }
    let row = Row::new(kind);
    let cells = KINDS.into_iter().filter(|to| kind.goes_with(*to));
    let failed: Vec<&str> = cells.filter(|to| !row.passes(*to)).map(Kind::title).collect();
    assert!(failed.is_empty(), "{} to {failed:?}", kind.title());
}

fn tell(from: Kind, to: Kind, word: &str) {
    eprintln!("cell: {} | {} | {word}", from.title(), to.title());
}

impl Row {
    fn new(kind: Kind) -> Row {
        let subject = Subject::new();
        let source = Place::start(kind, &subject.world.path("source"));
        source.put(&subject, TAG);
        let before = match kind.has_manifests() {
            true => ImageReader::open(&source.take(TAG), TAG).unwrap(),
            false => subject.original(),
        };
        Row { subject, before, source, archives: RefCell::default(), judge: Registry::start().unwrap() }
    }

    /// Whether a cell passes or cannot be here.
    fn passes(&self, to: Kind) -> bool {
        if let Err(reason) = to.needs() {
            probe::report_skip(&reason);
            tell(self.source.kind, to, &format!("skip ({reason})"));
            return true;
        }
        let begun = std::time::Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(|| self.cell(to))).is_ok();
        eprintln!("{:?} to {to:?}: {:.1} s", self.source.kind, begun.elapsed().as_secs_f64());
        tell(self.source.kind, to, if passed { "pass" } else { "FAIL" });
        passed
    }

    fn cell(&self, to: Kind) {
        // Also a tag, so in letters that all of them take.
        let tag = format!("to-{}", to.title()).replace(|c: char| !c.is_alphanumeric(), "-");
        let tag = tag.trim_end_matches('-');
        let folder = self.subject.world.path(tag);
        if to == self.source.kind {
            self.patched(&self.source, tag);
            self.judged(&self.source, tag);
        } else {
            let place = Place::start(to, &folder);
            self.patched(&place, tag);
            self.judged(&place, tag);
        }
        let _ = std::fs::remove_dir_all(folder);
    }

    /// Patches the image of the source to a place; how it went is in the result document.
    fn patched(&self, to: &Place, tag: &str) {
        let (result, work) = (self.subject.world.path("result.json"), self.subject.world.path("work"));
        let host = self.subject.made.served.host();
        let source = self.source.address(TAG);
        let mut command = self.subject.world.copa(&["patch", "-i", &source, "--allow-host", &host]);
        command.args(["--progress", "plain", "--working-folder"]).arg(&work).arg("--result").arg(&result);
        command.args(self.to(to, tag)).env("PATH", search_path());
        command.envs(self.source.environment()).envs(to.environment());
        if let Some(stream) = self.source.stream(TAG) {
            command.stdin(File::open(stream).unwrap());
        }
        let mut output = command.output().unwrap();
        if let Some(stream) = to.stream(tag) {
            std::fs::write(stream, std::mem::take(&mut output.stdout)).unwrap();
        }
        let Done { code, stdout, stderr } = Done::of(output);
        assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        let document: Value = serde_json::from_slice(&std::fs::read(&result).unwrap()).unwrap();
        assert_eq!(schema::complaints(&published_schema(), &document), [""; 0]);
        assert_eq!(
            (&document["status"], &document["strategy"]),
            (&"patched".into(), &"unpacked".into()),
            "{stderr}"
        );
        if to.kind == self.source.kind
            && !matches!(to.kind, Kind::OciArchive | Kind::DockerArchive | Kind::Stream)
        {
            assert_eq!(document["counters"]["baseBytesUploaded"], 0, "{document:#}");
        }
        assert_eq!(std::fs::read_dir(work).map_or(0, Iterator::count), 0, "files are left: {stderr}");
        assert_eq!(mounts_below(self.subject.world.folder.path()), Vec::<String>::new());
    }

    /// The arguments that name the destination. To where the image is, only the tag is needed.
    fn to(&self, to: &Place, tag: &str) -> Vec<String> {
        let arguments: &[&str] = match (to.kind, to.kind == self.source.kind) {
            (Kind::Registry, true) => &["--push", "--tag", tag],
            (Kind::Layout | Kind::Docker(..) | Kind::Podman | Kind::Containerd, true) => &["--tag", tag],
            (Kind::Stream, _) => &["--to", "-", "--tag", &to.reference(tag)],
            _ => &["--to", &to.address(tag)],
        };
        arguments.iter().map(|argument| (*argument).to_owned()).collect()
    }

    fn judged(&self, place: &Place, tag: &str) {
        let layout = place.take(tag);
        let after = ImageReader::open(&layout, tag).unwrap();
        let pair = Pair { before: &self.before, after: &after };
        pair.layers_stay(self.source.kind.has_manifests() && place.kind.keeps_manifests());
        pair.config_stays(&layout);
        pair.is_patched();
        judges::accept(&self.subject.world.path("judged"), &layout, tag);
        if judges::is_all_gzip(&after) {
            match place.kind {
                Kind::Registry => judges::crane_validates(&place.reference(tag)),
                _ => judges::crane_validates_layout(&self.judge, &layout, tag),
            }
        }
        self.runs(place, tag);
    }

    /// Where containers run, the image does, and so do the archives that this row has written before.
    fn runs(&self, place: &Place, tag: &str) {
        if let (Kind::DockerArchive | Kind::Stream, file) = (place.kind, place.file(tag)) {
            let kept = self.subject.world.path(&format!("{tag}.tar"));
            std::fs::rename(file, &kept).unwrap();
            self.archives.borrow_mut().push((kept, tag.to_owned()));
        }
        if let Some(age) = place.cat(&place.reference(tag), AGE) {
            assert_eq!(age, PATCHED_AGE);
        }
        if matches!(place.kind, Kind::Docker(..) | Kind::Podman) {
            for (archive, tag) in self.archives.borrow().iter() {
                place.load(archive);
                let age = place.cat(&place.reference(tag), AGE);
                assert_eq!(age.as_deref(), Some(PATCHED_AGE), "{tag} loaded");
            }
        }
    }
}
