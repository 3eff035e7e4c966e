//! Images of another platform than this host's: they can be patched where no program of theirs has to run, which only shows
//! when one has looked into them.

use adapter::Strategy;
use endpoint::{Error, Source, SourceImage};
use oci::Platform;

/// The image for a platform. Where the name leads to one of another platform alone, that one, and what speaks against it.
pub(crate) async fn image(
    source: &dyn Source,
    wanted: &Platform,
) -> Result<(SourceImage, Option<Error>), Error> {
    let error = match source.image(wanted).await {
        Ok(image) => return Ok((image, None)),
        Err(error) => error,
    };
    let Error::OtherPlatform { found, .. } = &error else { return Err(error) };
    match source.image(found).await {
        Ok(image) => Ok((image, Some(error))),
        Err(_) => Err(error),
    }
}

/// Refuses an image of another platform where a program of it would have to run.
pub(crate) fn refuse(foreign: Option<Error>, strategy: Strategy) -> Result<(), Error> {
    match (foreign, strategy) {
        (Some(error), Strategy::InPlace | Strategy::Outside) => Err(error),
        _ => Ok(()),
    }
}
