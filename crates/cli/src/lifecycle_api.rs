//! `--eol-api-url`: an API as endoflife.date's is asked whether a release is kept up. Bounded in time and size; what passes by
//! itself is waited for a little.

use crate::{error::Failure, ui::text::printable};
use async_trait::async_trait;
use fetch::client::{Client, HeaderName, HeaderValue, Request, Response, StatusCode, Url, error_text, shown};
use lifecycle::{Release, Support};
use patch::LifecycleApi;
use std::{sync::Arc, time::Duration};

/// Longest time for one answer, as in Go Copa.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Pauses after "too many requests", as in Go Copa: 15 s in all.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// Most characters of why there is no answer.
const WHY_CHARS_MAX: usize = 300;

/// Checks the URL of `--eol-api-url`.
pub fn base(text: Option<&str>) -> Result<Option<Url>, Failure> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    let refused = || {
        Failure::usage(format!("--eol-api-url {} is no URL of an API", printable(text)))
            .hint("want http:// or https:// and a host, such as https://endoflife.date/api/v1/products")
    };
    let url = Url::parse(text).map_err(|_| refused())?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.host_str().is_some();
    let known = matches!(url.scheme(), "http" | "https");
    if known && plain { Ok(Some(url)) } else { Err(refused()) }
}

/// The API below a URL.
pub fn api(base: Url, client: Client) -> Arc<dyn LifecycleApi> {
    Arc::new(Api { base, client, answer_max: ANSWER_MAX, pauses: PAUSES })
}

struct Api {
    base: Url,
    client: Client,
    answer_max: Duration,
    pauses: [Duration; 4],
}

/// What came of one request.
enum Asked {
    Known(Support),
    Unknown,
    TooMany,
}

#[async_trait]
impl LifecycleApi for Api {
    fn name(&self) -> String {
        shown(&self.base)
    }

    async fn ask(&self, release: &Release) -> Result<Option<Support>, String> {
        let url = self.url(release);
        let mut pauses = self.pauses.iter();
        loop {
            let late = |_| format!("no answer within {} s", self.answer_max.as_secs_f32());
            match tokio::time::timeout(self.answer_max, self.once(&url)).await.map_err(late)?? {
                Asked::Known(support) => return Ok(Some(support)),
                Asked::Unknown => return Ok(None),
                Asked::TooMany => {
                    let pause = pauses.next().ok_or("it is asked too often (429)")?;
                    tokio::time::sleep(*pause).await;
                }
            }
        }
    }
}

impl Api {
    /// `<base>/<product>/releases/<release>`, each part escaped as one.
    fn url(&self, release: &Release) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([release.product(), "releases", release.release()]);
        }
        url
    }

    async fn once(&self, url: &Url) -> Result<Asked, String> {
        let (accept, json) =
            (HeaderName::from_static("accept"), HeaderValue::from_static("application/json"));
        let request = Request::get(url.clone()).header(accept, json).once();
        let response = self.client.send(request).await.map_err(|e| line(&e))?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(Asked::Unknown),
            StatusCode::TOO_MANY_REQUESTS => Ok(Asked::TooMany),
            _ => self.read(response).await.map(Asked::Known),
        }
    }

    async fn read(&self, response: Response) -> Result<Support, String> {
        let response = response.success().await.map_err(|e| line(&e))?;
        let body = response.bytes(lifecycle::ANSWER_BYTES_MAX).await.map_err(|e| line(&e))?;
        lifecycle::parse_answer(&body).map_err(|e| line(&e))
    }
}

