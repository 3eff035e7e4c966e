//! From a source to its verified lists: signed head, then lists by the digests that it promises.

use super::{
    Request, defaults,
    index::Index,
    pins::Origin,
    release::{Judge, Release},
    settings::Settings,
    source::{SignedBy, Source},
    universe::{Listed, below},
};
use crate::{
    Error, Event, IndexRecord, Session, SignatureFault,
    heads::{Ask, Head, mismatch},
    inflate::{Inflate, Packing},
    limits::{INDEX_BYTES_MAX, INDEX_PACKED_BYTES_MAX, RATIO_FREE_BYTES},
    openpgp::{Clearsigned, Keyring, Signed, verify},
};
use fetch::client::{Url, shown};
use futures_util::{StreamExt, TryStreamExt, stream};
use oci::Digest;
use std::{
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use store::Store;

/// Packed forms of a list, the smallest first.
const PACKINGS: [&str; 4] = [".xz", ".zst", ".gz", ""];
/// Lists of one source asked for at the same time.
const LISTS_AT_ONCE: usize = 4;
/// Bytes of all lists of an image together. A dozen suites of Debian and Ubuntu have some 500 MB.
const LISTS_BYTES_MAX: u64 = 2 << 30;
/// How many times larger than its packed form a list may be where its head does not say how large it is.
const RATIO_UNTOLD: u64 = 40;
/// Bytes shown of what came instead of an index.
const SHOWN_BYTES: usize = 60;

/// What one source came to.
pub(crate) struct Fetched {
    pub(crate) record: IndexRecord,
    pub(crate) lists: Vec<Listed>,
    pub(crate) notes: Vec<String>,
}

/// What all sources of an image have in common.
pub(crate) struct Chain<'a> {
    pub(crate) request: &'a Request,
    pub(crate) session: &'a Session<'a>,
    pub(crate) settings: &'a Settings,
    /// The image's own architecture, and those of what is installed beside.
    pub(crate) architectures: &'a [String],
    /// Bytes of lists held or about to be.
    pub(crate) held: AtomicU64,
}

/// A head that has been verified.
struct Verified {
    release: Release,
    record: IndexRecord,
    notes: Vec<String>,
}

/// One list as a head promises it.
struct Promise {
    component: String,
    architecture: String,
    /// The folder it lies in, below the suite; empty or ending in a slash.
    folder: String,
    /// Digest and size of the list itself, where the head has them.
    plain: Option<(Digest, u64)>,
    packing: &'static str,
    packed: (Digest, u64),
}

impl Promise {
    /// Most bytes that the list may have.
    fn most(&self) -> u64 {
        let untold = || RATIO_FREE_BYTES.saturating_add(self.packed.1.saturating_mul(RATIO_UNTOLD));
        let told = self.plain.as_ref().map(|(_, size)| *size);
        told.unwrap_or_else(|| untold().min(INDEX_BYTES_MAX))
    }
}

