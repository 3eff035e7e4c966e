//! Real Debian images with real, fixable vulnerabilities: made by `mmdebstrap` from the release alone, without any update,
//! then pointed at the updates. Kept under `.testkit`, because making one takes half a minute.

use crate::image::{Image, Layer, Layout, native_architecture};
use crate::tar::{self, Entry, Kind, Reader};
use crate::{Error, binfmt, command::argv, image_reader::plain, mirror::Mirror, probe, tree, workspace};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

/// The tag that a vulnerable image has in its layout.
pub const TAG: &str = "vulnerable";

/// A Debian release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suite {
    /// Debian 11.
    Bullseye,
    /// Debian 12.
    #[default]
    Bookworm,
    /// Debian 13.
    Trixie,
    /// What will be Debian 14. It changes from day to day: some of its programs are taken, no image is made of it.
    Forky,
}

impl Suite {
    /// Those that are released.
    pub const ALL: [Suite; 3] = [Suite::Bullseye, Suite::Bookworm, Suite::Trixie];

    /// Its code name.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Bullseye => "bullseye",
            Suite::Bookworm => "bookworm",
            Suite::Trixie => "trixie",
            Suite::Forky => "forky",
        }
    }

    /// Its number.
    pub fn release(self) -> &'static str {
        match self {
            Suite::Bullseye => "11",
            Suite::Bookworm => "12",
            Suite::Trixie => "13",
            Suite::Forky => "14",
        }
    }
}

/// Which root is made.
#[derive(Debug, Clone, Copy)]
pub struct Root<'a> {
    /// The release.
    pub suite: Suite,
    /// The architecture, in the words of images and dpkg: `amd64`, `arm64`. Where it is not the machine's, its programs are run by an
    /// emulator while the root is made, which takes some minutes.
    pub architecture: &'a str,
    /// What it has beside the smallest set.
    pub packages: &'a [&'a str],
}

/// A layout that holds the vulnerable image of `suite` as [`TAG`]; made if it is not there yet.
pub fn image(suite: Suite) -> Result<Layout, Error> {
    image_for(suite, native_architecture())
}

/// Like [`image`], for an architecture.
pub fn image_for(suite: Suite, architecture: &str) -> Result<Layout, Error> {
    let of = Root { suite, architecture, packages: &[] };
    let directory = workspace::cache().join("layouts").join(format!("debian-{}", of.platform()));
    workspace::once(&directory, |unfinished| {
        let image = Image {
            architecture: architecture.to_owned(),
            variant: (architecture == "arm64").then(|| "v8".to_owned()),
            ..Image::new(vec![Layer::File(of.tar()?)])
        };
        Layout::create(unfinished)?.add(TAG, &image).map(drop)
    })?;
    Layout::open(&directory)
}

/// The tar of a vulnerable root of `suite` with `packages` beside the smallest set; made if it is not there yet.
pub fn root(suite: Suite, packages: &[&str]) -> Result<PathBuf, Error> {
    Root { suite, architecture: native_architecture(), packages }.tar()
}

/// Whether roots of an architecture can be made and run here; a reason to skip where they cannot.
pub fn needs(architecture: &str) -> Result<(), String> {
    probe::first_reason([probe::debian_roots(), binfmt::ensure(architecture)])
}

impl Root<'_> {
    /// Its tar; made if it is not there yet.
    pub fn tar(&self) -> Result<PathBuf, Error> {
        let name = [&[&*self.platform()], self.packages].concat().join("+");
        let path = workspace::cache().join("roots").join(format!("{name}.tar"));
        workspace::once(&path, |unfinished| {
            let raw = unfinished.with_extension("raw");
            bootstrap(self, &raw)?;
            tidy(&raw, unfinished)?;
            fs::remove_file(&raw).map_err(Error::io(&raw))
        })?;
        Ok(path)
    }

    /// What names release and architecture in files; the machine's own goes without saying.
    fn platform(&self) -> String {
        let suite = self.suite.name();
        if self.architecture == native_architecture() {
            suite.to_owned()
        } else {
            format!("{suite}-{}", self.architecture)
        }
    }
}