/// An error and its causes; an answer may be quoted in it.
fn line(error: &(dyn std::error::Error + 'static)) -> String {
    fetch::client::printable(&error_text(error), WHY_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory::OsRelease;
    use testkit::fault_registry::{Answer, Fault, FaultRegistry};

    const MS: Duration = Duration::from_millis(1);

    async fn asked(server: &FaultRegistry, faults: Vec<Fault>) -> Result<Option<Support>, String> {
        server.fault("GET", "/releases/", faults);
        let base = base(Some(&server.url("/api/v1/products/"))).unwrap().unwrap();
        let client = Client::new(Default::default()).unwrap();
        let api = Api { base, client, answer_max: MS * 300, pauses: [MS; 4] };
        let os = OsRelease { id: "debian".into(), version_id: "10.13".into(), ..OsRelease::default() };
        api.ask(&Release::of(&os).unwrap()).await
    }

    fn answer(body: impl Into<Vec<u8>>) -> Fault {
        Fault::Answer(Answer::status(200).body(body))
    }

    const ENDED: &str = r#"{"result":{"isEol":true,"isMaintained":false,"eolFrom":"2022-09-10"}}"#;

    #[tokio::test]
    async fn the_release_is_asked_for_by_name() {
        let server = FaultRegistry::start();
        let support = asked(&server, vec![answer(ENDED)]).await.unwrap().unwrap();
        assert_eq!((support.ended, support.until.unwrap().to_string()), (true, "2022-09-10".to_owned()));
        let paths: Vec<String> = server.requests().into_iter().map(|r| r.path).collect();
        assert_eq!(paths, ["/api/v1/products/debian/releases/10"]);
    }

    #[tokio::test]
    async fn not_found_is_unknown_and_too_many_is_waited_for() {
        let server = FaultRegistry::start();
        assert_eq!(asked(&server, vec![Fault::status(404)]).await, Ok(None));
        let busy = || Fault::status(429);
        assert!(asked(&server, vec![busy(), busy(), answer(ENDED)]).await.unwrap().unwrap().ended);
        let before = server.requests().len();
        let why = asked(&server, (0..9).map(|_| busy()).collect()).await.unwrap_err();
        assert!(why.contains("429"), "{why}");
        assert_eq!(server.requests().len() - before, 1 + PAUSES.len());
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error_that_says_so() {
        let huge = vec![b' '; lifecycle::ANSWER_BYTES_MAX as usize + 1];
        for (fault, part) in [
            (Fault::status(500), "500"),
            (Fault::status(403), "403"),
            (answer("<html>"), "not what an API of lifecycles says"),
            (answer(r#"{"result":{"isEol":"\u001b[2J"}}"#), "not what an API of lifecycles says"),
            (answer("{}"), "result"),
            (answer(huge), "sends more than"),
            (Fault::EndlessBody, "sends more than"),
            (Fault::Silence(MS * 2000), "no answer within 0.3 s"),
            (Fault::Reset, "broke off"),
        ] {
            let server = FaultRegistry::start();
            let why = asked(&server, vec![fault]).await.unwrap_err();
            assert!(why.contains(part), "{part}: {why}");
            assert!(
                why.chars().all(|c| !c.is_control()) && why.chars().count() <= WHY_CHARS_MAX + 3,
                "{why}"
            );
            assert_eq!(server.requests().len(), 1, "{part}");
        }
    }

    #[test]
    fn the_pauses_are_those_of_go_copa() {
        assert_eq!(PAUSES.iter().sum::<Duration>(), Duration::from_secs(15));
    }

    #[test]
    fn only_urls_of_the_web_are_apis() {
        assert_eq!(base(None).unwrap(), None);
        assert_eq!(base(Some("")).unwrap(), None);
        for text in ["https://endoflife.date/api/v1/products", "http://127.0.0.1:8080/", "https://a.example"]
        {
            assert!(base(Some(text)).unwrap().is_some(), "{text}");
        }
        for text in
            ["a", "/a", "file:///etc/passwd", "ftp://a/", "http://", "http://a/?q", "http://a/#f", "\u{1b}"]
        {
            assert_eq!(base(Some(text)).unwrap_err().kind, crate::exit::Kind::Usage, "{text}");
        }
    }
}
