//! Which hosts may be asked: names as they are compared, rules, and what of a request they admit. No I/O.

use super::address::{self, Reach};
use super::record::Refusal;
use std::{fmt, net::IpAddr, str::FromStr};

/// Longest host name (RFC 1035 §3.1).
const NAME_BYTES_MAX: usize = 253;
/// Longest label of a host name (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// The port of plain http.
pub(super) const HTTP: u16 = 80;
/// The port of https.
const HTTPS: u16 = 443;
/// Why a tunnel to a private address is refused.
const PRIVATE_TUNNEL: &str = "private, where tunnels end at port 443 only";
/// Why a host that only a list of mirrors can have named is refused.
const PRIVATE_MIRROR: &str = "private, and the image's configuration does not name it";
/// Names that mean this very machine wherever they are looked up.
const LOCAL_NAMES: [&str; 5] =
    ["localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"];

/// A host in the one spelling that is compared: lower case, no trailing dot, an address as an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name.
    Name(String),
    /// An address; one that only wraps an IPv4 address is that IPv4 address.
    Address(IpAddr),
    /// Every host with a public address. Only in the image's list, never in a request.
    Public,
}

/// Why a text is no host, or no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Not a DNS name and not an address.
    #[error("\"{0}\" is not a host name")]
    Invalid(String),
    /// A decimal, octal, hexadecimal or shortened spelling of an address.
    #[error("\"{0}\" is an address in disguise")]
    Disguised(String),
    /// The port is no number from 1 to 65535.
    #[error("\"{0}\" has no valid port")]
    Port(String),
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(inner) = bare {
            let parsed = inner.parse::<std::net::Ipv6Addr>();
            return parsed
                .map(|ip| Host::Address(IpAddr::V6(ip).to_canonical()))
                .map_err(|_| HostError::Invalid(shown(text)));
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Host::Address(ip.to_canonical()));
        }
        name(text).map(Host::Name)
    }
}

fn name(text: &str) -> Result<String, HostError> {
    let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |l: &str| {
        (1..=LABEL_BYTES_MAX).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if lower.len() > NAME_BYTES_MAX || !lower.split('.').all(label) {
        return Err(HostError::Invalid(shown(text)));
    }
    let last = lower.rsplit('.').next().unwrap_or_default();
    // C libraries read `2130706433`, `0x7f.1` and `0177.0.0.1` as addresses: no real name ends in a number.
    if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
        return Err(HostError::Disguised(shown(text)));
    }
    Ok(lower)
}

/// Text from outside, made safe to show and short.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(100).collect::<String>().escape_default().to_string()
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Address(ip) => ip.fmt(f),
            Host::Public => f.write_str(PUBLIC),
        }
    }
}

/// How an entry of the image's list says that a list of mirrors says the rest: every host with a public address.
const PUBLIC: &str = "*";

/// How an entry of the image's list begins where the repository is asked by https.
const HTTPS_PREFIX: &str = "https://";

/// One entry of an allow-list: `host[:port]`, and in the image's list also `https://host[:port]`, `*` and `https://*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostRule {
    /// In the image's list: whether tunnels are admitted and no plain requests, or the reverse. In the operator's
    /// list both are.
    pub https: bool,
    /// The host, matched exactly.
    pub host: Host,
    /// The port. Without one: 443 for https and else 80, or any port where the operator lists the host.
    pub port: Option<u16>,
}

impl FromStr for HostRule {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let (host, port) = split_port(text)?;
        Ok(HostRule { https: false, host: host.parse()?, port })
    }
}

impl HostRule {
    /// An entry of the image's list; the operator's entries have no scheme.
    pub fn of_image(text: &str) -> Result<Self, HostError> {
        let (https, rest) = text.strip_prefix(HTTPS_PREFIX).map_or((false, text), |rest| (true, rest));
        match rest {
            PUBLIC => Ok(HostRule { https, host: Host::Public, port: None }),
            host => Ok(HostRule { https, ..host.parse()? }),
        }
    }

    /// The one way in which the image's entry lets its host be asked, and the port.
    fn of_repository(&self) -> (Scheme, u16) {
        match self.https {
            true => (Scheme::Tunnel, self.port.unwrap_or(HTTPS)),
            false => (Scheme::Http, self.port.unwrap_or(HTTP)),
        }
    }
}

