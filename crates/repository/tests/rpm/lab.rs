//! Repositories that are served on loopback, and a session that may ask them.

use fetch::client::{Client, ClientOptions};
use inventory::{
    OsRelease,
    rpm::{repositories::Configuration, variables::Variables},
};
use repository::{
    Archive, Error, Request, Resolution, Session,
    rpm::{self, Installed, Wanted},
};
use std::{env::consts::ARCH, path::PathBuf, sync::Arc, time::Duration};
use store::{Store, StoreOptions};
use tempfile::TempDir;
use testkit::{
    apt_repository::Served,
    command::argv,
    rpm::{Repositories, Series, scenario},
};

/// A moment after the repositories were made.
pub const NOW: i64 = 2_000_000_000;

pub const KEY: &str = "/etc/pki/rpm-gpg/K";

pub struct Lab {
    /// A copy of the repositories, to be spoiled.
    pub folder: PathBuf,
    pub served: Served,
    store: Store,
    client: Client,
    _dir: TempDir,
}

/// Why there is none here, if so.
pub fn lab() -> Option<Lab> {
    match testkit::rpm::needs() {
        Ok(()) => Some(Lab::new()),
        Err(reason) => {
            testkit::probe::report_skip(&reason);
            None
        }
    }
}

impl Lab {
    fn new() -> Lab {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("repositories");
        let all = Repositories::of(Series::Classic).unwrap();
        argv("cp", ["--archive", "--reflink=auto"]).arg(all.folder()).arg(&folder).stdout().unwrap();
        let served = Served::start(&folder).unwrap();
        let options =
            StoreOptions { dir: dir.path().join("store"), flavor: layer::Flavor::Native, size_max: None };
        let client = ClientOptions {
            retries: 1,
            backoff: Duration::from_millis(1),
            idle_timeout: Duration::from_secs(5),
            ..ClientOptions::default()
        };
        let (store, client) = (Store::open(options).unwrap(), Client::new(client).unwrap());
        Lab { folder, served, store, client, _dir: dir }
    }

    pub fn session(&self) -> Session<'_> {
        Session {
            client: &self.client,
            store: &self.store,
            now: NOW,
            cancel: Default::default(),
            events: Arc::new(|_| {}),
            allow_archived: false,
            operator_hosts: vec![self.served.host().parse().unwrap()],
        }
    }

    /// A section of a repository, with more settings.
    pub fn section(&self, name: &str, more: &str) -> String {
        let url = self.served.url();
        format!("[{name}]\nbaseurl={url}/{name}\ngpgkey=file://{KEY}\n{more}\n")
    }

    /// An image with these repositories and packages (`name version`).
    pub fn request(&self, sections: &[String], installed: &[(&str, &str)], wanted: Wanted) -> rpm::Request {
        let mut repositories = Configuration::new(Variables::new("3.0", ARCH));
        repositories.add("/etc/yum.repos.d/a.repo", sections.concat().as_bytes()).unwrap();
        let key = std::fs::read(Repositories::of(Series::Classic).unwrap().key_path()).unwrap();
        let installed = installed.iter().map(|(name, version)| Installed {
            name: name.parse().unwrap(),
            version: (*version).to_owned(),
            architecture: ARCH.to_owned(),
            held: false,
        });
        rpm::Request {
            os: OsRelease { id: "azurelinux".into(), version_id: "3.0".into(), ..OsRelease::default() },
            architecture: ARCH.to_owned(),
            repositories,
            files: [(KEY.to_owned(), key)].into(),
            installed: installed.collect(),
            wanted,
            excluded: Default::default(),
            security_only: false,
        }
    }

    /// One that has what `updates` brings up to date.
    pub fn usual(&self, wanted: Wanted) -> rpm::Request {
        let sections = [self.section("base", ""), self.section("updates", "")];
        let installed =
            [(scenario::LIBRARY, scenario::LIBRARY_OLD), (scenario::BUGFIX, scenario::BUGFIX_OLD)];
        self.request(&sections, &[installed[0], installed[1], (scenario::DAEMON, scenario::OLD)], wanted)
    }

    pub async fn resolve(&self, request: &rpm::Request) -> Result<Resolution, Error> {
        repository::resolve(&Request::Rpm(request.clone()), &self.session()).await
    }

    pub async fn get(&self, request: &rpm::Request) -> Result<Vec<Archive>, Error> {
        let resolution = self.resolve(request).await?;
        repository::download(&resolution, &self.session()).await
    }

    /// Indexes a repository anew, at a time, without a signature.
    pub fn index(&self, name: &str, revision: i64) {
        let at = self.folder.join(name);
        let _ = std::fs::remove_dir_all(at.join("repodata"));
        let revision = revision.to_string();
        let make = ["--quiet", "--checksum", "sha256", "--revision", &revision];
        argv("createrepo_c", make).arg(at).stdout().unwrap();
    }

    /// The file of a package.
    pub fn package(&self, repo: &str, name: &str, version: &str) -> PathBuf {
        let version = version.split_once(':').map_or(version, |(_, rest)| rest);
        self.folder.join(repo).join(format!("{name}-{version}.{ARCH}.rpm"))
    }
}

/// `name version` of what was chosen.
pub fn chosen(resolution: &Resolution) -> Vec<String> {
    resolution.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect()
}

pub fn named(list: &[(&str, &str)]) -> Wanted {
    Wanted::Named(list.iter().map(|(name, version)| (name.parse().unwrap(), (*version).to_owned())).collect())
}

/// `name version`.
pub fn at(name: &str, version: &str) -> String {
    format!("{name} {version}")
}
