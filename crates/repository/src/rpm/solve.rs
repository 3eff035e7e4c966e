//! Which packages to take: the newest of each that is wanted, and whatever these newly need. Nothing is taken back, nothing is
//! removed, and what needs something that it had not before either is not made to wait for it.

use super::{
    Request,
    relation::{Details, Relation},
    rich::Rich,
    universe::Universe,
};
use crate::{Error, Why, limits::PACKAGES_MAX};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};
use version::{PackageName, Scheme, Version};

/// Additions to one selection.
const STEPS_MAX: usize = 10_000;

/// An installed package.
pub(super) struct Old {
    pub(super) name: PackageName,
    pub(super) version: Version,
    architecture: String,
    /// The same package in the repositories, which tells what it provides and needs.
    listed: Option<usize>,
    /// It stays as it is.
    frozen: bool,
}

/// A package that is taken.
#[derive(Debug, Clone)]
pub(super) struct Pick {
    /// The installed one that it takes the place of.
    replaces: Option<usize>,
    pub(super) why: Why,
}

/// What is taken, by its place in the universe.
pub(super) type Picks = BTreeMap<usize, Pick>;

/// What some packages provide together.
#[derive(Default)]
struct World {
    provides: HashMap<String, Vec<Relation>>,
    files: HashSet<String>,
    /// Names of packages of which no more is known than name and version.
    unknown: HashSet<String>,
}

pub(super) struct Solver<'u> {
    universe: &'u Universe,
    request: &'u Request,
    pub(super) olds: Vec<Old>,
    before: World,
    /// What packages need and lacked before too.
    pub(super) lacked: RefCell<BTreeSet<String>>,
}

impl<'u> Solver<'u> {
    pub(super) fn new(universe: &'u Universe, request: &'u Request) -> Result<Self, Error> {
        let olds = olds(universe, request)?;
        let mut before = World::default();
        olds.iter().try_for_each(|old| before.add_old(old, universe))?;
        Ok(Solver { universe, request, olds, before, lacked: RefCell::default() })
    }

    /// The newest package that can take an installed one's place.
    pub(super) fn candidate(&self, old: usize, security_only: bool) -> Option<usize> {
        let installed = &self.olds[old];
        if installed.frozen {
            return None;
        }
        let fits = |at: &&usize| {
            let offer = self.universe.offer(**at);
            is_successor(&offer.unit.architecture, &installed.architecture)
                && offer.version > installed.version
                && (!security_only || offer.is_security)
        };
        let all = self.universe.named(installed.name.as_str()).iter().filter(fits);
        // Of two that are equal the first repository's.
        all.copied().reduce(|best, other| {
            let newer = self.universe.offer(other).version > self.universe.offer(best).version;
            if newer { other } else { best }
        })
    }

    /// The version of a package in the repositories.
    pub(super) fn offered(&self, at: usize) -> &Version {
        &self.universe.offer(at).version
    }

    /// What a package takes the place of, where the repositories have that too.
    pub(super) fn replaced(&self, pick: &Pick) -> Option<usize> {
        pick.replaces.and_then(|old| self.olds[old].listed)
    }

    /// Takes packages in, with whatever they need.
    pub(super) fn take(&self, picks: &Picks, wanted: &[(usize, usize)]) -> Result<Picks, Error> {
        let mut picks = picks.clone();
        for (old, at) in wanted {
            picks.insert(*at, Pick { replaces: Some(*old), why: Why::Asked });
        }
        for _ in 0..STEPS_MAX {
            if picks.len() > PACKAGES_MAX {
                return Err(Error::Limit(format!("more than {PACKAGES_MAX} packages to take")));
            }
            let world = self.world(&picks)?;
            match self.next(&picks, &world)? {
                Some((at, pick)) => drop(picks.insert(at, pick)),
                None => return self.check_conflicts(&picks).map(|()| picks),
            }
        }
        Err(Error::Limit(format!("more than {STEPS_MAX} steps to find what packages need")))
    }

    /// What there is when these are taken.
    fn world(&self, picks: &Picks) -> Result<World, Error> {
        let mut world = World::default();
        for at in picks.keys() {
            world.add(&*self.universe.details(*at)?);
        }
        self.remaining(picks).try_for_each(|old| world.add_old(old, self.universe))?;
        Ok(world)
    }

    /// The installed packages that stay.
    fn remaining(&self, picks: &Picks) -> impl Iterator<Item = &Old> {
        let gone: BTreeSet<usize> = picks.values().filter_map(|pick| pick.replaces).collect();
        self.olds.iter().enumerate().filter(move |(at, _)| !gone.contains(at)).map(|(_, old)| old)
    }

    /// What must be taken next, if anything.
    fn next(&self, picks: &Picks, world: &World) -> Result<Option<(usize, Pick)>, Error> {
        for (at, pick) in picks {
            for required in &self.universe.details(*at)?.requires {
                let rich = self.rich(required, *at)?;
                if is_internal(required)
                    || rich.is_met(&|r| world.has(r))
                    || !self.matters(pick, required, &rich, world)?
                {
                    continue;
                }
                if let Some(next) = self.provider(required, &rich, *at, (picks, world))? {
                    return Ok(Some(next));
                }
            }
        }
        self.broken(picks, world)
    }

