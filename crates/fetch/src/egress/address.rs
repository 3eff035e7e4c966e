//! Which addresses a request of an image may end at: a table of the special ranges (RFC 6890 and the clouds' own).

use crate::client::METADATA;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address is from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// An address of the Internet, documentation ranges included: mirrors do resolve to those.
    Public,
    /// A private network: a mirror in the house lives there.
    Private,
    /// This machine, its link, its cloud, or no single machine at all.
    Never(&'static str),
}

/// Why nothing that an image names is ever reached at this address, if so.
pub(crate) fn never(ip: IpAddr) -> Option<&'static str> {
    match reach(ip) {
        Reach::Never(kind) => Some(kind),
        Reach::Public | Reach::Private => None,
    }
}

/// What kind of address this is; one that wraps an IPv4 address is judged as that address.
pub(super) fn reach(ip: IpAddr) -> Reach {
    let ip = ip.to_canonical();
    if METADATA.contains(&ip) {
        return Reach::Never("cloud metadata");
    }
    match ip {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    match ip.octets() {
        [127, ..] => Reach::Never("loopback"),
        [0, ..] => Reach::Never("unspecified"),
        [169, 254, ..] => Reach::Never("link-local"),
        [255, 255, 255, 255] => Reach::Never("broadcast"),
        [224..=239, ..] => Reach::Never("multicast"),
        [240..=255, ..] => Reach::Never("reserved"),
        [192, 0, 0, _] => Reach::Never("protocol assignment"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Never("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Never("loopback"),
        // Addresses that carry an IPv4 address: NAT64, its local prefix, and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => wrapped(high, low),
        [0x2002, high, low, ..] => wrapped(high, low),
        [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] => Reach::Never("translated"),
        [0xfe80..=0xfebf, ..] => Reach::Never("link-local"),
        [0xfec0..=0xfeff, ..] => Reach::Never("site-local"),
        [0xff00..=0xffff, ..] => Reach::Never("multicast"),
        [0xfc00..=0xfdff, ..] => Reach::Private,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never("reserved"),
    }
}

fn wrapped(high: u16, low: u16) -> Reach {
    reach_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_range_is_known() {
        for (text, kind) in [
            ("127.0.0.1", "loopback"),
            ("127.255.0.9", "loopback"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("64:ff9b::7f00:1", "loopback"),
            ("2002:7f00:1::", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("::", "unspecified"),
            ("169.254.169.254", "link-local"),
            ("::ffff:169.254.169.254", "link-local"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("240.0.0.1", "reserved"),
            ("::10.0.0.1", "reserved"),
            ("64:ff9b:1::1", "translated"),
            ("2001::1", "translated"),
            ("100.100.100.200", "cloud metadata"),
            ("168.63.129.16", "cloud metadata"),
            ("fd00:ec2::254", "cloud metadata"),
            ("192.0.0.8", "protocol assignment"),
        ] {
            assert_eq!(reach(text.parse().unwrap()), Reach::Never(kind), "{text}");
        }
    }

    #[test]
    fn private_and_public_addresses_are_told_apart() {
        for text in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "fd12::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(reach(text.parse().unwrap()), Reach::Private, "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "203.0.113.9",
            "198.51.100.1",
            "192.0.2.1",
            "2001:db8::1",
            "2a04:4e42::644",
        ] {
            assert_eq!(reach(text.parse().unwrap()), Reach::Public, "{text}");
        }
    }
}
