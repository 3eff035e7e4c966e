//! Images without a shell and without a package manager, made as real distroless images are: one layer a package, its
//! paragraph in `var/lib/dpkg/status.d`, and no `var/lib/dpkg/status`.
//!
//! [`image`] is a real Debian with real, fixable vulnerabilities; [`hermetic`] has packages of the throw-away repository.

pub mod hermetic;
pub mod layer;
pub mod scenario;

use crate::debian_root::{Suite, TAG};
use crate::image::{Image, Layer, Layout};
use crate::tar::{self, Entry};
use crate::{Error, debs, debs::Wanted, image, mirror::Mirror, workspace};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Whether the image says itself where its packages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repositories {
    /// It does not, as real distroless images do not.
    #[default]
    Unnamed,
    /// `etc/apt/sources.list.d` names the release, its updates and its security archive; the keyring lies beside.
    Named,
}

/// Which distroless image.
#[derive(Debug, Clone, Copy)]
pub struct Distroless<'a> {
    /// The release.
    pub suite: Suite,
    /// The architecture, as dpkg and images name it: `amd64`, `arm64`.
    pub architecture: &'a str,
    /// Whether it names its repositories.
    pub repositories: Repositories,
}

impl Default for Distroless<'_> {
    /// Debian 12 of this machine's architecture, as bare as real ones.
    fn default() -> Self {
        let architecture = image::native_architecture();
        Distroless { suite: Suite::default(), architecture, repositories: Repositories::default() }
    }
}

/// What must be installed to make one; a reason to skip where it is not.
pub fn needs() -> Result<(), String> {
    debs::needs()
}

/// A layout that holds the image as [`TAG`]; made if it is not there yet. Its program is `openssl`, and it runs on the
/// architecture it is for.
pub fn image(of: Distroless<'_>) -> Result<Layout, Error> {
    let Distroless { suite, architecture, repositories } = of;
    let kind = if repositories == Repositories::Named { "-named" } else { "" };
    let name = format!("distroless-{}-{architecture}{kind}", suite.name());
    let directory = workspace::cache().join("layouts").join(name);
    workspace::once(&directory, |unfinished| {
        let debs = packages(suite, architecture)?;
        let mut added = statics(suite, &debs)?;
        if repositories == Repositories::Named {
            added.extend(named(suite)?);
        }
        let layers = layers(&debs, &added)?;
        let image =
            Image { architecture: architecture.to_owned(), config: configuration(), ..Image::new(layers) };
        Layout::create(unfinished)?.add(TAG, &image).map(drop)
    })?;
    Layout::open(&directory)
}

/// One layer for each package, and one for what belongs to none.
pub fn layers(debs: &[PathBuf], added: &[Entry]) -> Result<Vec<Layer>, Error> {
    let layer = |deb: &PathBuf| layer::entries(deb).map(|entries| Layer::Tar(tar::write(&entries)));
    let mut layers = debs.iter().map(layer).collect::<Result<Vec<_>, _>>()?;
    layers.push(Layer::Tar(tar::write(added)));
    Ok(layers)
}

/// The files of the real packages, from the release alone.
pub fn packages(suite: Suite, architecture: &str) -> Result<Vec<PathBuf>, Error> {
    let (openssl, gcc) = match suite {
        Suite::Bullseye => ("libssl1.1", "gcc-10-base"),
        Suite::Bookworm => ("libssl3", "gcc-12-base"),
        Suite::Trixie => ("libssl3t64", "gcc-14-base"),
        Suite::Forky => ("libssl3t64", "gcc-16-base"),
    };
    let packages = [
        "base-files",
        "netbase",
        "tzdata",
        "media-types",
        "ca-certificates",
        "libc6",
        "libc-bin",
        "zlib1g",
        "openssl",
        "libgcc-s1",
        "libzstd1",
        openssl,
        gcc,
    ];
    debs::of(&Wanted { name: "distroless", suite, architecture, packages: &packages, closed: false })
}

