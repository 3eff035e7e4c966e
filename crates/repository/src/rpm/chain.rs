//! From a repository to its verified indexes: signed head, then indexes by the digests that it promises.

use super::{
    Request,
    keys::{Signers, keyring},
    repomd::{Data, Repomd},
    source::Source,
};
use crate::{
    Error, Event, IndexRecord, Session, SignatureFault,
    heads::{Ask, Head, mismatch},
    inflate::{Inflate, Packing},
    limits::{INDEX_BYTES_MAX, INDEX_PACKED_BYTES_MAX, RATIO_FREE_BYTES},
    openpgp::{Keyring, Signed, verify},
};
use fetch::client::{Url, shown};
use futures_util::{StreamExt, stream};
use oci::Digest;
use std::{
    io::Read,
    sync::atomic::{AtomicU64, Ordering},
};
use store::Store;

/// Repositories asked at the same time.
const REPOSITORIES_AT_ONCE: usize = 4;

/// Bytes of all indexes of an image together. All repositories of Fedora have some 300 MB.
const LISTS_BYTES_MAX: u64 = 2 << 30;

/// How many times larger than its packed form an index may be where its head does not say how large it is.
const RATIO_UNTOLD: u64 = 40;

/// How far a head's date may be ahead of our clock.
const AHEAD_SECONDS_MAX: i64 = 24 * 3600;

/// What one repository came to.
pub(super) struct Fetched {
    pub(super) source: Source,
    pub(super) record: IndexRecord,
    pub(super) primary: String,
    /// `updateinfo`, where it is wanted and there.
    pub(super) advisories: Option<String>,
    pub(super) signers: Signers,
    pub(super) notes: Vec<String>,
}

/// What all repositories of an image have in common.
pub(super) struct Chain<'a> {
    pub(super) request: &'a Request,
    pub(super) session: &'a Session<'a>,
    /// Bytes of indexes held or about to be.
    pub(super) held: AtomicU64,
}

