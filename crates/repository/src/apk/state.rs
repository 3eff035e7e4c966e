//! Which versions there are together: what is installed, and what has been set in its place so far.

use super::{unit::Unit, universe::Offer};
use inventory::apk::relation::Relation;
use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap, VecDeque},
    rc::Rc,
};

/// Comparisons made for one image in all searches together: half a minute or so. Hundreds of packages take a hundredth.
const WORK_MAX: u64 = 5_000_000_000;

/// What does not change while a solution is sought.
pub(super) struct Ground {
    pub(super) installed: BTreeMap<String, Unit>,
    world: Vec<Relation>,
    /// Packages by each name under which they count.
    providing: HashMap<String, Vec<String>>,
    /// Packages by what they need.
    needing: HashMap<String, Vec<String>>,
    /// Comparisons made so far.
    work: Cell<u64>,
}

/// What has been set, in what order it is to be looked at, and on whose account.
#[derive(Clone, Default)]
pub(super) struct State {
    set: BTreeMap<String, Rc<Offer>>,
    why: BTreeMap<String, String>,
    todo: VecDeque<String>,
}

/// What is wrong with a state.
#[derive(Debug, Clone)]
pub(super) enum Problem {
    /// A package needs what is not there.
    Need { by: String, relation: Relation },
    /// The world needs what is not there any more.
    World { relation: Relation },
    /// Two packages are there that cannot be together: one says so of the other, or both have a name that one only can have.
    Clash { says: String, other: String, relation: String },
}

impl Ground {
    pub(super) fn new(units: Vec<Unit>, world: Vec<Relation>) -> Ground {
        let (mut providing, mut needing) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        let installed: BTreeMap<_, _> = units.into_iter().map(|unit| (unit.name.clone(), unit)).collect();
        for unit in installed.values() {
            for name in unit.names() {
                providing.entry(name.to_owned()).or_default().push(unit.name.clone());
            }
            for need in &unit.needs {
                needing.entry(need.name.clone()).or_default().push(unit.name.clone());
            }
        }
        Ground { installed, world, providing, needing, work: Cell::default() }
    }

    /// Names of installed packages that count under a name.
    pub(super) fn providing(&self, name: &str) -> &[String] {
        self.providing.get(name).map_or(&[], Vec::as_slice)
    }

    /// Takes the comparisons of so many things with so many others; whether there have been too many.
    pub(super) fn spend(&self, things: usize, others: usize) -> bool {
        let work = (things as u64).saturating_mul(others as u64).saturating_add(1);
        self.work.set(self.work.get().saturating_add(work));
        self.is_spent()
    }

    /// Whether no work may be done any more; then nothing that was found counts.
    pub(super) fn is_spent(&self) -> bool {
        self.work.get() > WORK_MAX
    }

    fn met(&self, relation: &Relation) -> bool {
        State::default().met(self, relation)
    }
}

