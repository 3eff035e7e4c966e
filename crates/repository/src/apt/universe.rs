//! All that the repositories offer: versions by name, each with where it can be had and its priority.

use super::{
    deb822,
    index::{Index, Stanza},
    pins::{Origin, Pinned, Pins},
    unit::{Key, Unit},
};
use fetch::client::Url;
use oci::Digest;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};
use version::deb::Version;

/// Packages that are looked at as providers of one name, of each list. Of what real names stand for there are some dozens.
const PROVIDERS_MAX: usize = 1000;

/// One list with where it is from.
pub(crate) struct Listed {
    pub(crate) index: Index,
    pub(crate) origin: Origin,
    /// Where file names lead from.
    pub(crate) bases: Vec<Url>,
}

/// One version that can be had.
pub(crate) struct Offer {
    pub(crate) unit: Rc<Unit>,
    /// The lists that have it.
    lists: Vec<usize>,
    stanza: Stanza,
    filename: String,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// Everything.
pub(crate) struct Universe {
    pub(crate) native: String,
    lists: Vec<Listed>,
    pins: Pins,
    offers: RefCell<HashMap<String, Rc<Vec<Rc<Offer>>>>>,
    /// Stanzas that were passed over, with the reason.
    notes: RefCell<BTreeSet<String>>,
}

impl Offer {
    /// Whether a security archive has it.
    pub(crate) fn is_security(&self, universe: &Universe) -> bool {
        self.lists.iter().any(|list| {
            let release = &universe.lists[*list].origin.release;
            let named = |name: &str| name.ends_with("-security") || name.ends_with("/updates");
            release.label == "Debian-Security" || named(&release.suite) || named(&release.codename)
        })
    }
}

impl Universe {
    pub(crate) fn new(native: String, lists: Vec<Listed>, pins: Pins) -> Self {
        Universe { native, lists, pins, offers: RefCell::default(), notes: RefCell::default() }
    }

    /// What was passed over so far.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.borrow().iter().cloned().collect()
    }

    /// Every version of a name, the highest first.
    pub(crate) fn offers(&self, name: &str) -> Rc<Vec<Rc<Offer>>> {
        if let Some(known) = self.offers.borrow().get(name) {
            return Rc::clone(known);
        }
        let mut found: Vec<Offer> = Vec::new();
        for (at, listed) in self.lists.iter().enumerate() {
            for stanza in listed.index.named(name) {
                match self.offer(at, stanza) {
                    Ok(offer) => merge(&mut found, offer),
                    Err(why) => {
                        let name = inventory::printable(name);
                        self.notes.borrow_mut().insert(format!("a version of {name} is passed over: {why}"));
                    }
                }
            }
        }
        found.sort_by(|a, b| b.unit.version.cmp(&a.unit.version));
        let found = Rc::new(found.into_iter().map(Rc::new).collect::<Vec<_>>());
        self.offers.borrow_mut().insert(name.to_owned(), Rc::clone(&found));
        found
    }

