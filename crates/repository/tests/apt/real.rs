//! Against the real apt, on the repositories of this machine's own configuration: the same choice from the same lists.

use crate::lab::{client, store};
use fetch::client::Client;
use repository::{Request, Session, apt, apt::Wanted};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufReader, Read},
    path::Path,
    sync::Arc,
};
use store::Store;
use testkit::{
    command::argv,
    debian_root::{self, Suite, TAG},
    distroless::{Distroless, Repositories},
    image_reader::ImageReader,
    probe, skip,
    tar::{Kind, Reader},
};

/// A root with these is kept for the tests of other rooms too.
const PACKAGES: &[&str] =
    &["ca-certificates", "curl", "iputils-ping", "libcap2-bin", "nginx-light", "openssl", "python3"];

/// The files of a root that matter here, by absolute path.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut reader = Reader::new(BufReader::new(File::open(root).unwrap()));
    while let Some(entry) = reader.next_entry().unwrap() {
        let path = format!("/{}", String::from_utf8_lossy(&entry.path));
        let wanted = ["/etc/apt/", "/usr/share/keyrings/", "/var/lib/dpkg/status"]
            .iter()
            .any(|start| path.starts_with(start));
        if let (true, Kind::File(_)) = (wanted, &entry.kind) {
            files.insert(path, reader.content().unwrap());
        }
    }
    files
}

fn installed(status: &[u8]) -> Vec<apt::Installed> {
    let text = String::from_utf8_lossy(status);
    text.split("\n\n").filter(|stanza| !stanza.trim().is_empty()).map(fields).collect()
}

fn fields(stanza: &str) -> apt::Installed {
    let own =
        stanza.lines().filter(|line| !line.starts_with([' ', '\t'])).filter_map(|line| line.split_once(": "));
    apt::Installed { fields: own.map(|(k, v)| (k.to_lowercase(), v.to_owned())).collect(), held: false }
}

/// What the real apt would install or upgrade, as `name version`.
fn of_apt(files: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let at = dir.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, bytes).unwrap();
    }
    for folder in ["lists/partial", "cache/archives/partial", "etc/apt/apt.conf.d", "etc/apt/preferences.d"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    let at = |name: &str| dir.path().join(name).display().to_string();
    let settings = [
        ("Dir::Etc", at("etc/apt")),
        ("Dir::Etc::trustedparts", at("etc/apt/trusted.gpg.d")),
        ("Dir::State", at("")),
        ("Dir::State::Lists", at("lists")),
        ("Dir::State::status", at("var/lib/dpkg/status")),
        ("Dir::Cache", at("cache")),
        ("APT::Architecture", "amd64".into()),
        ("APT::Architectures", "amd64".into()),
        ("APT::Sandbox::User", "root".into()),
        ("APT::Install-Recommends", "false".into()),
        ("Acquire::Languages", "none".into()),
        ("Debug::NoLocking", "1".into()),
    ];
    let text: String = settings.iter().map(|(name, value)| format!("{name} \"{value}\";\n")).collect();
    fs::write(dir.path().join("apt.conf"), text).unwrap();
    let apt = |arguments: &[&str]| {
        let apt = argv("apt-get", ["-q"]).env("APT_CONFIG", at("apt.conf")).env("LC_ALL", "C");
        arguments.iter().fold(apt, |apt, argument| apt.arg(argument)).text().unwrap()
    };
    apt(&["update"]);
    // `Inst libc6 [2.36-9] (2.36-9+deb12u1 Debian:12/stable [amd64])`
    let line = |line: &str| {
        let mut words = line.strip_prefix("Inst ")?.split(' ');
        let name = words.next()?;
        let version = words.find_map(|word| word.strip_prefix('('))?;
        Some(format!("{name} {version}"))
    };
    apt(&["-s", "upgrade", "--with-new-pkgs"]).lines().filter_map(line).collect()
}

fn session<'a>(client: &'a Client, store: &'a Store) -> Session<'a> {
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    Session {
        client,
        store,
        now,
        cancel: Default::default(),
        events: Arc::new(|_| ()),
        allow_archived: false,
        operator_hosts: Vec::new(),
    }
}

