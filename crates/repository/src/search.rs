//! The search for a set of versions that fit together, the same for each format that has choices: few of them, in a fixed order,
//! within bounds. What a problem is and what the ways out of it are, the format says.

use crate::{Error, limits::PACKAGES_MAX};

/// Problems looked at in one search. Real ones have some hundreds.
const STEPS_MAX: usize = 20_000;
/// Packages set in all states together that a search may come back to, some 300 bytes each.
const HELD_MAX: usize = 1_000_000;

/// What is searched.
pub(crate) trait Search {
    /// What has been set so far.
    type State: Clone;
    /// What a package is known by.
    type Key: Clone + Default;
    /// What does not fit.
    type Problem;
    /// One way out.
    type Choice;

    /// The first problem, and what has brought it.
    fn problem(&self, state: &mut Self::State) -> Option<(Self::Key, Self::Problem)>;
    /// Ways out, the preferred first.
    fn choices(&self, state: &Self::State, problem: &Self::Problem) -> Vec<Self::Choice>;
    /// On whose account a way out is taken.
    fn account(&self, state: &Self::State, cause: Self::Key, problem: &Self::Problem) -> Self::Key;
    /// Takes a way out.
    fn take(&self, state: &mut Self::State, choice: Self::Choice, account: Self::Key);
    /// Packages set.
    fn size(&self, state: &Self::State) -> usize;
    /// What was asked for at the beginning of the chain that led to a package.
    fn root(&self, state: &Self::State, key: &Self::Key) -> Self::Key;
    /// The error that a problem without a way out is.
    fn error(&self, state: &Self::State, problem: &Self::Problem) -> Error;
    /// Whether no work may be done any more; then nothing that was found counts.
    fn is_spent(&self) -> bool;
}

/// Why there is no such set, and what was asked for that led there.
pub(crate) struct Dead<Key> {
    pub(crate) root: Key,
    pub(crate) error: Error,
}

/// A state, on whose account it is left, and the ways out that are left.
type Fork<S> = (<S as Search>::State, <S as Search>::Key, std::vec::IntoIter<<S as Search>::Choice>);

/// The first state without a problem.
pub(crate) fn search<S: Search>(space: &S, begin: S::State) -> Result<S::State, Dead<S::Key>> {
    let mut state = begin;
    let mut ahead: Vec<Fork<S>> = Vec::new();
    let mut dead: Option<Dead<S::Key>> = None;
    for _ in 0..STEPS_MAX {
        let problem = space.problem(&mut state);
        let held: usize = ahead.iter().map(|(state, ..)| space.size(state)).sum();
        if space.is_spent() || held > HELD_MAX {
            dead = None;
            break;
        }
        let Some((cause, problem)) = problem else { return Ok(state) };
        let choices = space.choices(&state, &problem);
        if choices.is_empty() && dead.is_none() {
            dead = Some(Dead { root: space.root(&state, &cause), error: space.error(&state, &problem) });
        }
        let account = space.account(&state, cause, &problem);
        ahead.push((state, account, choices.into_iter()));
        match next(space, &mut ahead) {
            Some(next) => state = next,
            None => break,
        }
    }
    Err(dead.unwrap_or_else(|| Dead { root: S::Key::default(), error: limit() }))
}

fn limit() -> Error {
    Error::Limit(format!("no set of versions found in {STEPS_MAX} steps with {PACKAGES_MAX} packages"))
}

/// The next state that has not been tried.
fn next<S: Search>(space: &S, ahead: &mut Vec<Fork<S>>) -> Option<S::State> {
    loop {
        let (state, account, choices) = ahead.last_mut()?;
        let Some(choice) = choices.next().filter(|_| space.size(state) < PACKAGES_MAX) else {
            drop(ahead.pop());
            continue;
        };
        // With the last choice there is nothing to come back to.
        let (mut next, account) = match choices.len() {
            0 => ahead.pop().map(|(state, account, _)| (state, account))?,
            _ => (state.clone(), account.clone()),
        };
        space.take(&mut next, choice, account);
        return Some(next);
    }
}
