//! The closure of dependencies: a search through few choices in a fixed order, bounded. Nothing is ever removed or lowered, and
//! `install_if` brings nothing in: a fix needs none of what would merely go along with it.

use super::{
    state::{Ground, Problem, State},
    universe::{Offer, Universe},
};
use crate::{
    Error,
    limits::PACKAGES_MAX,
    search::{self, Search},
};
use inventory::apk::relation::Relation;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// What reading the record of one provider counts as, in comparisons.
const PROVIDER_WORK: usize = 64;

/// The world, in errors.
const WORLD: &str = "/etc/apk/world";

/// A search for a set of versions that fit together.
pub(super) struct Solver<'a> {
    pub(super) universe: &'a Universe,
    pub(super) ground: &'a Ground,
    /// Names that stay as they are.
    pub(super) frozen: &'a BTreeSet<String>,
}

/// A solution: what to set, and on whose account.
pub(super) type Solution = (BTreeMap<String, Rc<Offer>>, BTreeMap<String, String>);

/// Why there is none, and what was asked for that led there.
pub(super) type Dead = search::Dead<String>;

impl Solver<'_> {
    /// Sets all that is wanted, and what that needs.
    pub(super) fn solve(&self, wanted: &BTreeMap<String, Rc<Offer>>) -> Result<Solution, Dead> {
        let mut state = State::default();
        for offer in wanted.values() {
            state.set(Rc::clone(offer), None);
        }
        search::search(self, state).map(State::into_set)
    }

    /// Ways out, the preferred first: to bring up to date what is installed, then to add what is new.
    fn ways_out(&self, state: &State, problem: &Problem) -> Vec<Rc<Offer>> {
        match problem {
            Problem::Need { by, relation } => {
                let mut choices: Vec<_> = self.upgrade(state, by).into_iter().collect();
                choices.extend(self.meeting(state, relation));
                choices
            }
            Problem::World { relation } => self.meeting(state, relation),
            Problem::Clash { says, other, .. } => {
                [other, says].into_iter().filter_map(|name| self.upgrade(state, name)).collect()
            }
        }
    }

    /// What is what a relation names: newer versions of what is installed first, of what is new the named package first, then
    /// by preference. A name without a version is provided by chance: it brings in only who has a preference.
    fn meeting(&self, state: &State, relation: &Relation) -> Vec<Rc<Offer>> {
        let providers = self.universe.providers(&relation.name);
        let names: BTreeSet<&String> =
            self.ground.providing(&relation.name).iter().chain(&providers).chain([&relation.name]).collect();
        let mut found: Vec<Rc<Offer>> = Vec::new();
        self.ground.spend(names.len(), PROVIDER_WORK);
        for name in names
            .into_iter()
            .filter(|name| !state.is_set(name) && !self.frozen.contains(*name))
            .take(PACKAGES_MAX)
        {
            let least = self.ground.installed.get(name).map(|unit| &unit.version);
            let offers = self.universe.offers(name);
            let provided: usize = offers.iter().map(|offer| 1 + offer.unit.provides.len()).sum();
            if self.ground.spend(1, provided) {
                break;
            }
            let offer = self.universe.meeting(name, relation, least);
            found.extend(offer.filter(|offer| least.is_some() || is_meant(offer, &relation.name)));
        }
        let rank = |offer: &Rc<Offer>| {
            let unit = &offer.unit;
            let is_new = !self.ground.installed.contains_key(&unit.name);
            (is_new, unit.name != relation.name, Reverse(unit.priority), unit.name.clone())
        };
        found.sort_by_key(rank);
        found
    }

    /// The candidate for what is installed and not set yet.
    fn upgrade(&self, state: &State, name: &str) -> Option<Rc<Offer>> {
        let installed = self.ground.installed.get(name)?;
        if state.is_set(name) || self.frozen.contains(name) {
            return None;
        }
        self.universe.candidate(name, &installed.version)
    }

    fn told(&self, state: &State, problem: &Problem) -> Error {
        let shown = inventory::printable;
        let named = |name: &str| {
            let version = state.at(self.ground, name).map(|unit| shown(unit.version.as_str()));
            (name.parse(), version.unwrap_or_default())
        };
        let invalid = Error::Internal("a name that is none");
        match problem {
            Problem::World { relation } => {
                let why = format!("it needs {}: {}", shown(&relation.to_string()), self.why_not(relation));
                Error::Configuration { path: WORLD.to_owned(), why }
            }
            Problem::Need { by, relation } => match named(by) {
                (Ok(package), version) => {
                    let (dependency, why) = (shown(&relation.to_string()), self.why_not(relation));
                    Error::Unsatisfied { package, version, dependency, why }
                }
                _ => invalid,
            },
            Problem::Clash { says, other, relation } => match named(says) {
                (Ok(package), version) => {
                    Error::Conflict { package, version, other: shown(other), relation: shown(relation) }
                }
                _ => invalid,
            },
        }
    }

    fn why_not(&self, relation: &Relation) -> String {
        let name = inventory::printable(&relation.name);
        match () {
            () if self.frozen.contains(&relation.name) => format!("{name} is held or excluded"),
            () if self.universe.knows(&relation.name) => {
                format!("the repositories have no version of {name} that fits")
            }
            () => "the repositories have no such package".into(),
        }
    }
}