fn request(
    suite: Suite,
    architecture: &str,
    files: BTreeMap<String, Vec<u8>>,
    installed: Vec<apt::Installed>,
) -> apt::Request {
    let version_id = suite.release().to_owned();
    apt::Request {
        os: inventory::OsRelease { id: "debian".into(), version_id, ..Default::default() },
        architecture: architecture.to_owned(),
        files,
        installed,
        wanted: Wanted::All,
        excluded: Default::default(),
        security_only: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_newer_is_what_the_real_apt_would_take() {
    if let Err(reason) = probe::first_reason([probe::debian_roots()]) {
        skip!("{reason}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (client, store) = (client(), store(&dir.path().join("store")));
    for suite in Suite::ALL {
        for packages in [&[][..], PACKAGES] {
            let files = files(&debian_root::root(suite, packages).unwrap());
            let installed = installed(&files["/var/lib/dpkg/status"]);
            let request = request(suite, "amd64", files.clone(), installed);
            let resolution =
                repository::resolve(&Request::Apt(request), &session(&client, &store)).await.unwrap();
            let ours: BTreeSet<String> =
                resolution.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
            let theirs = of_apt(&files);
            assert!(theirs.len() > 4, "{theirs:?}");
            assert_eq!(ours, theirs, "{} {packages:?}", suite.name());
            assert_eq!(resolution.indexes.len(), 3);
        }
    }
}

/// The files of a distroless image that matter here, and what is installed in it.
fn distroless(architecture: &str) -> (BTreeMap<String, Vec<u8>>, Vec<apt::Installed>) {
    let of = Distroless { architecture, repositories: Repositories::Named, ..Distroless::default() };
    let image = ImageReader::open(testkit::distroless::image(of).unwrap().directory(), TAG).unwrap();
    let wanted = [&b"etc/apt/"[..], b"usr/share/keyrings/", b"var/lib/dpkg/status.d/"];
    let found = image.files(|path| wanted.iter().any(|start| path.starts_with(start))).unwrap();
    let (mut files, mut installed) = (BTreeMap::new(), Vec::new());
    for (path, file) in found {
        let path = format!("/{}", String::from_utf8_lossy(&path));
        let content = file.entry.content().unwrap_or_default();
        if !path.starts_with("/var/") {
            files.insert(path, content.to_vec());
        } else if !path.ends_with(".md5sums") {
            installed.push(fields(&String::from_utf8_lossy(content)));
        }
    }
    (files, installed)
}

#[tokio::test(flavor = "multi_thread")]
async fn distroless_images_of_any_architecture_get_what_they_have_and_nothing_more() {
    if let Err(reason) = testkit::distroless::needs() {
        skip!("{reason}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (client, store) = (client(), store(&dir.path().join("store")));
    for architecture in ["amd64", "arm64"] {
        let (files, installed) = distroless(architecture);
        let names: BTreeSet<String> =
            installed.iter().map(|package| package.fields["package"].clone()).collect();
        let session = session(&client, &store);
        let request = request(Suite::Bookworm, architecture, files, installed);
        let resolution = repository::resolve(&Request::Apt(request), &session).await.unwrap();
        let chosen: BTreeSet<String> = resolution.packages.iter().map(|p| p.name.to_string()).collect();
        assert!(chosen.contains("libssl3") && chosen.is_subset(&names), "{chosen:?} of {names:?}");
        assert!(!resolution.notes.iter().any(|note| note.contains("kept back")), "{:?}", resolution.notes);
        for archive in repository::download(&resolution, &session).await.unwrap() {
            let package = archive.open().unwrap();
            let sums = package.control.get("md5sums").map_or(0, |sums| sums.split(|b| *b == b'\n').count());
            let mut count = 0;
            let mut visit = |_, content: Option<&mut dyn Read>| {
                count += usize::from(content.is_some());
                Ok(())
            };
            package.entries(&mut visit).unwrap();
            assert!(count + 1 >= sums, "{}: {count} files, {sums} sums", package.name);
        }
    }
}
