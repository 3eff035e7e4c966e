//! Everything that the repositories offer, and how it is found: by name at once, by what is provided where that is asked for.

use super::{
    Request,
    advisories::Advisories,
    chain::{Fetched, located},
    keys::Signers,
    primary::{Unit, units},
    relation::{Details, Relation, details},
    replaced::{Provenance, Replaced},
    source::Source,
};
use crate::{Chosen, Error, Format, Why};
use fetch::client::Url;
use inventory::rpm::glob;
use memchr::memmem;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};
use version::{PackageName, Scheme, Version};

/// Steps that comparing names with the patterns of one repository may take.
const GLOB_STEPS: u64 = 200_000_000;

/// Names that are sought for in all documents. Real packages newly need some few.
const NAMES_MAX: usize = 5_000;

/// Bytes of records that are read in full. Those of what an image has are some few megabytes.
const READ_BYTES_MAX: usize = 256 << 20;

/// Comparisons made for one image in all searches together: half a minute or so. Hundreds of packages take a hundredth.
const WORK_MAX: u64 = 5_000_000_000;

/// Bytes that are searched in the time of one comparison.
const BYTES_AT_ONCE: usize = 64;

/// A repository that has been read.
struct Repository {
    source: Source,
    signers: Signers,
    text: String,
    /// What is known of it, for messages.
    url: String,
}

/// A package that may be taken.
pub(super) struct Offer {
    repository: usize,
    pub(super) unit: Unit,
    pub(super) version: Version,
    /// A security advisory names it.
    pub(super) is_security: bool,
}

/// What all repositories offer.
pub(super) struct Universe {
    repositories: Vec<Repository>,
    /// In the order of the repositories and of their documents.
    offers: Vec<Offer>,
    by_name: HashMap<String, Vec<usize>>,
    known: RefCell<HashMap<usize, Rc<Details>>>,
    /// Bytes of the records that are known.
    read: Cell<usize>,
    /// Comparisons made so far.
    work: Cell<u64>,
    providers: RefCell<HashMap<String, Rc<Vec<usize>>>>,
}

impl Universe {
    /// Of repositories that have been fetched, and what is installed.
    pub(super) fn build(fetched: Vec<Fetched>, request: &Request) -> Result<Universe, Error> {
        let accepted = architectures(request);
        let mut universe = Universe {
            repositories: Vec::new(),
            offers: Vec::new(),
            by_name: HashMap::new(),
            known: RefCell::default(),
            read: Cell::default(),
            work: Cell::default(),
            providers: RefCell::default(),
        };
        for one in fetched {
            universe.add(one, &accepted)?;
        }
        universe.prefer();
        for (at, offer) in universe.offers.iter().enumerate() {
            universe.by_name.entry(offer.unit.name.clone()).or_default().push(at);
        }
        Ok(universe)
    }

    /// Takes the comparisons of so many things with so many others. An error where there have been too many, and from then on.
    pub(super) fn spend(&self, things: usize, others: usize) -> Result<(), Error> {
        let work = (things as u64).saturating_mul(others as u64).saturating_add(1);
        self.work.set(self.work.get().saturating_add(work));
        match self.work.get() > WORK_MAX {
            true => Err(Error::Limit(format!("no set of versions found in {WORK_MAX} comparisons"))),
            false => Ok(()),
        }
    }

