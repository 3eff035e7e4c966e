//! Bearer tokens: which token service is trusted, what it is asked, how long its answer is good.

use crate::{Credentials, Error, credentials::sensitive};
use bytes::Bytes;
use fetch::client::{
    Body, Client, HeaderName, HeaderValue, Method, Reach, Request, Url, is_in_private_network,
    is_loopback_host, printable, shown,
};
use serde::Deserialize;
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// Largest answer of a token service.
const TOKEN_BODY_BYTES_MAX: u64 = 1 << 20;
/// Largest token that is sent on; headers beyond this are refused by servers anyway.
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// How long a token is good where its service does not say (distribution specification of tokens: 60 s).
const LIFE_DEFAULT: u64 = 60;
/// Longest life believed.
const LIFE_MAX: u64 = 24 * 3600;
/// A token that ends within this is not used any more, so that it does not end on the way.
const LIFE_MARGIN: Duration = Duration::from_secs(10);
/// Longest realm shown in a message.
const REALM_CHARS_SHOWN: usize = 200;

/// What to ask, and whom.
#[derive(Debug, Clone)]
pub(crate) struct TokenService {
    pub(crate) realm: Url,
    pub(crate) reach: Reach,
    pub(crate) service: Option<String>,
}

/// A token and when it is not to be used any more.
pub(crate) struct Token {
    pub(crate) header: HeaderValue,
    pub(crate) until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    /// Seconds; some services write them as a text, and one whose clock is wrong may come to less than none.
    expires_in: Option<serde_json::Value>,
}

impl Answer {
    /// How long the token is good. Whatever makes no sense counts as not said: the registry's own refusal is what ends a
    /// token in any case.
    fn life(&self) -> Duration {
        let said = self.expires_in.as_ref().and_then(|life| match life {
            serde_json::Value::String(text) => text.trim().parse::<f64>().ok(),
            life => life.as_f64(),
        });
        let seconds = said.filter(|seconds| *seconds >= 1.0).map_or(LIFE_DEFAULT, |seconds| seconds as u64);
        Duration::from_secs(seconds.min(LIFE_MAX))
    }
}

impl TokenService {
    /// Takes the service that a registry names, if it may be trusted with credentials: https, or http where the registry
    /// itself is reached by http and the service is on its host or, for a registry on this machine, on this machine. `peer`
    /// is the address that the registry answered from.
    pub(crate) async fn new(
        (registry, peer): (&Url, Option<IpAddr>),
        host: &str,
        realm: &str,
        service: Option<String>,
    ) -> Result<Self, Error> {
        let wrong = |why: String| Error::Challenge { host: host.to_owned(), why };
        let url = Url::parse(realm).map_err(|_| wrong("token service is not a valid URL".to_owned()))?;
        // A password in it, or what follows the path, is not repeated.
        let refuse =
            |why: &str| wrong(format!("token service {} {why}", printable(&shown(&url), REALM_CHARS_SHOWN)));
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("holds a user or password"));
        }
        let same_host = url.host() == registry.host();
        let local = |u: &Url| u.host_str().is_some_and(is_loopback_host);
        let near = same_host || (local(registry) && local(&url));
        match url.scheme() {
            "https" => {}
            "http" if registry.scheme() == "http" && near => {}
            _ => return Err(refuse("is not reached by https")),
        }
        let named = near || is_in_private_network(registry, peer).await;
        let reach = if named { Reach::Named } else { Reach::Public };
        Ok(TokenService { realm: url, reach, service })
    }

    /// Asks for a token for these scopes.
    pub(crate) async fn token(
        &self,
        client: &Client,
        host: &str,
        credentials: &Credentials,
        scopes: &[String],
    ) -> Result<Token, Error> {
        let realm = shown(&self.realm);
        let wrong = |source| Error::Token { host: host.to_owned(), realm: realm.clone(), source };
        let response =
            client.fetch(self.request(credentials, scopes)).await.map_err(|e| wrong(Box::new(e)))?;
        let body = response.bytes(TOKEN_BODY_BYTES_MAX).await.map_err(|e| wrong(Box::new(e)))?;
        read(&body).map_err(|why| wrong(why.into()))
    }

    fn request(&self, credentials: &Credentials, scopes: &[String]) -> Request {
        let mut fields: Vec<(&str, &str)> = Vec::new();
        fields.extend(self.service.as_deref().map(|s| ("service", s)));
        let Credentials::Identity(refresh) = credentials else {
            fields.extend(scopes.iter().map(|s| ("scope", s.as_str())));
            let mut url = self.realm.clone();
            url.query_pairs_mut().extend_pairs(fields);
            return Request::get(url).authorization(credentials.basic_header()).reach(self.reach);
        };
        let scope = scopes.join(" ");
        fields.extend([
            ("grant_type", "refresh_token"),
            ("client_id", "copa"),
            ("refresh_token", refresh.expose()),
            ("scope", &scope),
        ]);
        let form = form(&fields);
        Request::new(Method::POST, self.realm.clone())
            .header(
                HeaderName::from_static("content-type"),
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )
            .body(Body::Bytes(form))
            .reach(self.reach)
    }
}

