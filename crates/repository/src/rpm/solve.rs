//! Which packages to take: the newest of each that is wanted, and whatever these newly need. Nothing is taken back, nothing is
//! removed, and what needs something that it had not before either is not made to wait for it.

use super::{
    Request,
    relation::{Details, Relation},
    rich::Rich,
    universe::Universe,
    world::World,
};
use crate::{Error, Why, limits::PACKAGES_MAX};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
};
use version::{PackageName, Scheme, Version};

/// Additions to one selection.
const STEPS_MAX: usize = 10_000;

/// What it counts as, in comparisons, to see whether one relation meets another: versions must be read.
const MEETING_WORK: usize = 8;

/// Bytes of a dependency that count as one comparison, since an expression must be read first.
const NAME_BYTES: usize = 16;

/// An installed package.
pub(super) struct Old {
    pub(super) name: PackageName,
    pub(super) version: Version,
    architecture: String,
    /// The same package in the repositories, which tells what it provides and needs.
    pub(super) listed: Option<usize>,
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
        let named = self.universe.named(installed.name.as_str());
        // Whoever asks on is told that it has been too much.
        self.universe.spend(1, named.len()).ok()?;
        let all = named.iter().filter(fits);
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
        let mut world = self.world(&picks)?;
        for _ in 0..STEPS_MAX {
            if picks.len() > PACKAGES_MAX {
                return Err(Error::Limit(format!("more than {PACKAGES_MAX} packages to take")));
            }
            match self.next(&picks, &world)? {
                Some((at, pick)) => self.add(at, pick, &mut picks, &mut world)?,
                None => return self.check_conflicts(&picks).map(|()| picks),
            }
        }
        Err(Error::Limit(format!("more than {STEPS_MAX} steps to find what packages need")))
    }

    /// What there is when these are taken.
    fn world(&self, picks: &Picks) -> Result<World, Error> {
        let mut world = World::default();
        for at in picks.keys() {
            let details = self.universe.details(*at)?;
            self.universe.spend(1, details.provides.len().saturating_add(details.files.len()))?;
            world.add(&details);
        }
        self.remaining(picks).try_for_each(|old| world.add_old(old, self.universe))?;
        Ok(world)
    }

    /// Takes one more in.
    fn add(&self, at: usize, pick: Pick, picks: &mut Picks, world: &mut World) -> Result<(), Error> {
        let goes = pick.replaces.filter(|old| picks.values().all(|pick| pick.replaces != Some(*old)));
        self.universe.spend(1, picks.len())?;
        if picks.insert(at, pick).is_none() {
            world.add(&*self.universe.details(at)?);
        }
        match goes {
            Some(old) => world.remove_old(&self.olds[old], self.universe),
            None => Ok(()),
        }
    }

    /// Whether something is there. Where no work may be done any more it is, and whoever asks gives up.
    fn has(&self, world: &World, wanted: &Relation) -> bool {
        self.universe.spend(MEETING_WORK, world.named(&wanted.name).len()).is_err() || world.has(wanted)
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
                self.universe.spend(1, required.name.len() / NAME_BYTES)?;
                let rich = self.rich(required, *at)?;
                if is_internal(required)
                    || rich.is_met(&|r| self.has(world, r))
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
        let needed = &self.universe.details(listed)?.requires;
        self.universe.spend(1, needed.len())?;
        if !needed.contains(required) || rich.is_met(&|r| self.has(&self.before, r)) {
            return Ok(true);
        }
        if !assumed {
            self.lacked.borrow_mut().insert(format!("{} needs {required}", old.name));
        }
        Ok(false)
    }

    /// Whether something may come from a package of which nothing is known.
    fn is_of_unknown(&self, rich: &Rich, world: &World) -> Result<bool, Error> {
        let Ok(atoms) = rich.lacking(&|r| self.has(world, r)) else { return Ok(false) };
        for atom in atoms {
            let from = self.universe.providers(&atom)?;
            if from.iter().any(|at| world.unknown.contains_key(&self.universe.offer(*at).unit.name)) {
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
        let atoms = rich.lacking(&|r| self.has(world, r)).map_err(unsatisfied)?;
        let mut best = None;
        for atom in &atoms {
            for at in self.universe.providers(atom)? {
                self.universe.spend(1, picks.len().saturating_add(self.olds.len()))?;
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
                self.universe.spend(1, required.name.len() / NAME_BYTES)?;
                let rich = self.rich(required, listed)?;
                if is_internal(required)
                    || rich.is_met(&|r| self.has(world, r))
                    || !rich.is_met(&|r| self.has(&self.before, r))
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
        // What was found does not count where the work was too much.
        self.universe.spend(0, 0)?;
        let remaining: Vec<&Old> = self.remaining(picks).collect();
        for at in picks.keys() {
            let own = self.universe.details(*at)?;
            for old in &remaining {
                self.universe.spend(1, own.obsoletes.len())?;
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
        self.universe.spend(own.conflicts.len().saturating_mul(MEETING_WORK), provides.len())?;
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
        if let Err(limit) = self.universe.spend(0, 0) {
            return limit;
        }
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
        universe.spend(1, universe.named(name).len())?;
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

#[cfg(test)]
mod tests {
    use super::{
        super::{Installed, chain::Fetched, keys::Signers, source::Source},
        *,
    };
    use crate::IndexRecord;
    use inventory::rpm::{repositories::Configuration, variables::Variables};

    fn package(name: &str, version: &str, lists: &[(&str, &str)]) -> String {
        let lists = lists.iter().map(|(list, names)| {
            let entry = |word: &str| match word.split_once('=') {
                Some((name, version)) => {
                    format!("<rpm:entry name=\"{name}\" flags=\"EQ\" epoch=\"0\" ver=\"{version}\"/>")
                }
                None => format!("<rpm:entry name=\"{word}\"/>"),
            };
            let entries: String = names.split_whitespace().map(entry).collect();
            format!("<rpm:{list}>{entries}</rpm:{list}>")
        });
        format!(
            "<package type=\"rpm\"><name>{name}</name><arch>noarch</arch><version epoch=\"0\" ver=\"{version}\" rel=\"1\"/>\
             <checksum type=\"sha256\" pkgid=\"YES\">aa</checksum><size package=\"7\"/><location href=\"{name}-{version}.rpm\"/>\
             <format>{}</format></package>",
            lists.collect::<String>()
        )
    }

    /// What is taken, as `name version`, with all of `wanted` brought up to date where `installed` are at version 1.
    fn taken(packages: &[String], installed: &[&str], wanted: &[&str]) -> Result<Vec<String>, Error> {
        let installed = installed.iter().map(|name| Installed {
            name: name.parse().unwrap(),
            version: "1-1".into(),
            architecture: "noarch".into(),
            held: false,
        });
        let request = Request {
            os: inventory::OsRelease::default(),
            architecture: "x86_64".into(),
            repositories: Configuration::new(Variables::new("3.0", "x86_64")),
            files: BTreeMap::new(),
            installed: installed.collect(),
            wanted: super::super::Wanted::All,
            excluded: BTreeSet::new(),
            security_only: false,
        };
        let source = Source {
            id: "a".into(),
            bases: Vec::new(),
            keys: Vec::new(),
            checks_packages: false,
            checks_index: false,
            priority: 99,
            exclude: Vec::new(),
            include: Vec::new(),
            optional: false,
        };
        let record = IndexRecord { url: "a".into(), digest: oci::Digest::of(b""), signed_by: None, date: 0 };
        let primary = format!("<metadata xmlns:rpm=\"r\">{}</metadata>", packages.concat());
        let (signers, notes) = (Signers(None), Vec::new());
        let fetched = Fetched { source, record, primary, advisories: None, signers, notes };
        let universe = Universe::build(vec![fetched], &request)?;
        let solver = Solver::new(&universe, &request)?;
        let asked = |(at, old): (usize, &Old)| wanted.contains(&old.name.as_str()).then_some(at);
        let asked = solver.olds.iter().enumerate().filter_map(asked);
        let asked: Vec<_> = asked.filter_map(|old| Some((old, solver.candidate(old, false)?))).collect();
        let picks = solver.take(&Picks::new(), &asked)?;
        let text = |at: &usize| format!("{} {}", universe.offer(*at).unit.name, universe.offer(*at).version);
        Ok(picks.keys().map(text).collect())
    }

    #[test]
    fn what_goes_with_a_version_that_was_brought_in_counts_no_more() {
        let listed = |newer: &str| {
            let mut all = vec![
                package("program", "1", &[]),
                package("library", "1", &[("provides", "api=1 old")]),
                package("user", "1", &[("requires", "old")]),
                package("program", "2", &[("requires", "api=2")]),
                package("library", "2", &[("provides", "api=2")]),
            ];
            all.extend((!newer.is_empty()).then(|| package("user", "2", &[("requires", newer)])));
            taken(&all, &["program", "library", "user"], &["program"])
        };
        assert_eq!(listed("api=2").unwrap(), ["program 2-1", "library 2-1", "user 2-1"]);
        for newer in ["", "old", "api=1"] {
            let error = listed(newer).unwrap_err();
            assert!(matches!(error, Error::Unsatisfied { .. }), "{newer} {error:?}");
        }
    }

    #[test]
    fn a_search_gives_up_where_too_much_must_be_compared() {
        let with = |count: usize| {
            let words = |prefix: &str| (0..count).map(|n| format!("{prefix}{n} ")).collect::<String>();
            let (against, provided) = (words("x"), words("y"));
            let all = [
                package("a", "1", &[]),
                package("b", "1", &[("provides", &provided)]),
                package("a", "2", &[("conflicts", &against)]),
            ];
            taken(&all, &["a", "b"], &["a"])
        };
        assert_eq!(with(100).unwrap(), ["a 2-1"]);
        assert!(matches!(with(30_000), Err(Error::Limit(_))));
    }
}