/// Splits `host[:port]`; a bare IPv6 address has no port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), HostError> {
    let tail = match text.rfind(']') {
        Some(end) => end + 1,
        None if text.matches(':').count() > 1 => return Ok((text, None)),
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(tail);
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => return Ok((host, None)),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    match port {
        Some(0) | None => Err(HostError::Port(shown(text))),
        known => Ok((host, known)),
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.https {
            f.write_str(HTTPS_PREFIX)?;
        }
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// How a host is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// A plain request, which we read and may cache.
    Http,
    /// A tunnel, which we cannot read.
    Tunnel,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
}

impl Target {
    /// From the authority of a request; a user and password before the host are left out.
    pub(super) fn of(authority: &str, scheme: Scheme) -> Result<Target, HostError> {
        let (host, port) = split_port(without_userinfo(authority))?;
        let usual = match scheme {
            Scheme::Http => HTTP,
            Scheme::Tunnel => HTTPS,
        };
        Ok(Target { host: host.parse()?, port: port.unwrap_or(usual) })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            HTTP => self.host.fmt(f),
            port => write!(f, "{}:{port}", self.host),
        }
    }
}

/// The part of an authority after the last `@`.
pub(super) fn without_userinfo(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Http => "plain http",
            Scheme::Tunnel => "https",
        })
    }
}

/// On whose word a host may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The image's own configuration, in this way: never an address that belongs to this machine or its cloud.
    Image(Scheme),
    /// A list of mirrors that the image's configuration names: public addresses only.
    Mirrors,
    /// The operator: any address.
    Operator,
}

/// The hosts that may be asked now.
#[derive(Debug, Clone, Default)]
pub(super) struct AllowList {
    pub(super) image: Vec<HostRule>,
    pub(super) operator: Vec<HostRule>,
}

impl AllowList {
    /// Whether a target may be asked this way, before its name is looked up.
    pub(super) fn admit(&self, target: &Target, scheme: Scheme) -> Result<Trust, Refusal> {
        let named = |rule: &&HostRule| rule.host == target.host;
        if self.operator.iter().filter(named).any(|rule| rule.port.is_none_or(|port| port == target.port)) {
            return Ok(Trust::Operator);
        }
        let trust = self.image_admits(target, scheme)?;
        match &target.host {
            Host::Name(name) if is_local(name) => Err(Refusal::Local { host: name.clone() }),
            Host::Address(ip) => reachable(target, *ip, trust).map(|()| trust),
            Host::Name(_) | Host::Public => Ok(trust),
        }
    }

    fn image_admits(&self, target: &Target, scheme: Scheme) -> Result<Trust, Refusal> {
        let (host, port) = (target.host.to_string(), target.port);
        let listed =
            || self.image.iter().filter(|rule| rule.host == target.host).map(HostRule::of_repository);
        // A tunnel to the port of plain http would only hide from the record what is fetched.
        let hidden = scheme == Scheme::Tunnel && port == HTTP;
        if listed().any(|way| way == (scheme, port)) && !hidden {
            return Ok(Trust::Image(scheme));
        }
        let mut mirrors = self.image.iter().filter(|rule| rule.host == Host::Public);
        if mirrors.any(|rule| rule.of_repository() == (scheme, port)) {
            return Ok(Trust::Mirrors);
        }
        Err(match listed().next() {
            None => Refusal::NotListed { host },
            Some(_) if listed().any(|(_, known)| known == port) => {
                Refusal::Scheme { host, port, scheme: scheme.to_string() }
            }
            Some(_) => Refusal::Port { host, port },
        })
    }
}

/// Whether an address that a target stands for may be connected to.
pub(super) fn reachable(target: &Target, ip: IpAddr, trust: Trust) -> Result<(), Refusal> {
    let refuse = |kind| Err(Refusal::Address { host: target.host.to_string(), address: ip, kind });
    match address::reach(ip) {
        Reach::Never(kind) if trust != Trust::Operator => refuse(kind),
        // We cannot read a tunnel: at another port it might speak to any service of the house.
        Reach::Private if trust == Trust::Image(Scheme::Tunnel) && target.port != HTTPS => {
            refuse(PRIVATE_TUNNEL)
        }
        Reach::Private if trust == Trust::Mirrors => refuse(PRIVATE_MIRROR),
        // A private address is a mirror in the house: the image's configuration names it, or its name.
        Reach::Never(_) | Reach::Private | Reach::Public => Ok(()),
    }
}

