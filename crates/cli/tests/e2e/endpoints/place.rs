//! The places of the table: each real, each with the image put there and taken from there by programs that are not copa.

use super::subject::Subject;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use testkit::bundle::{self, DOCKER_28, PODMAN, RUNTIME};
use testkit::command::argv;
use testkit::daemon::{Containerd, ContainerdVersion, DockerVersion, Dockerd, Podman, Store};
use testkit::debian_root;
use testkit::image::Layout;
use testkit::registry::Registry;

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Registry,
    Layout,
    OciArchive,
    DockerArchive,
    Stream,
    Docker(DockerVersion, Store),
    Podman,
    Containerd,
}

/// All of them, in the order of the table.
pub const KINDS: [Kind; 11] = [
    Kind::Registry,
    Kind::Layout,
    Kind::OciArchive,
    Kind::DockerArchive,
    Kind::Stream,
    Kind::Docker(DockerVersion::V28, Store::Classic),
    Kind::Docker(DockerVersion::V28, Store::Containerd),
    Kind::Docker(DockerVersion::V26, Store::Classic),
    Kind::Docker(DockerVersion::V26, Store::Containerd),
    Kind::Podman,
    Kind::Containerd,
];

/// What keeps running while images are in it.
enum Holder {
    Registry(Registry),
    Folder,
    Docker(Dockerd),
    Podman(Podman),
    Containerd(Containerd),
}

/// A place of a kind. It goes when it is dropped.
pub struct Place {
    pub kind: Kind,
    holder: Holder,
    /// Below it are the files of places that are files, and what is taken out.
    folder: PathBuf,
}

impl Kind {
    /// What the table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Registry => "registry",
            Kind::Layout => "oci layout",
            Kind::OciArchive => "oci-archive",
            Kind::DockerArchive => "docker-archive",
            Kind::Stream => "stream",
            Kind::Docker(DockerVersion::V28, Store::Classic) => "docker 28",
            Kind::Docker(DockerVersion::V28, Store::Containerd) => "docker 28 (containerd store)",
            Kind::Docker(DockerVersion::V26, Store::Classic) => "docker 26",
            Kind::Docker(DockerVersion::V26, Store::Containerd) => "docker 26 (containerd store)",
            Kind::Podman => "podman",
            Kind::Containerd => "containerd",
        }
    }

    /// Why there is none here, if so.
    pub fn needs(self) -> Result<(), String> {
        match self {
            Kind::Docker(..) => Dockerd::probe(),
            Kind::Podman => Podman::probe(),
            Kind::Containerd => Containerd::probe(),
            _ => Ok(()),
        }
    }

    /// Whether an image that others than copa have put there has a manifest and layers of its own there, which others can read.
    pub fn has_manifests(self) -> bool {
        match self {
            Kind::Docker(_, store) => store == Store::Containerd,
            Kind::Podman | Kind::DockerArchive | Kind::Stream => false,
            Kind::Registry | Kind::Layout | Kind::OciArchive | Kind::Containerd => true,
        }
    }

    /// Whether what copa has put there has the manifest and the layers that it was given.
    pub fn keeps_manifests(self) -> bool {
        self.has_manifests() || matches!(self, Kind::DockerArchive | Kind::Stream)
    }

    /// Whether copa finds both in one run: it knows one docker.
    pub fn goes_with(self, other: Kind) -> bool {
        !(matches!(self, Kind::Docker(..)) && matches!(other, Kind::Docker(..))) || self == other
    }
}

impl Place {
    /// An empty one.
    pub fn start(kind: Kind, folder: &Path) -> Place {
        let holder = match kind {
            Kind::Registry => Holder::Registry(Registry::start().unwrap()),
            Kind::Docker(version, store) => Holder::Docker(Dockerd::start(version, store).unwrap()),
            Kind::Podman => Holder::Podman(Podman::start().unwrap()),
            Kind::Containerd => Holder::Containerd(Containerd::start(ContainerdVersion::V2).unwrap()),
            _ => Holder::Folder,
        };
        std::fs::create_dir_all(folder).unwrap();
        Place { kind, holder, folder: folder.to_owned() }
    }

