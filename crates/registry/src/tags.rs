//! The tags of a repository, page by page within bounds.

use crate::{Error, Registry, auth::Scope, pages::Pages};
use serde::Deserialize;

/// Most tags taken.
const TAGS_MAX: usize = 100_000;
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
        let mut pages = Pages::new(self, Scope::pull(repository), url, (doing, item));
        let mut tags = Vec::new();
        while let Some(page) = pages.next().await? {
            let page: Page =
                serde_json::from_slice(&page).map_err(|e| pages.wrong(format!("not a tag list: {e}")))?;
            tags.extend(page.tags.unwrap_or_default().into_iter().filter(|t| is_tag(t)));
            if tags.len() > TAGS_MAX {
                return Err(pages.wrong(format!("more than {TAGS_MAX} tags")));
            }
        }
        Ok(tags)
    }
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
    fn what_is_no_tag_is_left_out() {
        assert!(is_tag("1.21.6-patched") && is_tag("_x"));
        for text in ["", "-a", ".a", "a b", "a/b", "a\u{1b}[31m", &"a".repeat(129)] {
            assert!(!is_tag(text), "{text:?}");
        }
    }
}
