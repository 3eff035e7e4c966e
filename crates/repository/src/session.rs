//! What every call needs beside its subject: how to fetch, where to keep, what time it is, whom to tell, when to stop.

use engine::CancellationToken;
use fetch::{
    client::{Client, Reach, Url},
    egress::{Host, HostRule},
};
use std::sync::Arc;
use store::Store;

/// What a resolution works with. Clones share everything.
#[derive(Clone)]
pub struct Session<'a> {
    /// Asks the repositories.
    pub client: &'a Client,
    /// Keeps indexes and packages by digest, and the heads of indexes by URL.
    pub store: &'a Store,
    /// The time, in seconds since 1970.
    pub now: i64,
    /// Stops everything that is under way.
    pub cancel: CancellationToken,
    /// Takes progress; must not block.
    pub events: Arc<dyn Fn(Event) + Send + Sync>,
    /// Take suites that are no longer kept up: their index may have expired, and their place be an archive.
    pub allow_archived: bool,
    /// Hosts that the operator allows at whatever address; what an image names is never on this machine.
    pub operator_hosts: Vec<HostRule>,
}

/// What is told while work goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An index is there and verified.
    Index {
        /// Its URL, without user and query.
        url: String,
        /// Bytes that were transferred for it; none where the cache had it.
        fetched: u64,
    },
    /// More of a package has arrived.
    Package {
        /// Its name.
        name: version::PackageName,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

impl Session<'_> {
    /// How far a request for a repository may reach: what an image names is never this machine, its link or its cloud,
    /// and over https in a private network only at the usual port, the same as through the egress proxy.
    pub(crate) fn reach(&self, url: &Url) -> Reach {
        let port = url.port_or_known_default();
        let host = url.host_str().and_then(|host| host.parse::<Host>().ok());
        let listed =
            |rule: &HostRule| Some(&rule.host) == host.as_ref() && (rule.port.is_none() || rule.port == port);
        match self.operator_hosts.iter().any(listed) {
            true => Reach::Named,
            false if url.scheme() == "https" && port != Some(443) => Reach::Public,
            false => Reach::Configured,
        }
    }
}