    /// Names of packages that provide a name.
    pub(crate) fn providers(&self, name: &str) -> BTreeSet<String> {
        let providing = |listed: &'_ Listed| {
            let stanzas = listed.index.providing(name).iter().take(PROVIDERS_MAX);
            let names = stanzas.map(|stanza| String::from_utf8_lossy(listed.index.name(stanza)).into_owned());
            names.collect::<Vec<_>>()
        };
        self.lists.iter().flat_map(providing).collect()
    }

    /// The candidate for a place, as apt has it: of the highest priority the highest version; never one below what is
    /// installed, unless its priority is a thousand or more (which we do not follow: nothing is ever downgraded).
    pub(crate) fn candidate(
        &self,
        key: &Key,
        installed: Option<&Unit>,
        security_only: bool,
    ) -> Option<Rc<Offer>> {
        let (mut best, mut best_priority) =
            (None, installed.map_or(0, |unit| self.priority_of_installed(unit)));
        for offer in self.offers(&key.0).iter() {
            let fits = offer.unit.key(&self.native).1 == key.1 && (!security_only || offer.is_security(self));
            let below = installed.is_some_and(|unit| offer.unit.version <= unit.version);
            if !fits || below {
                continue;
            }
            let priority = self.priority(offer);
            // On equal priority the higher version counts, and what is installed is the lowest here.
            let wins = if best.is_none() { priority >= best_priority } else { priority > best_priority };
            if priority > 0 && wins {
                (best, best_priority) = (Some(Rc::clone(offer)), priority);
            }
        }
        best
    }

    fn priority(&self, offer: &Offer) -> i32 {
        let origins = offer.lists.iter().map(|list| &self.lists[*list].origin).collect();
        self.pins.priority(&self.pinned(&offer.unit, false, origins))
    }

    /// What is installed has its own priority, and that of every list which has this very version.
    fn priority_of_installed(&self, unit: &Unit) -> i32 {
        let offers = self.offers(&unit.name);
        let same = offers.iter().filter(|offer| {
            offer.unit.version == unit.version && offer.unit.architecture == unit.architecture
        });
        let origins =
            same.flat_map(|offer| offer.lists.iter()).map(|list| &self.lists[*list].origin).collect();
        self.pins.priority(&self.pinned(unit, true, origins))
    }

    fn pinned<'a>(&self, unit: &'a Unit, installed: bool, origins: Vec<&'a Origin>) -> Pinned<'a> {
        let Unit { name, source, architecture, version, .. } = unit;
        Pinned { name, source, architecture, version: version.as_str(), installed, origins }
    }

    /// The highest version of a name that is offered at all.
    pub(crate) fn highest(&self, key: &Key) -> Option<Version> {
        let offers = self.offers(&key.0);
        let of_place = offers.iter().find(|offer| offer.unit.key(&self.native).1 == key.1);
        of_place.map(|offer| offer.unit.version.clone())
    }

    fn offer(&self, list: usize, stanza: &Stanza) -> Result<Offer, String> {
        let fields = fields_of(self.lists[list].index.text(stanza))?;
        let must = |name: &str| fields.get(name).ok_or_else(|| format!("no {name}"));
        let filename = must("filename")?;
        let relative = filename.trim_start_matches("./");
        if relative.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Err(format!("invalid file name {}", inventory::printable(filename)));
        }
        let digest = format!("sha256:{}", must("sha256")?).parse().map_err(|e| format!("{e}"))?;
        let size = must("size")?.parse().map_err(|_| "invalid size")?;
        let unit = Rc::new(Unit::of(&fields)?);
        Ok(Offer { unit, lists: vec![list], stanza: *stanza, filename: relative.to_owned(), size, digest })
    }

    /// Where an offer can be had. The same bytes lie under the same name on every mirror of a list.
    pub(crate) fn urls(&self, offer: &Offer) -> Vec<Url> {
        let bases = offer.lists.iter().flat_map(|list| &self.lists[*list].bases);
        let mut urls: Vec<Url> = Vec::new();
        for base in bases {
            if let Some(url) = below(base, &offer.filename)
                && !urls.contains(&url)
            {
                urls.push(url);
            }
        }
        urls
    }

    /// The stanza of an offer, its fields as they are named.
    pub(crate) fn record(&self, offer: &Offer) -> BTreeMap<String, String> {
        let Some(list) = offer.lists.first() else { return BTreeMap::new() };
        let text = String::from_utf8_lossy(self.lists[*list].index.text(&offer.stanza));
        deb822::named_fields(&text)
    }
}

/// The URL of a path below another that ends in a slash; every part is encoded as it must be.
pub(crate) fn below(base: &Url, path: &str) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(path.split('/'));
    Some(url)
}

fn fields_of(stanza: &[u8]) -> Result<BTreeMap<String, String>, String> {
    deb822::fields(stanza)
}

/// One version may be in several lists, and then it is one if it is the same file.
fn merge(found: &mut Vec<Offer>, offer: Offer) {
    let same = |other: &&mut Offer| {
        other.unit.version == offer.unit.version
            && other.unit.architecture == offer.unit.architecture
            && other.digest == offer.digest
            && other.filename == offer.filename
    };
    match found.iter_mut().find(same) {
        Some(known) => known.lists.extend(offer.lists),
        None => found.push(offer),
    }
}