impl State {
    pub(super) fn set(&mut self, offer: Rc<Offer>, on_account_of: Option<String>) {
        let name = offer.unit.name.clone();
        if let Some(by) = on_account_of {
            self.why.insert(name.clone(), by);
        }
        self.todo.push_back(name.clone());
        self.set.insert(name, offer);
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    pub(super) fn size(&self) -> usize {
        self.set.len()
    }

    pub(super) fn into_set(self) -> (BTreeMap<String, Rc<Offer>>, BTreeMap<String, String>) {
        (self.set, self.why)
    }

    /// What was asked for at the beginning of the chain that led here.
    pub(super) fn root(&self, name: &str) -> String {
        let mut at = name;
        // Each step leads to what was set before, so it ends; the bound is for the reader.
        for _ in 0..=self.why.len() {
            match self.why.get(at) {
                Some(by) => at = by,
                None => break,
            }
        }
        at.to_owned()
    }

    /// The unit of a name.
    pub(super) fn at<'s>(&'s self, ground: &'s Ground, name: &str) -> Option<&'s Unit> {
        self.set.get(name).map(|offer| &offer.unit).or_else(|| ground.installed.get(name))
    }

    /// Installed units under a name that have not been replaced.
    fn kept<'s>(&'s self, ground: &'s Ground, name: &str) -> impl Iterator<Item = &'s Unit> {
        let names = ground.providing(name).iter().filter(|name| !self.set.contains_key(*name));
        names.filter_map(|name| ground.installed.get(name))
    }

    /// Whether a need is met. Where no work may be done any more it is, and whoever asks gives up.
    fn met(&self, ground: &Ground, relation: &Relation) -> bool {
        let meets = |unit: &Unit| ground.spend(1, unit.provides.len()) || unit.meets(relation);
        ground.is_spent()
            || self.set.values().any(|offer| meets(&offer.unit))
            || self.kept(ground, &relation.name).any(meets)
    }

    /// The first problem that what was set last has brought, with the package that brought it.
    pub(super) fn problem(&mut self, ground: &Ground) -> Option<(String, Problem)> {
        while let Some(name) = self.todo.front() {
            if let Some(problem) = self.problem_of(ground, name) {
                return Some((name.clone(), problem));
            }
            self.todo.pop_front();
        }
        None
    }

    fn problem_of(&self, ground: &Ground, name: &str) -> Option<Problem> {
        let unit = self.at(ground, name)?;
        self.unmet(ground, unit).or_else(|| self.clash(ground, unit)).or_else(|| self.forsaken(ground, unit))
    }

    /// What a package needs. What its version before needed and did not have, the image's builder left out.
    fn unmet(&self, ground: &Ground, unit: &Unit) -> Option<Problem> {
        let old = ground.installed.get(&unit.name);
        let left_out = |relation: &Relation| {
            old.is_some_and(|old| {
                old.needs
                    .iter()
                    .any(|need| need.name == relation.name && !ground.met(need) && !ground.met(relation))
            })
        };
        let missing = unit.needs.iter().find(|need| !self.met(ground, need) && !left_out(need))?;
        Some(Problem::Need { by: unit.name.clone(), relation: missing.clone() })
    }

    /// What cannot be together with a package, and was not before. Nothing where no work may be done any more.
    fn clash(&self, ground: &Ground, unit: &Unit) -> Option<Problem> {
        let others = || {
            let kept = ground.installed.values().filter(|other| !self.set.contains_key(&other.name));
            kept.chain(self.set.values().map(|offer| &offer.unit)).filter(|other| other.name != unit.name)
        };
        let clash = |says: &Unit, other: &Unit, relation: String| Problem::Clash {
            says: says.name.clone(),
            other: other.name.clone(),
            relation,
        };
        let before = |other: &Unit, against: &dyn Fn(&Unit, &Unit) -> bool| {
            let old = ground.installed.get(&unit.name).zip(ground.installed.get(&other.name));
            old.is_some_and(|(one, two)| against(one, two) || against(two, one))
        };
        let says = |one: &Unit, two: &Unit| one.against.iter().any(|relation| two.meets(relation));
        for other in others() {
            let names = [unit, other].map(|unit| 1 + unit.provides.len());
            if ground.spend(names[0], names[1])
                || ground.spend(unit.against.len(), names[1])
                || ground.spend(other.against.len(), names[0])
            {
                return None;
            }
            for (one, two) in [(unit, other), (other, unit)] {
                let found = one.against.iter().find(|relation| two.meets(relation));
                if let Some(relation) = found.filter(|_| !before(other, &says)) {
                    return Some(clash(one, two, format!("it says {relation}")));
                }
            }
            let shared = unit.shared(other).filter(|_| !before(other, &|one, two| one.shared(two).is_some()));
            if let Some(name) = shared {
                return Some(clash(unit, other, format!("both have the name {name}")));
            }
        }
        None
    }

    /// Who had what they need through the version before, and have it no more.
    fn forsaken(&self, ground: &Ground, unit: &Unit) -> Option<Problem> {
        let old = ground.installed.get(&unit.name)?;
        let lost = |relation: &Relation| {
            !ground.spend(1, old.provides.len()) && old.meets(relation) && !self.met(ground, relation)
        };
        for name in old.names() {
            let needing = ground.needing.get(name).map_or(&[][..], Vec::as_slice);
            let kept = needing.iter().filter(|by| !self.set.contains_key(*by));
            for by in kept.filter_map(|by| ground.installed.get(by)) {
                if ground.spend(1, by.needs.len()) {
                    return None;
                }
                if let Some(relation) =
                    by.needs.iter().find(|relation| relation.name == name && lost(relation))
                {
                    return Some(Problem::Need { by: by.name.clone(), relation: relation.clone() });
                }
            }
        }
        let lost = ground.world.iter().find(|relation| !relation.conflict && lost(relation))?;
        Some(Problem::World { relation: lost.clone() })
    }
}
