//! The tags of a repository, page by page within bounds.

use crate::{Error, Registry, auth::Scope};
use fetch::client::{HeaderName, Request, Response, Url, same_origin};
use serde::Deserialize;

/// Most pages followed.
const PAGES_MAX: usize = 100;
/// Most tags taken.
const TAGS_MAX: usize = 100_000;
/// Largest page.
const PAGE_BYTES_MAX: u64 = 4 << 20;
/// Tags asked for at once.
const PAGE_TAGS: &str = "1000";

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registry {
    /// Every tag of a repository, in the registry's order. What is no valid tag is left out.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, Error> {
        let item = format!("{}/{repository}", self.host());
        let doing = format!("list tags of {item}");
        let mut url = self.url(repository, "tags/list").await?;
        url.query_pairs_mut().append_pair("n", PAGE_TAGS);
        let mut tags = Vec::new();
        for _ in 0..PAGES_MAX {
            let response = self.send(&Scope::pull(repository), Request::get(url.clone()), &doing).await?;
            if !response.status().is_success() {
                return Err(self.refused(response, &doing, &item).await);
            }
            let next = self.next_page(&response, &doing)?;
            let read = response.bytes(PAGE_BYTES_MAX).await;
            let bytes = read.map_err(|source| Error::Http { doing: doing.clone(), source })?;
            let page: Page = serde_json::from_slice(&bytes)
                .map_err(|e| self.protocol(&doing, format!("not a tag list: {e}")))?;
            tags.extend(page.tags.unwrap_or_default().into_iter().filter(|t| is_tag(t)));
            if tags.len() > TAGS_MAX {
                return Err(self.protocol(&doing, format!("more than {TAGS_MAX} tags")));
            }
            match next {
                None => return Ok(tags),
                Some(next) => url = next,
            }
        }
        Err(self.protocol(&doing, format!("more than {PAGES_MAX} pages of tags")))
    }

    /// `Link: <URL>; rel="next"`, at the same origin only.
    fn next_page(&self, response: &Response, doing: &str) -> Result<Option<Url>, Error> {
        let Some(link) = response.header(&HeaderName::from_static("link")) else { return Ok(None) };
        let Some(target) = next_target(link) else { return Ok(None) };
        let joined = response.url().join(target).ok().filter(|url| same_origin(url, response.url()));
        joined.map(Some).ok_or_else(|| self.protocol(doing, "its next page is at another origin"))
    }
}

fn next_target(link: &str) -> Option<&str> {
    let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = |p: &str| matches!(p.trim(), "rel=next" | "rel=\"next\"");
    rest.split([';', ',']).any(is_next).then_some(target)
}

/// The grammar of tags (distribution specification).
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|b| word(*b))
        && bytes.iter().all(|b| word(*b) || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read() {
        for (link, want) in [
            (r#"</v2/a/tags/list?last=b&n=5>; rel="next""#, Some("/v2/a/tags/list?last=b&n=5")),
            ("<x>;rel=next", Some("x")),
            (r#"<x>; rel="prev""#, None),
            ("x; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_target(link), want, "{link}");
        }
    }

    #[test]
    fn what_is_no_tag_is_left_out() {
        assert!(is_tag("1.21.6-patched") && is_tag("_x"));
        for text in ["", "-a", ".a", "a b", "a/b", "a\u{1b}[31m", &"a".repeat(129)] {
            assert!(!is_tag(text), "{text:?}");
        }
    }
}
