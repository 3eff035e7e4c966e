//! What other rooms and our stages report, as the engine's error.

use crate::{
    NAME,
    failure::{Blame, Failure},
    host,
};
use engine::Error;
use std::io;

/// A layer or tree that could not be read or written.
pub(crate) fn of_layer(error: layer::Error) -> Error {
    match error {
        layer::Error::Verification(why) => Error::Image { item: "layer".to_owned(), why },
        layer::Error::Malformed { .. } => Error::Image { item: "layer".to_owned(), why: error.to_string() },
        layer::Error::Entry { path, why } => Error::Image { item: path.to_string(), why },
        layer::Error::Limit(what) => Error::Limit(what),
        layer::Error::Cancelled => Error::Cancelled,
        layer::Error::Io { doing, source } => Error::Io { doing, source },
    }
}

/// The store could not do something.
pub(crate) fn of_store(error: store::Error) -> Error {
    match error {
        store::Error::Cancelled => Error::Cancelled,
        // Paths of the image look like paths of this machine; the one that has no room is the cache's.
        store::Error::Layer { path, source: layer::Error::Io { doing, source }, .. } => {
            Error::Io { doing: format!("unpacking a layer into {}: {doing}", path.display()), source }
        }
        store::Error::Layer { item, source, .. } => of_blob(&format!("layer {item}"), source),
        store::Error::Blob(source) => of_layer(source),
        store::Error::Io { doing, path, source } => io(format!("{doing} {}", path.display()), source),
        store::Error::Unsafe { .. } => io("using the cache", io::Error::other(error)),
    }
}

/// As [`of_layer`], naming the layer too.
fn of_blob(blob: &str, error: layer::Error) -> Error {
    let why = match &error {
        layer::Error::Io { .. } | layer::Error::Limit(_) | layer::Error::Cancelled => return of_layer(error),
        layer::Error::Verification(why) => why.clone(),
        layer::Error::Malformed { .. } | layer::Error::Entry { .. } => error.to_string(),
    };
    Error::Image { item: blob.to_owned(), why }
}

/// Something that did not work while a sandbox was being set up.
pub(crate) fn of_setup(failure: Failure) -> Error {
    match failure.blame {
        Blame::Image => Error::Image { item: failure.doing, why: failure.why },
        Blame::Host => {
            Error::Unavailable { engine: NAME, what: failure.to_string(), remedy: host::remedy(&failure) }
        }
    }
}

/// Something that did not work in a sandbox that stood already.
pub(crate) fn of_work(failure: Failure) -> Error {
    match failure.blame {
        Blame::Image => Error::Image { item: failure.doing, why: failure.why },
        Blame::Host => {
            let source = match failure.errno {
                Some(number) => io::Error::from_raw_os_error(number),
                None => io::Error::other(failure.why),
            };
            Error::Io { doing: failure.doing, source }
        }
    }
}

/// A system call of ours.
pub(crate) fn io(doing: impl Into<String>, source: impl Into<io::Error>) -> Error {
    Error::Io { doing: doing.into(), source: source.into() }
}
