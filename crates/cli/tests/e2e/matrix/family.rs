//! What a family of the matrix says of itself: how it is named, made, and judged.

use crate::world::World;
use std::any::Any;
use std::collections::BTreeSet;
use testkit::image::Layout;

use super::subject::Seen;

/// The tag of every image as it was.
pub const TAG: &str = "v1";

/// Name, version and architecture of an installed package; the last is empty where the independent reader tells none.
pub type Installed = (String, String, String);

/// What the table says of a family.
pub struct Label {
    pub name: &'static str,
    /// The word of the result document.
    pub strategy: &'static str,
    /// What installs packages.
    pub tool: &'static str,
    /// How its administrator keeps a package at its version.
    pub held_by: &'static str,
}

/// A package at its versions in the image and in the repository.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    pub name: &'static str,
    pub old: &'static str,
    pub new: &'static str,
}

/// The packages that the scenarios are about.
pub struct Names {
    /// Its new version needs `added`.
    pub library: Package,
    /// Comes in as a new dependency; it has no old version.
    pub added: Package,
    /// An ordinary package.
    pub other: Package,
    /// The one that is held where one is.
    pub held: Package,
    /// Has a file of configuration that its new version changes.
    pub configured: Package,
    /// That file.
    pub file: &'static str,
    /// What is offered with a bad signature where that is so.
    pub bad: Package,
    /// A word of the refusal that names the package, the repository or the signature.
    pub refusal: &'static str,
}

/// What an image and its repository are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Newer packages are offered.
    Updates,
    /// Only the packages that are there already are offered.
    UpToDate,
    /// Newer packages are offered, and one is held.
    Held,
    /// Newer packages are offered, and the file of configuration has the text [`EDITED`].
    Edited,
    /// What is offered is not signed by whom the image trusts.
    BadSignature,
}

/// The text of an edited file.
pub const EDITED: &str = "setting = mine\n";

/// An image and its repository.
pub struct Made {
    /// Holds the image as [`TAG`].
    pub layout: Layout,
    /// Where the repository is, for `--allow-host`.
    pub host: String,
    /// More arguments that patching takes.
    pub more: Vec<String>,
    /// What must live as long.
    pub _kept: Box<dyn Any>,
}

/// A family.
pub trait Family: Sync {
    fn label(&self) -> Label;

    /// Why it cannot be made or judged here, if so.
    fn needs(&self) -> Result<(), String>;

    /// Distribution and release, in the words of reports.
    fn os(&self) -> (&'static str, &'static str);

    fn names(&self) -> Names;

    fn make(&self, world: &World, stage: Stage) -> Made;

    /// Every installed package, by a reader that shares no code with the program.
    fn installed(&self, seen: &Seen) -> BTreeSet<Installed>;

    /// What the distribution's own tools have to say against these packages; edited files of configuration are not amiss.
    fn amiss(&self, seen: &Seen, packages: &[&str]) -> Vec<String>;

    /// What syft calls its packages; none where it cannot read them.
    fn syft(&self) -> Option<&'static str>;
}
