//! Which addresses may be reached: link-local and metadata services never, private ones not where a stranger names them.

use super::shown::same_origin;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How far a request may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Whatever the user names: everything but link-local.
    #[default]
    Named,
    /// What somebody else names (a token realm): public addresses only.
    Public,
    /// What an image's own configuration names (a package repository): never this machine, its link or its cloud, by the
    /// same table as the egress proxy's; a mirror in the house is.
    Configured,
}

/// Services of clouds that hand out credentials, at addresses that look private or public: Alibaba's, Azure's and Oracle's
/// of IPv4, then Amazon's, Google's and Oracle's of IPv6.
pub(crate) const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
];

/// Link-local, and the fixed addresses at which clouds serve credentials to whoever asks.
pub fn is_link_local(ip: IpAddr) -> bool {
    let ip = canonical(ip);
    METADATA.contains(&ip)
        || match ip {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        }
}

/// Every address that is no public unicast one: loopback, private, shared, link-local, multicast, unspecified.
pub fn is_private(ip: IpAddr) -> bool {
    let ip = canonical(ip);
    let general = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || is_link_local(ip);
    general
        || match ip {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                v4.is_private()
                    || v4.is_broadcast()
                    || a == 0
                    || a >= 240
                    || (a == 100 && (64..128).contains(&b))
            }
            IpAddr::V6(v6) => v6.is_unique_local(),
        }
}

/// IPv4 written as IPv6 (mapped, NAT64) means that IPv4 address.
fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        _ => v6.to_canonical(),
    }
}

/// Whether a host as written (no port, brackets optional) is this machine: `localhost` or a loopback address.
pub fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| canonical(ip).is_loopback())
}

/// Whether who answered is at a private address, so that what it names may be too: by its name, and by the address it
/// answered from where that is known. A name that also leads to a private address, but answered from a public one, is not.
pub async fn is_in_private_network(url: &Url, peer: Option<IpAddr>) -> bool {
    if peer.is_some_and(|peer| !is_private(peer)) {
        return false;
    }
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or(443);
    match tokio::net::lookup_host((host, port)).await {
        Ok(mut addresses) => addresses.any(|a| is_private(a.ip())),
        Err(_) => false,
    }
}

impl Reach {
    /// How far a request may reach that `from`, which answered from the address `peer`, sends on to `to`: a host of the
    /// Internet sends nobody into private networks.
    pub async fn beyond(self, from: &Url, peer: Option<IpAddr>, to: &Url) -> Reach {
        match same_origin(from, to) || is_in_private_network(from, peer).await {
            true => self,
            false => Reach::Public,
        }
    }

    /// Why an address is out of reach, or `None` where it is not.
    pub(crate) fn refusal(self, ip: IpAddr) -> Option<&'static str> {
        match self {
            _ if is_link_local(ip) => Some("link-local or metadata address"),
            Reach::Public if is_private(ip) => Some("private address"),
            Reach::Configured => crate::egress::never_reached(ip),
            _ => None,
        }
    }

    /// Why an URL is out of reach by what it says itself. Names are judged when they are resolved.
    pub(crate) fn refusal_of(self, url: &Url) -> Option<&'static str> {
        let host = url.host_str()?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(ip) => self.refusal(ip),
            Err(_) if self != Reach::Named && is_loopback_host(bare) => Some("private address"),
            Err(_) => None,
        }
    }
}

/// Resolves names as the system does and leaves out what is out of reach, at the moment of dialling: a name cannot
/// change its mind between check and use.
pub(crate) struct Resolver {
    pub(crate) reach: Reach,
    /// Names of the user's own proxies, which may be anywhere.
    pub(crate) exempt: Vec<String>,
}