/// Whether a package that is new may come in for a name.
fn is_meant(offer: &Offer, name: &str) -> bool {
    let unit = &offer.unit;
    let versioned = || unit.provides.iter().any(|p| p.name == name && p.version.is_some());
    unit.name == name || unit.priority.is_some() || versioned()
}

impl Search for Solver<'_> {
    type State = State;
    type Key = String;
    type Problem = Problem;
    type Choice = Rc<Offer>;

    fn problem(&self, state: &mut State) -> Option<(String, Problem)> {
        state.problem(self.ground)
    }

    fn choices(&self, state: &State, problem: &Problem) -> Vec<Rc<Offer>> {
        self.ways_out(state, problem)
    }

    fn account(&self, state: &State, cause: String, problem: &Problem) -> String {
        match problem {
            Problem::Need { by, .. } if state.is_set(by) => by.clone(),
            _ => cause,
        }
    }

    fn take(&self, state: &mut State, offer: Rc<Offer>, account: String) {
        state.set(offer, Some(account));
    }

    fn size(&self, state: &State) -> usize {
        state.size()
    }

    fn root(&self, state: &State, key: &String) -> String {
        state.root(key)
    }

    fn error(&self, state: &State, problem: &Problem) -> Error {
        self.told(state, problem)
    }

    fn is_spent(&self) -> bool {
        self.ground.is_spent()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{index::Index, unit::tests::unit, universe::Listed},
        *,
    };

    /// What is asked for says `count` times that it cannot be with what another package provides so many times.
    fn solved(count: usize) -> Result<Solution, Dead> {
        let words = |prefix: &str| (0..count).map(|n| format!(" {prefix}{n}")).collect::<String>();
        let index = Index::of(format!("P:a\nV:2-r0\nD:{}\n", words("!x")).into()).unwrap();
        let folder = "https://mirror.example/".parse().unwrap();
        let lists = vec![Listed { index, tag: None, folder }];
        let installed = vec![unit("P:a\nV:1-r0"), unit(&format!("P:b\nV:1-r0\np:{}", words("y")))];
        let (ground, frozen) = (Ground::new(installed, Vec::new()), BTreeSet::new());
        let universe = Universe::new(lists, "x86_64".into(), Vec::new());
        let solver = Solver { universe: &universe, ground: &ground, frozen: &frozen };
        let offer = universe.candidate("a", &"1-r0".parse().unwrap()).unwrap();
        solver.solve(&BTreeMap::from([("a".to_owned(), offer)]))
    }

    #[test]
    fn a_search_gives_up_where_too_much_must_be_compared() {
        assert_eq!(solved(100).ok().map(|(set, _)| set.len()), Some(1));
        assert!(matches!(solved(90_000).err().map(|dead| dead.error), Some(Error::Limit(_))));
    }
}