    /// The name that an image of a tag has there, with its registry where it has one.
    pub fn reference(&self, tag: &str) -> String {
        match &self.holder {
            Holder::Registry(registry) => registry.reference(&format!("team/app:{tag}")),
            _ => format!("local.example/team/app:{tag}"),
        }
    }

    /// The file, or folder, that the image of a tag is in.
    pub fn file(&self, tag: &str) -> PathBuf {
        match self.kind {
            Kind::Layout => self.folder.join("layout"),
            _ => self.folder.join(format!("{tag}.tar")),
        }
    }

    /// How copa is told of it.
    pub fn address(&self, tag: &str) -> String {
        let (reference, file) = (self.reference(tag), self.file(tag));
        let file = file.display();
        match self.kind {
            Kind::Registry => format!("docker://{reference}"),
            Kind::Layout => format!("oci:{file}:{tag}"),
            Kind::OciArchive => format!("oci-archive:{file}:{tag}"),
            Kind::DockerArchive => format!("docker-archive:{file}:{reference}"),
            Kind::Stream => "-".to_owned(),
            Kind::Docker(..) => format!("docker-daemon:{reference}"),
            Kind::Podman => format!("podman:{reference}"),
            Kind::Containerd => format!("containerd:{reference}"),
        }
    }

    /// The file that is a stream's.
    pub fn stream(&self, tag: &str) -> Option<PathBuf> {
        (self.kind == Kind::Stream).then(|| self.file(tag))
    }

    /// Puts the image there under a tag, whole.
    pub fn put(&self, subject: &Subject, tag: &str) {
        let (layout, own, reference) = (&subject.made.layout, debian_root::TAG, self.reference(tag));
        let copy = |to: String| {
            argv("skopeo", ["copy", "--quiet", &layout.name(own), &to]).stdout().unwrap();
        };
        match &self.holder {
            Holder::Registry(registry) => {
                registry.push(layout, own, &format!("team/app:{tag}")).unwrap();
            }
            // What is piped is what `docker save` writes.
            Holder::Folder if self.kind == Kind::Stream => {
                copy(format!("docker-archive:{}:{reference}", self.file(tag).display()));
            }
            Holder::Folder => copy(self.address(tag)),
            _ => self.put_as((layout, own), &reference),
        }
    }

    /// Puts an image of a layout into a daemon under a whole name.
    pub fn put_as(&self, (layout, own): (&Layout, &str), name: &str) {
        match &self.holder {
            Holder::Docker(docker) => docker.load(layout, own, name),
            Holder::Podman(podman) => podman.load(layout, own, name),
            Holder::Containerd(containerd) => containerd.load(layout, own, name),
            Holder::Registry(_) | Holder::Folder => panic!("{:?} is no daemon", self.kind),
        }
        .unwrap();
    }

