//! Per package manager: facts → strategy → recipe, and evidence judged. Pure: bytes in, values out.
//!
//! [`choose`] is the one registration place.

mod apk;
mod dpkg;
mod os;
mod pacman;
mod rpm;

pub use os::{os_looks, os_release};

use engine::{Evidence, Look, Recipe, StepResult};
use inventory::{
    Inventory, OsRelease,
    family::{Database, Family},
    printable,
};
use std::collections::BTreeSet;
use version::PackageName;

/// What an adapter is told beside plan and facts.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The engine's proxy, as steps see it.
    pub proxy_url: Option<String>,
    /// CA certificates (PEM) for https repositories. They take the place of the image's own during the run, so the bundle must
    /// be complete: the public roots and what the user adds.
    pub ca_certificates: Option<Vec<u8>>,
    /// What the user allows.
    pub policy: plan::Policy,
    /// Take packages of releases that are only in an archive any more.
    pub allow_archived: bool,
    /// The time, in seconds since 1970: signatures and indexes are judged by it.
    pub now: i64,
}

/// Verified packages that are to take the place of what is installed.
#[derive(Debug, Clone, Copy)]
pub struct Unpacking<'a> {
    /// What they are for.
    pub plan: &'a plan::Plan,
    /// The image.
    pub facts: &'a Facts,
    /// How.
    pub settings: &'a Settings,
    /// The packages, on disk.
    pub archives: &'a [repository::Archive],
}

/// How an image is patched: decided once, from its facts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The image's own package tool does it.
    #[default]
    InPlace,
    /// The image has a package database that only a tool can write, and no tool: one of another image works on it.
    Outside,
    /// No program is run: packages are resolved, verified and unpacked by us, and the database files rewritten.
    Unpacked,
}

/// The image whose tools work on an image that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tooling {
    /// Its reference: repository and tag from our own table, the tag's number compared and printed as a number.
    pub reference: String,
}

/// What the adapter learned from the image, once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Installed packages and os-release.
    pub inventory: Inventory,
    /// Hosts of the image's repository configuration, sorted: `host[:port]` of http sources, `https://host[:port]` of
    /// https sources.
    pub hosts: Vec<String>,
    /// Paths that [`Adapter::looks`] asked for with `Exists` and that are there.
    pub present: BTreeSet<String>,
    /// How the image is patched.
    pub strategy: Strategy,
    /// What was read, where it is needed again to make the recipe or the request: repository configuration, keys, records.
    pub files: Evidence,
    /// `name:architecture` of packages that came as a dependency of others; the mark must survive an upgrade by name.
    pub automatic: BTreeSet<PackageName>,
}

/// One package manager.
pub trait Adapter: Sync + Send {
    /// `dpkg`.
    fn name(&self) -> &'static str;

    /// What must be read from the image to know the facts.
    fn looks(&self) -> Vec<Look>;

    /// The facts, from what was read; an error names what makes the image unpatchable.
    fn facts(&self, os: OsRelease, evidence: &Evidence) -> Result<Facts, Error>;

    /// The recipe for a plan, in place or from outside. From outside the image is at [`engine::TARGET`] and the facts are those
    /// of the image, not of the tooling.
    fn recipe(&self, plan: &plan::Plan, facts: &Facts, settings: &Settings) -> Result<Recipe, Error>;

    /// What the recipe does that the user should know, beside what the facts say.
    fn notes(&self, _plan: &plan::Plan, _facts: &Facts, _settings: &Settings) -> Vec<String> {
        Vec::new()
    }

    /// Judges the output of steps that ended well: old tools report a repository that cannot be reached as a mere warning.
    fn judge_steps(&self, steps: &[StepResult]) -> Result<(), Error>;

    /// The inventory after the run, from the recipe's evidence; an error where the database is broken now.
    fn after(&self, facts: &Facts, evidence: &Evidence) -> Result<Inventory, Error>;

    /// The changes of a run, which began at `since` (seconds since 1970), without what only tells when it was; equal images must
    /// get equal layers.
    fn steady(&self, changes: Box<dyn layer::Changes>, _since: i64) -> Box<dyn layer::Changes> {
        changes
    }

    /// Unpacked: what to ask of the repositories.
    fn request(
        &self,
        _plan: &plan::Plan,
        facts: &Facts,
        _settings: &Settings,
    ) -> Result<repository::Request, Error> {
        Err(Error::Unsupported(format!("{}, without its package tool", describe(&facts.inventory.os))))
    }