    /// Whether it matters that a package that is taken lacks something. It does not where the old version needed the same and
    /// that was not there, or was provided by a package that stays and of which nothing is known.
    fn matters(&self, pick: &Pick, required: &Relation, rich: &Rich, world: &World) -> Result<bool, Error> {
        let Some(old) = pick.replaces.map(|old| &self.olds[old]) else { return Ok(true) };
        let assumed = self.is_of_unknown(rich, world)?;
        let Some(listed) = old.listed else { return Ok(!assumed) };
        if !self.universe.details(listed)?.requires.contains(required) || rich.is_met(&|r| self.before.has(r))
        {
            return Ok(true);
        }
        if !assumed {
            self.lacked.borrow_mut().insert(format!("{} needs {required}", old.name));
        }
        Ok(false)
    }

    /// Whether something may come from a package of which nothing is known.
    fn is_of_unknown(&self, rich: &Rich, world: &World) -> Result<bool, Error> {
        let Ok(atoms) = rich.lacking(&|r| world.has(r)) else { return Ok(false) };
        for atom in atoms {
            let from = self.universe.providers(&atom)?;
            if from.iter().any(|at| world.unknown.contains(&self.universe.offer(*at).unit.name)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The best package that provides what one lacks; none where what is installed is taken to provide it.
    fn provider(
        &self,
        required: &Relation,
        rich: &Rich,
        by: usize,
        (picks, world): (&Picks, &World),
    ) -> Result<Option<(usize, Pick)>, Error> {
        let unsatisfied = |why: String| self.unsatisfied(by, required, why);
        let atoms = rich.lacking(&|r| world.has(r)).map_err(unsatisfied)?;
        let mut best = None;
        for atom in &atoms {
            for at in self.universe.providers(atom)? {
                if let Some((replaces, rank)) = self.allowed(at, picks)
                    && best.as_ref().is_none_or(|(_, _, other)| rank < *other)
                {
                    best = Some((at, replaces, rank));
                }
            }
            if best.is_some() {
                break;
            }
        }
        match best {
            Some((at, replaces, _)) => {
                let why = Why::Dependency(self.name(by)?);
                Ok(Some((at, Pick { replaces, why })))
            }
            None if self.is_of_unknown(rich, world)? => Ok(None),
            None => Err(unsatisfied("no package that may be taken provides it".into())),
        }
    }

    /// Whether a package may be taken, what it would replace, and its rank among others: one that is installed anyway before a
    /// new one, then the image's architecture, the repository's priority, the shorter name, the newer version.
    fn allowed(&self, at: usize, picks: &Picks) -> Option<(Option<usize>, Rank)> {
        let offer = self.universe.offer(at);
        let (name, architecture) = (offer.unit.name.as_str(), offer.unit.architecture.as_str());
        let same = |other: &&usize| {
            let other = &self.universe.offer(**other).unit;
            other.name == name && is_successor(&other.architecture, architecture)
        };
        if self.request.excluded.iter().any(|excluded| excluded.base() == name)
            || picks.keys().any(|p| same(&p))
        {
            return None;
        }
        let mut olds = self.olds.iter().enumerate();
        let old =
            olds.find(|(_, old)| old.name.as_str() == name && is_successor(&old.architecture, architecture));
        if old.is_some_and(|(_, old)| old.frozen || offer.version <= old.version) {
            return None;
        }
        let own = architecture == self.request.architecture || architecture == "noarch";
        let newest = std::cmp::Reverse(offer.version.clone());
        let key = (self.universe.priority(at), name.len(), name.to_owned(), newest);
        Some((old.map(|(at, _)| at), (old.is_none(), !own, key)))
    }

    /// An installed package that would lack what it has, and its own newer version, which perhaps does not need it.
    fn broken(&self, picks: &Picks, world: &World) -> Result<Option<(usize, Pick)>, Error> {
        for old in self.remaining(picks) {
            let Some(listed) = old.listed else { continue };
            for required in &self.universe.details(listed)?.requires {
                let rich = self.rich(required, listed)?;
                if is_internal(required)
                    || rich.is_met(&|r| world.has(r))
                    || !rich.is_met(&|r| self.before.has(r))
                {
                    continue;
                }
                let at = self.olds.iter().position(|other| std::ptr::eq(other, old));
                let newer = at.and_then(|at| Some((at, self.candidate(at, false)?)));
                let Some((at, next)) = newer else {
                    let why = "what is to be taken no longer provides it".to_owned();
                    return Err(self.unsatisfied(listed, required, why));
                };
                let why =
                    picks.keys().next().map_or(Ok(Why::Asked), |by| self.name(*by).map(Why::Dependency))?;
                return Ok(Some((next, Pick { replaces: Some(at), why })));
            }
        }
        Ok(None)
    }

    fn check_conflicts(&self, picks: &Picks) -> Result<(), Error> {
        for at in picks.keys() {
            let own = self.universe.details(*at)?;
            for old in self.remaining(picks) {
                let there = Relation::exactly(old.name.as_str(), old.version.as_str());
                if let Some(relation) = own.obsoletes.iter().find(|o| there.meets(o)) {
                    return Err(self.conflict(
                        *at,
                        old.name.to_string(),
                        format!("it takes the place of {relation}"),
                    ));
                }
                let Some(listed) = old.listed else {
                    self.check_pair((*at, &own), old.name.as_str(), &[there])?;
                    continue;
                };
                let other = self.universe.details(listed)?;
                self.check_pair((*at, &own), old.name.as_str(), &other.provides)?;
                self.check_pair((listed, &other), self.name(*at)?.as_str(), &own.provides)?;
            }
            for other in picks.keys().filter(|other| *other != at) {
                let name = self.name(*other)?;
                self.check_pair((*at, &own), name.as_str(), &self.universe.details(*other)?.provides)?;
            }
        }
        Ok(())
    }

    fn check_pair(
        &self,
        (at, own): (usize, &Details),
        other: &str,
        provides: &[Relation],
    ) -> Result<(), Error> {
        let conflict = own.conflicts.iter().find(|c| provides.iter().any(|p| p.meets(c)));
        match conflict {
            Some(relation) if self.universe.offer(at).unit.name != other => {
                Err(self.conflict(at, other.to_owned(), format!("it conflicts with {relation}")))
            }
            _ => Ok(()),
        }
    }

    fn conflict(&self, at: usize, other: String, relation: String) -> Error {
        let version = self.universe.offer(at).unit.version.clone();
        match self.name(at) {
            Ok(package) => {
                Error::Conflict { package, version, other: inventory::printable(&other), relation }
            }
            Err(error) => error,
        }
    }

    fn unsatisfied(&self, at: usize, dependency: &Relation, why: String) -> Error {
        let version = self.universe.offer(at).unit.version.clone();
        match self.name(at) {
            Ok(package) => Error::Unsatisfied { package, version, dependency: dependency.to_string(), why },
            Err(error) => error,
        }
    }

    fn name(&self, at: usize) -> Result<PackageName, Error> {
        self.universe.offer(at).unit.name.parse().map_err(|_| Error::Internal("a name that is none"))
    }

    fn rich(&self, required: &Relation, by: usize) -> Result<Rich, Error> {
        Rich::of(required).map_err(|why| self.unsatisfied(by, required, why))
    }
}

/// By which the lowest is the best.
type Rank = (bool, bool, (u32, usize, String, std::cmp::Reverse<Version>));

impl World {
    fn add(&mut self, details: &Details) {
        for provided in &details.provides {
            self.provides.entry(provided.name.clone()).or_default().push(provided.clone());
        }
        self.files.extend(details.files.iter().cloned());
    }

    fn add_old(&mut self, old: &Old, universe: &Universe) -> Result<(), Error> {
        match old.listed {
            Some(at) => {
                let details: Rc<Details> = universe.details(at)?;
                self.add(&details);
            }
            None => {
                let name = old.name.to_string();
                let own = Relation::exactly(&name, old.version.as_str());
                self.provides.entry(name.clone()).or_default().push(own);
                self.unknown.insert(name);
            }
        }
        Ok(())
    }

    fn has(&self, wanted: &Relation) -> bool {
        let provided = self.provides.get(&wanted.name);
        provided.is_some_and(|all| all.iter().any(|p| p.meets(wanted)))
            || (wanted.bound.is_none() && self.files.contains(&wanted.name))
    }
}

/// What rpm itself provides; we open every form of package that there is.
fn is_internal(required: &Relation) -> bool {
    required.name.starts_with("rpmlib(")
}

/// Whether a package of one architecture takes the place of one of the other.
fn is_successor(new: &str, old: &str) -> bool {
    new == old || new == "noarch" || old == "noarch"
}

fn olds(universe: &Universe, request: &Request) -> Result<Vec<Old>, Error> {
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    for package in &request.installed {
        *counts.entry((package.name.as_str(), &package.architecture)).or_default() += 1;
    }
    let one = |package: &super::Installed| {
        let version = Scheme::Rpm
            .parse(&package.version)
            .map_err(|why| Error::Configuration { path: package.name.to_string(), why: why.to_string() })?;
        let (name, architecture) = (package.name.as_str(), package.architecture.as_str());
        let is_it = |at: &&usize| {
            let offer = universe.offer(**at);
            offer.unit.architecture == architecture && offer.version == version
        };
        let several = counts.get(&(name, architecture)).is_some_and(|count| *count > 1);
        Ok(Old {
            listed: universe.named(name).iter().find(is_it).copied(),
            frozen: package.held
                || several
                || request.excluded.iter().any(|excluded| excluded.base() == name),
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            version,
        })
    };
    request.installed.iter().map(one).collect()
}
