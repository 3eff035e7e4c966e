//! Which versions there are together: what is installed, and what has been set in its place so far.

use super::{
    relation::{Atom, Group},
    unit::{Key, MultiArch, Unit},
    universe::Offer,
};
use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

/// Comparisons made for one image in all searches together: half a minute or so. A whole desktop takes a fiftieth.
const WORK_MAX: u64 = 5_000_000_000;

/// What does not change while a solution is sought.
pub(crate) struct Ground {
    pub(crate) native: String,
    pub(crate) installed: BTreeMap<Key, Rc<Unit>>,
    /// Comparisons made so far.
    pub(crate) work: Cell<u64>,
}

/// What has been set, in what order it is to be looked at, and on whose account.
#[derive(Clone, Default)]
pub(crate) struct State {
    set: BTreeMap<Key, Rc<Offer>>,
    /// For what is set on account of another.
    why: BTreeMap<Key, Key>,
    todo: VecDeque<Key>,
}

/// What is wrong with a state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Problem {
    /// A package needs what is not there.
    Need { by: Key, group: Group },
    /// Two packages are there of which one is against the other.
    Clash { says: Key, other: Key, atom: Atom },
    /// A package of another architecture must have this very version.
    Apart { other: Key, like: Key },
}

impl State {
    pub(crate) fn set(&mut self, key: Key, offer: Rc<Offer>, on_account_of: Option<Key>) {
        if let Some(by) = on_account_of {
            self.why.insert(key.clone(), by);
        }
        self.todo.push_back(key.clone());
        self.set.insert(key, offer);
    }

    pub(crate) fn is_set(&self, key: &Key) -> bool {
        self.set.contains_key(key)
    }

    pub(crate) fn size(&self) -> usize {
        self.set.len()
    }

    pub(crate) fn into_set(self) -> (BTreeMap<Key, Rc<Offer>>, BTreeMap<Key, Key>) {
        (self.set, self.why)
    }

    /// What was asked for at the beginning of the chain that led here.
    pub(crate) fn root(&self, key: &Key) -> Key {
        let mut at = key;
        // Each step leads to what was set before, so it ends; the bound is for the reader.
        for _ in 0..=self.why.len() {
            match self.why.get(at) {
                Some(by) => at = by,
                None => break,
            }
        }
        at.clone()
    }

    /// The unit at a place.
    pub(crate) fn at<'s>(&'s self, ground: &'s Ground, key: &Key) -> Option<&'s Rc<Unit>> {
        self.set.get(key).map(|offer| &offer.unit).or_else(|| ground.installed.get(key))
    }

