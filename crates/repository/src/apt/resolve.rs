//! A request to a resolution: sources, lists, candidates, closure.

use super::{
    Request, Wanted,
    chain::{Chain, Fetched},
    defaults,
    pins::Pins,
    settings::Settings,
    solve::{Dead, Solution, Solver},
    source::{SignedBy, Sources},
    state::Ground,
    unit::{Key, Unit},
    universe::{Offer, Universe},
};
use crate::{Chosen, Error, Format, Resolution, Session, Why};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use version::PackageName;

/// Sources asked at the same time.
const SOURCES_AT_ONCE: usize = 4;

/// Which files outside `/etc/apt` its configuration names: keyrings and mirror lists. Absolute paths.
pub fn wanted_files(files: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    // Mirror lists must be there for their sources to be read, so they are looked for in the text.
    for text in files.values().map(|bytes| String::from_utf8_lossy(bytes)) {
        let lists = text.split_ascii_whitespace().filter_map(|word| word.strip_prefix("mirror+file:"));
        wanted.extend(lists.map(|path| path.strip_prefix("//").unwrap_or(path).to_owned()));
    }
    if let Ok(sources) = Sources::of(files, "") {
        let named = sources.list.into_iter().filter_map(|source| match source.signed_by {
            SignedBy::Named { files, .. } => Some(files),
            _ => None,
        });
        wanted.extend(named.flatten());
    }
    wanted.retain(|path| path.starts_with('/') && !files.contains_key(path));
    wanted
}

/// Resolves a request.
pub(crate) async fn resolve(request: &Request, session: &Session<'_>) -> Result<Resolution, Error> {
    let settings = Settings::of(&request.files);
    let pins = Pins::of(&request.files, &settings)?;
    let mut notes = Vec::new();
    let installed = installed(request, &mut notes);
    let sources = sources(request, session, &mut notes)?;
    let architectures = architectures(request, &installed);
    let (settings, architectures, held) = (&settings, &architectures, Default::default());
    let chain = Chain { request, session, settings, architectures, held };
    let each = sources.iter().map(|source| chain.fetch(source));
    let fetched: Vec<Fetched> =
        session.unless_cancelled(stream::iter(each).buffered(SOURCES_AT_ONCE).try_collect()).await?;
    let (mut indexes, mut lists) = (Vec::new(), Vec::new());
    for Fetched { record, lists: more, notes: said } in fetched {
        lists.extend(more);
        notes.extend(said);
        if !indexes.contains(&record) {
            indexes.push(record);
        }
    }
    let (request, native) = (request.clone(), request.architecture.clone());
    let choose = move || {
        let ground = Ground {
            installed: installed.into_iter().map(|u| (u.key(&native), Rc::new(u))).collect(),
            native,
            work: Default::default(),
        };
        let universe = Universe::new(ground.native.clone(), lists, pins);
        choose(&request, &ground, &universe)
    };
    let mut resolution = session.blocking(choose).await?;
    resolution.indexes = indexes;
    resolution.notes = [notes, resolution.notes].concat();
    Ok(resolution)
}

fn installed(request: &Request, notes: &mut Vec<String>) -> Vec<Unit> {
    let mut units = Vec::new();
    for package in &request.installed {
        match Unit::of(&package.fields) {
            Ok(unit) => units.push(unit),
            Err(why) => {
                let name = package.fields.get("package").map_or("without a name", String::as_str);
                notes.push(format!(
                    "installed package {} is left as it is: {why}",
                    inventory::printable(name)
                ));
            }
        }
    }
    units
}

