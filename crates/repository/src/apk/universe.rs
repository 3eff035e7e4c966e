//! All that the repositories offer: versions by name, those that the world allows, each with where it can be had.

use super::{index::Index, unit::Unit};
use fetch::client::Url;
use inventory::apk::relation::Relation;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};
use version::apk::Version;

/// One verified index with where it is from.
pub(super) struct Listed {
    pub(super) index: Index,
    /// Taken from only for names that the world has with this tag.
    pub(super) tag: Option<String>,
    /// Where its packages lie; another place for those of another architecture's folder.
    pub(super) folder: Url,
}

/// One version that can be had.
pub(super) struct Offer {
    pub(super) unit: Unit,
    /// The list that has it: of several the first.
    list: usize,
    pub(super) record: BTreeMap<String, String>,
}

/// Everything.
pub(super) struct Universe {
    lists: Vec<Listed>,
    architecture: String,
    pub(super) world: Vec<Relation>,
    offers: RefCell<HashMap<String, Rc<Vec<Rc<Offer>>>>>,
    /// Records that were passed over, with the reason.
    notes: RefCell<BTreeSet<String>>,
}

impl Universe {
    pub(super) fn new(lists: Vec<Listed>, architecture: String, world: Vec<Relation>) -> Self {
        Universe { lists, architecture, world, offers: RefCell::default(), notes: RefCell::default() }
    }

    /// What was passed over so far.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.borrow().iter().cloned().collect()
    }

    /// Every version of a name that may be taken, the highest first; of equal ones that of the first repository.
    pub(super) fn offers(&self, name: &str) -> Rc<Vec<Rc<Offer>>> {
        if let Some(known) = self.offers.borrow().get(name) {
            return Rc::clone(known);
        }
        let mut found: Vec<Rc<Offer>> = Vec::new();
        for (at, listed) in self.lists.iter().enumerate().filter(|(_, listed)| self.may_take(name, listed)) {
            for record in listed.index.named(name) {
                match self.offer(at, record) {
                    Ok(offer) => found.extend(offer.map(Rc::new)),
                    Err(why) => {
                        let name = inventory::printable(name);
                        let note =
                            format!("a version of {name} is passed over: {}", inventory::printable(&why));
                        self.notes.borrow_mut().insert(note);
                    }
                }
            }
        }
        found.sort_by(|a, b| b.unit.version.cmp(&a.unit.version));
        let found = Rc::new(found);
        self.offers.borrow_mut().insert(name.to_owned(), Rc::clone(&found));
        found
    }

    /// `None` where it is for another machine, or the world forbids it.
    fn offer(&self, list: usize, record: BTreeMap<String, String>) -> Result<Option<Offer>, String> {
        let own = |name: &String| *name == self.architecture || name == "noarch";
        if !record.get("A").is_none_or(own) {
            return Ok(None);
        }
        let unit = Unit::of(&record)?;
        Ok(self.is_allowed(&unit).then_some(Offer { unit, list, record }))
    }

    fn may_take(&self, name: &str, listed: &Listed) -> bool {
        let Some(tag) = &listed.tag else { return true };
        self.world.iter().any(|relation| relation.name == name && relation.tag.as_ref() == Some(tag))
    }

    /// Whether the world takes this version of the name.
    fn is_allowed(&self, unit: &Unit) -> bool {
        let mut own = self.world.iter().filter(|relation| relation.name == unit.name);
        own.all(|relation| relation.conflict != unit.is_at(relation))
    }

    /// The highest version above the one installed.
    pub(super) fn candidate(&self, name: &str, installed: &Version) -> Option<Rc<Offer>> {
        let offers = self.offers(name);
        offers.first().filter(|offer| offer.unit.version > *installed).cloned()
    }

    /// The highest version that is what a relation names, and not below `least`.
    pub(super) fn meeting(
        &self,
        name: &str,
        relation: &Relation,
        least: Option<&Version>,
    ) -> Option<Rc<Offer>> {
        let fits = |offer: &&Rc<Offer>| {
            least.is_none_or(|least| offer.unit.version > *least) && offer.unit.meets(relation)
        };
        self.offers(name).iter().find(fits).cloned()
    }

    /// Names of packages that provide a name, those of a preference first.
    pub(super) fn providers(&self, name: &str) -> BTreeSet<String> {
        self.lists.iter().flat_map(|listed| listed.index.providing(name)).collect()
    }

    /// Whether any version of a name is offered, be it one that may not be taken.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.lists.iter().any(|listed| {
            listed.index.named(name).next().is_some() || listed.index.providing(name).next().is_some()
        })
    }

    /// Where an offer's file is.
    pub(super) fn urls(&self, offer: &Offer) -> Vec<Url> {
        let file = format!("{}-{}.apk", offer.unit.name, offer.record.get("V").map_or("", String::as_str));
        let folder = self.lists.get(offer.list).map(|listed| &listed.folder);
        folder.and_then(|folder| below(folder, &file)).into_iter().collect()
    }
}

/// The URL of a path below another one, whose user and query stay.
pub(super) fn below(base: &Url, path: &str) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(path.split('/'));
    Some(url)
}
