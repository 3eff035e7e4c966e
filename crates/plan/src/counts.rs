//! How many findings ended in which way.

use crate::{Outcome, Settled};

/// Findings by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All findings.
    pub total: usize,
    /// Fixed by this run.
    pub fixed: usize,
    /// Fixed before it.
    pub already_fixed: usize,
    /// On packages that are not installed.
    pub not_installed: usize,
    /// Without a known fix.
    pub no_fix_known: usize,
    /// With a fix that the repositories do not have.
    pub repository_behind: usize,
    /// On held packages.
    pub held: usize,
    /// Left out by policy.
    pub excluded: usize,
    /// Failed otherwise.
    pub failed: usize,
}

impl Counts {
    /// Counts.
    pub fn of(settled: &[Settled]) -> Self {
        let mut counts = Counts { total: settled.len(), ..Counts::default() };
        for one in settled {
            *counts.of_outcome(&one.outcome) += 1;
        }
        counts
    }

    fn of_outcome(&mut self, outcome: &Outcome) -> &mut usize {
        match outcome {
            Outcome::Fixed => &mut self.fixed,
            Outcome::AlreadyFixed => &mut self.already_fixed,
            Outcome::NotInstalled => &mut self.not_installed,
            Outcome::NoFixKnown => &mut self.no_fix_known,
            Outcome::RepositoryBehind { .. } => &mut self.repository_behind,
            Outcome::Held => &mut self.held,
            Outcome::Excluded { .. } => &mut self.excluded,
            Outcome::Failed { .. } => &mut self.failed,
        }
    }

    /// Findings that a scanner would still report although a fix is known.
    pub fn fixable_left(&self) -> usize {
        self.repository_behind + self.held + self.excluded + self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_counted_once() {
        let settled = |outcome| Settled {
            vulnerability: "CVE-1".into(),
            package: "a".parse().unwrap(),
            installed: "1".into(),
            fixed: None,
            now: None,
            severity: None,
            outcome,
        };
        let all = [
            settled(Outcome::Fixed),
            settled(Outcome::Fixed),
            settled(Outcome::Held),
            settled(Outcome::NoFixKnown),
            settled(Outcome::Failed { reason: "x".into() }),
        ];
        let counts = Counts::of(&all);
        let expected =
            Counts { total: 5, fixed: 2, held: 1, no_fix_known: 1, failed: 1, ..Counts::default() };
        assert_eq!(counts, expected);
        assert_eq!(counts.fixable_left(), 2);
    }
}