fn sources(
    request: &Request,
    session: &Session<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<super::source::Source>, Error> {
    let refuse =
        |(path, why): (String, String)| Error::Configuration { path: inventory::printable(&path), why };
    let found = Sources::of(&request.files, &request.architecture).map_err(refuse)?;
    let passed_over = !found.notes.is_empty();
    notes.extend(found.notes);
    if !found.list.is_empty() {
        return Ok(found.list);
    }
    let os = inventory::printable(&format!("{} {}", request.os.id, request.os.version_id));
    if passed_over {
        return Err(Error::NoSources { os, why: "none of those that the image names can be used".into() });
    }
    let list = defaults::sources(&request.os, &request.architecture, session.allow_archived)?;
    let hosts: BTreeSet<&str> = list.iter().flat_map(|s| &s.uris).filter_map(|uri| uri.host_str()).collect();
    let hosts = hosts.into_iter().collect::<Vec<_>>().join(", ");
    notes.push(format!("the image names no package repository; those of {os} are used: {hosts}"));
    Ok(list)
}

/// The image's own architecture first, then those of what is installed beside.
fn architectures(request: &Request, installed: &[Unit]) -> Vec<String> {
    let foreign: BTreeSet<&String> = installed.iter().map(|unit| &unit.architecture).collect();
    let foreign = foreign.into_iter().filter(|name| *name != "all" && **name != request.architecture);
    std::iter::once(&request.architecture).chain(foreign).cloned().collect()
}

fn choose(request: &Request, ground: &Ground, universe: &Universe) -> Result<Resolution, Error> {
    let held = request
        .installed
        .iter()
        .filter(|package| package.held)
        .filter_map(|package| package.fields.get("package"));
    let excluded = request.excluded.iter().map(|name| name.base().to_owned());
    let frozen: BTreeSet<String> = held.cloned().chain(excluded).collect();
    let solver = Solver { universe, ground, frozen: &frozen };
    let mut notes = Vec::new();
    let (set, why) = match &request.wanted {
        Wanted::All => {
            let wanted = newer(ground, universe, &frozen, request.security_only, &mut notes);
            all_that_can_be(&solver, wanted, &mut notes)?
        }
        Wanted::Named(list) => {
            let wanted = named(list, ground, universe, &frozen, request.security_only, &mut notes);
            solver.solve(&wanted).map_err(|dead| dead.error)?
        }
    };
    let packages =
        set.iter().map(|(key, offer)| chosen(universe, offer, why.get(key))).collect::<Result<_, _>>()?;
    notes.extend(universe.notes());
    Ok(Resolution { packages, notes, indexes: Vec::new() })
}

/// Candidates of everything that is installed.
fn newer(
    ground: &Ground,
    universe: &Universe,
    frozen: &BTreeSet<String>,
    security_only: bool,
    notes: &mut Vec<String>,
) -> BTreeMap<Key, Rc<Offer>> {
    let mut wanted = BTreeMap::new();
    for (key, unit) in &ground.installed {
        let Some(offer) = universe.candidate(key, Some(unit), security_only) else { continue };
        match frozen.contains(&key.0) {
            true => notes.push(format!(
                "{} stays at {}: it is held or excluded",
                shown(&key.0),
                shown(unit.version.as_str())
            )),
            false => drop(wanted.insert(key.clone(), offer)),
        }
    }
    wanted
}

/// Candidates of what is named.
fn named(
    list: &[(PackageName, String)],
    ground: &Ground,
    universe: &Universe,
    frozen: &BTreeSet<String>,
    security_only: bool,
    notes: &mut Vec<String>,
) -> BTreeMap<Key, Rc<Offer>> {
    let mut wanted = BTreeMap::new();
    for (name, at_least) in list {
        let of_name =
            |key: &&Key| key.0 == name.base() && name.architecture().is_none_or(|a| a == "any" || a == key.1);
        let places: Vec<&Key> = ground.installed.keys().filter(of_name).collect();
        if places.is_empty() {
            notes.push(format!("{name} is not installed"));
        }
        for key in places {
            let installed = ground.installed.get(key).map(|unit| &**unit);
            if frozen.contains(&key.0) {
                notes.push(format!("{name} stays as it is: it is held or excluded"));
                continue;
            }
            let offer = universe.candidate(key, installed, security_only);
            let reached =
                offer.as_ref().map(|offer| &offer.unit.version).or(installed.map(|unit| &unit.version));
            let enough = at_least.parse().is_ok_and(|least| reached.is_some_and(|version| *version >= least));
            if !enough && !at_least.is_empty() {
                let highest =
                    universe.highest(key).map_or_else(|| "none".into(), |version| shown(version.as_str()));
                notes.push(format!(
                    "{name} cannot reach {}: the repositories have {highest}",
                    shown(at_least)
                ));
            }
            if let Some(offer) = offer {
                wanted.insert(key.clone(), offer);
            }
        }
    }
    wanted
}

/// Of what is wanted, all that fits together: what leads nowhere is kept back, one after another.
fn all_that_can_be(
    solver: &Solver<'_>,
    mut wanted: BTreeMap<Key, Rc<Offer>>,
    notes: &mut Vec<String>,
) -> Result<Solution, Error> {
    loop {
        let Dead { root, error } = match solver.solve(&wanted) {
            Ok(solution) => return Ok(solution),
            Err(dead) => dead,
        };
        if wanted.remove(&root).is_none() {
            return Err(error);
        }
        notes.push(format!("{} is kept back: {error}", shown(&root.0)));
    }
}

fn chosen(universe: &Universe, offer: &Offer, by: Option<&Key>) -> Result<Chosen, Error> {
    let name = |text: &str| text.parse::<PackageName>().map_err(|_| Error::Internal("a name that is none"));
    Ok(Chosen {
        name: name(&offer.unit.name)?,
        version: offer.unit.version.as_str().to_owned(),
        architecture: offer.unit.architecture.clone(),
        urls: universe.urls(offer),
        format: Format::Deb,
        size: offer.size,
        digest: offer.digest.clone(),
        why: by.map_or(Ok(Why::Asked), |by| name(&by.0).map(Why::Dependency))?,
        record: universe.record(offer),
    })
}

fn shown(text: &str) -> String {
    inventory::printable(text)
}
