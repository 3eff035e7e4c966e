//! The HTTP transports of a client: one for each reach, since what may be reached is decided when a name is resolved.

use super::{
    ClientOptions, Error,
    address::{Reach, Resolver},
    error::Cause,
};
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
    let never =
        options.proxy.no_proxy.as_deref().map_or(NEVER_PROXIED.into(), |n| format!("{n},{NEVER_PROXIED}"));
    let mut exempt = Vec::new();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .user_agent(&options.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(options.connect_timeout)
        .http2_adaptive_window(true)
        .tls_backend_preconfigured(tls.clone());
    type Make = fn(Url) -> reqwest::Result<reqwest::Proxy>;
    let proxies: [(&'static str, _, Make); 2] = [
        ("http_proxy", &options.proxy.http_proxy, reqwest::Proxy::http),
        ("https_proxy", &options.proxy.https_proxy, reqwest::Proxy::https),
    ];
    for (what, value, make) in proxies {
        let Some(text) = value.as_deref().filter(|t| !t.is_empty()) else { continue };
        let url = proxy_url(text).ok_or_else(|| settings(what, "it is not a proxy URL".into()))?;
        exempt.extend(url.host_str().map(str::to_owned));
        let proxy = make(url).map_err(|e| settings(what, Box::new(e.without_url())))?;
        builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(&never)));
    }
    let resolver = Arc::new(Resolver { reach, exempt });
    builder.dns_resolver(resolver).build().map_err(|e| settings("HTTP settings", Box::new(e)))
}

/// `http://proxy:3128`, or `proxy:3128` for short.
fn proxy_url(text: &str) -> Option<Url> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).ok()?;
    (url.has_host() && matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h")).then_some(url)
}
