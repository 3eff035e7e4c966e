//! The world during a run. apk takes away what neither the world nor a dependency asks for, and keeps no list of packages to
//! leave alone; both are told to it here. The file stays out of the layer, so the image keeps its own.

use super::WORLD;
use crate::{Error, Facts};
use inventory::apk::{relation::Relation, world};
use plan::Plan;
use std::{collections::BTreeMap, fmt::Write as _};

/// The constraints of the image's own world, what must stay as it is, and unless packages may be taken away the name of
/// every one installed. A constraint on a name is there once.
pub(super) fn during_run(plan: &Plan, facts: &Facts, allow_removals: bool) -> Result<Vec<u8>, Error> {
    let own = facts.files.get(WORLD).map_or(&[][..], Vec::as_slice);
    let own = world::parse(own).map_err(|why| Error::database(WORLD, why))?;
    let mut constraints: BTreeMap<String, String> =
        own.iter().map(|relation| (key(relation), relation.to_string())).collect();
    for package in &facts.inventory.packages {
        let name = package.name.as_str();
        let excluded = plan.excluded.iter().any(|excluded| excluded.base() == name);
        let known = own.iter().find(|relation| !relation.conflict && relation.name == name);
        if excluded {
            let tag = known.and_then(|r| r.tag.as_ref()).map(|tag| format!("@{tag}")).unwrap_or_default();
            constraints.insert(name.to_owned(), format!("{name}{tag}={}", package.version));
        } else if known.is_none() && !allow_removals {
            constraints.insert(name.to_owned(), name.to_owned());
        }
    }
    let mut text = String::new();
    for constraint in constraints.values() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{constraint}");
    }
    Ok(text.into_bytes())
}

fn key(relation: &Relation) -> String {
    format!("{}{}", if relation.conflict { "!" } else { "" }, relation.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory::{Inventory, apk::installed};
    use plan::Scope;

    fn facts(world: &str) -> Facts {
        let database = b"P:a\nV:1-r0\n\nP:b\nV:2-r0\n\nP:.virtual\nV:2024\n\n";
        let packages = installed::parse(database).unwrap().packages().unwrap().packages;
        let files = [(WORLD.to_owned(), world.as_bytes().to_vec())].into();
        Facts { inventory: Inventory { packages, ..Inventory::default() }, files, ..Facts::default() }
    }

    fn text(world: &str, excluded: &[&str], allow_removals: bool) -> String {
        let excluded = excluded.iter().map(|name| name.parse().unwrap()).collect();
        let plan = Plan { scope: Scope::UpdateAll, left_out: Vec::new(), excluded, notes: Vec::new() };
        String::from_utf8(during_run(&plan, &facts(world), allow_removals).unwrap()).unwrap()
    }

    #[test]
    fn nothing_that_is_installed_is_without_a_reason() {
        assert_eq!(text("a~1.0\n!c\nd>=2\n", &[], false), "!c\n.virtual\na~1.0\nb\nd>=2\n");
        assert_eq!(text("", &[], false), ".virtual\na\nb\n");
        assert_eq!(text("a~1.0\n", &[], true), "a~1.0\n");
    }

    #[test]
    fn what_the_user_excluded_is_pinned_whatever_the_world_says_of_it() {
        assert_eq!(text("a@edge~1.0\n", &["a", "x"], true), "a@edge=1-r0\n");
        assert_eq!(text("b\n", &["a"], false), ".virtual\na=1-r0\nb\n");
    }
}