/// Fields as a form body.
fn form(fields: &[(&str, &str)]) -> Bytes {
    // The encoding of a query is that of a form; any URL can hold one.
    let mut url = Url::parse("http://form.invalid/").expect("a constant URL is valid");
    url.query_pairs_mut().extend_pairs(fields);
    Bytes::from(url.query().unwrap_or("").to_owned())
}

fn read(body: &[u8]) -> Result<Token, &'static str> {
    // The message of serde_json may quote the token.
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| "the answer is not valid JSON for a token")?;
    let life = answer.life();
    let text = [answer.token, answer.access_token].into_iter().flatten().find(|t| !t.is_empty());
    let text = text.ok_or("the answer holds no token")?;
    if text.len() > TOKEN_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("the answer holds no token that can be sent");
    }
    let header = sensitive(&format!("Bearer {text}")).ok_or("the answer holds no token that can be sent")?;
    Ok(Token { header, until: Instant::now() + life.saturating_sub(LIFE_MARGIN.min(life / 4)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fetch::client::Secret;

    async fn service(registry: &str, realm: &str) -> Result<TokenService, Error> {
        let registry = Url::parse(registry).unwrap();
        TokenService::new((&registry, None), "r.example", realm, Some("svc".into())).await
    }

    #[tokio::test]
    async fn realms_that_are_not_safe_are_refused() {
        for (registry, realm, good) in [
            ("https://192.0.2.1/", "https://auth.example/token", true),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token", true),
            ("http://127.0.0.1:5000/", "http://localhost:5001/token", true),
            ("https://192.0.2.1/", "http://auth.example/token", false),
            ("https://192.0.2.1/", "http://192.0.2.1/token", false),
            ("http://127.0.0.1:5000/", "http://auth.example/token", false),
            ("https://192.0.2.1/", "https://u:p@auth.example/token", false),
            ("https://192.0.2.1/", "file:///etc/passwd", false),
            ("https://192.0.2.1/", "/token", false),
        ] {
            assert_eq!(service(registry, realm).await.is_ok(), good, "{registry} {realm}");
        }
        for realm in ["https://u:secret@auth.example/t?secret", "http://auth.example/t?x=secret", "//secret"]
        {
            let error = service("https://192.0.2.1/", realm).await.unwrap_err().to_string();
            assert!(error.contains("token service") && !error.contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn private_and_link_local_realms_are_refused_when_dialled() {
        let client = Client::new(fetch::client::ClientOptions::default()).unwrap();
        for realm in
            ["https://169.254.169.254/t", "https://localhost/t", "https://10.0.0.1/t", "https://[::1]/t"]
        {
            let service = service("https://192.0.2.1/", realm).await.unwrap();
            let result = service.token(&client, "r.example", &Credentials::Anonymous, &[]).await;
            let error = result.err().expect("a private realm is refused");
            assert!(fetch::client::error_text(&error).contains("address"), "{error:?}");
        }
    }

    #[test]
    fn tokens_are_read_and_bounded() {
        let read_text = |text: &str| read(text.as_bytes());
        assert_eq!(read_text(r#"{"token": "abc", "x": 1}"#).ok().unwrap().header, "Bearer abc");
        assert_eq!(read_text(r#"{"token": "", "access_token": "d"}"#).ok().unwrap().header, "Bearer d");
        let default = LIFE_DEFAULT - LIFE_MARGIN.as_secs();
        for (said, seconds) in [
            ("300", 290),
            ("300.5", 290),
            ("\"300\"", 290),
            ("4", 3),
            ("0", default),
            ("-3600", default),
            ("null", default),
            ("\"soon\"", default),
            ("[]", default),
            ("18446744073709551615", LIFE_MAX - 10),
            ("1e300", LIFE_MAX - 10),
        ] {
            let token = read_text(&format!(r#"{{"token": "a", "expires_in": {said}}}"#)).ok().unwrap();
            let left = token.until.saturating_duration_since(Instant::now()).as_secs_f64().round();
            assert_eq!(left as u64, seconds, "{said}");
        }
        for text in ["", "{}", r#"{"token": "a b"}"#, r#"{"token": "a\r\nX: y"}"#, r#"{"token": 5}"#] {
            assert!(read_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refresh_token_goes_in_the_body_only() {
        let service = TokenService {
            realm: Url::parse("https://auth.example/t?x=y").unwrap(),
            reach: Reach::Public,
            service: Some("svc".into()),
        };
        let scopes = ["repository:a/b:pull,push".to_owned()];
        let refresh = service.request(&Credentials::Identity(Secret::new("s3c&ret")), &scopes);
        assert_eq!(refresh.url().as_str(), "https://auth.example/t?x=y");
        let get = service.request(&Credentials::Anonymous, &scopes);
        assert_eq!(get.url().query(), Some("x=y&service=svc&scope=repository%3Aa%2Fb%3Apull%2Cpush"));
        assert_eq!(&form(&[("a", "s3c&ret"), ("b", "x y")])[..], b"a=s3c%26ret&b=x+y");
    }
}
