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
    limits::INDEX_BYTES_MAX,
};
use fetch::client::{Url, shown};
use inventory::apk::repositories::{Layout, Repository};
use jiff::Timestamp;

/// The name of an index, in the folder of its architecture.
const INDEX: &str = "APKINDEX.tar.gz";

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
        let (signed, name) = (signed.to_vec(), at.clone());
        let read = move || {
            read(&signed).map_err(|why| Error::NotAnIndex { url: name, why: inventory::printable(&why) })
        };
        let index = self.session.blocking(read).await?;
        let notes = self.judged(&at, &head, &index).await?;
        (self.session.events)(Event::Index { url: at.clone(), fetched: head.fetched });
        let record =
            IndexRecord { url: at, digest: head.digest().clone(), signed_by: Some(key), date: index.newest };
        Ok(Fetched { record, listed: Listed { index, tag: repository.tag.clone(), folder }, notes })
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

fn day(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |time| time.strftime("%Y-%m-%d").to_string())
}

/// The list in what has been signed: one member, and nothing behind it.
fn read(signed: &[u8]) -> Result<Index, String> {
    let found = member::unpacked(signed, INDEX_BYTES_MAX)?;
    let (plain, rest) = found.ok_or_else(|| format!("it unpacks to more than {INDEX_BYTES_MAX} bytes"))?;
    if !rest.is_empty() {
        return Err("more than one member is signed".into());
    }
    let mut files = member::files(&plain, index::FILES_MAX)?;
    Index::of(files.remove(index::NAME).ok_or_else(|| format!("no {} in it", index::NAME))?)
}