impl Chain<'_> {
    /// The head and the lists of a source. A mirror that is just being updated may have them of two minds; so all is asked
    /// for once more before that is an error.
    pub(crate) async fn fetch(&self, source: &Source) -> Result<Fetched, Error> {
        let mut last = None;
        for uri in &source.uris {
            for ask in [Ask::IfChanged, Ask::Anew] {
                match self.fetch_from(source, uri, ask).await {
                    Err(
                        error @ (Error::Mismatch { .. } | Error::Missing { .. } | Error::Rollback { .. }),
                    ) if ask == Ask::IfChanged => {
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
        Err(last.unwrap_or(Error::Internal("a source without a place")))
    }

    async fn fetch_from(&self, source: &Source, uri: &Url, ask: Ask) -> Result<Fetched, Error> {
        let suite = suite_url(source, uri)?;
        let Verified { release, record, notes } = self.head(source, &suite, ask).await?;
        let release = Arc::new(release);
        let each = self
            .promises(source, &release)
            .into_iter()
            .map(|promise| self.listed(source, &suite, promise, &release, ask));
        let lists = stream::iter(each).buffered(LISTS_AT_ONCE).try_collect().await?;
        Ok(Fetched { record, lists, notes })
    }

    async fn listed(
        &self,
        source: &Source,
        suite: &Url,
        promise: Promise,
        release: &Arc<Release>,
        ask: Ask,
    ) -> Result<Listed, Error> {
        let index = self.bounded(suite, &promise, release, ask).await?;
        let site = suite.host_str().unwrap_or_default().to_owned();
        let Promise { component, architecture, .. } = promise;
        let origin = Origin { release: Arc::clone(release), component, architecture, site };
        Ok(Listed { index, origin, bases: source.uris.clone() })
    }

    async fn head(&self, source: &Source, suite: &Url, ask: Ask) -> Result<Verified, Error> {
        let (url, plain) = (join(suite, "InRelease")?, join(suite, "Release")?);
        // Of both forms: who leaves the newer one out must not have an older one taken in the other.
        let newest = self.session.newest(&[&url, &plain]).await?;
        let (url, head, beside) = match self.session.head(&url, ask).await? {
            Some(head) => (url, head, None),
            None => {
                let missing = || Error::Missing { url: shown(&url) };
                let head = self.session.head(&plain, ask).await?.ok_or_else(missing)?;
                let beside = self.session.head(&join(suite, "Release.gpg")?, ask).await?;
                (plain, head, beside)
            }
        };
        let at = shown(&url);
        let mut notes = Vec::new();
        let (text, signed_by) = self.signed_text(source, &at, &head, beside.as_ref(), &mut notes)?;
        let malformed = |why| Error::NotAnIndex { url: at.clone(), why };
        let release = Release::parse(&text).map_err(malformed)?;
        let judge = Judge {
            url: &at,
            source,
            settings: self.settings,
            now: self.session.now,
            allow_archived: self.session.allow_archived,
            newest,
        };
        notes.extend(release.judge(&judge)?);
        for head in std::iter::once(&head).chain(&beside) {
            match signed_by {
                Some(_) => self.session.remember(head, release.date).await?,
                None => self.session.keep(head).await?,
            }
        }
        (self.session.events)(Event::Index { url: at.clone(), fetched: head.fetched });
        let record = IndexRecord { url: at, digest: head.digest().clone(), signed_by, date: release.date };
        Ok(Verified { release, record, notes })
    }

    /// The text that is signed, and by whom. Without a good signature only where the image itself says so.
    fn signed_text(
        &self,
        source: &Source,
        url: &str,
        head: &Head,
        beside: Option<&Head>,
        notes: &mut Vec<String>,
    ) -> Result<(String, Option<String>), Error> {
        let not_signed = |fault| Error::Signature { url: url.to_owned(), fault };
        let now = self.session.now;
        let (text, judged) = match Clearsigned::begins(&head.bytes) {
            true => {
                let parts = Clearsigned::parse(&head.bytes).map_err(not_signed)?;
                let keys = self.keyring(source, url);
                let judged = keys.and_then(|keys| {
                    verify(Signed::Clear(&parts.text), parts.armour.as_bytes(), &keys, now)
                        .map_err(not_signed)
                });
                (parts.text, judged)
            }
            false => {
                let text = plain_text(url, &head.bytes)?;
                let judged = match beside {
                    None => Err(not_signed(SignatureFault::Missing)),
                    Some(signature) => self.keyring(source, url).and_then(|keys| {
                        verify(Signed::Detached(&head.bytes), &signature.bytes, &keys, now)
                            .map_err(not_signed)
                    }),
                };
                (text, judged)
            }
        };
        match judged {
            Ok(fingerprint) => Ok((text, Some(fingerprint))),
            Err(_) if self.is_trusted_anyway(source) => {
                let from = inventory::printable(&source.from);
                notes.push(format!("{url} is used without a good signature, because {from} says so"));
                Ok((text, None))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the image's own configuration would have apt install from there without a signature: that a repository may be
    /// insecure is not enough, its packages must be allowed too.
    fn is_trusted_anyway(&self, source: &Source) -> bool {
        let set = |name: &str| self.settings.truth(name) == Some(true);
        let insecure = source.allow_insecure.unwrap_or_else(|| set("Acquire::AllowInsecureRepositories"));
        source.trusted.unwrap_or_else(|| insecure && set("APT::Get::AllowUnauthenticated"))
    }

    /// The keys for a source.
    fn keyring(&self, source: &Source, url: &str) -> Result<Keyring, Error> {
        let refuse = |why: String| Error::NoKey { url: url.to_owned(), why };
        let mut ring = Keyring::default();
        match &source.signed_by {
            SignedBy::Inline(armoured) => ring.add(armoured.as_bytes()).map_err(refuse)?,
            SignedBy::Shipped(keys) => shipped(*keys, &mut ring),
            SignedBy::Trusted => ring = self.trusted(),
            SignedBy::Named { files, fingerprints } => {
                if files.is_empty() {
                    ring = self.trusted();
                }
                for path in files {
                    self.named(path, &mut ring).map_err(refuse)?;
                }
                if !fingerprints.is_empty() {
                    ring.restrict(fingerprints);
                }
            }
        }
        match ring.is_empty() {
            true => Err(refuse("the image has no key for it".into())),
            false => Ok(ring),
        }
    }

    /// The keys of a file that is named, or our own where the file is a distribution's that the image lacks.
    fn named(&self, path: &str, ring: &mut Keyring) -> Result<(), String> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let shown = || inventory::printable(path);
        match (
            self.request.files.get(path),
            stem.strip_suffix("-archive-keyring").and_then(defaults::Keys::of),
        ) {
            (Some(bytes), _) => ring.add(bytes).map_err(|why| format!("{}: {why}", shown())),
            (None, Some(keys)) => {
                shipped(keys, ring);
                Ok(())
            }
            (None, None) => Err(format!("{} is not there", shown())),
        }
    }

    /// What apt trusts for everything; our own keys of the distribution where the image has none at all.
    fn trusted(&self) -> Keyring {
        let mut ring = Keyring::default();
        let is_key = |path: &str| {
            let part = path.strip_prefix("/etc/apt/trusted.gpg.d/");
            path == "/etc/apt/trusted.gpg"
                || part.is_some_and(|name| name.ends_with(".gpg") || name.ends_with(".asc"))
        };
        for (path, bytes) in self.request.files.iter().filter(|(path, _)| is_key(path)) {
            if let Err(why) = ring.add(bytes) {
                tracing::debug!(
                    path = inventory::printable(path),
                    why,
                    "keyring is passed over, as apt does"
                );
            }
        }
        if let (true, Some(keys)) = (ring.is_empty(), defaults::Keys::of(&self.request.os.id)) {
            shipped(keys, &mut ring);
        }
        ring
    }

    /// The lists of a source that matter here and that its head has.
    fn promises(&self, source: &Source, release: &Release) -> Vec<Promise> {
        let wanted =
            |name: &&String| source.architectures.as_ref().is_none_or(|listed| listed.contains(name));
        let mut architectures: Vec<&str> =
            self.architectures.iter().filter(wanted).map(String::as_str).collect();
        if source.is_flat() {
            return promise(
                release,
                String::new(),
                "",
                self.architectures.first().map_or("", String::as_str),
            )
            .into_iter()
            .collect();
        }
        if release.has_index_for_all() && !architectures.is_empty() {
            architectures.push("all");
        }
        let places = source.components.iter().flat_map(|c| architectures.iter().map(move |a| (c, *a)));
        places.filter_map(|(c, a)| promise(release, format!("{c}/binary-{a}/"), c, a)).collect()
    }

    /// The list, where there is room for it beside all others.
    async fn bounded(
        &self,
        suite: &Url,
        promise: &Promise,
        release: &Release,
        ask: Ask,
    ) -> Result<Index, Error> {
        let most = promise.most();
        let before = self.held.fetch_add(most, Ordering::Relaxed);
        let index = match before.saturating_add(most) > LISTS_BYTES_MAX {
            true => Err(Error::Limit(format!("package lists of more than {LISTS_BYTES_MAX} bytes"))),
            false => self.list(suite, promise, release, ask).await,
        };
        let used = index.as_ref().map_or(0, Index::size);
        self.held.fetch_sub(most.saturating_sub(used), Ordering::Relaxed);
        index
    }

    async fn list(
        &self,
        suite: &Url,
        promise: &Promise,
        release: &Release,
        ask: Ask,
    ) -> Result<Index, Error> {
        let name = format!("{}Packages{}", promise.folder, promise.packing);
        let url = join(suite, &name)?;
        let (store, plain) = (self.session.store.clone(), promise.plain.clone());
        let (digest, size) = plain.unwrap_or_else(|| promise.packed.clone());
        let packing = if promise.plain.is_some() { "" } else { promise.packing };
        let (at, read) = (shown(&url), move || cached(&store, &digest, size));
        let known = self.session.blocking(read).await?;
        let (bytes, packing) = match known {
            Some(bytes) => (bytes, packing),
            None => (self.transfer(suite, &url, promise, release, ask).await?, promise.packing),
        };
        let (store, plain, packed) =
            (self.session.store.clone(), promise.plain.clone(), promise.packed.clone());
        let (fresh, most) = (packing == promise.packing, promise.most());
        self.session
            .blocking(move || {
                let packing = Packing::of_name(packing);
                let whole = unpack(&at, bytes, (packing, most), plain.as_ref(), packed, &store, fresh)?;
                Index::of(whole).map_err(|why| Error::NotAnIndex { url: at, why })
            })
            .await
    }

    /// The packed list, of the size and digest that are promised.
    async fn transfer(
        &self,
        suite: &Url,
        url: &Url,
        promise: &Promise,
        release: &Release,
        ask: Ask,
    ) -> Result<Vec<u8>, Error> {
        let (digest, size) = &promise.packed;
        let too_large = *size > INDEX_PACKED_BYTES_MAX
            || promise.plain.as_ref().is_some_and(|(_, size)| *size > INDEX_BYTES_MAX);
        if too_large {
            return Err(Error::Limit(format!("{} has {size} bytes packed", shown(url))));
        }
        let mut bytes = None;
        if release.by_hash {
            let by_hash = join(suite, &format!("{}by-hash/SHA256/{}", promise.folder, digest.hex()))?;
            bytes = self.session.file(&by_hash, *size, ask).await?;
        }
        if bytes.is_none() {
            bytes = self.session.file(url, *size, ask).await?;
        }
        let bytes = bytes.ok_or_else(|| Error::Missing { url: shown(url) })?;
        let got = Digest::of(&bytes);
        if got != *digest {
            return Err(mismatch(url, format!("digest {got} where {digest} is expected")));
        }
        (self.session.events)(Event::Index { url: shown(url), fetched: *size });
        Ok(bytes)
    }
}

fn shipped(keys: defaults::Keys, ring: &mut Keyring) {
    for armoured in keys.armoured() {
        if let Err(why) = ring.add(armoured.as_bytes()) {
            tracing::debug!(why, "a key of our own is not understood");
        }
    }
}

fn suite_url(source: &Source, uri: &Url) -> Result<Url, Error> {
    let suite = source.suite.trim_end_matches('/').trim_start_matches("./").trim_start_matches('/');
    match (source.is_flat(), suite) {
        (true, "" | ".") => Ok(uri.clone()),
        (true, path) => join(uri, path),
        (false, name) => join(uri, &format!("dists/{name}")),
    }
}

fn join(base: &Url, path: &str) -> Result<Url, Error> {
    below(base, path).ok_or(Error::Internal("a repository's URL that cannot have a path"))
}

/// A head that is not signed within.
fn plain_text(url: &str, bytes: &[u8]) -> Result<String, Error> {
    let start = bytes.trim_ascii_start();
    let page = start.starts_with(b"<");
    match std::str::from_utf8(bytes) {
        Ok(text) if !page => Ok(text.to_owned()),
        _ => {
            let shown =
                inventory::printable(&String::from_utf8_lossy(&start[..start.len().min(SHOWN_BYTES)]));
            let why = if page {
                format!("a web page came instead: {shown}")
            } else {
                format!("it begins with {shown}")
            };
            Err(Error::NotAnIndex { url: url.to_owned(), why })
        }
    }
}

fn promise(release: &Release, folder: String, component: &str, architecture: &str) -> Option<Promise> {
    let name = |packing: &str| format!("{folder}Packages{packing}");
    let packing = PACKINGS.into_iter().find(|packing| release.file(&name(packing)).is_some())?;
    Some(Promise {
        plain: release.file(&name("")).cloned(),
        packed: release.file(&name(packing)).cloned()?,
        packing,
        component: component.to_owned(),
        architecture: architecture.to_owned(),
        folder,
    })
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

/// The list itself, kept for the next time: unpacked where the head has its digest, so that it never is unpacked again.
fn unpack(
    url: &str,
    bytes: Vec<u8>,
    (packing, most): (Packing, u64),
    plain: Option<&(Digest, u64)>,
    packed: (Digest, u64),
    store: &Store,
    fresh: bool,
) -> Result<Vec<u8>, Error> {
    let keep = |digest: &Digest, bytes: &[u8]| {
        store.add_blob(bytes, digest, bytes.len() as u64).map_err(Error::from)
    };
    let whole = match packing {
        Packing::None => bytes,
        _ => {
            let malformed = |e: std::io::Error| Error::Packed {
                item: url.to_owned(),
                why: inventory::printable(&e.to_string()),
            };
            let mut whole = Vec::new();
            let mut stream = Inflate::new(&bytes[..], packing, most).map_err(malformed)?;
            stream.read_to_end(&mut whole).map_err(malformed)?;
            if fresh && plain.is_none() {
                keep(&packed.0, &bytes)?;
            }
            whole
        }
    };
    let Some((digest, size)) = plain.filter(|_| fresh) else { return Ok(whole) };
    let got = Digest::of(&whole);
    if got != *digest || whole.len() as u64 != *size {
        let why = format!("it unpacks to digest {got} where {digest} is expected");
        return Err(Error::Mismatch { url: url.to_owned(), why });
    }
    keep(digest, &whole)?;
    Ok(whole)
}