/// A name that resolves only to addresses out of reach.
#[derive(Debug, thiserror::Error)]
#[error("{name} resolves to a {why}")]
pub(crate) struct OutOfReach {
    name: String,
    why: &'static str,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let reach = if self.exempt.contains(&name) { None } else { Some(self.reach) };
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let why = |a: &SocketAddr| reach.and_then(|r| r.refusal(a.ip()));
            let good: Vec<SocketAddr> = found.iter().filter(|a| why(a).is_none()).copied().collect();
            match found.iter().find_map(why) {
                Some(why) if good.is_empty() => Err(OutOfReach { name, why }.into()),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sorted_into_public_private_and_never() {
        for (text, link_local, private) in [
            ("8.8.8.8", false, false),
            ("2606:4700::1", false, false),
            ("127.0.0.1", false, true),
            ("10.1.2.3", false, true),
            ("100.64.0.1", false, true),
            ("0.0.0.0", false, true),
            ("fd12::1", false, true),
            ("::1", false, true),
            ("::ffff:10.0.0.1", false, true),
            ("169.254.169.254", true, true),
            ("::ffff:169.254.169.254", true, true),
            ("64:ff9b::a9fe:a9fe", true, true),
            ("fe80::1", true, true),
            ("fd00:ec2::254", true, true),
            ("fd20:ce::254", true, true),
            ("fd00:c1::a9fe:a9fe", true, true),
            ("fd00:c1::1", false, true),
        ] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!((is_link_local(ip), is_private(ip)), (link_local, private), "{text}");
        }
    }

    #[test]
    fn urls_are_refused_by_what_they_say() {
        for (text, named, public) in [
            ("https://example.com/", false, false),
            ("https://localhost/", false, true),
            ("http://169.254.169.254/latest", true, true),
            ("http://0xa9fea9fe/", true, true),
            ("http://[fe80::1]/", true, true),
            ("http://192.168.0.1/", false, true),
        ] {
            let url = Url::parse(text).unwrap();
            let refused = |r: Reach| r.refusal_of(&url).is_some();
            assert_eq!((refused(Reach::Named), refused(Reach::Public)), (named, public), "{text}");
            let house = text.contains("192.168");
            assert_eq!(refused(Reach::Configured), public && !house, "{text}");
        }
    }

    #[tokio::test]
    async fn a_public_host_sends_nobody_into_private_networks() {
        for (from, to, reach) in [
            ("https://192.0.2.1/", "https://192.0.2.1/x", Reach::Named),
            ("https://192.0.2.1/", "https://192.0.2.2/x", Reach::Public),
            ("https://192.0.2.1/", "https://10.0.0.1/x", Reach::Public),
            ("https://192.0.2.1/", "https://192.0.2.1:8443/x", Reach::Public),
            ("https://10.0.0.1/", "https://10.0.0.2/x", Reach::Named),
            ("http://127.0.0.1:5000/", "http://localhost:5001/x", Reach::Named),
        ] {
            let url = |text| Url::parse(text).unwrap();
            let (from, to) = (url(from), url(to));
            assert_eq!(Reach::Named.beyond(&from, None, &to).await, reach, "{from} {to}");
            assert_eq!(Reach::Public.beyond(&from, None, &to).await, Reach::Public, "{from} {to}");
            // Where the name leads to both, the address that answered decides.
            let public = Some(IpAddr::from([192, 0, 2, 1]));
            let kept = if same_origin(&from, &to) { Reach::Named } else { Reach::Public };
            assert_eq!(Reach::Named.beyond(&from, public, &to).await, kept, "{from} {to}");
            let private = Some(IpAddr::from([10, 0, 0, 1]));
            assert_eq!(Reach::Named.beyond(&from, private, &to).await, reach, "{from} {to}");
        }
    }

    #[tokio::test]
    async fn names_are_judged_when_resolved() {
        let resolve = |reach| async move {
            let resolver = Resolver { reach, exempt: Vec::new() };
            resolver.resolve("localhost".parse().unwrap()).await.map(|a| a.count())
        };
        assert!(resolve(Reach::Named).await.unwrap() > 0);
        assert!(resolve(Reach::Public).await.is_err());
    }
}
