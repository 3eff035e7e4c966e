//! From a repository to its verified index: one file that is signed in itself.

use super::{
    index::{self, Index},
    keys::Keys,
    member, signature,
    universe::{Listed, below},
};
use crate::{
    Error, Event, IndexRecord, Session,
    heads::{Ask, Head},
    limits::{INDEX_BYTES_MAX, RATIO_FREE_BYTES},
};
use fetch::client::{Url, shown};
use inventory::apk::repositories::{Layout, Repository};
use jiff::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of an index, in the folder of its architecture.
const INDEX: &str = "APKINDEX.tar.gz";

/// How many times larger than its packed form an index may be, beyond what any may have. Alpine's is four times larger.
const RATIO_UNTOLD: u64 = 40;

/// Bytes of all indexes of an image together. All repositories of Alpine have some 20 MB, Wolfi's has above 100 MB.
const LISTS_BYTES_MAX: u64 = 2 << 30;

/// How far the build time of an index's newest package may go back. An index has no date of its own, and a package that is
/// withdrawn takes that time with it; a replayed index is told from that only where it is older by more. Within the bound the
/// user is warned. Packages themselves never go backwards.
const BACK_SECONDS_MAX: i64 = 30 * 86_400;

/// What one repository came to.
pub(super) struct Fetched {
    pub(super) record: IndexRecord,
    pub(super) listed: Listed,
    pub(super) notes: Vec<String>,
}

/// What all repositories of an image have in common.
pub(super) struct Chain<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) architecture: &'a str,
    pub(super) keys: Keys<'a>,
    /// Bytes of indexes held or about to be.
    pub(super) held: AtomicU64,
}

impl Chain<'_> {
    /// The index of a repository, verified.
    pub(super) async fn fetch(&self, repository: &Repository) -> Result<Fetched, Error> {
        let (url, folder) = self.places(repository)?;
        let at = shown(&url);
        let missing = || Error::Missing { url: at.clone() };
        let head = self.session.head(&url, Ask::IfChanged).await?.ok_or_else(missing)?;
        let malformed = |why: String| Error::NotAnIndex { url: at.clone(), why: inventory::printable(&why) };
        if member::is_binary(&head.bytes) {
            return Err(malformed("an index of apk 3's own form, which is newer than is known".into()));
        }
        if !head.bytes.starts_with(&[0x1f, 0x8b]) {
            let text = String::from_utf8_lossy(&head.bytes[..head.bytes.len().min(60)]).into_owned();
            return Err(malformed(format!("it begins with {}", inventory::printable(&text))));
        }
        if self.keys.is_empty() {
            return Err(Error::NoKey { url: at, why: "the image has none in /etc/apk/keys".into() });
        }
        let not_signed = |fault| Error::Signature { url: at.clone(), fault };
        let (signed, key) = signature::verified(&head.bytes, &self.keys).map_err(not_signed)?;
        let index = self.bounded(signed, &at).await?;
        let notes = self.judged(&at, &head, &index).await?;
        (self.session.events)(Event::Index { url: at.clone(), fetched: head.fetched });
        let record =
            IndexRecord { url: at, digest: head.digest().clone(), signed_by: Some(key), date: index.newest };
        Ok(Fetched { record, listed: Listed { index, tag: repository.tag.clone(), folder }, notes })
    }

    /// The list in what has been signed, where there is room for it beside all others.
    async fn bounded(&self, signed: &[u8], url: &str) -> Result<Index, Error> {
        let most = most(signed.len() as u64);
        let before = self.held.fetch_add(most, Ordering::Relaxed);
        let (signed, name) = (signed.to_vec(), url.to_owned());
        let read = move || {
            read(&signed, most)
                .map_err(|why| Error::NotAnIndex { url: name, why: inventory::printable(&why) })
        };
        let index = match before.saturating_add(most) > LISTS_BYTES_MAX {
            true => Err(Error::Limit(format!("package lists of more than {LISTS_BYTES_MAX} bytes"))),
            false => self.session.blocking(read).await,
        };
        let used = index.as_ref().map_or(0, Index::size);
        self.held.fetch_sub(most.saturating_sub(used), Ordering::Relaxed);
        index
    }

    /// Where the index and the packages are.
    fn places(&self, repository: &Repository) -> Result<(Url, Url), Error> {
        let url: Url = repository.url.parse().map_err(|_| Error::Internal("a repository without a URL"))?;
        let configuration = |why: &str| Error::Configuration { path: shown(&url), why: why.to_owned() };
        let bad = || configuration("not a URL that can have a path");
        match repository.layout {
            Layout::V2 => {
                let folder = below(&url, self.architecture).ok_or_else(bad)?;
                Ok((below(&folder, INDEX).ok_or_else(bad)?, folder))
            }
            Layout::Index if repository.url.ends_with(".tar.gz") => {
                let mut folder = url.clone();
                folder.path_segments_mut().map_err(|()| bad())?.pop();
                Ok((url.clone(), folder))
            }
            _ => Err(configuration("a repository of apk 3's own form, which is newer than is known")),
        }
    }

    /// Whether an index may follow the newest that was seen from there; it is remembered.
    async fn judged(&self, url: &str, head: &Head, index: &Index) -> Result<Vec<String>, Error> {
        let seen = head.newest.unwrap_or(i64::MIN);
        let mut notes = Vec::new();
        if index.newest < seen {
            let (date, seen_date) = (day(index.newest), day(seen));
            if seen.saturating_sub(index.newest) > BACK_SECONDS_MAX {
                return Err(Error::Rollback { url: url.to_owned(), date, seen: seen_date });
            }
            notes.push(format!(
                "the newest package of {url} is of {date}, one of {seen_date} was there before"
            ));
        }
        self.session.remember(head, index.newest.max(seen)).await?;
        Ok(notes)
    }
}

/// Most bytes that an index of so many packed ones may have: it does not say how many it has.
fn most(packed: u64) -> u64 {
    RATIO_FREE_BYTES.saturating_add(packed.saturating_mul(RATIO_UNTOLD)).min(INDEX_BYTES_MAX)
}

fn day(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |time| time.strftime("%Y-%m-%d").to_string())
}

/// The list in what has been signed: one member, and nothing behind it.
fn read(signed: &[u8], most: u64) -> Result<Index, String> {
    let found = member::unpacked(signed, most)?;
    let (plain, rest) = found.ok_or_else(|| format!("it unpacks to more than {most} bytes"))?;
    if !rest.is_empty() {
        return Err("more than one member is signed".into());
    }
    let mut files = member::files(&plain, index::FILES_MAX)?;
    Index::of(files.remove(index::NAME).ok_or_else(|| format!("no {} in it", index::NAME))?)
}
