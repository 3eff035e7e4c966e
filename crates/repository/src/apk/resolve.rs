//! A request to a resolution: repositories, indexes, candidates, closure.

use super::{
    Request, Wanted,
    chain::{Chain, Fetched},
    defaults,
    keys::Keys,
    solve::{Dead, Solution, Solver},
    state::Ground,
    unit::Unit,
    universe::{Offer, Universe},
};
use crate::{Chosen, Error, Format, Resolution, Session, Why};
use fetch::client::Url;
use futures_util::{StreamExt, TryStreamExt, stream};
use inventory::apk::{
    repositories::{self, Repositories, Repository},
    world,
};
use oci::Digest;
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::atomic::AtomicU64,
};
use version::PackageName;

/// Most repositories of one image; a crowded one has a dozen.
const REPOSITORIES_MAX: usize = 64;

/// Repositories asked at the same time.
const REPOSITORIES_AT_ONCE: usize = 4;

const WORLD: &str = "/etc/apk/world";
const REPOSITORIES: &str = "/etc/apk/repositories";
/// apk 3 reads these too; a file of the first hides one of the same name in the second.
const FOLDERS: [&str; 2] = ["/etc/apk/repositories.d/", "/lib/apk/repositories.d/"];

/// Resolves a request.
pub(crate) async fn resolve(request: &Request, session: &Session<'_>) -> Result<Resolution, Error> {
    let mut notes = Vec::new();
    let world = match request.files.get(WORLD) {
        Some(bytes) => world::parse(bytes).map_err(|why| configuration(WORLD, &why))?,
        None => Vec::new(),
    };
    let installed = installed(request, &mut notes);
    let repositories = repositories(request, &mut notes)?;
    let keys = Keys::of(&request.files, &request.os);
    let held = AtomicU64::new(0);
    let chain = Chain { session, architecture: &request.architecture, keys, held };
    let each = repositories.iter().map(|repository| chain.fetch(repository));
    let fetched: Vec<Fetched> =
        session.unless_cancelled(stream::iter(each).buffered(REPOSITORIES_AT_ONCE).try_collect()).await?;
    let (mut indexes, mut lists) = (Vec::new(), Vec::new());
    for Fetched { record, listed, notes: said } in fetched {
        lists.push(listed);
        notes.extend(said);
        if !indexes.contains(&record) {
            indexes.push(record);
        }
    }
    let request = request.clone();
    let choose = move || {
        let ground = Ground::new(installed, world.clone());
        let universe = Universe::new(lists, request.architecture.clone(), world);
        choose(&request, &ground, &universe)
    };
    let mut resolution = session.blocking(choose).await?;
    resolution.indexes = indexes;
    resolution.notes = [notes, resolution.notes].concat();
    Ok(resolution)
}

fn configuration(path: &str, why: &dyn std::fmt::Display) -> Error {
    Error::Configuration { path: inventory::printable(path), why: why.to_string() }
}

fn installed(request: &Request, notes: &mut Vec<String>) -> Vec<Unit> {
    let mut units = Vec::new();
    for record in &request.installed {
        let fields = ["P", "V", "C", "D", "p", "k"].into_iter().filter_map(|letter| {
            let value = record.get(letter.chars().next()?)?;
            Some((letter.to_owned(), value.to_owned()))
        });
        match Unit::of(&fields.collect()) {
            Ok(unit) => units.push(unit),
            Err(why) => {
                let name = shown(record.get('P').unwrap_or("without a name"));
                notes.push(format!("installed package {name} is left as it is: {}", shown(&why)));
            }
        }
    }
    units
}

/// Those that the image names and that can be fetched from, or the distribution's own.
fn repositories(request: &Request, notes: &mut Vec<String>) -> Result<Vec<Repository>, Error> {
    let mut found = Repositories::new(&request.architecture);
    let mut names = BTreeSet::new();
    let main = request.files.get_key_value(REPOSITORIES).into_iter();
    let inside = FOLDERS.into_iter().flat_map(|folder| {
        request.files.iter().filter(move |(path, _)| {
            path.strip_prefix(folder)
                .is_some_and(|name| !name.contains('/') && repositories::is_read_by_apk(name))
        })
    });
    for (path, bytes) in main.chain(inside) {
        let name = path.rsplit('/').next().unwrap_or(path);
        if path != REPOSITORIES && !names.insert(name.to_owned()) {
            continue;
        }
        found.add(path, bytes).map_err(|why| configuration(path, &why))?;
    }
    let remote = |repository: &Repository| {
        repository.url.parse::<Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
    };
    let list: Vec<_> = found.list.into_iter().filter(remote).collect();
    if list.len() > REPOSITORIES_MAX {
        return Err(Error::Limit(format!("more than {REPOSITORIES_MAX} repositories")));
    }
    if !list.is_empty() {
        return Ok(list);
    }
    let os = shown(&format!("{} {}", request.os.id, request.os.version_id));
    if !found.notes.is_empty() {
        return Err(Error::NoSources { os, why: "none of those that the image names can be used".into() });
    }
    let unknown =
        || Error::NoSources { os: os.clone(), why: "the image names none, and none are known".into() };
    let list = defaults::repositories(&request.os).ok_or_else(unknown)?;
    let urls = list.iter().map(|repository| repository.url.as_str()).collect::<Vec<_>>().join(", ");
    notes.push(format!("the image names no package repository; those of {os} are used: {urls}"));
    Ok(list)
}