    /// Unpacked: puts the packages' files in their places, takes away those that the new versions no longer have, and rewrites
    /// the records of what is installed in the form they have. Nothing is run. Gives what the user should know.
    fn unpack(&self, work: Unpacking<'_>, _staged: &mut layer::Staged) -> Result<Vec<String>, Error> {
        Err(Error::Unsupported(format!("{}, without its package tool", describe(&work.facts.inventory.os))))
    }

    /// From outside: the image whose tools to use where the user names none.
    fn tooling(&self, facts: &Facts) -> Result<Tooling, Error> {
        Err(Error::Unsupported(format!("{}, patched from outside", describe(&facts.inventory.os))))
    }
}

/// Why an image cannot be patched by an adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No adapter for this distribution.
    #[error("not supported yet: {0}")]
    Unsupported(String),
    /// The image's records are unreadable.
    #[error("{item}: {why}")]
    Database {
        /// Which file.
        item: String,
        /// What is wrong.
        why: String,
    },
    /// The image's state forbids patching.
    #[error("{0}")]
    State(String),
    /// The package tool failed, or did its work but a package's script in it failed.
    #[error("{title}: {why}")]
    Tool {
        /// The step.
        title: String,
        /// What went wrong, in the tool's words, printable.
        why: String,
    },
    /// Packages have scripts that would have to run.
    #[error("scripts of packages would have to run: {0}")]
    Scripts(String),
    /// A package cannot be unpacked.
    #[error("package {package}: {why}")]
    Package {
        /// Which.
        package: String,
        /// What is wrong.
        why: String,
    },
    /// The package tool could not get all of the repositories' indexes.
    #[error("{title}: {line}")]
    Repositories {
        /// The step.
        title: String,
        /// What the tool said, printable.
        line: String,
    },
}

impl Error {
    fn database(item: &str, why: impl std::fmt::Display) -> Self {
        Error::Database { item: item.to_owned(), why: why.to_string() }
    }
}

/// The adapter for a distribution, by its package database.
pub fn choose(os: &OsRelease) -> Result<&'static dyn Adapter, Error> {
    match Family::of(os).map(|(family, _)| family.database) {
        Some(Database::Dpkg) => Ok(&dpkg::Dpkg),
        Some(Database::Apk) => Ok(&apk::Apk),
        Some(Database::Pacman) => Ok(&pacman::Pacman),
        Some(Database::Rpm) => Ok(&rpm::Rpm),
        _ => Err(Error::Unsupported(describe(os))),
    }
}

/// A derivative is patched as what it says it is like, and the user is told.
fn derivative_note(os: &OsRelease) -> Option<String> {
    let (family, derivative) = Family::of(os)?;
    derivative.then(|| format!("{} is treated as {}, which it says it is like", describe(os), family.name))
}

fn describe(os: &OsRelease) -> String {
    match (&os.pretty_name, os.id.as_str()) {
        (None, "") => "an image without an os-release file".to_owned(),
        (None, id) => format!("{} {}", printable(id), printable(&os.version_id)).trim_end().to_owned(),
        (Some(pretty), id) => format!("{} ({})", printable(pretty), printable(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_and_their_like_have_their_adapter_and_others_none() {
        let os = |id: &str, like: &[&str]| OsRelease {
            id: id.into(),
            id_like: like.iter().map(|l| (*l).to_owned()).collect(),
            ..OsRelease::default()
        };
        for good in
            [os("debian", &[]), os("ubuntu", &["debian"]), os("kali", &["debian"]), os("mint", &["ubuntu"])]
        {
            assert_eq!(choose(&good).map(Adapter::name).ok(), Some("dpkg"), "{good:?}");
        }
        for (good, name) in [
            (os("alpine", &[]), "apk"),
            (os("wolfi", &[]), "apk"),
            (os("chainguard", &["alpine"]), "apk"),
            (os("postmarketos", &["alpine"]), "apk"),
            (os("arch", &[]), "pacman"),
            (os("manjaro", &["arch"]), "pacman"),
            (os("rocky", &["rhel", "fedora"]), "rpm"),
            (os("sles", &["suse"]), "rpm"),
            (os("eurolinux", &["rhel"]), "rpm"),
        ] {
            assert_eq!(choose(&good).map(Adapter::name).ok(), Some(name), "{good:?}");
        }
        let gentoo = OsRelease { pretty_name: Some("Gentoo Linux".into()), ..os("gentoo", &[]) };
        for (os, message) in [
            (gentoo, "not supported yet: Gentoo Linux (gentoo)"),
            (
                OsRelease { version_id: "22.03".into(), ..os("openeuler", &[]) },
                "not supported yet: openeuler 22.03",
            ),
            (OsRelease::default(), "not supported yet: an image without an os-release file"),
        ] {
            assert_eq!(choose(&os).err().map(|e| e.to_string()).as_deref(), Some(message));
        }
    }
}
