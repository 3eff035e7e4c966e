//! Why an image could not be read or delivered.

use oci::Platform;

/// What can go wrong at either end. Texts from outside are printable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The image is not there.
    #[error("{item} does not exist{}", listed("; there is ", .there))]
    NotFound {
        /// Which one.
        item: String,
        /// What is there instead, where that helps.
        there: Vec<String>,
    },
    /// The image exists, but not for the platform.
    #[error("{item} is not available for {wanted}{}", listed("; it has ", .available))]
    NoPlatform {
        /// Which image.
        item: String,
        /// What was asked for.
        wanted: Box<Platform>,
        /// What there is.
        available: Vec<Platform>,
    },
    /// The image is of another platform than it must be.
    #[error("{item} is for {found}, not for {wanted}")]
    OtherPlatform {
        /// Which image.
        item: String,
        /// What was asked for, or what its index says.
        wanted: Box<Platform>,
        /// What its config says.
        found: Box<Platform>,
    },
    /// The bytes are no image that we take.
    #[error("{item} cannot be used")]
    Image {
        /// Which document.
        item: String,
        /// Why.
        #[source]
        source: oci::Error,
    },
    /// The bytes are not what they claim.
    #[error("{item} is corrupt: {why}")]
    Corrupt {
        /// Which bytes.
        item: String,
        /// What is wrong.
        why: String,
    },
    /// The directory is no layout that we take.
    #[error("{dir} is not a usable OCI layout: {why}")]
    Layout {
        /// The directory.
        dir: String,
        /// What is wrong.
        why: String,
    },
    /// A blob that is to be delivered could not be read.
    #[error("cannot read {item} to deliver it")]
    Blob {
        /// Which blob.
        item: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The new image would take the place of the one it was made from.
    #[error("{reference} is the image that is being patched")]
    SourceTag {
        /// The name.
        reference: String,
    },
    /// Somebody else wrote the tag meanwhile.
    #[error("{reference} was changed by somebody else meanwhile (it was {was}, now it is {now})")]
    TagMoved {
        /// The name.
        reference: String,
        /// Digest at the beginning, or `absent`.
        was: String,
        /// Digest now, or `absent`.
        now: String,
    },
    /// A destination without the part that is needed.
    #[error("{reference} names no tag to write to")]
    NoTag {
        /// The name.
        reference: String,
    },
    /// A local daemon or its program cannot be reached.
    #[error("{what} cannot be reached{}", listed(": ", .tried))]
    Unavailable {
        /// Which.
        what: String,
        /// What was tried, each with the reason it failed.
        tried: Vec<String>,
    },
    /// A local daemon, or its program, did not do what it was asked for.
    #[error("{what}: {why}")]
    Daemon {
        /// Which daemon, and what was being done with what.
        what: String,
        /// What it said, or what was wrong with what it said; printable.
        why: String,
    },
    /// The user's policy does not let it be used.
    #[error("{why}")]
    Refused {
        /// What the policy says, printable.
        why: String,
    },
    /// The form that was asked for has no room for what there is.
    #[error("{why}")]
    Unfit {
        /// What it cannot hold, printable.
        why: String,
    },
    /// Of several destinations, one failed.
    #[error("{name} failed{}", listed("; the image is in ", .written))]
    OneOfSeveral {
        /// Which.
        name: String,
        /// Those that have the image.
        written: Vec<String>,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// Our own disk.
    #[error("{doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Told to stop.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    /// What a blob's reader said. Where it wraps an error of another room, that one is the cause.
    pub(crate) fn blob(item: String, error: std::io::Error) -> Self {
        let wraps = error.get_ref().is_some();
        let source = if wraps { error.into_inner() } else { Some(error.into()) };
        Error::Blob { item, source: source.unwrap_or_else(|| "it cannot be read".into()) }
    }
}

/// Most names listed in a message.
const NAMES_SHOWN: usize = 20;

fn listed<T: ToString>(before: &str, names: &[T]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let mut shown: Vec<String> = names.iter().take(NAMES_SHOWN).map(T::to_string).collect();
    if names.len() > NAMES_SHOWN {
        shown.push(format!("{} more", names.len() - NAMES_SHOWN));
    }
    format!("{before}{}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_gets_listed_within_bounds() {
        let error = |there: Vec<String>| Error::NotFound { item: "oci:x:a".into(), there }.to_string();
        assert_eq!(error(Vec::new()), "oci:x:a does not exist");
        assert_eq!(error(vec!["b".into(), "c".into()]), "oci:x:a does not exist; there is b, c");
        assert!(error(vec!["t".into(); 25]).ends_with("t, 5 more"));
    }
}