impl Chain<'_> {
    /// The head and the indexes of a repository. A mirror that is just being updated may have them of two minds; so all is
    /// asked for once more before that is an error.
    pub(super) async fn fetch(&self, source: &Source) -> Result<Fetched, Error> {
        let mut last = None;
        for base in &source.bases {
            for ask in [Ask::IfChanged, Ask::Anew] {
                match self.fetch_from(source, base, ask).await {
                    Err(error) if ask == Ask::IfChanged && may_pass(&error) => {
                        tracing::debug!(%error, "index is asked for anew");
                        last = Some(error);
                    }
                    Err(error @ (Error::Fetch(_) | Error::Mismatch { .. } | Error::Missing { .. })) => {
                        last = Some(error);
                        break;
                    }
                    done => return done,
                }
            }
        }
        Err(last.unwrap_or(Error::Internal("a repository without a place")))
    }

    async fn fetch_from(&self, source: &Source, base: &Url, ask: Ask) -> Result<Fetched, Error> {
        let keys = match source.checks_packages || source.checks_index {
            true => Some(keyring(source, self.request, self.session).await?),
            false => None,
        };
        let (repomd, record) = self.head(source, base, keys.as_deref(), ask).await?;
        let missing =
            |kind: &str| Error::NotAnIndex { url: record.url.clone(), why: format!("it has no {kind}") };
        let primary = repomd.data.get("primary").ok_or_else(|| missing("primary"))?;
        let primary = self.bounded(base, primary, ask).await?;
        let advisories = match repomd.data.get("updateinfo").filter(|_| self.request.security_only) {
            Some(data) => {
                let advisories = self.bounded(base, data, ask).await;
                Some(advisories.inspect_err(|_| self.release(primary.len() as u64))?)
            }
            None => None,
        };
        let mut notes = Vec::new();
        let id = inventory::printable(&source.id);
        if !source.checks_packages {
            notes.push(format!(
                "packages of {id} are taken without a signature, because its configuration says so"
            ));
        }
        if self.request.security_only && advisories.is_none() {
            notes.push(format!(
                "{id} has no advisories, so that none of its packages counts as a security update"
            ));
        }
        let signers = Signers(keys.filter(|_| source.checks_packages));
        Ok(Fetched { source: source.clone(), record, primary, advisories, signers, notes })
    }

    async fn head(
        &self,
        source: &Source,
        base: &Url,
        keys: Option<&Keyring>,
        ask: Ask,
    ) -> Result<(Repomd, IndexRecord), Error> {
        let url = below(base, "repodata/repomd.xml")?;
        let at = shown(&url);
        let head = self.session.head(&url, ask).await?.ok_or_else(|| Error::Missing { url: at.clone() })?;
        let beside = match keys {
            Some(_) => self.session.head(&below(base, "repodata/repomd.xml.asc")?, ask).await?,
            None => None,
        };
        let signed_by = self.signed_by(source, &at, (&head, beside.as_ref()), keys)?;
        let malformed = |why| Error::NotAnIndex { url: at.clone(), why };
        let repomd = Repomd::parse(&head.bytes).map_err(malformed)?;
        let date = repomd.date();
        self.judge_date(&at, date, head.newest)?;
        // The date of what nobody has signed bars nothing: who could forge it could bar all that is published later.
        for head in std::iter::once(&head).chain(&beside) {
            match signed_by {
                Some(_) => self.session.remember(head, date).await?,
                None => self.session.keep(head).await?,
            }
        }
        (self.session.events)(Event::Index { url: at.clone(), fetched: head.fetched });
        let record = IndexRecord { url: at, digest: head.digest().clone(), signed_by, date };
        Ok((repomd, record))
    }

    /// Who signed the head. Where it need not be signed a signature of a key that is not known here tells nothing, and the
    /// signatures of the packages count; but one of a known key that does not fit is an error.
    fn signed_by(
        &self,
        source: &Source,
        url: &str,
        (head, beside): (&Head, Option<&Head>),
        keys: Option<&Keyring>,
    ) -> Result<Option<String>, Error> {
        let judged = match (keys, beside) {
            (Some(keys), Some(beside)) => {
                verify(Signed::Detached(&head.bytes), &beside.bytes, keys, self.session.now)
            }
            _ => Err(SignatureFault::Missing),
        };
        match judged {
            Ok(fingerprint) => Ok(Some(fingerprint)),
            Err(fault) if source.checks_index || matches!(fault, SignatureFault::Bad(_)) => {
                Err(Error::Signature { url: url.to_owned(), fault })
            }
            Err(_) => Ok(None),
        }
    }

    fn judge_date(&self, url: &str, date: i64, newest: Option<i64>) -> Result<(), Error> {
        let text = |seconds: i64| {
            jiff::Timestamp::from_second(seconds)
                .map_or_else(|_| seconds.to_string(), |time| time.to_string())
        };
        let url = url.to_owned();
        if date > self.session.now.saturating_add(AHEAD_SECONDS_MAX) {
            return Err(Error::NotYetValid { url, date: text(date) });
        }
        match newest.filter(|newest| *newest > date) {
            Some(newest) => Err(Error::Rollback { url, date: text(date), seen: text(newest) }),
            None => Ok(()),
        }
    }

    /// The index, where there is room for it beside all others.
    async fn bounded(&self, base: &Url, data: &Data, ask: Ask) -> Result<String, Error> {
        let at = shown(&located(base, &data.location)?);
        let malformed = |why| Error::NotAnIndex { url: at.clone(), why };
        let (_, packed) = data.packed().map_err(malformed)?;
        let told = data.plain().map_err(malformed)?.map(|(_, size)| size);
        let untold = || RATIO_FREE_BYTES.saturating_add(packed.saturating_mul(RATIO_UNTOLD));
        let most = told.unwrap_or_else(untold).min(INDEX_BYTES_MAX);
        let before = self.held.fetch_add(most, Ordering::Relaxed);
        let index = match before.saturating_add(most) > LISTS_BYTES_MAX {
            true => Err(Error::Limit(format!("package lists of more than {LISTS_BYTES_MAX} bytes"))),
            false => self.index(base, data, most, ask).await,
        };
        let used = index.as_ref().map_or(0, |text| text.len() as u64);
        self.release(most.saturating_sub(used));
        index
    }

    /// Gives back room that is not needed, or not any more.
    fn release(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// An index, from the cache where it is there.
    async fn index(&self, base: &Url, data: &Data, most: u64, ask: Ask) -> Result<String, Error> {
        let url = located(base, &data.location)?;
        let at = shown(&url);
        let malformed = |why| Error::NotAnIndex { url: at.clone(), why };
        let packed = data.packed().map_err(malformed)?;
        let plain = data.plain().map_err(malformed)?;
        let packing = Packing::of_name(&data.location);
        let (digest, size) = plain.clone().unwrap_or_else(|| packed.clone());
        let store = self.session.store.clone();
        let (known, fresh) = match self.session.blocking(move || cached(&store, &digest, size)).await? {
            Some(bytes) => (bytes, false),
            None => (self.transfer(&url, &packed, ask).await?, true),
        };
        let fetched = if fresh { known.len() as u64 } else { 0 };
        (self.session.events)(Event::Index { url: at.clone(), fetched });
        let packing = if !fresh && plain.is_some() { Packing::None } else { packing };
        let unpacking = Unpacking { url: at, packing, most, plain, packed: packed.0, fresh };
        let store = self.session.store.clone();
        self.session.blocking(move || unpacking.unpack(known, &store)).await
    }

    async fn transfer(&self, url: &Url, (digest, size): &(Digest, u64), ask: Ask) -> Result<Vec<u8>, Error> {
        if *size > INDEX_PACKED_BYTES_MAX {
            return Err(Error::Limit(format!("{} has {size} bytes", shown(url))));
        }
        let missing = || Error::Missing { url: shown(url) };
        let bytes = self.session.file(url, *size, ask).await?.ok_or_else(missing)?;
        let got = Digest::of(&bytes);
        match got == *digest {
            true => Ok(bytes),
            false => Err(mismatch(url, format!("digest {got} where {digest} is expected"))),
        }
    }
}