fn is_local(name: &str) -> bool {
    LOCAL_NAMES.contains(&name) || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(image: &[&str], operator: &[&str]) -> AllowList {
        AllowList {
            image: image.iter().map(|t| HostRule::of_image(t).unwrap()).collect(),
            operator: operator.iter().map(|t| t.parse().unwrap()).collect(),
        }
    }

    fn admit(allow: &AllowList, authority: &str, scheme: Scheme) -> Result<Trust, Refusal> {
        allow.admit(&Target::of(authority, scheme).unwrap(), scheme)
    }

    #[test]
    fn hosts_have_one_spelling() {
        for (text, same) in [
            ("Deb.Example.ORG.", "deb.example.org"),
            ("[::FFFF:10.0.0.1]", "10.0.0.1"),
            ("[2001:DB8:0::1]", "[2001:db8::1]"),
            ("10.0.0.1", "10.0.0.1"),
            ("my_mirror", "my_mirror"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), same);
        }
    }

    #[test]
    fn disguised_addresses_are_no_hosts() {
        for text in
            ["2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.01", "1.2.3.0x4", "a.0x1"]
        {
            assert_eq!(text.parse::<Host>(), Err(HostError::Disguised(text.into())), "{text}");
        }
        for text in
            ["", ".", "a..b", "a b", "a/b", "a%2e", "ä.org", "[::1", "[fe80::1%eth0]", "[10.0.0.1]", "a\r\nb"]
        {
            assert!(matches!(text.parse::<Host>(), Err(HostError::Invalid(_))), "{text}");
        }
        assert!("1.debian.pool.ntp.org".parse::<Host>().is_ok());
    }

    #[test]
    fn rules_take_an_optional_port() {
        assert_eq!("m:8080".parse::<HostRule>().unwrap().port, Some(8080));
        assert_eq!("[fd00::1]:80".parse::<HostRule>().unwrap().to_string(), "[fd00::1]:80");
        assert_eq!("fd00::1".parse::<HostRule>().unwrap().port, None);
        for text in ["m:", "m:0", "m:65536", "m:x", "m:+1", "[::1]x", "m:80/x"] {
            assert!(text.parse::<HostRule>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_rules_of_the_image_have_a_scheme() {
        for (text, https, port) in [
            ("https://m", true, None),
            ("https://m:8443", true, Some(8443)),
            ("https://[fd00::1]:443", true, Some(443)),
            ("m:8443", false, Some(8443)),
        ] {
            let rule = HostRule::of_image(text).unwrap();
            assert_eq!((rule.https, rule.port, rule.to_string().as_str()), (https, port, text));
        }
        for text in ["https://", "https://https://m", "https://m/", "https://u@m", "http://m", "ftp://m"] {
            assert!(HostRule::of_image(text).is_err(), "{text}");
        }
        assert!("https://m".parse::<HostRule>().is_err());
    }

    /// What a well-meaning and a hostile image may list.
    const LISTED: [&str; 21] = [
        "deb.example.org",
        "https://deb.example.org",
        "https://m.corp:8443",
        "plain.corp:8443",
        "http.example",
        "https://tls.example",
        "https://odd.example:80",
        "10.1.2.3",
        "10.1.2.3:8080",
        "https://10.1.2.3",
        "10.0.0.5:6379",
        "https://10.0.0.6:6379",
        "https://172.16.0.1:8443",
        "https://100.64.0.1:22",
        "https://[fd12::1]:6379",
        "https://[fd12::1]:443",
        "127.0.0.1",
        "localhost",
        "https://127.0.0.1",
        "https://203.0.113.7",
        "https://203.0.113.7:8443",
    ];

    #[test]
    fn what_the_image_lists_is_admitted() {
        use Scheme::{Http, Tunnel};
        let allow = list(&LISTED, &[]);
        for (authority, scheme) in [
            ("deb.example.org", Http),
            ("DEB.example.org.:80", Http),
            ("user:secret@deb.example.org", Http),
            ("deb.example.org:443", Tunnel),
            ("m.corp:8443", Tunnel),
            ("plain.corp:8443", Http),
            ("http.example", Http),
            ("tls.example:443", Tunnel),
            ("10.1.2.3", Http),
            ("10.1.2.3:8080", Http),
            ("10.1.2.3:443", Tunnel),
            ("10.0.0.5:6379", Http),
            ("[fd12::1]:443", Tunnel),
            ("203.0.113.7:443", Tunnel),
            ("203.0.113.7:8443", Tunnel),
        ] {
            assert_eq!(admit(&allow, authority, scheme), Ok(Trust::Image(scheme)), "{authority}");
        }
    }

    #[test]
    fn nothing_else_is_admitted() {
        use Scheme::{Http, Tunnel};
        let allow = list(&LISTED, &[]);
        for (authority, scheme, why) in [
            ("evil.org", Http, "evil.org is not"),
            ("sub.deb.example.org", Http, "sub.deb.example.org is not"),
            ("deb.example.org@evil.org", Http, "evil.org is not"),
            ("10.1.2.4", Http, "10.1.2.4 is not"),
            ("deb.example.org:8080", Http, "port 8080"),
            ("deb.example.org:22", Tunnel, "port 22"),
            ("m.corp", Http, "port 80"),
            ("m.corp:443", Tunnel, "port 443"),
            ("m.corp:8443", Http, "not by plain http"),
            ("plain.corp:8443", Tunnel, "not by https"),
            ("http.example:443", Tunnel, "port 443"),
            ("http.example:80", Tunnel, "not by https"),
            ("tls.example", Http, "port 80"),
            ("tls.example:443", Http, "not by plain http"),
            ("odd.example:80", Tunnel, "not by https"),
            ("10.1.2.3:8080", Tunnel, "not by https"),
            ("10.0.0.5:6379", Tunnel, "not by https"),
            ("[::ffff:10.0.0.5]:6379", Tunnel, "not by https"),
            ("10.0.0.6:6379", Tunnel, "port 443 only"),
            ("[::ffff:10.0.0.6]:6379", Tunnel, "port 443 only"),
            ("172.16.0.1:8443", Tunnel, "port 443 only"),
            ("100.64.0.1:22", Tunnel, "port 443 only"),
            ("[fd12::1]:6379", Tunnel, "port 443 only"),
            ("127.0.0.1", Http, "loopback"),
            ("[::ffff:127.0.0.1]:443", Tunnel, "loopback"),
            ("localhost", Http, "localhost"),
        ] {
            let refused = admit(&allow, authority, scheme).expect_err(authority).to_string();
            assert!(refused.contains(why), "{authority}: {refused}");
        }
    }

    #[test]
    fn mirrors_are_public_hosts_at_the_usual_ports() {
        use Scheme::{Http, Tunnel};
        let allow = list(&["https://*", "mirror.corp:8080"], &[]);
        assert_eq!(allow.image[0].to_string(), "https://*");
        for (authority, scheme, trust) in [
            ("any.example:443", Tunnel, Trust::Mirrors),
            ("203.0.113.7:443", Tunnel, Trust::Mirrors),
            ("mirror.corp:8080", Http, Trust::Image(Http)),
        ] {
            assert_eq!(admit(&allow, authority, scheme), Ok(trust), "{authority}");
        }
        for (authority, scheme, why) in [
            ("any.example", Http, "is not in the image's"),
            ("any.example:8443", Tunnel, "is not in the image's"),
            ("mirror.corp:8443", Tunnel, "port 8443"),
            ("10.0.0.9:443", Tunnel, "does not name it"),
            ("127.0.0.1:443", Tunnel, "loopback"),
            ("169.254.169.254:443", Tunnel, "link-local"),
            ("localhost:443", Tunnel, "this machine"),
        ] {
            let refused = admit(&allow, authority, scheme).expect_err(authority).to_string();
            assert!(refused.contains(why), "{authority}: {refused}");
        }
        let target = Target::of("any.example:443", Tunnel).unwrap();
        assert!(reachable(&target, "10.0.0.9".parse().unwrap(), Trust::Mirrors).is_err());
        assert_eq!(admit(&list(&["*"], &[]), "any.example", Http), Ok(Trust::Mirrors));
        assert!("*".parse::<HostRule>().is_err(), "the operator names hosts");
    }

    #[test]
    fn the_operator_may_list_any_host() {
        let allow = list(&["10.0.0.5:6379"], &["127.0.0.1", "localhost:5000", "10.0.0.5:6379", "10.0.0.9"]);
        for scheme in [Scheme::Http, Scheme::Tunnel] {
            for authority in ["10.0.0.5:6379", "10.0.0.9:6379", "localhost:5000"] {
                assert_eq!(admit(&allow, authority, scheme), Ok(Trust::Operator), "{authority}");
            }
        }
        assert_eq!(admit(&allow, "127.0.0.1:4000", Scheme::Http), Ok(Trust::Operator));
        assert_eq!(admit(&allow, "localhost:5000", Scheme::Tunnel), Ok(Trust::Operator));
        assert!(admit(&allow, "localhost:5001", Scheme::Http).is_err());
    }
}