fn bootstrap(root: &Root<'_>, tar: &Path) -> Result<(), Error> {
    let Root { suite, architecture, packages } = *root;
    let mirror = Mirror::of_this_machine()?;
    let sources = tempfile::NamedTempFile::new().map_err(Error::io("temporary file"))?;
    fs::write(sources.path(), mirror.sources_list(suite.name())).map_err(Error::io(sources.path()))?;
    let mode = if probe::root().is_ok() { "--mode=root" } else { "--mode=unshare" };
    let make = argv("mmdebstrap", [mode, "--variant=minbase", "--format=tar"]);
    let make = if architecture == native_architecture() {
        make
    } else {
        // The check wants a program of its own, and an emulator that is opened beforehand need not lie in the root.
        binfmt::ensure(architecture).map_err(Error::Unavailable)?;
        make.arg(format!("--architectures={architecture}")).arg("--skip=check/qemu")
    };
    let make = ["man", "locale", "info"]
        .iter()
        .fold(make, |make, folder| make.arg(format!("--dpkgopt=path-exclude=/usr/share/{folder}/*")));
    let make = if packages.is_empty() { make } else { make.arg(format!("--include={}", packages.join(","))) };
    let make =
        make.arg(format!("--customize-hook=upload {} /etc/apt/sources.list", sources.path().display()));
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let release = format!("deb [signed-by={keyring}] {} {} main", mirror.archive, suite.name());
    let make = make.arg(suite.name()).arg(tar).arg(release);
    make.env("SOURCE_DATE_EPOCH", tree::EPOCH.to_string()).stdout().map(drop)
}

/// Writes the root as images have it: no `./`, no device nodes, nothing of the machine it was made on.
fn tidy(raw: &Path, tidied: &Path) -> Result<(), Error> {
    let mut reader = Reader::new(BufReader::new(File::open(raw).map_err(Error::io(raw))?));
    let mut out = BufWriter::new(File::create(tidied).map_err(Error::io(tidied))?);
    while let Some(mut entry) = reader.next_entry()? {
        if let Kind::File(content) = &mut entry.kind {
            *content = reader.content()?;
        }
        if let Some(entry) = of_image(entry) {
            tar::append(&mut out, &entry).map_err(Error::io(tidied))?;
        }
    }
    tar::finish(&mut out).map_err(Error::io(tidied))
}

fn of_image(mut entry: Entry) -> Option<Entry> {
    entry.path = plain(&entry.path);
    if let Kind::Hardlink(target) = &mut entry.kind {
        *target = plain(target);
    }
    let of_machine: [&[u8]; 3] = [b"etc/hostname", b"etc/resolv.conf", b""];
    let left_out = of_machine.contains(&&entry.path[..]) || entry.path.starts_with(b"dev/");
    (!left_out).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scan, skip, syft};

    #[test]
    fn nothing_of_the_machine_goes_into_an_image() {
        let kept =
            |path: &str| of_image(Entry::file(path, "")).map(|entry| String::from_utf8(entry.path).unwrap());
        assert_eq!(kept("./etc/passwd").as_deref(), Some("etc/passwd"));
        for path in ["./etc/hostname", "./etc/resolv.conf", "./dev/null", "./"] {
            assert_eq!(kept(path), None, "{path}");
        }
    }

    #[test]
    fn a_real_debian_has_fixable_findings_and_syft_agrees_on_its_packages() {
        if let Err(reason) =
            probe::first_reason([probe::debian_roots(), probe::programs(&["skopeo", "syft"])])
        {
            skip!("{reason}");
        }
        let layout = image(Suite::Bookworm).unwrap();
        let scan = scan::layout(layout.directory(), TAG).unwrap();
        assert!(scan.fixable() > 0);
        assert_eq!(syft::packages(layout.directory(), TAG).unwrap(), scan.packages);
    }
}
