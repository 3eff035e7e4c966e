//! Packages resolved and verified by ourselves, for images whose own package tool is absent or shall stay offline: indexes
//! fetched and their signatures checked, candidates chosen, dependencies closed, packages downloaded, archives opened.
//!
//! Engine-neutral, and nothing of an image or a package is ever executed. One module a format; what all formats share is
//! beside them. The clock is a parameter.

pub mod apk;
pub mod apt;
mod archive;
mod cancelled;
mod download;
mod error;
mod heads;
mod inflate;
mod limits;
#[cfg(test)]
mod mutation;
mod openpgp;
mod resolution;
pub mod rpm;
mod search;
mod section;
mod session;

pub use archive::{Archive, Package, Visit};
pub use download::download;
pub use error::{Error, SignatureFault};
pub use resolution::{Chosen, Format, IndexRecord, Resolution, Why};
pub use session::{Event, Session};

/// What to resolve, in the words of one format.
#[derive(Debug, Clone)]
pub enum Request {
    /// Debian's and Ubuntu's.
    Apt(apt::Request),
    /// Alpine's, Wolfi's and Chainguard's.
    Apk(apk::Request),
    /// RPM's.
    Rpm(rpm::Request),
}

/// Chooses packages: indexes are fetched and verified, candidates found, dependencies closed. Nothing of a package is
/// downloaded yet.
pub async fn resolve(request: &Request, session: &Session<'_>) -> Result<Resolution, Error> {
    match request {
        Request::Apt(request) => apt::resolve(request, session).await,
        Request::Apk(request) => apk::resolve(request, session).await,
        Request::Rpm(request) => rpm::resolve(request, session).await,
    }
}
