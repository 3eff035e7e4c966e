//! Where the registry of a host is: https, but http for this machine and where the user says so.

use crate::Error;
use fetch::client::{Client, Error as HttpError, Request, Response, Url, is_loopback_host, printable};

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// https; http first for `localhost`, `127.0.0.0/8` and `::1`, where https follows if the port speaks TLS.
    #[default]
    Automatic,
    /// http first, as the user says; https follows if the port speaks TLS.
    PlainHttp,
    /// https first, http where that does not work, as registries.conf says (`insecure`).
    Insecure,
}

impl Transport {
    /// The transport of a host, where the user names hosts (with port, or all ports) that speak plain http.
    pub fn of(host: &str, plain_http_hosts: &[String]) -> Self {
        let named = |n: &String| n == host || host.rsplit_once(':').is_some_and(|(name, _)| n == name);
        if plain_http_hosts.iter().any(named) { Transport::PlainHttp } else { Transport::Automatic }
    }
}

/// The host that serves the API of a reference's host.
pub(crate) fn api_host(host: &str) -> &str {
    if host == "docker.io" { "registry-1.docker.io" } else { host }
}

/// Whether a host with port is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    Url::parse(&format!("http://{host}/")).is_ok_and(|url| url.host_str().is_some_and(is_loopback_host))
}

/// The base URL of a host's API, found by asking where it may be http.
pub(crate) async fn base(client: &Client, host: &str, transport: Transport) -> Result<Url, Error> {
    let url = |scheme: &str| {
        let text = format!("{scheme}://{}/", api_host(host));
        Url::parse(&text).map_err(|e| Error::Protocol {
            host: printable(host, 100),
            doing: "find the registry".into(),
            why: e.to_string(),
        })
    };
    if transport == Transport::Automatic && !is_loopback(host) {
        return url("https");
    }
    let (plain, secure) = (url("http")?, url("https")?);
    if transport == Transport::Insecure && ping(client, &secure).await.is_ok() {
        return Ok(secure);
    }
    match ping(client, &plain).await {
        Ok(response) => return Ok(if says_tls(response).await { secure } else { plain }),
        Err(source @ (HttpError::Connect { .. } | HttpError::OutOfReach { .. })) => {
            return Err(Error::Http { doing: format!("reach registry {host}"), source });
        }
        Err(error) => tracing::debug!(host, %error, "what answers is no http"),
    }
    tracing::debug!(host, "no plain http; trying https");
    // An untrusted certificate is TLS all the same: the next request says what is wrong with it.
    match ping(client, &secure).await {
        Ok(_) | Err(HttpError::Tls { .. }) => Ok(secure),
        Err(_) => Ok(plain),
    }
}

async fn ping(client: &Client, base: &Url) -> Result<Response, HttpError> {
    let mut url = base.clone();
    url.set_path("/v2/");
    client.send(Request::get(url).once()).await
}

/// Whether a server tells a plain request that it speaks TLS (Go: "sent an HTTP request to an HTTPS server"; nginx: "plain
/// HTTP request was sent to HTTPS port").
async fn says_tls(response: Response) -> bool {
    response.status() == 400 && response.into_error().await.to_string().contains("HTTPS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_what_looks_like_it() {
        for (host, loopback) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.8.9.1", true),
            ("[::1]:5000", true),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("registry:5000", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(host), loopback, "{host}");
        }
    }

    #[test]
    fn plain_http_hosts_match_whole_names() {
        let named = ["registry.lan:5000".to_owned(), "other.lan".to_owned()];
        for (host, plain) in [
            ("registry.lan:5000", true),
            ("registry.lan", false),
            ("other.lan:1", true),
            ("other.lan", true),
            ("another.lan", false),
        ] {
            assert_eq!(Transport::of(host, &named) == Transport::PlainHttp, plain, "{host}");
        }
    }
}
