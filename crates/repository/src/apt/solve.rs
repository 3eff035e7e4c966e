//! The closure of dependencies: a search through few choices in a fixed order, bounded. Nothing is ever removed or lowered.

use super::{
    relation::{self, Atom, Group},
    state::{Ground, Problem, State},
    unit::{Key, Unit},
    universe::{Offer, Universe},
};
use crate::{
    Error,
    limits::PACKAGES_MAX,
    search::{self, Search},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// A search for a set of versions that fit together.
pub(crate) struct Solver<'a> {
    pub(crate) universe: &'a Universe,
    pub(crate) ground: &'a Ground,
    /// Names that stay as they are: held ones, and those the operator leaves out.
    pub(crate) frozen: &'a BTreeSet<String>,
}

/// A solution: what to set where, and on whose account.
pub(crate) type Solution = (BTreeMap<Key, Rc<Offer>>, BTreeMap<Key, Key>);

/// Why there is none, and what was asked for that led there.
pub(crate) type Dead = search::Dead<Key>;

/// One way out of a problem.
type Choice = (Key, Rc<Offer>);

impl Solver<'_> {
    /// Sets all that is wanted, and what that needs.
    pub(crate) fn solve(&self, wanted: &BTreeMap<Key, Rc<Offer>>) -> Result<Solution, Dead> {
        let mut state = State::default();
        for (key, offer) in wanted {
            state.set(key.clone(), Rc::clone(offer), None);
        }
        search::search(self, state).map(State::into_set)
    }

    /// Ways out, the preferred first: to bring up to date what is installed, then to add what is new.
    fn ways_out(&self, state: &State, problem: &Problem) -> Vec<Choice> {
        match problem {
            Problem::Need { by, group } => self.for_need(state, by, group),
            Problem::Clash { says, other, atom } => {
                let without = |unit: &Unit| !unit.is_meant_by(atom, &self.universe.native);
                let other = self.upgrade(state, other).filter(|(_, offer)| without(&offer.unit));
                other.into_iter().chain(self.upgrade(state, says)).collect()
            }
            Problem::Apart { other, like } => self.same_version(state, other, like).into_iter().collect(),
        }
    }

    fn for_need(&self, state: &State, by: &Key, group: &Group) -> Vec<Choice> {
        let mut choices: Vec<Choice> = self.upgrade(state, by).into_iter().collect();
        let needer = &by.1;
        let meets = |atom: &Atom, offer: &Offer| offer.unit.meets(atom, needer, &self.universe.native);
        for atom in group {
            if self.ground.spend(self.ground.installed.len(), 4) {
                break;
            }
            let installed =
                self.ground.installed.iter().filter(|(key, unit)| *key != by && unit.answers_to(&atom.name));
            let upgrades = installed.filter_map(|(key, _)| self.upgrade(state, key));
            choices.extend(upgrades.filter(|(_, offer)| meets(atom, offer)));
        }
        for atom in group {
            let names = std::iter::once(atom.name.clone()).chain(self.universe.providers(&atom.name));
            for name in names.take(PACKAGES_MAX) {
                if self.ground.spend(1, 64) {
                    break;
                }
                choices.extend(self.addition(state, &name, needer).filter(|(_, offer)| meets(atom, offer)));
            }
        }
        choices
    }

    /// The candidate for what is installed and not set yet.
    fn upgrade(&self, state: &State, key: &Key) -> Option<Choice> {
        let installed = self.ground.installed.get(key)?;
        if state.is_set(key) || self.frozen.contains(&key.0) {
            return None;
        }
        Some((key.clone(), self.universe.candidate(key, Some(installed), false)?))
    }

    /// The candidate for what is not there yet.
    fn addition(&self, state: &State, name: &str, architecture: &str) -> Option<Choice> {
        let key = (name.to_owned(), architecture.to_owned());
        if state.at(self.ground, &key).is_some() || self.frozen.contains(name) {
            return None;
        }
        let offer = self.universe.candidate(&key, None, false)?;
        Some((key, offer))
    }

    fn same_version(&self, state: &State, other: &Key, like: &Key) -> Option<Choice> {
        let unit = state.at(self.ground, like)?;
        if state.is_set(other) || self.frozen.contains(&other.0) {
            return None;
        }
        let offers = self.universe.offers(&other.0);
        let fits = |offer: &&Rc<Offer>| {
            offer.unit.version == unit.version && offer.unit.key(&self.universe.native) == *other
        };
        offers.iter().find(fits).map(|offer| (other.clone(), Rc::clone(offer)))
    }

    fn told(&self, state: &State, problem: &Problem) -> Error {
        let named = |key: &Key| {
            let unit = state.at(self.ground, key);
            let version = unit.map_or_else(String::new, |unit| inventory::printable(unit.version.as_str()));
            (key.0.parse(), version)
        };
        let invalid = Error::Internal("a name that is none");
        match problem {
            Problem::Need { by, group } => match named(by) {
                (Ok(package), version) => {
                    let (dependency, why) =
                        (inventory::printable(&relation::shown(group)), self.why_not(group));
                    Error::Unsatisfied { package, version, dependency, why }
                }
                _ => invalid,
            },
            Problem::Clash { says, other, atom } => match named(says) {
                (Ok(package), version) => {
                    let relation = format!("it is against {atom}");
                    Error::Conflict {
                        package,
                        version,
                        other: other.0.clone(),
                        relation: inventory::printable(&relation),
                    }
                }
                _ => invalid,
            },
            Problem::Apart { other, like } => match named(like) {
                (Ok(package), version) => {
                    let other = format!("{}:{}", other.0, other.1);
                    Error::Conflict {
                        package,
                        version,
                        other,
                        relation: "both must have the same version".into(),
                    }
                }
                _ => invalid,
            },
        }
    }

    fn why_not(&self, group: &Group) -> String {
        let frozen = group.iter().find(|atom| self.frozen.contains(&atom.name));
        if let Some(atom) = frozen {
            return format!("{} is held or excluded", inventory::printable(&atom.name));
        }
        let offered = |atom: &&Atom| !self.universe.offers(&atom.name).is_empty();
        match group.iter().find(offered) {
            Some(atom) => {
                format!("the repositories have no version of {} that fits", inventory::printable(&atom.name))
            }
            None => "the repositories have no such package".into(),
        }
    }
}

