//! A repository that is served on loopback, and a session that may ask it.

use fetch::client::{Client, ClientOptions};
use inventory::apk::installed::Record;
use repository::{Error, Request, Resolution, Session, apk};
use std::{path::Path, sync::Arc, time::Duration};
use store::{Store, StoreOptions};
use tempfile::TempDir;
use testkit::{
    apk::{ApkRepository, ApkSpec, native_architecture},
    apt_repository::Served,
};

pub const WORLD: &str = "/etc/apk/world";
pub const REPOSITORIES: &str = "/etc/apk/repositories";

pub struct Lab {
    _dir: TempDir,
    pub repository: ApkRepository,
    pub served: Served,
    pub store: Store,
    pub client: Client,
}

impl Lab {
    pub fn new(packages: &[ApkSpec]) -> Lab {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("repository");
        let repository = ApkRepository::build(&folder, native_architecture(), packages).unwrap();
        let served = repository.serve().unwrap();
        let store = store(&dir.path().join("store"));
        Lab { repository, served, store, client: client(), _dir: dir }
    }

    pub fn session(&self) -> Session<'_> {
        Session {
            client: &self.client,
            store: &self.store,
            now: 1_800_000_000,
            cancel: Default::default(),
            events: Arc::new(|_| {}),
            allow_archived: false,
            operator_hosts: vec![self.served.host().parse().unwrap()],
        }
    }

    /// The name of the repository's key in images.
    pub fn key_path(&self) -> String {
        format!("/etc/apk/keys/{}", self.repository.key_name())
    }

    /// An image that has the repository as its only one, and these records installed.
    pub fn request(&self, installed: &[&str], wanted: apk::Wanted) -> apk::Request {
        let files = [
            (REPOSITORIES.to_owned(), format!("{}\n", self.served.url()).into_bytes()),
            (self.key_path(), self.repository.key().unwrap()),
        ];
        apk::Request {
            os: inventory::OsRelease {
                id: "alpine".into(),
                version_id: "3.19.1".into(),
                ..Default::default()
            },
            architecture: native_architecture().to_owned(),
            files: files.into(),
            installed: installed.iter().map(|text| record(text)).collect(),
            wanted,
            excluded: Default::default(),
        }
    }

    pub async fn resolve(&self, request: &apk::Request) -> Result<Resolution, Error> {
        repository::resolve(&Request::Apk(request.clone()), &self.session()).await
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

/// `name version` and further fields, parted by semicolons, as an installed package.
fn record(text: &str) -> Record {
    let (first, rest) = text.split_once(';').unwrap_or((text, ""));
    let (name, version) = first.split_once(' ').unwrap();
    let more: String =
        rest.split(';').filter(|field| !field.is_empty()).map(|field| format!("{field}\n")).collect();
    Record::new(&format!("P:{name}\nV:{version}\nA:{}\n{more}", native_architecture())).unwrap()
}

/// `name version` of what was chosen.
pub fn chosen(resolution: &Resolution) -> Vec<String> {
    resolution.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect()
}

pub fn named(list: &[(&str, &str)]) -> apk::Wanted {
    apk::Wanted::Named(
        list.iter().map(|(name, version)| (name.parse().unwrap(), (*version).to_owned())).collect(),
    )
}