    /// The names of all images of a daemon, sorted, as it shows them.
    pub fn names(&self) -> Vec<String> {
        let all = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
        let all = match &self.holder {
            Holder::Docker(docker) => docker.docker(&all),
            Holder::Podman(podman) => podman.podman(&all),
            Holder::Containerd(containerd) => containerd.ctr(&["images", "ls", "--quiet"]),
            Holder::Registry(_) | Holder::Folder => panic!("{:?} is no daemon", self.kind),
        };
        let mut names: Vec<String> = all.text().unwrap().lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Takes the image of a tag out into a layout, under the tag; no blob of a place that keeps blobs is changed on the way.
    pub fn take(&self, tag: &str) -> PathBuf {
        let (out, file, reference) = (self.taken(tag), self.file(tag), self.reference(tag));
        match &self.holder {
            // It changes nothing: skopeo would make OCI's types of docker's.
            Holder::Registry(_) => {
                let pull = argv("crane", ["pull", "--insecure", "--format", "oci", &reference]);
                pull.arg(&out).stdout().unwrap();
                tag_the_only(&out, tag);
            }
            Holder::Folder if self.kind == Kind::Layout => return file,
            Holder::Folder => unpack(&file, &out, tag),
            _ => return self.take_as(&reference, tag),
        }
        out
    }

    /// Takes the image of a name out of a daemon, in the same way.
    pub fn take_as(&self, name: &str, tag: &str) -> PathBuf {
        let out = self.taken(tag);
        let archive = out.with_extension("tar");
        let save = match &self.holder {
            Holder::Docker(docker) => docker.docker(&["save", "--output"]),
            Holder::Podman(podman) => {
                podman.podman(&["save", "--quiet", "--format", "oci-archive", "--output"])
            }
            Holder::Containerd(containerd) => containerd.ctr(&["images", "export"]),
            Holder::Registry(_) | Holder::Folder => panic!("{:?} is no daemon", self.kind),
        };
        save.arg(&archive).arg(name).stdout().unwrap();
        unpack(&archive, &out, tag);
        std::fs::remove_file(archive).unwrap();
        out
    }

    /// Where what is taken out goes.
    fn taken(&self, tag: &str) -> PathBuf {
        self.folder.join(format!("taken-{tag}"))
    }

    /// Runs a program of an image of docker.
    pub fn run(&self, name: &str, program: &str, arguments: &[&str]) -> String {
        let Holder::Docker(docker) = &self.holder else { panic!("{:?} is not docker", self.kind) };
        let options = ["run", "--rm", "--network", "none", "--entrypoint", program, name];
        docker.docker(&[&options, arguments].concat()).text().unwrap()
    }

    /// Runs `cat` on a file of the image of a name in a container, where containers run; none elsewhere.
    pub fn cat(&self, name: &str, path: &str) -> Option<String> {
        let options = ["run", "--rm", "--network", "none", "--entrypoint", "/bin/cat", name, path];
        Some(match &self.holder {
            Holder::Docker(docker) => docker.docker(&options).text().unwrap(),
            Holder::Podman(podman) => podman.podman(&options).text().unwrap(),
            Holder::Containerd(containerd) => {
                let checked = containerd.ctr(&["images", "check", &format!("name=={name}")]).text();
                assert!(checked.as_ref().unwrap().contains("complete ("), "{checked:?}");
                containerd.ctr(&["run", "--rm", name, "seen", "/bin/cat", path]).text().unwrap()
            }
            _ => return None,
        })
    }

    /// Loads an archive, as `docker load` and `podman load` do.
    pub fn load(&self, archive: &Path) {
        match &self.holder {
            Holder::Docker(docker) => docker.docker(&["load", "--quiet", "--input"]).arg(archive),
            Holder::Podman(podman) => podman.podman(&["load", "--quiet", "--input"]).arg(archive),
            Holder::Containerd(containerd) => containerd.ctr(&["images", "import"]).arg(archive),
            _ => panic!("{:?} loads nothing", self.kind),
        }
        .stdout()
        .unwrap();
    }

    /// What the environment of copa must hold for it to find it; the search path is [`search_path`].
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let all = match &self.holder {
            Holder::Docker(docker) => docker.environment().into(),
            Holder::Podman(podman) => podman.environment(),
            Holder::Containerd(containerd) => containerd.environment().into(),
            Holder::Registry(_) | Holder::Folder => Vec::new(),
        };
        all.into_iter().filter(|(name, _)| *name != "PATH").collect()
    }
}

/// A search path with `ctr` and `podman`.
pub fn search_path() -> OsString {
    bundle::search_path(&[PODMAN, DOCKER_28, RUNTIME])
}

/// An archive of either kind as a layout: one that is a layout as it is, else as `skopeo` reads it.
fn unpack(archive: &Path, out: &Path, tag: &str) {
    std::fs::create_dir_all(out).unwrap();
    argv("tar", ["--extract", "--file"]).arg(archive).arg("--directory").arg(out).stdout().unwrap();
    if !out.join("oci-layout").exists() {
        std::fs::remove_dir_all(out).unwrap();
        let (from, to) =
            (format!("docker-archive:{}", archive.display()), format!("oci:{}:{tag}", out.display()));
        argv("skopeo", ["copy", "--quiet", &from, &to]).stdout().unwrap();
        return;
    }
    tag_the_only(out, tag);
}

/// Whatever name the only image of a layout has, it gets this one.
fn tag_the_only(layout: &Path, tag: &str) {
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{index:#}");
    Layout::open(layout).unwrap().tag(tag, &entries[0]).unwrap();
}