/// What real distroless images have beside their packages: users, a home, names, certificates, their own `os-release`.
fn statics(suite: Suite, debs: &[PathBuf]) -> Result<Vec<Entry>, Error> {
    let users = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n\
                 nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n";
    let groups = "root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n";
    let mut home = Entry::directory("home/nonroot").mode(0o700);
    (home.uid, home.gid) = (65_532, 65_532);
    Ok(vec![
        Entry::directory("tmp").mode(0o1777),
        Entry::directory("root").mode(0o700),
        Entry::directory("home"),
        home,
        Entry::directory("etc"),
        Entry::file("etc/passwd", users),
        Entry::file("etc/group", groups),
        Entry::file("etc/nsswitch.conf", "hosts: files dns\n"),
        Entry::directory("etc/ssl"),
        Entry::directory("etc/ssl/certs"),
        Entry::file("etc/ssl/certs/ca-certificates.crt", certificates(debs)?),
        Entry::directory("usr"),
        Entry::directory("usr/lib"),
        Entry::file("usr/lib/os-release", os_release(suite)),
    ])
}

/// All certificates in one file, which the postinst of `ca-certificates` would write.
fn certificates(debs: &[PathBuf]) -> Result<Vec<u8>, Error> {
    let is_it = |deb: &&PathBuf| {
        deb.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ca-certificates_"))
    };
    let Some(deb) = debs.iter().find(is_it) else { return Ok(Vec::new()) };
    let mut files = layer::files(deb)?;
    files.retain(|entry| entry.path.starts_with(b"usr/share/ca-certificates/"));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files.iter().filter_map(Entry::content).flatten().copied().collect())
}

/// The words of a real distroless image of Debian.
pub fn os_release(suite: Suite) -> String {
    let (number, name) = (suite.release(), suite.name());
    format!(
        "PRETTY_NAME=\"Distroless\"\nNAME=\"Debian GNU/Linux\"\nID=\"debian\"\nVERSION_ID=\"{number}\"\n\
         VERSION=\"Debian GNU/Linux {number} ({name})\"\n\
         HOME_URL=\"https://github.com/GoogleContainerTools/distroless\"\n"
    )
}

/// Where this machine gets Debian from, as the image would say it, and the keyring of Debian.
fn named(suite: Suite) -> Result<Vec<Entry>, Error> {
    let Mirror { archive, security } = Mirror::of_this_machine()?;
    let name = suite.name();
    let keyring = fs::read(debs::KEYRING).map_err(Error::io(debs::KEYRING))?;
    let sources = format!(
        "Types: deb\nURIs: {archive}\nSuites: {name} {name}-updates\nComponents: main\nSigned-By: {}\n\n\
         Types: deb\nURIs: {security}\nSuites: {name}-security\nComponents: main\nSigned-By: {0}\n",
        debs::KEYRING
    );
    Ok(repository_files("debian.sources", &sources, &[(debs::KEYRING, keyring)]))
}

/// The files that name repositories: one below `etc/apt/sources.list.d`, and keyrings at absolute paths.
pub fn repository_files(name: &str, sources: &str, keyrings: &[(&str, Vec<u8>)]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut put = |path: &str, content: &[u8]| {
        let path = path.trim_start_matches('/');
        let folder = Path::new(path).parent().and_then(Path::to_str).unwrap_or_default();
        layer::add_folders(&mut entries, folder);
        entries.push(Entry::file(path, content));
    };
    put(&format!("etc/apt/sources.list.d/{name}"), sources.as_bytes());
    keyrings.iter().for_each(|(path, content)| put(path, content));
    entries
}

fn configuration() -> Value {
    json!({
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
        "User": "65532", "WorkingDir": "/home/nonroot", "Entrypoint": ["/usr/bin/openssl"], "Cmd": ["version"],
    })
}
