//! The proxy of the operator, where there is one: which requests go through it, and how it is asked.

use super::Error;
use super::hosts::Target;
use crate::direct::Direct;
use base64::Engine as _;
use http::{HeaderValue, Uri};

/// Proxies of the operator, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` write them.
#[derive(Clone, Default)]
pub struct UpstreamProxies {
    /// For plain requests: `http://[user:password@]host[:port]`.
    pub http: Option<String>,
    /// For tunnels, in the same form.
    pub https: Option<String>,
    /// Hosts that are asked directly: names with all below them, addresses, ranges, `*`; comma-separated.
    pub no_proxy: Option<String>,
}

impl std::fmt::Debug for UpstreamProxies {
    /// Without the values: they may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamProxies")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .finish_non_exhaustive()
    }
}

/// One proxy, parsed.
#[derive(Clone)]
pub(super) struct UpstreamProxy {
    /// Host as the resolver takes it.
    pub(super) host: String,
    pub(super) port: u16,
    /// Value of `Proxy-Authorization`.
    pub(super) credentials: Option<HeaderValue>,
}

/// The proxies, parsed, with what is asked directly.
#[derive(Clone, Default)]
pub(super) struct Upstream {
    http: Option<UpstreamProxy>,
    https: Option<UpstreamProxy>,
    direct: Direct,
}

impl Upstream {
    pub(super) fn parse(given: &UpstreamProxies) -> Result<Self, Error> {
        let proxy =
            |text: &Option<String>| text.as_deref().filter(|t| !t.is_empty()).map(parse_proxy).transpose();
        let direct = Direct::parse(given.no_proxy.as_deref().unwrap_or_default());
        Ok(Upstream { http: proxy(&given.http)?, https: proxy(&given.https)?, direct })
    }

    /// The proxy for a plain request, if it goes through one.
    pub(super) fn for_plain(&self, target: &Target) -> Option<&UpstreamProxy> {
        self.http.as_ref().filter(|_| !self.is_direct(target))
    }

    /// The proxy for a tunnel, if it goes through one.
    pub(super) fn for_tunnel(&self, target: &Target) -> Option<&UpstreamProxy> {
        self.https.as_ref().filter(|_| !self.is_direct(target))
    }

    fn is_direct(&self, target: &Target) -> bool {
        self.direct.covers(&target.host, target.port)
    }
}

fn parse_proxy(text: &str) -> Result<UpstreamProxy, Error> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let bad = |why: &'static str| Error::UpstreamProxy { why };
    let uri: Uri = full.parse().map_err(|_| bad("not a URL"))?;
    if uri.scheme_str() != Some("http") {
        return Err(bad("only http:// proxies are supported"));
    }
    let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let credentials = match authority.as_str().rsplit_once('@') {
        Some((userinfo, _)) => Some(basic(userinfo).ok_or_else(|| bad("user or password is badly encoded"))?),
        None => None,
    };
    if host.is_empty() {
        return Err(bad("it has no host"));
    }
    // 80 as URLs have it; other clients differ, and nobody relies on a default here.
    Ok(UpstreamProxy { host, port: authority.port_u16().unwrap_or(super::hosts::HTTP), credentials })
}

fn basic(userinfo: &str) -> Option<HeaderValue> {
    let plain = percent_decoded(userinfo)?;
    let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| char::from(b?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::hosts::Scheme;

    fn upstream(http: &str, no_proxy: &str) -> Upstream {
        let given = UpstreamProxies { http: Some(http.into()), https: None, no_proxy: Some(no_proxy.into()) };
        Upstream::parse(&given).unwrap()
    }

    #[test]
    fn proxies_are_read_with_their_credentials() {
        let parsed = upstream("http://us%40er:p%3Aw@proxy.corp:3128/", "");
        let proxy = parsed.http.unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.corp", 3128));
        assert_eq!(proxy.credentials.unwrap(), "Basic dXNAZXI6cDp3");
        assert_eq!(upstream("proxy:8080", "").http.unwrap().port, 8080);
        assert_eq!(upstream("http://[::1]:3128", "").http.unwrap().host, "::1");
        assert!(upstream("", "").http.is_none());
    }

    #[test]
    fn a_bad_proxy_is_named_without_its_password() {
        for text in
            ["https://u:geheim@p", "socks5://u:geheim@p", "http://u:gehe im@p", "http://u:geheim%zz@p"]
        {
            let given = UpstreamProxies { http: Some(text.into()), ..Default::default() };
            let error = Upstream::parse(&given).err().unwrap().to_string();
            assert!(!error.contains("geheim"), "{error}");
            assert!(!format!("{given:?}").contains("geheim"));
        }
    }

    #[test]
    fn no_proxy_names_what_is_asked_directly() {
        let parsed = upstream(
            "http://p:1",
            "corp.example, .inner ,10.0.0.0/8,192.0.2.1:81,[fd00::1],bad entry,mirror:8080",
        );
        for (authority, direct) in [
            ("corp.example", true),
            ("a.corp.example", true),
            ("xcorp.example", false),
            ("x.inner", true),
            ("inner", true),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.1:81", true),
            ("192.0.2.1", false),
            ("[fd00::1]", true),
            ("mirror:8080", true),
            ("mirror", false),
        ] {
            let target = Target::of(authority, Scheme::Http).unwrap();
            assert_eq!(parsed.for_plain(&target).is_none(), direct, "{authority}");
        }
        let all = upstream("http://p:1", "*");
        assert!(all.for_plain(&Target::of("x", Scheme::Http).unwrap()).is_none());
    }
}
