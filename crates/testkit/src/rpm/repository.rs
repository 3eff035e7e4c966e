//! The repositories of a series: built, signed and indexed by the real tools, some of them broken on purpose. Made once.

use super::family::Series;
use super::key::Key;
use super::spec::PackageSpec;
use super::world::World;
use super::{DIST, build, debs, scenario};
use crate::command::{Argv, argv};
use crate::{Error, image, workspace};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A repository, as its folder and its section are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Repo {
    /// What images are made from.
    Base,
    /// What is newer, with advisories; all of it can be installed.
    Updates,
    /// Packages that fail, hang, ask or want others gone.
    Hostile,
    /// [`scenario::UNSIGNED`].
    Unsigned,
    /// [`scenario::STRANGER`].
    Stranger,
    /// [`scenario::TAMPERED`].
    Tampered,
    /// [`scenario::ALTERED`].
    Altered,
    /// [`scenario::FORGED`]; configured with `repo_gpgcheck=1`.
    Forged,
}

impl Repo {
    /// The name of its folder and its section.
    pub fn name(self) -> &'static str {
        match self {
            Repo::Base => "base",
            Repo::Updates => "updates",
            Repo::Hostile => "hostile",
            Repo::Unsigned => "unsigned",
            Repo::Stranger => "stranger",
            Repo::Tampered => "tampered",
            Repo::Altered => "altered",
            Repo::Forged => "forged",
        }
    }
}

const ALL: [Repo; 8] = [
    Repo::Base,
    Repo::Updates,
    Repo::Hostile,
    Repo::Unsigned,
    Repo::Stranger,
    Repo::Tampered,
    Repo::Altered,
    Repo::Forged,
];

/// The repositories of a series and what is known of them, in one folder.
#[derive(Debug, Clone)]
pub struct Repositories {
    folder: PathBuf,
}

impl Repositories {
    /// Those of a series; made if they are not there yet.
    pub fn of(series: Series) -> Result<Repositories, Error> {
        let folder =
            workspace::cache().join("rpm").join(format!("{}-{}", series.suite(), fingerprint(series)));
        workspace::once(&folder, |unfinished| make(series, unfinished))?;
        Ok(Repositories { folder })
    }

    /// The folder to serve; each repository is a folder in it.
    pub fn folder(&self) -> PathBuf {
        self.folder.join("repositories")
    }

