//! OpenPGP signatures (RFC 9580) over indexes, judged by our own policy: rPGP does the arithmetic, what counts is said here.
//!
//! A signature counts if its key is among those given, was neither revoked nor expired when it signed, is bound to its
//! primary key and meant for signing, and if neither key nor digest is of a kind that can be forged.

mod clearsigned;
mod key;
mod keyring;
mod signature;

pub(crate) use clearsigned::Clearsigned;
pub(crate) use keyring::Keyring;
pub(crate) use signature::{Signed, verify};
