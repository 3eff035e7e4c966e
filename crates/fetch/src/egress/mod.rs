//! The egress proxy: the only network a sandbox has.
//!
//! A plain HTTP proxy over a listener that was bound inside the sandbox's network namespace and is served from outside.
//! It lets through GET and HEAD of `http://` URLs and CONNECT, to hosts that are listed; it records every request; and
//! it keeps what does not change for every later run. It never sees into TLS, and it never follows a redirect: the
//! sandbox does that, and then the new host is checked like any other.

mod address;
mod body;
mod cache;
mod dial;
mod fill;
mod forward;
mod hosts;
mod kind;
mod record;
mod serve;
mod tunnel;
mod upstream;

pub(crate) use address::never as never_reached;
pub use cache::CacheOptions;
pub use hosts::{Host, HostError, HostRule};
pub use record::{How, Record, Refusal};
pub use upstream::UpstreamProxies;

use std::{path::PathBuf, sync::Arc, time::Duration};

/// Longest time without a byte, in either direction, before a request or a tunnel is given up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Most requests of one run: an upgrade of everything makes some thousands.
const REQUESTS_MAX: usize = 20_000;
/// Longest head of a request or answer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Longest content of one answer; no package and no index comes near it.
const BODY_BYTES_MAX: u64 = 8 << 30;

/// Why there is no egress.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener cannot be served.
    #[error("cannot serve the sandbox's proxy")]
    Listener(#[source] std::io::Error),
    /// The cache folder cannot be used.
    #[error("cannot use download cache {path}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The cache folder is a link, no folder, or another user's.
    #[error("download cache {path} is not a folder of this user")]
    CacheOwner {
        /// The folder.
        path: PathBuf,
    },
    /// An upstream proxy is given in a form that is not understood. Its text is not repeated: it may hold a password.
    #[error("invalid upstream proxy: {why}")]
    UpstreamProxy {
        /// What is wrong.
        why: &'static str,
    },
}

/// How to let a sandbox out.
#[derive(Debug, Clone, Default)]
pub struct EgressOptions {
    /// What the image's package repository configuration names, see [`HostRule::of_image`]. Not trusted: never this
    /// machine or its cloud, and no tunnel to a private address but at port 443.
    pub hosts: Vec<HostRule>,
    /// What the operator allows beside that, at whatever address.
    pub operator_hosts: Vec<HostRule>,
    /// The operator's own proxies. What goes through them is resolved by them.
    pub upstream: UpstreamProxies,
    /// What to keep, and where; nothing without it.
    pub cache: Option<CacheOptions>,
    /// Longest time without a byte; 30 seconds when not given.
    pub idle: Option<Duration>,
}

/// A running egress proxy. It begins closed: [`Egress::set_open`] lets requests through. Dropped, it ends.
pub struct Egress {
    proxy: Arc<serve::Proxy>,
}

impl Egress {
    /// Begins to serve a listener.
    pub fn start(
        listener: std::net::TcpListener,
        options: EgressOptions,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Egress, Error> {
        let allow = hosts::AllowList { image: options.hosts, operator: options.operator_hosts };
        let dialer = dial::Dialer::new(allow, upstream::Upstream::parse(&options.upstream)?);
        let cache = options.cache.map(cache::Cache::open).transpose()?;
        let proxy = Arc::new(serve::Proxy::new(dialer, cache, options.idle.unwrap_or(IDLE_TIMEOUT)));
        listener.set_nonblocking(true).map_err(Error::Listener)?;
        let _inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::Listener)?;
        runtime.spawn(proxy.clone().accept(listener));
        Ok(Egress { proxy })
    }

    /// Opens the network for a step, or closes it: what is under way is cut off, and every request is refused.
    pub fn set_open(&self, open: bool) {
        self.proxy.set_open(open);
    }

    /// Replaces the hosts that the image's configuration names.
    pub fn set_hosts(&self, hosts: Vec<HostRule>) {
        self.proxy.dialer().set_image_hosts(hosts);
    }

    /// Every request so far, in order of arrival.
    pub fn records(&self) -> Vec<Record> {
        self.proxy.journal().records()
    }

    /// Index objects (signed heads and lists) that were downloaded in full from a server, not from the cache.
    pub fn index_fetches(&self) -> u64 {
        self.proxy.journal().index_fetches()
    }

    /// Removes from the cache what this run was given: its package tool found something of it to be wrong.
    pub fn forget_given(&self) {
        if let Some(cache) = self.proxy.cache() {
            cache.forget_given();
        }
    }

    /// Ends everything at once: listener, connections, tunnels, downloads.
    pub fn finish(self) -> Vec<Record> {
        self.proxy.end();
        self.records()
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.proxy.end();
    }
}
