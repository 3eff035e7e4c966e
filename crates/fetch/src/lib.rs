//! Getting things over HTTP: a client with limits, retries, proxies and own CA; the egress proxy with its cache.

pub mod client;
mod direct;
pub mod egress;
