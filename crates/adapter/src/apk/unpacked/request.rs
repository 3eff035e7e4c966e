//! What to ask of the repositories, from the plan and the records of the image.

use super::super::{DATABASES, facts};
use crate::{Error, Facts, Settings};
use inventory::{Inventory, apk::installed};
use plan::{Plan, Scope};
use repository::{
    Request,
    apk::{self, Wanted},
};
use std::collections::BTreeMap;

/// The request for an image.
pub(crate) fn request(plan: &Plan, facts: &Facts, settings: &Settings) -> Result<Request, Error> {
    if settings.policy.security_only {
        return Err(Error::State("apk's repositories do not mark security updates".into()));
    }
    let architecture = facts::architecture(&facts.files).or_else(|| architecture(&facts.inventory));
    let architecture = architecture.ok_or_else(|| {
        Error::State(
            "no package of the image has an architecture, so it is not known which to take".to_owned(),
        )
    })?;
    let found = DATABASES.into_iter().find_map(|path| Some((path, facts.files.get(path)?)));
    let (path, database) = found.ok_or_else(|| Error::database(DATABASES[0], "not there"))?;
    let installed = installed::parse(database).map_err(|why| Error::database(path, why))?.records;
    let wanted = match &plan.scope {
        Scope::UpdateAll => Wanted::All,
        Scope::Fixes(fixes) => {
            let name = |fix: &plan::Fix| fix.package.base().parse().map(|name| (name, fix.at_least.clone()));
            let named = fixes.iter().map(name).collect::<Result<_, version::NameError>>();
            Wanted::Named(named.map_err(|why| Error::State(why.to_string()))?)
        }
    };
    Ok(Request::Apk(apk::Request {
        os: facts.inventory.os.clone(),
        architecture,
        files: facts.files.clone(),
        installed,
        wanted,
        excluded: plan.excluded.clone(),
    }))
}

/// The architecture that most packages have.
fn architecture(inventory: &Inventory) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let own = |name: &&str| !name.is_empty() && *name != "noarch";
    for name in inventory.packages.iter().map(|p| p.architecture.as_str()).filter(own) {
        *counts.entry(name).or_default() += 1;
    }
    // Of two that are as common the first by name, always the same.
    let most = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)));
    most.map(|(architecture, _)| architecture.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adapter, Strategy, apk::Apk};
    use inventory::OsRelease;

    fn asked(files: &[(&str, &str)], scope: Scope) -> apk::Request {
        let evidence =
            files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let facts = Apk.facts(OsRelease { id: "alpine".into(), ..OsRelease::default() }, &evidence).unwrap();
        assert_eq!(facts.strategy, Strategy::Unpacked);
        let plan =
            Plan { scope, left_out: vec![], excluded: ["kept".parse().unwrap()].into(), notes: vec![] };
        match request(&plan, &facts, &Settings::default()).unwrap() {
            Request::Apk(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_has_what_the_records_say() {
        let database = "P:a\nV:1-r0\nA:aarch64\n\nP:b\nV:2-r0\nA:noarch\n\n";
        let files = [(DATABASES[1], database), ("/etc/apk/world", "a\n"), ("/etc/apk/keys/k.rsa.pub", "key")];
        let request = asked(&files, Scope::UpdateAll);
        assert_eq!((request.architecture.as_str(), request.installed.len()), ("aarch64", 2));
        assert_eq!(request.files["/etc/apk/keys/k.rsa.pub"], b"key");
        assert!(
            request.files.contains_key("/etc/apk/world")
                && request.excluded.contains(&"kept".parse().unwrap())
        );
        let fix = plan::Fix {
            package: "a".parse().unwrap(),
            installed: "1-r0".into(),
            at_least: "2".into(),
            findings: vec![],
        };
        let files = [files[0], ("/etc/apk/arch", "x86_64\n")];
        let request = asked(&files, Scope::Fixes(vec![fix]));
        assert_eq!(request.architecture, "x86_64");
        let Wanted::Named(named) = request.wanted else { panic!("named") };
        assert_eq!(named, [("a".parse().unwrap(), "2".to_owned())]);
    }
}