/// Whether an error may come of a head and an index, or a head and its signature, of different minds.
fn may_pass(error: &Error) -> bool {
    let bad = |fault: &SignatureFault| matches!(fault, SignatureFault::Bad(_));
    match error {
        Error::Mismatch { .. } | Error::Missing { .. } => true,
        Error::Signature { fault, .. } => bad(fault),
        _ => false,
    }
}

/// An index as it came, and what it must become.
struct Unpacking {
    url: String,
    packing: Packing,
    /// Most bytes that it may become.
    most: u64,
    plain: Option<(Digest, u64)>,
    packed: Digest,
    fresh: bool,
}

impl Unpacking {
    /// The text; kept for the next time, unpacked where the head has the digest of that.
    fn unpack(self, bytes: Vec<u8>, store: &Store) -> Result<String, Error> {
        let keep = |digest: &Digest, bytes: &[u8]| {
            store.add_blob(bytes, digest, bytes.len() as u64).map_err(Error::from)
        };
        if self.fresh && self.plain.is_none() {
            keep(&self.packed, &bytes)?;
        }
        let whole = match self.packing {
            Packing::None => bytes,
            packing => {
                let malformed = |e: std::io::Error| Error::Packed {
                    item: self.url.clone(),
                    why: inventory::printable(&e.to_string()),
                };
                let mut whole = Vec::new();
                let mut stream = Inflate::new(&bytes[..], packing, self.most).map_err(malformed)?;
                stream.read_to_end(&mut whole).map_err(malformed)?;
                whole
            }
        };
        if let Some((digest, size)) = self.plain.as_ref().filter(|_| self.fresh) {
            let got = Digest::of(&whole);
            if got != *digest || whole.len() as u64 != *size {
                let why = format!("it unpacks to digest {got} where {digest} is expected");
                return Err(Error::Mismatch { url: self.url, why });
            }
            keep(digest, &whole)?;
        }
        String::from_utf8(whole).map_err(|_| Error::NotAnIndex { url: self.url, why: "not UTF-8".into() })
    }
}

fn cached(store: &Store, digest: &Digest, size: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(blob) = store.blob(digest)?.filter(|blob| blob.size == size && size <= INDEX_BYTES_MAX) else {
        return Ok(None);
    };
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let read = blob.file.take(size).read_to_end(&mut bytes);
    read.map_err(|e| Error::io(format!("reading {}", blob.path.display()), e))?;
    Ok(Some(bytes))
}

/// The URL of a file that an index names, relative to the repository and below it.
pub(super) fn located(base: &Url, location: &str) -> Result<Url, Error> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '?', '#']);
    match location.split('/').all(plain) && !location.contains("://") {
        true => below(base, location),
        false => {
            let why = format!("a file at \"{}\"", inventory::printable(location));
            Err(Error::NotAnIndex { url: shown(base), why })
        }
    }
}

fn below(base: &Url, path: &str) -> Result<Url, Error> {
    let mut url = base.clone();
    let refused = || Error::Internal("a repository's URL that cannot have a path");
    url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend(path.split('/'));
    Ok(url)
}

/// The repositories' indexes, several at a time, in the order of the configuration. One that may be absent and cannot be reached
/// is noted.
pub(super) async fn fetch_all(
    chain: &Chain<'_>,
    sources: &[Source],
    notes: &mut Vec<String>,
) -> Result<Vec<Fetched>, Error> {
    let each = sources.iter().map(|source| chain.fetch(source));
    let all: Vec<_> = stream::iter(each).buffered(REPOSITORIES_AT_ONCE).collect().await;
    let mut fetched = Vec::new();
    let mut last = None;
    for (source, result) in sources.iter().zip(all) {
        match result {
            Ok(one) => fetched.push(one),
            Err(error @ (Error::Fetch(_) | Error::Missing { .. })) if source.optional => {
                notes.push(format!("repository {} is left out: {error}", inventory::printable(&source.id)));
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match (fetched.is_empty(), last) {
        (true, Some(error)) => Err(error),
        _ => Ok(fetched),
    }
}