fn choose(request: &Request, ground: &Ground, universe: &Universe) -> Result<Resolution, Error> {
    let frozen: BTreeSet<String> = request.excluded.iter().map(|name| name.base().to_owned()).collect();
    let solver = Solver { universe, ground, frozen: &frozen };
    let mut notes = Vec::new();
    let (set, why) = match &request.wanted {
        Wanted::All => {
            let wanted = newer(ground, universe, &frozen, &mut notes);
            all_that_can_be(&solver, wanted, &mut notes)?
        }
        Wanted::Named(list) => {
            let wanted = named(list, ground, universe, &frozen, &mut notes);
            solver.solve(&wanted).map_err(|dead| dead.error)?
        }
    };
    let packages = set.values().map(|offer| chosen(request, universe, offer, why.get(&offer.unit.name)));
    let packages = packages.collect::<Result<_, _>>()?;
    notes.extend(universe.notes());
    Ok(Resolution { packages, notes, indexes: Vec::new() })
}

/// Candidates of everything that is installed.
fn newer(
    ground: &Ground,
    universe: &Universe,
    frozen: &BTreeSet<String>,
    notes: &mut Vec<String>,
) -> BTreeMap<String, Rc<Offer>> {
    let mut wanted = BTreeMap::new();
    for (name, unit) in &ground.installed {
        let Some(offer) = universe.candidate(name, &unit.version) else { continue };
        match frozen.contains(name) {
            true => notes.push(format!(
                "{} stays at {}: it is excluded",
                shown(name),
                shown(unit.version.as_str())
            )),
            false => drop(wanted.insert(name.clone(), offer)),
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
    notes: &mut Vec<String>,
) -> BTreeMap<String, Rc<Offer>> {
    let mut wanted = BTreeMap::new();
    for (name, at_least) in list {
        let Some(unit) = ground.installed.get(name.base()) else {
            notes.push(format!("{name} is not installed"));
            continue;
        };
        if frozen.contains(name.base()) {
            notes.push(format!("{name} stays as it is: it is excluded"));
            continue;
        }
        let offer = universe.candidate(name.base(), &unit.version);
        let reached = offer.as_ref().map_or(&unit.version, |offer| &offer.unit.version);
        if !at_least.is_empty() && !at_least.parse().is_ok_and(|least| *reached >= least) {
            let offers = universe.offers(name.base());
            let highest = offers.first().map_or_else(|| "none".into(), |o| shown(o.unit.version.as_str()));
            notes.push(format!(
                "{name} cannot reach {}: of what may be taken the repositories have {highest}",
                shown(at_least)
            ));
        }
        wanted.extend(offer.map(|offer| (unit.name.clone(), offer)));
    }
    wanted
}

/// Of what is wanted, all that fits together: what leads nowhere is kept back, one after another.
fn all_that_can_be(
    solver: &Solver<'_>,
    mut wanted: BTreeMap<String, Rc<Offer>>,
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
        notes.push(format!("{} is kept back: {error}", shown(&root)));
    }
}

fn chosen(
    request: &Request,
    universe: &Universe,
    offer: &Offer,
    by: Option<&String>,
) -> Result<Chosen, Error> {
    let name = |text: &str| text.parse::<PackageName>().map_err(|_| Error::Internal("a name that is none"));
    let record = offer.record.clone();
    let size = record.get("S").and_then(|text| text.parse().ok());
    let size = size.ok_or_else(|| Error::Archive {
        item: shown(&offer.unit.name),
        why: "the index does not say how many bytes it has".into(),
    })?;
    let entry = format!("{} {} {size}", offer.unit.checksum, offer.unit.name);
    Ok(Chosen {
        name: name(&offer.unit.name)?,
        version: record.get("V").cloned().unwrap_or_default(),
        architecture: record.get("A").cloned().unwrap_or_else(|| request.architecture.clone()),
        urls: universe.urls(offer),
        format: Format::Apk,
        size,
        digest: Digest::of(entry.as_bytes()),
        why: by.map_or(Ok(Why::Asked), |by| name(by).map(Why::Dependency))?,
        record,
    })
}

fn shown(text: &str) -> String {
    inventory::printable(text)
}
