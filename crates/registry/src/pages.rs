//! Lists that come page by page (distribution specification, `Link`), within bounds and at one origin.

use crate::{Error, Registry, auth::Scope};
use bytes::Bytes;
use fetch::client::{HeaderName, Request, Response, Url, same_origin};

/// Most pages followed.
const PAGES_MAX: usize = 100;
/// Largest page.
const PAGE_BYTES_MAX: u64 = 4 << 20;

/// A list on its way.
pub(crate) struct Pages<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) scope: Scope,
    pub(crate) doing: String,
    /// What is listed, for the message where it does not exist.
    pub(crate) item: String,
    /// Where all of the list must be.
    origin: Url,
    next: Option<Url>,
    seen: usize,
}

impl<'a> Pages<'a> {
    /// Nothing is asked yet.
    pub(crate) fn new(
        registry: &'a Registry,
        scope: Scope,
        first: Url,
        (doing, item): (String, String),
    ) -> Self {
        Pages { registry, scope, doing, item, origin: first.clone(), next: Some(first), seen: 0 }
    }

    /// The body of the next page, or `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(url) = self.next.take() else { return Ok(None) };
        if self.seen == PAGES_MAX {
            return Err(self.wrong(format!("more than {PAGES_MAX} pages")));
        }
        self.seen += 1;
        let response = self.registry.send(&self.scope, Request::get(url), &self.doing).await?;
        if !response.status().is_success() {
            return Err(self.registry.refused(response, &self.doing, &self.item).await);
        }
        self.next = self.link(&response)?;
        let read = response.bytes(PAGE_BYTES_MAX).await;
        read.map(Some).map_err(|source| Error::Http { doing: self.doing.clone(), source })
    }

    pub(crate) fn wrong(&self, why: impl Into<String>) -> Error {
        self.registry.protocol(&self.doing, why)
    }

    /// `Link: <URL>; rel="next"`, at the registry's own origin only, wherever this page came from.
    fn link(&self, response: &Response) -> Result<Option<Url>, Error> {
        let name = HeaderName::from_static("link");
        let Some(target) = response.headers(&name).find_map(next_target) else { return Ok(None) };
        let joined = response.url().join(target).ok().filter(|url| same_origin(url, &self.origin));
        joined.map(Some).ok_or_else(|| self.wrong("its next page is at another origin"))
    }
}

/// The target of the first link to what is next (RFC 8288 §3).
fn next_target(links: &str) -> Option<&str> {
    let mut rest = links;
    loop {
        let (target, after) = rest.trim_start_matches([' ', '\t', ',']).strip_prefix('<')?.split_once('>')?;
        let end = after.find(',').unwrap_or(after.len());
        let is_next = |p: &str| matches!(p.trim(), "rel=next" | "rel=\"next\"");
        if after[..end].split(';').any(is_next) {
            return Some(target);
        }
        rest = &after[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read() {
        for (link, want) in [
            (r#"</v2/a/tags/list?last=b&n=5>; rel="next""#, Some("/v2/a/tags/list?last=b&n=5")),
            ("<x>;rel=next", Some("x")),
            (r#"<a,b>; rel="prev", <y>; title=z; rel="next""#, Some("y")),
            (r#"<x>; rel="prev""#, None),
            (r#"<x>; rel="prev", "#, None),
            ("x; rel=next", None),
            ("<x; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_target(link), want, "{link}");
        }
    }
}
