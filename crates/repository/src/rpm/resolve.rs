//! The whole of it: repositories, indexes, and the packages to take.

use super::{
    Request, Wanted,
    chain::{Chain, fetch_all},
    solve::{Picks, Solver},
    source::sources,
    universe::Universe,
};
use crate::{Chosen, Error, Resolution, Session};
use inventory::printable;
use std::sync::atomic::AtomicU64;
use version::{PackageName, Scheme};

pub(crate) async fn resolve(request: &Request, session: &Session<'_>) -> Result<Resolution, Error> {
    let (sources, mut notes) = sources(request)?;
    let chain = Chain { request, session, held: AtomicU64::new(0) };
    let mut fetched = fetch_all(&chain, &sources, &mut notes).await?;
    let indexes = fetched.iter().map(|one| one.record.clone()).collect();
    notes.extend(fetched.iter_mut().flat_map(|one| std::mem::take(&mut one.notes)));
    let request = request.clone();
    let solved = session.blocking(move || {
        let universe = Universe::build(fetched, &request)?;
        let mut notes = Vec::new();
        let packages = packages(&universe, &request, &mut notes)?;
        Ok((packages, notes))
    });
    let (packages, said) = solved.await?;
    notes.extend(said);
    Ok(Resolution { packages, indexes, notes })
}

fn packages(universe: &Universe, request: &Request, notes: &mut Vec<String>) -> Result<Vec<Chosen>, Error> {
    let solver = Solver::new(universe, request)?;
    let picks = match &request.wanted {
        Wanted::All => all(&solver, request.security_only, notes)?,
        Wanted::Named(named) => self::named(&solver, request, named, notes)?,
    };
    let lacked = solver.lacked.borrow();
    if !lacked.is_empty() {
        let list = lacked.iter().map(|text| printable(text)).collect::<Vec<_>>().join(", ");
        notes.push(format!("not there before either, and not brought in: {list}"));
    }
    let chosen =
        picks.into_iter().map(|(at, pick)| universe.chosen(at, solver.replaced(&pick), pick.why.clone()));
    let mut chosen = chosen.collect::<Result<Vec<_>, _>>()?;
    chosen.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    Ok(chosen)
}

/// Everything that has a newer version; what cannot be had is kept back.
fn all(solver: &Solver<'_>, security_only: bool, notes: &mut Vec<String>) -> Result<Picks, Error> {
    let candidate = |old: usize| Some((old, solver.candidate(old, security_only)?));
    let wanted: Vec<_> = (0..solver.olds.len()).filter_map(candidate).collect();
    match solver.take(&Picks::new(), &wanted) {
        Err(Error::Unsatisfied { .. } | Error::Conflict { .. }) => {}
        done => return done,
    }
    let mut picks = Picks::new();
    for one in wanted {
        match solver.take(&picks, &[one]) {
            Ok(more) => picks = more,
            Err(error @ (Error::Unsatisfied { .. } | Error::Conflict { .. })) => {
                notes.push(format!("{} is kept back: {error}", solver.olds[one.0].name));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(picks)
}

/// What is named, each to its candidate.
fn named(
    solver: &Solver<'_>,
    request: &Request,
    named: &[(PackageName, String)],
    notes: &mut Vec<String>,
) -> Result<Picks, Error> {
    let mut wanted = Vec::new();
    for (name, at_least) in named {
        let of_name = |old: &usize| solver.olds[*old].name.base() == name.base();
        for old in (0..solver.olds.len()).filter(of_name) {
            let candidate = solver.candidate(old, request.security_only);
            let reached = |version: &version::Version| {
                Scheme::Rpm.parse_bound(at_least, version).is_ok_and(|bound| *version >= bound)
            };
            let installed = &solver.olds[old].version;
            let best = candidate.map_or(installed, |at| solver.offered(at));
            if !reached(best) {
                let what = if candidate.is_some() { "the newest is" } else { "there is nothing newer than" };
                notes.push(format!("{name}: {what} {best}, below {}", printable(at_least)));
            }
            wanted.extend(candidate.map(|at| (old, at)));
        }
    }
    solver.take(&Picks::new(), &wanted)
}
