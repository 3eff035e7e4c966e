//! What can go wrong with a request, and which of it passes by itself.

use super::shown::printable;
use std::time::Duration;

/// A cause of any kind.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a request failed. URLs are without user, password and query; texts from outside are printable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be made from its settings.
    #[error("invalid {what}")]
    Settings {
        /// Which setting, by name.
        what: &'static str,
        /// What is wrong.
        #[source]
        source: Cause,
    },
    /// No connection: name, route, refusal, time-out.
    #[error("cannot reach {url}")]
    Connect {
        /// What was asked for.
        url: String,
        /// Whether it may pass by itself.
        passing: bool,
        /// Why.
        #[source]
        source: Cause,
    },
    /// TLS could not be agreed, or the certificate is not trusted.
    #[error("no trusted TLS connection to {url}")]
    Tls {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("transfer of {url} broke off")]
    Transfer {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Another status than was needed.
    #[error("{url} answered {status}{}", after_colon(.body))]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of what it said, printable.
        body: String,
        /// How long it wants to be left alone, where it says so.
        retry_after: Option<Duration>,
    },
    /// Nothing came for too long.
    #[error("{url} sent nothing for {} s", .limit.as_secs_f32())]
    Idle {
        /// What was asked for.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// Bytes come too slowly to ever end.
    #[error("{url} sends less than {rate} bytes per second")]
    Slow {
        /// What was asked for.
        url: String,
        /// The limit.
        rate: u64,
    },
    /// More bytes than may be.
    #[error("{url} sends more than {max} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        max: u64,
    },
    /// A declared length that is not the expected one.
    #[error("{url} declares {declared} bytes where {expected} are expected")]
    Length {
        /// What was asked for.
        url: String,
        /// What it says.
        declared: u64,
        /// What it must be.
        expected: u64,
    },
    /// The body ended early, again and again.
    #[error("{url} ended after {got} of {expected} bytes")]
    Short {
        /// What was asked for.
        url: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that must come.
        expected: u64,
    },
    /// A part that was not asked for.
    #[error("{url} answered with range \"{got}\" where the rest from byte {at} was asked for")]
    Range {
        /// What was asked for.
        url: String,
        /// `Content-Range`, printable.
        got: String,
        /// The first byte wanted.
        at: u64,
    },
    /// A redirect that we do not follow.
    #[error("{url} redirects to {to}: {why}")]
    Redirect {
        /// Who redirects.
        url: String,
        /// Where to, printable.
        to: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// An address that we do not reach.
    #[error("{url} is refused: {why}")]
    OutOfReach {
        /// What was asked for.
        url: String,
        /// What kind of address.
        why: String,
    },
    /// The body to send could not be read.
    #[error("cannot read what is to be sent to {url}")]
    Upload {
        /// Where to.
        url: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Most characters of an error body in a message; the whole is read up to 64 KiB.
const BODY_CHARS_SHOWN: usize = 300;

fn after_colon(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(": {}", printable(body, BODY_CHARS_SHOWN)) }
}

impl Error {
    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Connect { passing, .. } => *passing,
            Error::Transfer { .. } | Error::Idle { .. } | Error::Slow { .. } | Error::Short { .. } => true,
            Error::Status { status, .. } => super::retry::is_transient_status(*status),
            _ => false,
        }
    }

    /// The status, where it failed by one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the server wants to be left alone, where it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What reqwest says, sorted.
    pub(crate) fn sorted(url: String, error: reqwest::Error) -> Self {
        let error = error.without_url();
        let text = super::shown::error_text(&error);
        if let Some(out) = cause_of::<super::address::OutOfReach>(&error) {
            return Error::OutOfReach { url, why: out.to_string() };
        }
        if cause_of::<rustls::Error>(&error).is_some() {
            return Error::Tls { url, source: Box::new(error) };
        }
        if error.is_connect() {
            // A name that does not exist will not exist a second later; a resolver without an answer may have one.
            let unknown = text.contains("failed to lookup") && !text.contains("emporary failure");
            return Error::Connect { url, passing: !unknown, source: Box::new(error) };
        }
        Error::Transfer { url, source: Box::new(error) }
    }
}

/// The cause of a type, anywhere in the chain. An `io::Error` hides what it wraps, so that is looked into as well.
pub(crate) fn cause_of<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    let mut at: Option<&'a (dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref())
            && let Some(found) = cause_of::<T>(inner)
        {
            return Some(found);
        }
        at = error.source();
    }
    None
}
