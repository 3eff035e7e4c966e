//! What packages provide together while some are taken in the place of others.

use super::{
    relation::{Details, Relation},
    solve::Old,
    universe::Universe,
};
use crate::Error;
use std::{collections::HashMap, rc::Rc};

/// What some packages provide together.
#[derive(Default)]
pub(super) struct World {
    provides: HashMap<String, Vec<Relation>>,
    /// Files, with how many packages have each.
    files: HashMap<String, usize>,
    /// Names of packages of which no more is known than name and version, with how many there are of each.
    pub(super) unknown: HashMap<String, usize>,
}

impl World {
    pub(super) fn add(&mut self, details: &Details) {
        for provided in &details.provides {
            self.provides.entry(provided.name.clone()).or_default().push(provided.clone());
        }
        for file in &details.files {
            *self.files.entry(file.clone()).or_default() += 1;
        }
    }

    /// Takes back what [`World::add`] did.
    fn remove(&mut self, details: &Details) {
        for provided in &details.provides {
            let Some(all) = self.provides.get_mut(&provided.name) else { continue };
            if let Some(at) = all.iter().position(|other| other == provided) {
                all.swap_remove(at);
            }
        }
        details.files.iter().for_each(|file| one_less(&mut self.files, file));
    }

    pub(super) fn add_old(&mut self, old: &Old, universe: &Universe) -> Result<(), Error> {
        let details = details(old, universe)?;
        if old.listed.is_none() {
            *self.unknown.entry(old.name.to_string()).or_default() += 1;
        }
        self.add(&details);
        Ok(())
    }

    pub(super) fn remove_old(&mut self, old: &Old, universe: &Universe) -> Result<(), Error> {
        let details = details(old, universe)?;
        if old.listed.is_none() {
            one_less(&mut self.unknown, old.name.as_str());
        }
        for provided in &details.provides {
            universe.spend(1, self.named(&provided.name).len())?;
        }
        self.remove(&details);
        Ok(())
    }

    pub(super) fn named(&self, name: &str) -> &[Relation] {
        self.provides.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn has(&self, wanted: &Relation) -> bool {
        self.named(&wanted.name).iter().any(|p| p.meets(wanted))
            || (wanted.bound.is_none() && self.files.contains_key(&wanted.name))
    }
}

/// What an installed package provides and needs, as far as it is known. Counted as work.
fn details(old: &Old, universe: &Universe) -> Result<Rc<Details>, Error> {
    let known = match old.listed {
        Some(at) => universe.details(at)?,
        None => {
            let own = Relation::exactly(old.name.as_str(), old.version.as_str());
            Rc::new(Details { provides: vec![own], ..Details::default() })
        }
    };
    universe.spend(1, known.provides.len().saturating_add(known.files.len()))?;
    Ok(known)
}

fn one_less(counts: &mut HashMap<String, usize>, name: &str) {
    let left = counts.get(name).map_or(0, |count| count.saturating_sub(1));
    match counts.get_mut(name) {
        Some(count) if left > 0 => *count = left,
        _ => drop(counts.remove(name)),
    }
}
