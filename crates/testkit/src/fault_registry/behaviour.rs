//! What kind of registry this one is: what it can, how much it takes at once, how long its pages are.

use super::wire::Head;

/// Honest traits in which registries differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// Whether parts of blobs can be asked for.
    pub ranges: bool,
    /// `OCI-Chunk-Min-Length` that uploads name; a smaller chunk that is not the last one is refused.
    pub chunk_min: Option<u64>,
    /// Longest body of a request; a longer one is answered 413, as proxies before registries do.
    pub body_max: Option<u64>,
    /// Whether it has the referrers API (OCI 1.1).
    pub referrers: bool,
    /// Most entries of a page of tags or referrers.
    pub page: usize,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour { ranges: true, chunk_min: None, body_max: None, referrers: false, page: usize::MAX }
    }
}

impl Behaviour {
    /// The page that is asked for, and the `Link` to the next one.
    pub(crate) fn page<T>(
        &self,
        head: &Head,
        all: Vec<T>,
        name: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let last = head.query("last");
        let asked = head.query("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let size = self.page.min(asked).max(1);
        let is_left = |item: &T| last.as_ref().is_none_or(|last| name(item) > *last);
        let mut rest: Vec<T> = all.into_iter().filter(is_left).collect();
        let more = rest.len() > size;
        rest.truncate(size);
        let next = rest.last().filter(|_| more).map(|item| {
            let kept = ["n", "artifactType"].into_iter().filter_map(|key| Some((key, head.query(key)?)));
            let kept: String = kept.map(|(key, value)| format!("&{key}={value}")).collect();
            format!("<{}?last={}{kept}>; rel=\"next\"", head.bare_path(), name(item))
        });
        (rest, next)
    }
}
