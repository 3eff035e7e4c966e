//! Images whose record of packages is two lists (Azure Linux and CBL-Mariner distroless): packages unpacked by us, and the lists
//! rewritten in the form they have. No program of the image or of a package is ever run.

mod incoming;
mod lists;
mod owners;
mod place;
mod request;
mod scripts;
mod superseded;

pub(super) use request::request;

use crate::{Error, Unpacking};
use incoming::Incoming;
use inventory::printable;
use layer::{EntryPath, Staged};
use place::{Placed, Placing};
use std::{collections::BTreeSet, fmt::Display};

/// Most items of a list that a note names.
const NAMED_MAX: usize = 8;

/// Unpacks packages over an image, and says what the user should know.
pub(super) fn unpack(work: &Unpacking<'_>, staged: &mut Staged) -> Result<Vec<String>, Error> {
    let all = incoming::open(work)?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut notes: Vec<String> =
        scripts::judge(&all, staged, work.settings.policy.skip_scripts)?.into_iter().collect();
    let lists = lists::Lists::read(staged)?;
    let owners = owners::Owners::read(staged)?;
    let documentation = place::missing_documentation(staged)?;
    let mut placed = Placed::default();
    for incoming in &all {
        let placing = Placing { incoming, owners: &owners, left_out: &documentation };
        place::place(&placing, staged, &mut placed)?;
    }
    let removed = superseded::remove(&placed, staged)?;
    lists.write(&all, staged)?;
    notes.extend(said(&all, &placed, &removed));
    Ok(notes)
}

fn said(all: &[Incoming<'_>], placed: &Placed, removed: &BTreeSet<EntryPath>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut say = |items: Vec<String>, what: &str| {
        if !items.is_empty() {
            notes.push(format!("{what}: {}", listed(&items)));
        }
    };
    let paths = |all: &BTreeSet<EntryPath>| all.iter().map(EntryPath::to_string).collect::<Vec<_>>();
    say(paths(&placed.kept), "configuration files stay as the image has them, the new versions have others");
    say(
        placed.unknown_owners.iter().cloned().collect(),
        "given to root, as the image does not know their owners",
    );
    say(paths(removed), "removed, as no link leads to them any more");
    let replaced = all.iter().filter(|incoming| incoming.old.is_some());
    let replaced = replaced.map(|incoming| printable(incoming.package.name.as_str())).collect();
    say(
        replaced,
        "the image does not record which files packages have, so that files which only the old versions had stay, of",
    );
    notes
}

/// `a, b, c and 5 more`.
fn listed<T: Display>(items: &[T]) -> String {
    let named: Vec<String> = items.iter().take(NAMED_MAX).map(T::to_string).collect();
    match items.len().saturating_sub(NAMED_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// A path of our own.
fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).expect("a path of our own is one")
}

/// A failure while reading or writing something of the image, named.
fn in_image(item: &str) -> impl Fn(layer::Error) -> Error + '_ {
    move |why| Error::database(item, why)
}
