//! The HTTP transports of a client: one for each reach, since what may be reached is decided when a name is resolved.

use super::{
    ClientOptions, Error,
    address::{Reach, Resolver},
    error::Cause,
};
use crate::{direct::Direct, egress::HostRule};
use reqwest::Url;
use std::sync::Arc;

/// Hosts that are never proxied.
const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1";

/// One transport for each reach. Cheap to clone; clones share connections.
#[derive(Clone)]
pub(crate) struct Transports {
    named: reqwest::Client,
    public: reqwest::Client,
    configured: reqwest::Client,
}

impl Transports {
    pub(crate) fn new(options: &ClientOptions, tls: &rustls::ClientConfig) -> Result<Self, Error> {
        Ok(Transports {
            named: build(options, tls, Reach::Named)?,
            public: build(options, tls, Reach::Public)?,
            configured: build(options, tls, Reach::Configured)?,
        })
    }

    pub(crate) fn reaching(&self, reach: Reach) -> &reqwest::Client {
        match reach {
            Reach::Named => &self.named,
            Reach::Public => &self.public,
            Reach::Configured => &self.configured,
        }
    }
}

fn build(
    options: &ClientOptions,
    tls: &rustls::ClientConfig,
    reach: Reach,
) -> Result<reqwest::Client, Error> {
    let settings = |what, source: Cause| Error::Settings { what, source };
    let no_proxy = options.proxy.no_proxy.as_deref().unwrap_or_default();
    let direct = Arc::new(Direct::parse(&format!("{no_proxy},{NEVER_PROXIED}")));
    let mut exempt = Vec::new();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .user_agent(&options.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(options.connect_timeout)
        .http2_adaptive_window(true)
        .tls_backend_preconfigured(tls.clone());
    let proxies = [
        ("http_proxy", "http", &options.proxy.http_proxy),
        ("https_proxy", "https", &options.proxy.https_proxy),
    ];
    for (what, scheme, value) in proxies {
        let Some(text) = value.as_deref().filter(|t| !t.is_empty()) else { continue };
        let url = proxy_url(text).ok_or_else(|| settings(what, "it is not a proxy URL".into()))?;
        exempt.extend(url.host_str().map(str::to_owned));
        let direct = direct.clone();
        let through = move |to: &Url| (to.scheme() == scheme && !is_direct(&direct, to)).then(|| url.clone());
        builder = builder.proxy(reqwest::Proxy::custom(through));
    }
    let resolver = Arc::new(Resolver { reach, exempt });
    builder.dns_resolver(resolver).build().map_err(|e| settings("HTTP settings", Box::new(e)))
}

/// Whether an URL is asked for without a proxy. What names no host goes nowhere anyway.
fn is_direct(direct: &Direct, url: &Url) -> bool {
    let host: Option<HostRule> = url.host_str().and_then(|host| host.parse().ok());
    let port = url.port_or_known_default().unwrap_or_default();
    host.is_some_and(|rule| direct.covers(&rule.host, port))
}

/// `http://proxy:3128`, or `proxy:3128` for short.
fn proxy_url(text: &str) -> Option<Url> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).ok()?;
    (url.has_host() && matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h")).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_proxy_names_is_asked_directly() {
        let list = "corp.example, .inner ,10.0.0.0/8,192.0.2.1:81,mirror:8080,[fd00::1]";
        let list = Direct::parse(&format!("{list},{NEVER_PROXIED}"));
        for (url, direct) in [
            ("https://corp.example/v2/", true),
            ("https://CORP.example:5000/v2/", true),
            ("https://a.corp.example/v2/", true),
            ("https://xcorp.example/v2/", false),
            ("https://corp.example.evil.example/v2/", false),
            ("http://x.inner/", true),
            ("https://10.255.0.1/", true),
            ("https://11.0.0.1/", false),
            ("http://192.0.2.1:81/", true),
            ("http://192.0.2.1/", false),
            ("https://mirror:8080/", true),
            ("https://mirror/", false),
            ("https://[fd00::1]/", true),
            ("http://localhost:5000/", true),
            ("http://127.0.0.9:5000/", true),
            ("http://[::1]/", true),
        ] {
            assert_eq!(is_direct(&list, &Url::parse(url).unwrap()), direct, "{url}");
        }
        let all = Direct::parse("*");
        assert!(is_direct(&all, &Url::parse("https://corp.example/").unwrap()));
    }
}