    fn add(&mut self, fetched: Fetched, accepted: &BTreeSet<String>) -> Result<(), Error> {
        let url = fetched.record.url;
        let malformed = |why| Error::NotAnIndex { url: url.clone(), why: format!("its primary: {why}") };
        let units =
            units(&fetched.primary, &|architecture| accepted.contains(architecture)).map_err(malformed)?;
        let mut advisories = Advisories::default();
        if let Some(text) = &fetched.advisories {
            let malformed =
                |why| Error::NotAnIndex { url: url.clone(), why: format!("its updateinfo: {why}") };
            advisories.add(text).map_err(malformed)?;
        }
        let (mut steps, repository) = (GLOB_STEPS, self.repositories.len());
        let mut fits = |patterns: &[String], unit: &Unit| {
            let texts = [unit.name.clone(), format!("{}.{}", unit.name, unit.architecture)];
            patterns.iter().any(|pattern| texts.iter().any(|text| glob::fits(pattern, text, &mut steps)))
        };
        let source = fetched.source;
        for unit in units {
            let left_out =
                fits(&source.exclude, &unit) || (!source.include.is_empty() && !fits(&source.include, &unit));
            // What is not of this form has never been installed here by any name either.
            let Ok(version) = Scheme::Rpm.parse(&unit.version) else { continue };
            if !left_out && !unit.elsewhere {
                let is_security = advisories.name(&unit.name, &unit.version, &unit.architecture);
                self.offers.push(Offer { repository, unit, version, is_security });
            }
        }
        self.repositories.push(Repository { source, signers: fetched.signers, text: fetched.primary, url });
        Ok(())
    }

    /// Of a name that several repositories have, only those count that come before the others.
    fn prefer(&mut self) {
        let mut best: HashMap<String, u32> = HashMap::new();
        let priorities: Vec<u32> = self.repositories.iter().map(|r| r.source.priority).collect();
        for offer in &self.offers {
            let own = priorities[offer.repository];
            let best = best.entry(offer.unit.name.clone()).or_insert(own);
            *best = own.min(*best);
        }
        self.offers.retain(|offer| best.get(&offer.unit.name) == Some(&priorities[offer.repository]));
    }

    pub(super) fn offer(&self, at: usize) -> &Offer {
        &self.offers[at]
    }

