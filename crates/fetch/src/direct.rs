//! `NO_PROXY`: what is asked directly though there is a proxy; one grammar for the client and for the packages' proxy.

use crate::egress::{Host, HostRule};
use std::net::IpAddr;

/// The list: names with all below them, addresses, each with a port or at any, ranges of addresses, `*`; comma-separated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Direct(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Everything,
    /// A name and all below it.
    Name(String, Option<u16>),
    Address(IpAddr, Option<u16>),
    Range(IpAddr, u8),
}

impl Direct {
    pub(crate) fn parse(list: &str) -> Self {
        Direct(list.split(',').filter_map(|entry| parse(entry.trim())).collect())
    }

    pub(crate) fn covers(&self, host: &Host, port: u16) -> bool {
        self.0.iter().any(|entry| entry.covers(host, port))
    }
}

impl Entry {
    fn covers(&self, host: &Host, port: u16) -> bool {
        let at = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match (self, host) {
            (Entry::Everything, _) => true,
            (Entry::Name(name, port), Host::Name(host)) => at(port) && is_below(host, name),
            (Entry::Address(ip, port), Host::Address(host)) => at(port) && ip == host,
            (Entry::Range(net, bits), Host::Address(host)) => in_range(*host, *net, *bits),
            _ => false,
        }
    }
}

fn is_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn in_range(ip: IpAddr, net: IpAddr, bits: u8) -> bool {
    let differing = match (ip, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    differing >= u32::from(bits)
}

/// What cannot be read is left out: an entry of another tool's grammar must not stop the run.
fn parse(entry: &str) -> Option<Entry> {
    if entry == "*" {
        return Some(Entry::Everything);
    }
    if let Some((net, bits)) = entry.split_once('/') {
        return Some(Entry::Range(net.parse().ok()?, bits.parse().ok()?));
    }
    let plain = entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.')).unwrap_or(entry);
    let rule: HostRule = plain.parse().ok()?;
    Some(match rule.host {
        Host::Name(name) => Entry::Name(name, rule.port),
        Host::Address(ip) => Entry::Address(ip, rule.port),
        Host::Public => return None,
    })
}
