//! A repository that is served on loopback, and a session that may ask it.

use fetch::client::{Client, ClientOptions};
use repository::{Error, Event, Request, Resolution, Session, apt};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use store::{Store, StoreOptions};
use tempfile::TempDir;
use testkit::apt_repository::{AptRepository, PackageSpec, Served};

/// A moment after the repository was made.
pub const NOW: i64 = 1_800_000_000;

pub struct Lab {
    pub dir: TempDir,
    pub repository: AptRepository,
    pub served: Served,
    pub store: Store,
    pub client: Client,
    pub events: Arc<Mutex<Vec<Event>>>,
}

impl Lab {
    pub fn new(packages: &[PackageSpec]) -> Lab {
        let dir = tempfile::tempdir().unwrap();
        let repository = AptRepository::build(&dir.path().join("repository"), packages).unwrap();
        let served = repository.serve().unwrap();
        let store = store(&dir.path().join("store"));
        Lab { repository, served, store, client: client(), events: Arc::default(), dir }
    }

    pub fn session(&self) -> Session<'_> {
        let events = Arc::clone(&self.events);
        Session {
            client: &self.client,
            store: &self.store,
            now: NOW,
            cancel: Default::default(),
            events: Arc::new(move |event| events.lock().unwrap().push(event)),
            allow_archived: false,
            operator_hosts: vec![self.served.host().parse().unwrap()],
        }
    }

    /// An image of this machine's architecture that has the repository as its only source, and these stanzas installed.
    pub fn request(&self, installed: &[&str], wanted: apt::Wanted) -> apt::Request {
        let line = self.repository.source_line(&self.served.url(), "/keys/copa.gpg");
        let key = std::fs::read(self.repository.key_path()).unwrap();
        let files =
            [("/etc/apt/sources.list".to_owned(), line.into_bytes()), ("/keys/copa.gpg".to_owned(), key)];
        apt::Request {
            os: inventory::OsRelease { id: "debian".into(), version_id: "12".into(), ..Default::default() },
            architecture: self.repository.architecture().to_owned(),
            files: files.into(),
            installed: installed.iter().map(|text| stanza(text)).collect(),
            wanted,
            excluded: Default::default(),
            security_only: false,
        }
    }

    pub async fn resolve(&self, request: &apt::Request) -> Result<Resolution, Error> {
        repository::resolve(&Request::Apt(request.clone()), &self.session()).await
    }
}

pub fn client() -> Client {
    let options = ClientOptions {
        retries: 1,
        backoff: Duration::from_millis(1),
        idle_timeout: Duration::from_secs(5),
        ..ClientOptions::default()
    };
    Client::new(options).unwrap()
}

pub fn store(dir: &Path) -> Store {
    Store::open(StoreOptions { dir: dir.to_owned(), flavor: layer::Flavor::Native, size_max: None }).unwrap()
}

/// `name version` and further fields, one a line, as an installed package.
pub fn stanza(text: &str) -> apt::Installed {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (name, version) = first.split_once(' ').unwrap();
    let mut fields: BTreeMap<String, String> =
        [("package", name), ("version", version), ("architecture", "all")]
            .map(|(k, v)| (k.into(), v.into()))
            .into();
    for line in rest.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        fields.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let held = fields.remove("held").is_some();
    apt::Installed { fields, held }
}

/// `name version` of what was chosen.
pub fn chosen(resolution: &Resolution) -> Vec<String> {
    resolution.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect()
}

pub fn named(list: &[(&str, &str)]) -> apt::Wanted {
    apt::Wanted::Named(
        list.iter().map(|(name, version)| (name.parse().unwrap(), (*version).to_owned())).collect(),
    )
}