    /// The public key that packages and indexes are signed with, in armour.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("key.asc")
    }

    /// A name that changes whenever what is made here changes.
    pub(super) fn stem(&self) -> &str {
        self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The files of packages in `base`, by name, for a root with these and all they need.
    pub(super) fn closure(&self, names: &[&str]) -> Result<Vec<PathBuf>, Error> {
        let path = self.folder.join("closures");
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        let closures: BTreeMap<&str, &str> = lines.collect();
        let mut files: Vec<PathBuf> = Vec::new();
        for name in names {
            let all = closures.get(name).ok_or_else(|| Error::malformed("base", format!("has no {name}")))?;
            files.extend(all.split(' ').map(|file| self.folder().join("base").join(file)));
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The file of a package in a repository.
    pub fn package(&self, repo: Repo, name: &str, version: &str, architecture: &str) -> PathBuf {
        let version = version.split_once(':').map_or(version, |(_, rest)| rest);
        self.folder().join(repo.name()).join(format!("{name}-{version}.{architecture}.rpm"))
    }
}

/// The sources that say how it is made: another text of theirs makes another folder.
fn fingerprint(series: Series) -> String {
    let sources = [
        include_str!("build.rs"),
        include_str!("family.rs"),
        include_str!("repository.rs"),
        include_str!("scenario.rs"),
        include_str!("spec.rs"),
        include_str!("world.rs"),
        series.suite(),
    ];
    image::digest(sources.concat().as_bytes())["sha256:".len()..][..12].to_owned()
}

fn make(series: Series, folder: &Path) -> Result<(), Error> {
    let debs = debs::fetch(series.suite(), series.groups())?;
    let (key, stranger) = (Key::generate("Test Distribution")?, Key::generate("Stranger")?);
    let repositories = folder.join("repositories");
    fs::create_dir_all(&repositories).map_err(Error::io(&repositories))?;
    let at = |repo: Repo| repositories.join(repo.name());
    let world = World::read(&debs, series.left_out())?;
    world.build(&at(Repo::Base))?;
    world.build_update(scenario::LIBRARY, "27", Some(scenario::EXTRA), &at(Repo::Updates))?;
    world.build_update(scenario::BUGFIX, "2", None, &at(Repo::Updates))?;
    for (repo, packages) in contents() {
        packages.iter().try_for_each(|package| package.build(&at(repo)))?;
    }
    sign(&key, &stranger, &repositories)?;
    ALL.iter().try_for_each(|repo| {
        index(*repo, &at(*repo), if *repo == Repo::Forged { &stranger } else { &key })
    })?;
    tamper(&at(Repo::Tampered))?;
    write(&folder.join("key.asc"), &key.public()?)?;
    write(&folder.join("closures"), closures(&world, &at(Repo::Base))?.as_bytes())
}

fn contents() -> Vec<(Repo, Vec<PackageSpec>)> {
    let one = |name: &str| vec![scenario::plain(name, "2")];
    vec![
        (Repo::Base, scenario::base()),
        (Repo::Updates, scenario::updates()),
        (Repo::Hostile, scenario::hostile()),
        (Repo::Unsigned, one(scenario::UNSIGNED)),
        (Repo::Stranger, one(scenario::STRANGER)),
        (Repo::Tampered, one(scenario::TAMPERED)),
        (Repo::Altered, one(scenario::ALTERED)),
        (Repo::Forged, one(scenario::FORGED)),
    ]
}

fn sign(key: &Key, stranger: &Key, repositories: &Path) -> Result<(), Error> {
    let of = |repo: &Repo| packages(&repositories.join(repo.name()));
    let ours = ALL.iter().filter(|repo| !matches!(repo, Repo::Unsigned | Repo::Stranger));
    let ours: Vec<Vec<PathBuf>> = ours.map(of).collect::<Result<_, _>>()?;
    build::sign(key, &ours.concat())?;
    build::sign(stranger, &of(&Repo::Stranger)?)?;
    tamper(&repositories.join(Repo::Altered.name()))
}

/// Writes the index of a repository and signs its head.
fn index(repo: Repo, folder: &Path, key: &Key) -> Result<(), Error> {
    argv("createrepo_c", ["--quiet", "--checksum", "sha256"]).arg(folder).stdout()?;
    if repo == Repo::Updates {
        let advisories = folder.join("updateinfo.xml");
        write(&advisories, advisory_text().as_bytes())?;
        let into = folder.join("repodata");
        argv("modifyrepo_c", ["--mdtype=updateinfo"]).arg(&advisories).arg(into).stdout()?;
        fs::remove_file(&advisories).map_err(Error::io(&advisories))?;
    }
    let head = folder.join("repodata/repomd.xml");
    write(&folder.join("repodata/repomd.xml.key"), &key.public()?)?;
    key.sign_file(&head)
}

/// Changes the last byte of every package, which belongs to its content.
fn tamper(folder: &Path) -> Result<(), Error> {
    for package in packages(folder)? {
        let mut bytes = fs::read(&package).map_err(Error::io(&package))?;
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        write(&package, &bytes)?;
    }
    Ok(())
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rpm"));
    paths.sort();
    Ok(paths)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(Error::io(path))
}

/// A line for each package in `base`: its name, then the files of it and of all that it needs.
fn closures(world: &World, base: &Path) -> Result<String, Error> {
    let query = argv("rpm", ["--query", "--package", "--nosignature", "--queryformat", "%{NAME} "]);
    let paths = packages(base)?;
    let names = paths.iter().fold(query, Argv::arg).text()?;
    let file_name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, path) in names.split_whitespace().zip(&paths) {
        files.entry(name).or_default().push(file_name(path));
    }
    let line = |name: &&str| {
        let all = world.closure(&[name]);
        let all: Vec<String> =
            all.iter().filter_map(|name| files.get(name.as_str())).flatten().cloned().collect();
        format!("{name}: {}\n", all.join(" "))
    };
    Ok(files.keys().map(line).collect())
}

/// One advisory.
struct Advisory {
    id: &'static str,
    kind: &'static str,
    severity: &'static str,
    name: &'static str,
    version: &'static str,
    reference: &'static str,
}

const ADVISORIES: [Advisory; 4] = [
    Advisory {
        id: "TSSA-2024:0001",
        kind: "security",
        severity: "Moderate",
        name: scenario::LIBRARY,
        version: scenario::LIBRARY_NEW,
        reference: "CVE-2024-0001",
    },
    Advisory {
        id: "TSBA-2024:0002",
        kind: "bugfix",
        severity: "None",
        name: scenario::BUGFIX,
        version: scenario::BUGFIX_NEW,
        reference: "",
    },
    Advisory {
        id: "TSSA-2024:0003",
        kind: "security",
        severity: "Low",
        name: scenario::DAEMON,
        version: scenario::NEW,
        reference: "CVE-2024-0003",
    },
    Advisory {
        id: "TSSA-2024:0004",
        kind: "security",
        severity: "Important",
        name: scenario::HELD,
        version: scenario::NEW,
        reference: "CVE-2024-0004",
    },
];

fn advisory_text() -> String {
    let all: String = ADVISORIES.iter().map(Advisory::text).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<updates>\n{all}</updates>\n")
}

impl Advisory {
    fn text(&self) -> String {
        let Advisory { id, kind, severity, name, reference, .. } = self;
        let (epoch, version) = self.version.split_once(':').unwrap_or(("0", self.version));
        let (version, release) = version.split_once('-').unwrap_or((version, DIST));
        let references = if reference.is_empty() {
            "<references/>".to_owned()
        } else {
            let href = format!("https://example.invalid/{reference}");
            format!(
                "<references><reference href=\"{href}\" id=\"{reference}\" type=\"cve\" title=\"{reference}\"/></references>"
            )
        };
        let arch = std::env::consts::ARCH;
        format!(
            "<update from=\"nobody@example.invalid\" status=\"final\" type=\"{kind}\" version=\"1\"><id>{id}</id>\
             <title>{name} {kind} update</title><severity>{severity}</severity><issued date=\"2024-06-01 00:00:00\"/>\
             {references}<pkglist><collection short=\"t\"><name>t</name>\
             <package name=\"{name}\" epoch=\"{epoch}\" version=\"{version}\" release=\"{release}\" arch=\"{arch}\">\
             <filename>{name}-{version}-{release}.{arch}.rpm</filename></package></collection></pkglist></update>\n"
        )
    }
}
