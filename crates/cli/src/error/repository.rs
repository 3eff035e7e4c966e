//! Errors of package repositories sorted: exit code and hint. The match is exhaustive, so that a new error has to be placed.

use super::rooms::{Sorted, fetch, hint, io, layer, store};
use crate::exit::Kind;
use repository::{Error as E, SignatureFault};

pub(super) fn repository(error: &E) -> Sorted {
    let packages = |text: &str| (Kind::Packages, hint(text));
    match error {
        E::NoSources { .. } => packages("give repository configuration with --repositories"),
        E::NoKey { .. } => {
            packages("give the repository's key with --repositories, beside its configuration")
        }
        E::Archived { .. } => packages(
            "packages of a release at its end come from an archive that nobody keeps up: --allow-archived takes them all the same",
        ),
        E::Expired { .. } => packages(
            "the mirror may be stale; try another. --allow-archived takes indexes of a release at its end all the same",
        ),
        E::Configuration { .. } => (Kind::Image, None),
        E::Signature { fault: SignatureFault::UnknownKey(_), .. } => packages(
            "the repository may have a new key: give it with --repositories, beside its configuration",
        ),
        E::Signature { .. } => packages("nothing unsigned is ever taken; try another mirror"),
        E::NotAnIndex { .. } | E::Missing { .. } => {
            packages("check network and proxy: what answers may not be the repository")
        }
        E::NotYetValid { .. } => packages("check the clock of this machine"),
        E::Rollback { .. } => packages("the mirror may be stale; try another"),
        E::WrongSuite { .. } => (Kind::Packages, None),
        E::Mismatch { .. } => {
            packages("the mirror may be in the middle of an update; try again, or another mirror")
        }
        E::Packed { .. } | E::Archive { .. } => (Kind::Packages, None),
        E::Unsatisfied { .. } | E::Conflict { .. } => (Kind::Packages, None),
        E::Limit(_) => (Kind::Packages, None),
        E::Fetch(error) => fetch(error, Kind::Packages),
        E::Store(error) => store(error),
        E::Layer(error) => layer(error),
        E::Io { source, .. } => (Kind::Internal, io(source)),
        E::Cancelled => (Kind::Interrupted, None),
        E::Internal(_) => (Kind::Internal, None),
    }
}