    /// All that is there.
    pub(crate) fn all<'s>(&'s self, ground: &'s Ground) -> impl Iterator<Item = (&'s Key, &'s Rc<Unit>)> {
        let kept = ground.installed.iter().filter(|(key, _)| !self.set.contains_key(*key));
        kept.chain(self.set.iter().map(|(key, offer)| (key, &offer.unit)))
    }

    /// Whether a need is met. Where no work may be done any more it is, and whoever asks gives up.
    fn meets(&self, ground: &Ground, group: &[Atom], needer: &str) -> bool {
        // By name first: that is a range of the map, and nearly always the answer.
        group.iter().any(|atom| ground.spend(8, 1) || self.meets_by_name(ground, atom, needer))
            || self.all(ground).any(|(_, unit)| {
                ground.spend(group.len(), unit.provides.len())
                    || (!unit.provides.is_empty()
                        && group.iter().any(|atom| unit.meets(atom, needer, &ground.native)))
            })
    }

    fn meets_by_name(&self, ground: &Ground, atom: &Atom, needer: &str) -> bool {
        let range = (atom.name.clone(), String::new())..;
        let is_name = |(key, _): &(&Key, _)| key.0 == atom.name;
        let meets = |unit: &Unit| unit.meets(atom, needer, &ground.native);
        let installed = ground.installed.range(range.clone()).take_while(is_name);
        let set = self.set.range(range).take_while(|(key, _)| key.0 == atom.name);
        installed.into_iter().any(|(key, unit)| !self.set.contains_key(key) && meets(unit))
            || set.into_iter().any(|(_, offer)| meets(&offer.unit))
    }

    /// The first problem that what was set last has brought, with the place that brought it.
    pub(crate) fn problem(&mut self, ground: &Ground) -> Option<(Key, Problem)> {
        while let Some(key) = self.todo.front() {
            if let Some(problem) = self.problem_of(ground, key) {
                return Some((key.clone(), problem));
            }
            self.todo.pop_front();
        }
        None
    }

    fn problem_of(&self, ground: &Ground, key: &Key) -> Option<Problem> {
        let unit = self.at(ground, key)?;
        self.unmet(ground, key, unit, |_| true)
            .or_else(|| self.clash(ground, key, unit))
            .or_else(|| self.apart(ground, key, unit))
            .or_else(|| self.forsaken(ground, key, unit))
    }

    /// A need of a unit that is not met, was not unmet before, and is looked for.
    fn unmet(
        &self,
        ground: &Ground,
        key: &Key,
        unit: &Unit,
        looked_for: impl Fn(&Group) -> bool,
    ) -> Option<Problem> {
        let needer = unit.architecture_or(&ground.native);
        let missing = |group: &&Group| {
            looked_for(group) && !self.meets(ground, group, needer) && !ground.excuses(key, group)
        };
        let group = unit.needs.iter().find(missing)?;
        Some(Problem::Need { by: key.clone(), group: group.clone() })
    }

    fn clash(&self, ground: &Ground, key: &Key, unit: &Unit) -> Option<Problem> {
        for (place, other) in self.all(ground).filter(|(_, other)| other.name != unit.name) {
            let own = ground.spend(unit.against.len(), 1 + other.provides.len());
            if own || ground.spend(other.against.len(), 1 + unit.provides.len()) {
                return None;
            }
            let clash = |says: &Key, a: &Unit, b: &Unit, other: &Key| {
                let atom = a.against.iter().find(|atom| b.is_meant_by(atom, &ground.native))?;
                let (says, other, atom) = (says.clone(), other.clone(), atom.clone());
                (!ground.clashed(&says, &other)).then_some(Problem::Clash { says, other, atom })
            };
            let found = clash(key, unit, other, place).or_else(|| clash(place, other, unit, key));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn apart(&self, ground: &Ground, key: &Key, unit: &Unit) -> Option<Problem> {
        let of_name = self.all(ground).filter(|(place, _)| place.0 == key.0 && place.1 != key.1);
        let differs = |other: &Unit| {
            [unit.multi_arch, other.multi_arch] == [MultiArch::Same; 2] && other.version != unit.version
        };
        let found = of_name.into_iter().find(|(_, other)| differs(other))?;
        Some(Problem::Apart { other: found.0.clone(), like: key.clone() })
    }

    /// A need of another unit that was met by what was here before.
    fn forsaken(&self, ground: &Ground, key: &Key, unit: &Unit) -> Option<Problem> {
        let before = ground.installed.get(key)?;
        let meant = |group: &Group| {
            group.iter().any(|atom| before.answers_to(&atom.name) || unit.answers_to(&atom.name))
        };
        let provisions = 2 + before.provides.len() + unit.provides.len();
        self.all(ground)
            .filter(|(place, other)| *place != key && !ground.spend(other.needs.len(), provisions))
            .find_map(|(place, other)| self.unmet(ground, place, other, meant))
    }
}

impl Ground {
    /// Takes the comparisons of so many things with so many others; whether there have been too many.
    pub(crate) fn spend(&self, things: usize, others: usize) -> bool {
        let work = (things as u64).saturating_mul(others as u64).saturating_add(1);
        self.work.set(self.work.get().saturating_add(work));
        self.is_spent()
    }

    /// Whether no work may be done any more; then nothing that was found counts.
    pub(crate) fn is_spent(&self) -> bool {
        self.work.get() > WORK_MAX
    }

    /// Whether a need was as unmet before: the package at this place had it too, no weaker, and it was not met. Images are
    /// made that leave out what their packages say to need; that is not for us to mend.
    fn excuses(&self, key: &Key, group: &Group) -> bool {
        let Some(before) = self.installed.get(key) else { return false };
        let state = State::default();
        let needer = before.architecture_or(&self.native);
        let unmet = before.needs.iter().filter(|old| !state.meets(self, old, needer));
        unmet.into_iter().any(|old| group.iter().any(|atom| self.is_old_need(atom, old)))
    }

    /// Where nothing of the name is there at all, a higher bound makes it no more missing.
    fn is_old_need(&self, atom: &Atom, old: &Group) -> bool {
        let of_name = old.iter().filter(|other| other.name == atom.name);
        let absent = || !self.installed.values().any(|unit| unit.answers_to(&atom.name));
        of_name.into_iter().any(|other| atom.is_no_stronger_than(other) || absent())
    }

    /// Whether two were together before although one was against the other.
    fn clashed(&self, says: &Key, other: &Key) -> bool {
        let (Some(says), Some(other)) = (self.installed.get(says), self.installed.get(other)) else {
            return false;
        };
        says.against.iter().any(|atom| other.is_meant_by(atom, &self.native))
    }
}
