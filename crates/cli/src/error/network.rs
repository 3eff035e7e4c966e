//! What to do about requests that fail.

use fetch::client::{Error, error_text};

/// A proxy's "Proxy Authentication Required".
const PROXY_WANTS_LOGIN: u16 = 407;
/// What the HTTP library says of a proxy that refuses a tunnel with that.
const TUNNEL_WANTS_LOGIN: &str = "proxy authorization required";
const LOGIN_AT_PROXY: &str =
    "the proxy wants a login: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT (HTTP_PROXY likewise)";

/// The hint for an error, where there is one.
pub(super) fn http(error: &Error) -> Option<String> {
    let text = match error {
        Error::Connect { .. } if error_text(error).contains(TUNNEL_WANTS_LOGIN) => LOGIN_AT_PROXY,
        Error::Status { status: PROXY_WANTS_LOGIN, .. } => LOGIN_AT_PROXY,
        Error::Connect { .. } | Error::Idle { .. } | Error::Slow { .. } => {
            "check name, network and proxy (HTTPS_PROXY, NO_PROXY)"
        }
        Error::Tls { .. } => certificate(&error_text(error)),
        Error::OutOfReach { .. } => "private addresses are only reached where you name them yourself",
        Error::Settings { .. } => "check --ca-cert, --cert-dir and the proxy variables",
        Error::Status { status, .. } => return of_status(*status),
        Error::Transfer { .. } | Error::TooLarge { .. } | Error::Length { .. } => {
            return None;
        }
        Error::Short { .. } | Error::Range { .. } | Error::Redirect { .. } | Error::Upload { .. } => {
            return None;
        }
    };
    Some(text.to_owned())
}

/// What to do about an answer that was not the one that is needed.
fn of_status(status: u16) -> Option<String> {
    let text = match status {
        413 => "the registry, or a proxy before it, takes no bodies of this size",
        429 => "the registry wants fewer requests: log in, or wait and run again",
        408 | 500..=599 => "the registry had trouble and was asked several times; run again later",
        _ => return None,
    };
    Some(text.to_owned())
}

/// What to do about a certificate, by what rustls says of it. A remedy that would not help is not named.
fn certificate(said: &str) -> &'static str {
    let has = |words: &str| said.contains(words);
    if has("certificate expired") || has("not valid yet") {
        "the certificate is out of date, or this machine's clock is wrong"
    } else if has("not valid for name") || has("NotValidForName") {
        "the certificate is for another name: use a name that it is for"
    } else if has("CertificateRequired") || has("HandshakeFailure") {
        "it may want a client certificate: DIR/HOST[:PORT]/client.cert and client.key with --cert-dir DIR"
    } else {
        "a CA of your own is trusted with --ca-cert FILE, or for this host alone as DIR/HOST[:PORT]/ca.crt with --cert-dir DIR; \
         --plain-http HOST[:PORT] does without TLS"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_that_somebody_can_do_something_about_have_hints() {
        let has = |status| of_status(status).is_some();
        assert_eq!([400, 404, 408, 413, 429, 503].map(has), [false, false, true, true, true, true]);
    }

    #[test]
    fn what_would_not_help_is_not_hinted_at() {
        let tls = |said: &str| {
            http(&Error::Tls { url: "https://h.example/".into(), source: said.into() }).unwrap_or_default()
        };
        let hints = [
            ("invalid peer certificate: UnknownIssuer", "--ca-cert"),
            ("invalid peer certificate: certificate expired: verification time 1 (UNIX)", "clock"),
            ("invalid peer certificate: certificate not valid yet: verification time 1", "clock"),
            ("invalid peer certificate: certificate not valid for name \"a\"", "another name"),
            ("received fatal alert: CertificateRequired", "client certificate"),
        ];
        for (said, part) in hints {
            assert!(tls(said).contains(part), "{said}");
            assert_eq!(tls(said).contains("--ca-cert"), part == "--ca-cert", "{said}");
        }
    }

    #[test]
    fn a_proxy_that_wants_a_login_is_told_from_other_refusals() {
        let connect = |said: &str| Error::Connect { url: String::new(), passing: true, source: said.into() };
        assert!(http(&connect("proxy authorization required")).is_some_and(|h| h.contains("USER:PASSWORD")));
        assert!(http(&connect("connection refused")).is_some_and(|h| h.contains("NO_PROXY")));
    }
}