impl Search for Solver<'_> {
    type State = State;
    type Key = Key;
    type Problem = Problem;
    type Choice = Choice;

    fn problem(&self, state: &mut State) -> Option<(Key, Problem)> {
        state.problem(self.ground)
    }

    fn choices(&self, state: &State, problem: &Problem) -> Vec<Choice> {
        self.ways_out(state, problem)
    }

    fn account(&self, state: &State, cause: Key, problem: &Problem) -> Key {
        match problem {
            Problem::Need { by, .. } if state.is_set(by) => by.clone(),
            _ => cause,
        }
    }

    fn take(&self, state: &mut State, (key, offer): Choice, account: Key) {
        state.set(key, offer, Some(account));
    }

    fn size(&self, state: &State) -> usize {
        state.size()
    }

    fn root(&self, state: &State, key: &Key) -> Key {
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
    use super::*;
    use crate::apt::{
        deb822,
        index::Index,
        pins::{Origin, Pins},
        release::Release,
        universe::Listed,
    };

    /// `name version [architecture]`, then fields, one a line; as a stanza of a list.
    fn stanza(text: &str) -> String {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let words: Vec<&str> = first.split(' ').collect();
        let architecture = words.get(2).unwrap_or(&"amd64");
        format!(
            "Package: {}\nVersion: {}\nArchitecture: {architecture}\nFilename: {}.deb\nSize: 1\nSHA256: {}\n{rest}\n",
            words[0],
            words[1],
            words[0],
            "a".repeat(64)
        )
    }

    /// What is set in the end, as `name:architecture version`, or the error.
    fn solve(installed: &[&str], offered: &[&str], wanted: &[&str]) -> Result<Vec<String>, String> {
        let list = offered.iter().map(|text| stanza(text)).collect::<Vec<_>>().join("\n");
        let release = Release::parse("Date: Thu, 01 Jan 1970 00:00:00 GMT\n").unwrap().into();
        let origin =
            Origin { release, component: String::new(), architecture: "amd64".into(), site: String::new() };
        let index = Index::of(list.into_bytes()).unwrap();
        let universe =
            Universe::new("amd64".into(), vec![Listed { index, origin, bases: Vec::new() }], Pins::default());
        let units =
            installed.iter().map(|text| Unit::of(&deb822::fields(stanza(text).as_bytes()).unwrap()).unwrap());
        let installed = units.map(|unit| (unit.key("amd64"), Rc::new(unit))).collect();
        let ground = Ground { native: "amd64".into(), installed, work: Default::default() };
        let solver = Solver { universe: &universe, ground: &ground, frozen: &["frozen".to_owned()].into() };
        let of_name = ground.installed.iter().filter(|(key, _)| wanted.contains(&key.0.as_str()));
        let candidate =
            |(key, unit): (&Key, &Rc<Unit>)| Some((key.clone(), universe.candidate(key, Some(unit), false)?));
        let (set, _) =
            solver.solve(&of_name.filter_map(candidate).collect()).map_err(|dead| dead.error.to_string())?;
        Ok(set.iter().map(|(key, offer)| format!("{}:{} {}", key.0, key.1, offer.unit.version)).collect())
    }

    #[test]
    fn a_choice_that_leads_nowhere_is_taken_back() {
        let offered = [
            "a 2\nDepends: x | y | z, b",
            "x 1\nDepends: x2",
            "x2 1\nDepends: nowhere",
            "y 1\nConflicts: c",
            "z 1",
            "b 1\nDepends: x | z",
        ];
        assert_eq!(
            solve(&["a 1", "c 1"], &offered, &["a"]).unwrap(),
            ["a:amd64 2", "b:amd64 1", "z:amd64 1"]
        );
    }

    #[test]
    fn packages_of_two_architectures_stay_at_one_version() {
        let same = "\nMulti-Arch: same";
        let of = |version: &str, architecture: &str| format!("l {version} {architecture}{same}");
        let installed = [of("1", "amd64"), of("1", "i386"), "a 1".into()];
        let installed: Vec<&str> = installed.iter().map(String::as_str).collect();
        let offered = [of("2", "amd64"), of("2", "i386"), "a 2\nDepends: l (>= 2)".into()];
        let mut offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        assert_eq!(solve(&installed, &offered, &["a"]).unwrap(), ["a:amd64 2", "l:amd64 2", "l:i386 2"]);
        offered.remove(1);
        let error = solve(&installed, &offered, &["a"]).unwrap_err();
        assert_eq!(error, "l 2 cannot be together with l:i386: both must have the same version");
    }

    #[test]
    fn what_is_installed_is_raised_before_anything_is_added() {
        let offered = ["a 2\nDepends: new | old (>= 2)", "new 1", "old 2", "u 2\nDepends: a (= 2)"];
        assert_eq!(solve(&["a 1", "old 1"], &offered, &["a"]).unwrap(), ["a:amd64 2", "old:amd64 2"]);
        let lockstep = solve(&["a 1\nDepends: old", "old 1", "u 1\nDepends: a (= 1)"], &offered, &["a"]);
        assert_eq!(lockstep.unwrap(), ["a:amd64 2", "old:amd64 2", "u:amd64 2"]);
    }

    #[test]
    fn what_stays_is_not_moved_by_others() {
        let error =
            solve(&["a 1", "frozen 1"], &["a 2\nDepends: frozen (>= 2)", "frozen 2"], &["a"]).unwrap_err();
        assert_eq!(error, "a 2 needs frozen (>= 2): frozen is held or excluded");
    }

    #[test]
    fn a_search_without_end_ends() {
        let needs = |n: usize| {
            format!(
                "p{n} 1\nDepends: {}",
                (0..20).map(|m| format!("q{m} | r{m}")).collect::<Vec<_>>().join(", ")
            )
        };
        let mut offered: Vec<String> = vec![format!("a 2\nDepends: p0"), needs(0)];
        for m in 0..20 {
            offered.extend([format!("q{m} 1"), format!("r{m} 1")]);
        }
        offered.push("z 1\nConflicts: a".into());
        offered[0].push_str(", z");
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        assert!(solve(&["a 1"], &offered, &["a"]).is_err());
    }

    #[test]
    fn a_long_way_takes_neither_all_memory_nor_all_time() {
        // Each package needs the next or another, so that every state is one to come back to.
        let mut offered = vec!["a 2\nDepends: p0".to_owned()];
        for n in 0..3000 {
            offered.push(format!("p{n} 1\nDepends: p{} | a", n + 1).replace("| a", "| other"));
        }
        offered.push("other 1".into());
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        let error = solve(&["a 1"], &offered, &["a"]).unwrap_err();
        assert!(error.contains("no set of versions found"), "{error}");
    }
}
