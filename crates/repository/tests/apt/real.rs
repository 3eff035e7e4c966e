//! Against the real apt, on the repositories of this machine's own configuration: the same choice from the same lists.

use crate::lab::{client, store};
use repository::{Request, Session, apt, apt::Wanted};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::BufReader,
    path::Path,
    sync::Arc,
};
use testkit::{
    command::argv,
    debian_root::{self, Suite},
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

#[tokio::test(flavor = "multi_thread")]
async fn everything_newer_is_what_the_real_apt_would_take() {
    if let Err(reason) = probe::first_reason([probe::debian_roots()]) {
        skip!("{reason}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (client, store) = (client(), store(&dir.path().join("store")));
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    for suite in Suite::ALL {
        for packages in [&[][..], PACKAGES] {
            let files = files(&debian_root::root(suite, packages).unwrap());
            let request = apt::Request {
                os: inventory::OsRelease {
                    id: "debian".into(),
                    version_id: suite.release().into(),
                    ..Default::default()
                },
                architecture: "amd64".into(),
                installed: installed(&files["/var/lib/dpkg/status"]),
                wanted: Wanted::All,
                excluded: Default::default(),
                security_only: false,
                files: files.clone(),
            };
            let session = Session {
                client: &client,
                store: &store,
                now,
                cancel: Default::default(),
                events: Arc::new(|_| ()),
                allow_archived: false,
                operator_hosts: Vec::new(),
            };
            let resolution = repository::resolve(&Request::Apt(request), &session).await.unwrap();
            let ours: BTreeSet<String> =
                resolution.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
            let theirs = of_apt(&files);
            assert!(theirs.len() > 4, "{theirs:?}");
            assert_eq!(ours, theirs, "{} {packages:?}", suite.name());
            assert_eq!(resolution.indexes.len(), 3);
        }
    }
}
