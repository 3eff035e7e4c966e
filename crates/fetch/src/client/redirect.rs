//! Which redirects are followed, and with what.

use super::{
    Error,
    address::is_loopback_host,
    request::Request,
    shown::{printable, same_origin, shown},
};
use reqwest::{Method, StatusCode, Url};

/// Most redirects in a row.
pub(crate) const REDIRECTS_MAX: usize = 10;

/// Longest `Location` shown in a message.
const LOCATION_CHARS_SHOWN: usize = 200;

/// Whether a status sends elsewhere.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The request that a redirect asks for, or why it is refused.
pub(crate) fn next(request: &Request, status: StatusCode, location: Option<&str>) -> Result<Request, Error> {
    let from = &request.url;
    let refuse = |to: String, why| Err(Error::Redirect { url: shown(from), to, why });
    let Some(location) = location else { return refuse("nowhere".into(), "it names no location") };
    let Ok(to) = from.join(location) else {
        return refuse(printable(location, LOCATION_CHARS_SHOWN), "not a valid URL");
    };
    if let Some(why) = refusal(request, status, &to) {
        return refuse(shown(&to), why);
    }
    let mut next = request.clone();
    if !same_origin(from, &to) {
        next.authorization = None;
    }
    next.url = to;
    Ok(next)
}

fn refusal(request: &Request, status: StatusCode, to: &Url) -> Option<&'static str> {
    let from = &request.url;
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    let keeps_method = matches!(status.as_u16(), 307 | 308);
    let loopback = |url: &Url| url.host_str().is_some_and(is_loopback_host);
    match to.scheme() {
        "https" => {}
        "http" if from.scheme() == "http" => {}
        "http" => return Some("from https to http"),
        _ => return Some("neither http nor https"),
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Some("it holds a user or password");
    }
    if loopback(to) && !loopback(from) {
        return Some("from a remote host to this machine");
    }
    let may_carry = keeps_method && same_origin(from, to);
    if !reads && !may_carry {
        return Some("what is sent may not be sent elsewhere");
    }
    request.reach.refusal_of(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn from(url: &str) -> Request {
        let auth = HeaderValue::from_static("Basic eDp5");
        Request::get(Url::parse(url).unwrap()).authorization(Some(auth))
    }

    #[test]
    fn authorization_stays_at_its_origin() {
        for (to, kept) in [
            ("/elsewhere", true),
            ("https://a.example/x", true),
            ("https://b.example/x", false),
            ("https://a.example:8443/x", false),
        ] {
            let next = next(&from("https://a.example/v2/"), StatusCode::FOUND, Some(to)).unwrap();
            assert_eq!(next.authorization.is_some(), kept, "{to}");
        }
    }

    #[test]
    fn redirects_that_lead_astray_are_refused() {
        for to in [
            "http://a.example/x",
            "http://169.254.169.254/latest/meta-data",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/",
            "https://127.0.0.1/x",
            "https://u:p@b.example/x",
            "ftp://a.example/x",
            "file:///etc/passwd",
            "https://[",
        ] {
            let result = next(&from("https://a.example/v2/"), StatusCode::FOUND, Some(to));
            assert!(matches!(result, Err(Error::Redirect { .. })), "{to}");
        }
        assert!(next(&from("https://a.example/v2/"), StatusCode::FOUND, None).is_err());
        assert!(
            next(&from("http://127.0.0.1:5000/"), StatusCode::FOUND, Some("http://localhost:1/")).is_ok()
        );
    }

    #[test]
    fn bodies_follow_only_within_their_origin() {
        let mut put = from("https://a.example/u");
        put.method = Method::PUT;
        assert!(next(&put, StatusCode::TEMPORARY_REDIRECT, Some("/v")).is_ok());
        assert!(next(&put, StatusCode::FOUND, Some("/v")).is_err());
        assert!(next(&put, StatusCode::TEMPORARY_REDIRECT, Some("https://b.example/v")).is_err());
    }
}
