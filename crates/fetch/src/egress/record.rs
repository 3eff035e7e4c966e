//! What was asked of the proxy and what became of it: one record per request, in order of arrival.

use super::hosts::{HostError, shown};
use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Longest target kept in a record: long enough for any package URL, short enough for [`super::REQUESTS_MAX`] of them.
const TARGET_CHARS_MAX: usize = 512;

/// One request and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Method, escaped.
    pub method: String,
    /// URL, or `host:port` of a tunnel; without user and password, escaped, cut at 512 characters.
    pub target: String,
    /// Status sent to the sandbox.
    pub status: u16,
    /// Bytes of content sent to the sandbox; of a tunnel, both ways.
    pub bytes: u64,
    /// Where the answer came from.
    pub how: How,
}

/// Where an answer came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// The cache, without asking.
    Hit,
    /// The cache, after the server said that it is still right.
    Revalidated,
    /// The server; the answer is a candidate for the cache.
    Miss,
    /// The server; the answer is none of what is cached.
    Passed,
    /// An opaque connection.
    Tunnel,
    /// Nowhere: it is not allowed.
    Refused(Refusal),
    /// Nowhere, or not to its end.
    Failed(String),
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            How::Hit => f.write_str("hit"),
            How::Revalidated => f.write_str("revalidated"),
            How::Miss => f.write_str("miss"),
            How::Passed => f.write_str("passed"),
            How::Tunnel => f.write_str("tunnel"),
            How::Refused(why) => write!(f, "refused: {why}"),
            How::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// Why a request is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The step runs without network.
    #[error("this step has no network")]
    NoNetwork,
    /// The host is in no list.
    #[error(
        "{host} is not in the image's package repository configuration; list it as an operator host to allow it"
    )]
    NotListed {
        /// The host.
        host: String,
    },
    /// The host is listed, the port is not.
    #[error("{host} is allowed, but not at port {port}; list {host}:{port} as an operator host to allow it")]
    Port {
        /// The host.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// The host is listed at this port, for the other scheme.
    #[error(
        "{host} is allowed at port {port}, but not by {scheme}; list {host}:{port} as an operator host to allow it"
    )]
    Scheme {
        /// The host.
        host: String,
        /// The port asked for.
        port: u16,
        /// How it was asked.
        scheme: String,
    },
    /// The name means this machine.
    #[error("{host} is this machine; list it as an operator host to allow it")]
    Local {
        /// The name.
        host: String,
    },
    /// The host is, or resolves to, an address that an image must not reach.
    #[error("{host} is at {address} ({kind}); list it as an operator host to allow it")]
    Address {
        /// The host.
        host: String,
        /// The address.
        address: IpAddr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// The host is written in a way that hides what it is.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Neither GET, HEAD nor CONNECT.
    #[error("method {0} is not allowed")]
    Method(String),
    /// Not an `http://` URL in full.
    #[error("only full http:// URLs and CONNECT are taken")]
    Form,
    /// The Host header names another host than the request line, or there are several.
    #[error("the Host header does not name the host that is asked")]
    HostHeader,
    /// A GET or HEAD with a body.
    #[error("a body is not taken")]
    Body,
    /// More requests than one run may make.
    #[error("too many requests in one run")]
    TooMany,
}

/// Every record of one run.
#[derive(Debug, Default)]
pub(super) struct Journal {
    records: Mutex<Vec<Record>>,
    index_fetches: AtomicU64,
}

impl Journal {
    /// Opens a record, unless there are already `max`.
    pub(super) fn open(self: &Arc<Self>, method: &str, target: &str, max: usize) -> Option<Entry> {
        let mut records = self.lock();
        if records.len() >= max {
            return None;
        }
        let target = target.chars().take(TARGET_CHARS_MAX).flat_map(char::escape_default).collect();
        let how = How::Failed("not answered".into());
        records.push(Record { method: shown(method), target, status: 0, bytes: 0, how });
        Some(Entry { journal: self.clone(), at: records.len() - 1 })
    }

    /// What has been recorded so far.
    pub(super) fn records(&self) -> Vec<Record> {
        self.lock().clone()
    }

    pub(super) fn count_index(&self) {
        self.index_fetches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn index_fetches(&self) -> u64 {
        self.index_fetches.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        // A record is whole after every statement, so one that panicked left nothing half-written.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record of a request that is still being answered.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    journal: Arc<Journal>,
    at: usize,
}

impl Entry {
    /// The answer begins.
    pub(super) fn answered(&self, status: u16, how: How) {
        let mut records = self.journal.lock();
        records[self.at].status = status;
        records[self.at].how = how;
    }

    /// Content was sent.
    pub(super) fn sent(&self, bytes: u64) {
        self.journal.lock()[self.at].bytes += bytes;
    }

    /// The answer ended before its end.
    pub(super) fn failed(&self, why: impl Into<String>) {
        self.journal.lock()[self.at].how = How::Failed(why.into());
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_bounded_and_escaped() {
        let journal = Arc::new(Journal::default());
        let entry = journal.open("GET", &format!("http://h/\u{1b}[2J{}", "a".repeat(9000)), 1).unwrap();
        entry.answered(200, How::Miss);
        entry.sent(3);
        entry.sent(4);
        assert!(journal.open("GET", "http://h/", 1).is_none());
        let records = journal.records();
        assert!(records[0].target.starts_with("http://h/\\u{1b}[2J") && records[0].target.len() < 600);
        assert_eq!((records[0].status, records[0].bytes, &records[0].how), (200, 7, &How::Miss));
    }
}
