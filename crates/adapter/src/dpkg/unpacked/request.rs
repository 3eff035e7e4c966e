//! What to ask of the repositories, from the plan and the records of the image.

use super::super::{STATUS, facts};
use crate::{Error, Facts, Settings};
use inventory::{Inventory, Package, deb822, dpkg};
use plan::{Plan, Scope};
use repository::{
    Request,
    apt::{self, Installed, Wanted},
};
use std::collections::BTreeMap;

/// The request for an image.
pub(crate) fn request(plan: &Plan, facts: &Facts, settings: &Settings) -> Result<Request, Error> {
    let architecture = architecture(&facts.inventory).ok_or_else(|| {
        Error::State(
            "no package of the image has an architecture, so it is not known which to take".to_owned(),
        )
    })?;
    let wanted = match &plan.scope {
        Scope::UpdateAll => Wanted::All,
        Scope::Fixes(fixes) => {
            let name = |fix: &plan::Fix| fix.package.base().parse().map(|name| (name, fix.at_least.clone()));
            let named = fixes.iter().map(name).collect::<Result<_, version::NameError>>();
            Wanted::Named(named.map_err(|why| Error::State(why.to_string()))?)
        }
    };
    Ok(Request::Apt(apt::Request {
        os: facts.inventory.os.clone(),
        architecture,
        files: facts.files.clone(),
        installed: installed(facts)?,
        wanted,
        excluded: plan.excluded.clone(),
        security_only: settings.policy.security_only,
    }))
}

/// The architecture that most packages have, `all` left out.
pub(super) fn architecture(inventory: &Inventory) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for package in inventory.packages.iter().filter(|p| p.architecture != "all") {
        *counts.entry(&package.architecture).or_default() += 1;
    }
    // Of two that are as common the first by name, always the same.
    let most = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)));
    most.map(|(architecture, _)| architecture.to_owned())
}

/// Every installed package with all that its record says; what has no stanza of its own has what the inventory knows.
fn installed(facts: &Facts) -> Result<Vec<Installed>, Error> {
    let mut stanzas = BTreeMap::new();
    let mut add = |path: &str, bytes: &[u8]| {
        let read = deb822::stanzas(bytes, dpkg::BYTES_MAX).map_err(|why| Error::database(path, why))?;
        for stanza in read {
            let fields: BTreeMap<_, _> =
                stanza.fields.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
            stanzas.insert(key(&fields), fields);
        }
        Ok::<_, Error>(())
    };
    for (path, bytes) in facts::records(&facts.files) {
        add(path, bytes)?;
    }
    if let Some(bytes) = facts.files.get(STATUS) {
        add(STATUS, bytes)?;
    }
    let one = |package: &Package| {
        let key = (package.name.to_string(), package.architecture.clone());
        Installed { fields: stanzas.remove(&key).unwrap_or_else(|| known(package)), held: package.held }
    };
    Ok(facts.inventory.packages.iter().map(one).collect())
}

fn key(fields: &BTreeMap<String, String>) -> (String, String) {
    let get = |name: &str| fields.get(name).cloned().unwrap_or_default();
    (get("package"), get("architecture"))
}

fn known(package: &Package) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::from([
        ("package", package.name.to_string()),
        ("version", package.version.clone()),
        ("architecture", package.architecture.clone()),
    ]);
    if package.multi_arch_same {
        fields.insert("multi-arch", "same".to_owned());
    }
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dpkg::Dpkg;
    use crate::{Adapter, Strategy};
    use engine::Evidence;
    use inventory::OsRelease;

    fn facts(files: &[(&str, &str)]) -> Facts {
        let evidence: Evidence =
            files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Dpkg.facts(OsRelease { id: "debian".into(), ..OsRelease::default() }, &evidence).unwrap()
    }

    fn apt(plan: &Plan, facts: &Facts) -> apt::Request {
        match request(plan, facts, &Settings::default()).unwrap() {
            Request::Apt(request) => request,
            other => panic!("{other:?}"),
        }
    }

    fn plan(scope: Scope) -> Plan {
        Plan { scope, left_out: vec![], excluded: ["kept".parse().unwrap()].into(), notes: vec![] }
    }

    #[test]
    fn a_request_has_what_the_records_say() {
        let facts = facts(&[
            ("/var/lib/dpkg/status.d/a", "Package: a\nVersion: 1\nArchitecture: arm64\nDepends: b\n"),
            ("/var/lib/dpkg/status.d/a.md5sums", "0  x\n"),
            (
                "/var/lib/dpkg/status.d/b",
                "Package: b\nVersion: 2\nArchitecture: all\nStatus: hold ok installed\n",
            ),
            ("/etc/apt/sources.list", "deb http://mirror.example/ x main\n"),
        ]);
        assert_eq!(facts.strategy, Strategy::Unpacked);
        let request = apt(&plan(Scope::UpdateAll), &facts);
        assert_eq!(request.architecture, "arm64");
        assert_eq!(request.installed.len(), 2);
        assert_eq!(request.installed[0].fields["depends"], "b");
        assert_eq!(request.installed.iter().map(|i| i.held).collect::<Vec<_>>(), [false, true]);
        assert!(request.files.contains_key("/etc/apt/sources.list"));
        assert!(request.excluded.contains(&"kept".parse().unwrap()));
        assert!(matches!(request.wanted, Wanted::All));
    }

    #[test]
    fn fixes_are_asked_for_by_name_and_version() {
        let facts = facts(&[("/var/lib/dpkg/status.d/a", "Package: a\nVersion: 1\nArchitecture: amd64\n")]);
        let fix = plan::Fix {
            package: "a:amd64".parse().unwrap(),
            installed: "1".into(),
            at_least: "2".into(),
            findings: vec![],
        };
        let request = apt(&plan(Scope::Fixes(vec![fix])), &facts);
        let Wanted::Named(named) = request.wanted else { panic!("named") };
        assert_eq!(named, [("a".parse().unwrap(), "2".to_owned())]);
    }

    #[test]
    fn an_image_of_architecture_all_alone_has_none() {
        let facts = facts(&[("/var/lib/dpkg/status.d/a", "Package: a\nVersion: 1\nArchitecture: all\n")]);
        assert!(request(&plan(Scope::UpdateAll), &facts, &Settings::default()).is_err());
    }
}