    /// Everything of a name.
    pub(super) fn named(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// What a package says of itself beside its head.
    pub(super) fn details(&self, at: usize) -> Result<Rc<Details>, Error> {
        if let Some(known) = self.known.borrow().get(&at) {
            return Ok(Rc::clone(known));
        }
        let offer = self.offer(at);
        let repository = &self.repositories[offer.repository];
        self.read.set(self.read.get() + offer.unit.span.len());
        if self.read.get() > READ_BYTES_MAX {
            return Err(Error::Limit(format!("records of packages of more than {READ_BYTES_MAX} bytes")));
        }
        let malformed = |why| Error::NotAnIndex {
            url: repository.url.clone(),
            why: format!("its record of {}: {why}", inventory::printable(&offer.unit.name)),
        };
        let read = Rc::new(details(&repository.text[offer.unit.span.clone()]).map_err(malformed)?);
        self.known.borrow_mut().insert(at, Rc::clone(&read));
        Ok(read)
    }

    /// Everything that meets a relation.
    pub(super) fn providers(&self, wanted: &Relation) -> Result<Vec<usize>, Error> {
        let mut meeting = Vec::new();
        for at in self.mentioning(&wanted.name)?.iter().copied() {
            let details = self.details(at)?;
            self.spend(1, details.provides.len().saturating_add(details.files.len()))?;
            let is_file = wanted.bound.is_none() && details.files.contains(&wanted.name);
            if is_file || details.provides.iter().any(|provided| provided.meets(wanted)) {
                meeting.push(at);
            }
        }
        Ok(meeting)
    }

    /// Everything in whose record a name is among what is provided, or among the files.
    fn mentioning(&self, name: &str) -> Result<Rc<Vec<usize>>, Error> {
        if let Some(known) = self.providers.borrow().get(name) {
            return Ok(Rc::clone(known));
        }
        if self.providers.borrow().len() == NAMES_MAX {
            return Err(Error::Limit(format!("more than {NAMES_MAX} names that packages need")));
        }
        let escaped =
            name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let mut forms = vec![format!("name=\"{escaped}\"")];
        if name.starts_with('/') {
            forms.push(format!(">{escaped}</file>"));
        }
        let mut found = BTreeSet::new();
        for (number, repository) in self.repositories.iter().enumerate() {
            for form in &forms {
                let text = repository.text.as_bytes();
                self.spend(1, text.len() / BYTES_AT_ONCE)?;
                for position in memmem::find_iter(text, form.as_bytes()) {
                    let Some(at) = self.at_position(number, position) else { continue };
                    let before = &text[self.offer(at).unit.span.start..position];
                    self.spend(1, before.len() / BYTES_AT_ONCE)?;
                    if form.starts_with('>') || is_among_provides(before) {
                        found.insert(at);
                    }
                }
            }
        }
        let found = Rc::new(found.into_iter().collect::<Vec<_>>());
        self.providers.borrow_mut().insert(name.to_owned(), Rc::clone(&found));
        Ok(found)
    }

    /// The package whose record has a place of a repository's document.
    fn at_position(&self, repository: usize, position: usize) -> Option<usize> {
        let after =
            self.offers.partition_point(|o| (o.repository, o.unit.span.start) <= (repository, position));
        let at = after.checked_sub(1)?;
        let offer = self.offer(at);
        (offer.repository == repository && offer.unit.span.contains(&position)).then_some(at)
    }

    pub(super) fn priority(&self, at: usize) -> u32 {
        self.repositories[self.offer(at).repository].source.priority
    }

    fn urls(&self, at: usize) -> Result<Vec<Url>, Error> {
        let Offer { repository, unit, .. } = self.offer(at);
        let bases = &self.repositories[*repository].source.bases;
        bases.iter().map(|base| located(base, &unit.location)).collect()
    }

    /// Where the beginning of an installed package's file is.
    fn replaced(&self, at: usize) -> Result<Option<Replaced>, Error> {
        let Offer { repository, unit, .. } = self.offer(at);
        let end = self.details(at)?.header_end;
        let known = || {
            Ok(Replaced {
                name: unit.name.clone(),
                version: unit.version.clone(),
                architecture: unit.architecture.clone(),
                urls: self.urls(at)?,
                signers: self.repositories[*repository].signers.clone(),
                end,
            })
        };
        (end > 0).then(known).transpose()
    }

    /// A package as it is to be taken in the place of an installed one that is in the repositories too.
    pub(super) fn chosen(&self, at: usize, old: Option<usize>, why: Why) -> Result<Chosen, Error> {
        let Offer { repository, unit, .. } = self.offer(at);
        let repository = &self.repositories[*repository];
        let malformed = |why: String| Error::NotAnIndex {
            url: repository.url.clone(),
            why: format!("its record of {}: {why}", inventory::printable(&unit.name)),
        };
        let digest = unit.digest.clone().unwrap_or_else(|| Err("no checksum".into())).map_err(malformed)?;
        let replaced = old.map(|old| self.replaced(old)).transpose()?.flatten();
        let name: PackageName =
            unit.name.parse().map_err(|e: version::NameError| malformed(e.to_string()))?;
        Ok(Chosen {
            name,
            version: unit.version.clone(),
            architecture: unit.architecture.clone(),
            urls: self.urls(at)?,
            format: Format::Rpm(Provenance { signers: repository.signers.clone(), replaced }),
            size: unit.size,
            digest,
            why,
            record: BTreeMap::from([
                ("repository".to_owned(), repository.source.id.clone()),
                ("location".to_owned(), unit.location.clone()),
            ]),
        })
    }
}

/// Whether what comes after this beginning of a record lies in its list of what is provided: the last tag that begins or ends a
/// list says so. Nearly all packages name the C library among what they need.
fn is_among_provides(before: &[u8]) -> bool {
    memmem::rfind(before, b"s>").is_some_and(|at| before[..=at].ends_with(b"provides"))
}

/// Architectures that may be taken: the image's own, those of what is installed beside, and none.
fn architectures(request: &Request) -> BTreeSet<String> {
    let installed = request.installed.iter().map(|p| p.architecture.clone());
    installed.chain([request.architecture.clone(), "noarch".to_owned()]).collect()
}
