//! Images whose record of packages is two lists (Azure Linux and CBL-Mariner distroless): packages unpacked by us, and the lists
//! rewritten in the form they have. No program of the image or of a package is ever run.

mod incoming;
mod known;
mod lists;
mod obsolete;
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
    let known = all.iter().map(known::of).collect::<Result<Vec<_>, _>>()?;
    // All are looked at before one is placed: what a package brings must not count as having been there.
    let lacking = known.iter().flatten().map(|known| place::lacking(known, staged));
    let lacking = lacking.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let mut placed = Placed::default();
    for (incoming, known) in all.iter().zip(&known) {
        let placing = Placing {
            incoming,
            owners: &owners,
            folders: &documentation,
            lacking: &lacking,
            known: known.as_ref(),
        };
        place::place(&placing, staged, &mut placed)?;
    }
    let unknown = all.iter().zip(&known).filter(|(one, known)| one.old.is_some() && known.is_none());
    let unknown: Vec<String> = unknown.map(|(one, _)| printable(one.package.name.as_str())).collect();
    let staying = obsolete::staying(&work.facts.inventory.packages, &all);
    let gone = all.iter().zip(&known).filter_map(|(one, known)| Some((one.old?, known.as_ref()?)));
    let (apart, shared): (Vec<_>, Vec<_>) = gone.partition(|(old, _)| !staying.contains(old.source.as_str()));
    let obsolete =
        obsolete::Obsolete { placed: &placed, shared: shared.into_iter().map(|(_, known)| known).collect() };
    let taken = obsolete.take(apart.into_iter().map(|(_, known)| known), staged)?;
    let removed = superseded::remove(&placed, staged)?;
    lists.write(&all, staged)?;
    notes.extend(said(&placed, &removed, &taken, unknown));
    Ok(notes)
}

fn said(
    placed: &Placed,
    removed: &BTreeSet<EntryPath>,
    taken: &obsolete::Taken,
    unknown: Vec<String>,
) -> Vec<String> {
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
    say(paths(&taken.kept), "files are not in the new versions and stay, as they were changed");
    say(
        paths(&taken.shared),
        "files are not in the new versions and stay, as other packages may have them too",
    );
    say(
        unknown,
        "neither the image nor a signed package of a repository tells which files the installed versions have, so that those which the new ones have \
         no more stay, of",
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
