//! An index with all that it names: read once, and written anew with some of its images in place of others. What is not
//! replaced stays bit for bit.

use crate::{
    Referrers,
    assemble::{entry_annotations, index_annotations},
};
use endpoint::{Blob, Content, Error, From, Named, Outgoing, Source};
use futures_util::{StreamExt, TryStreamExt, stream};
use oci::{Config, Descriptor, Digest, Document, Image, Index, Platform, limits, media_type};
use serde::Deserialize;
use std::collections::BTreeMap;

/// How deep indexes may be nested, as when one image is chosen.
const DEPTH_MAX: usize = 3;
/// Most entries that do not say of what platform they are, and are opened to see.
const UNNAMED_MAX: usize = 64;
/// Most bytes of all documents that are held at once: indexes inside the index, and manifests and configs that are preserved. Each has a
/// few kilobytes.
const HELD_BYTES_MAX: usize = 64 << 20;
/// Manifests asked for at once.
const AT_ONCE: usize = 4;

/// What an attestation is about (BuildKit's `attestation-storage.md`).
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
/// Says of an attestation that its image has been patched since.
pub(crate) const STALE: &str = "sh.copa.stale";

/// Layers that are not to be passed on: registries take manifests without them (image-spec `layer.md`).
const NOT_DISTRIBUTABLE: [&str; 5] = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
];

/// One entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// As the index has it.
    pub(crate) entry: Descriptor,
    /// What it leads to.
    pub(crate) role: Role,
}

/// What an entry leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// An image.
    Image(Platform),
    /// What is said about another manifest, with that one's digest where it is known.
    Attestation(Option<Digest>),
    /// An index of its own.
    Index(Box<Nested>),
    /// Something that is no image.
    Other,
}

/// An index inside the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nested {
    bytes: Vec<u8>,
    index: Index,
    members: Vec<Member>,
}

/// What becomes of the parts.
pub(crate) struct Changes<'a> {
    /// Images in place of those of these digests.
    pub(crate) patched: &'a BTreeMap<Digest, Outgoing>,
    /// What becomes of attestations about them.
    pub(crate) referrers: Referrers,
    /// The time of the patch as annotations have it, and the new tag.
    pub(crate) words: (&'a str, Option<&'a str>),
}

/// Reads what a name leads to: all members of an index; none where there is no index.
pub(crate) async fn members(source: &dyn Source, named: &Named) -> Result<Vec<Member>, Error> {
    let Document::Index(index) = &named.document else { return Ok(Vec::new()) };
    Reading { source, item: &named.reference, entries: 0, unnamed: 0, held: Held::default() }
        .members(index, 1)
        .await
}

/// All members, those of indexes inside the index in place of that index.
pub(crate) fn flat(members: &[Member]) -> Vec<&Member> {
    members
        .iter()
        .flat_map(|member| match &member.role {
            Role::Index(nested) => flat(&nested.members),
            _ => vec![member],
        })
        .collect()
}

struct Reading<'a> {
    source: &'a dyn Source,
    item: &'a str,
    entries: usize,
    unnamed: usize,
    held: Held,
}

/// Bytes of documents that are held.
#[derive(Default)]
pub(crate) struct Held(usize);

impl Held {
    /// So many more; an error where they are too many.
    pub(crate) fn take(&mut self, bytes: usize, item: &str) -> Result<(), Error> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 <= HELD_BYTES_MAX {
            return Ok(());
        }
        let what = format!("documents of more than {HELD_BYTES_MAX} bytes in all");
        Err(Error::Image { item: item.to_owned(), source: oci::Error::Unsupported(what) })
    }
}

impl Reading<'_> {
    async fn members(&mut self, index: &Index, depth: usize) -> Result<Vec<Member>, Error> {
        self.entries += index.manifests.len();
        let refuse = |what: String| {
            Err(Error::Image { item: self.item.to_owned(), source: oci::Error::Unsupported(what) })
        };
        match (depth, self.entries) {
            (depth, _) if depth > DEPTH_MAX => {
                return refuse(format!("indexes nested deeper than {DEPTH_MAX}"));
            }
            (_, all) if all > limits::INDEX_ENTRIES_MAX => {
                return refuse(format!("more than {} entries in all", limits::INDEX_ENTRIES_MAX));
            }
            _ => {}
        }
        let mut members = Vec::new();
        for entry in &index.manifests {
            members.push(Member { entry: entry.clone(), role: self.role(entry, depth).await? });
        }
        Ok(members)
    }

    async fn role(&mut self, entry: &Descriptor, depth: usize) -> Result<Role, Error> {
        if is_index(&entry.media_type) {
            let (bytes, content_type) = self.source.manifest(entry).await?;
            self.held.take(bytes.len(), self.item)?;
            let content_type = content_type.as_deref().or(Some(&entry.media_type));
            let (document, _) = Document::parse(&bytes, content_type)
                .map_err(|source| Error::Image { item: self.item.to_owned(), source })?;
            let Document::Index(index) = document else {
                let item = format!("{} in {}", entry.digest, self.item);
                return Err(Error::Corrupt { item, why: "it is no index".to_owned() });
            };
            let members = Box::pin(self.members(&index, depth + 1)).await?;
            return Ok(Role::Index(Box::new(Nested { bytes, index, members })));
        }
        let about = annotation(entry, REFERENCE_DIGEST);
        match (Index::platform(entry), entry.rest.contains_key("platform")) {
            (Some(platform), _) => Ok(Role::Image(platform)),
            (None, said) if said || about.is_some() => {
                Ok(Role::Attestation(about.and_then(|digest| digest.parse().ok())))
            }
            (None, _) => self.unnamed(entry).await,
        }
    }

    /// What an entry is that does not say so itself.
    async fn unnamed(&mut self, entry: &Descriptor) -> Result<Role, Error> {
        self.unnamed += 1;
        if self.unnamed > UNNAMED_MAX {
            let source =
                oci::Error::Unsupported(format!("more than {UNNAMED_MAX} entries without a platform"));
            return Err(Error::Image { item: self.item.to_owned(), source });
        }
        let (bytes, content_type) = self.source.manifest(entry).await?;
        match Document::parse(&bytes, content_type.as_deref().or(Some(&entry.media_type))) {
            Ok((Document::Manifest(manifest), _)) => {
                let config = self.source.config(&manifest.config).await?;
                Ok(Config::parse(&config).map_or(Role::Other, |c| Role::Image(c.platform())))
            }
            // An artifact, or an image of a kind that is not taken: not ours to judge where it stays as it is.
            _ => Ok(Role::Other),
        }
    }
}

fn is_index(media_type: &str) -> bool {
    matches!(media_type, media_type::OCI_INDEX | media_type::DOCKER_LIST)
}

fn annotation<'a>(entry: &'a Descriptor, key: &str) -> Option<&'a str> {
    entry.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The index with its patched images, and everything that goes with it.
pub(crate) async fn content(
    source: &dyn Source,
    named: &Named,
    members: &[Member],
    changes: &Changes<'_>,
) -> Result<Content, Error> {
    let Document::Index(index) = &named.document else {
        return Err(Error::Corrupt { item: named.reference.clone(), why: "it is no index".to_owned() });
    };
    let staying = staying(members, changes);
    let fetching = stream::iter(staying).map(|member| preserved(source, &named.reference, member));
    let mut fetching = std::pin::pin!(fetching.buffer_unordered(AT_ONCE));
    let (mut preserved, mut held) = (BTreeMap::new(), Held::default());
    while let Some(one) = fetching.try_next().await? {
        held.take(weight(&one), &named.reference)?;
        preserved.insert(one.entry.digest.clone(), one);
    }
    let mut held = Held::default();
    for member in flat(members) {
        // An index may name one manifest a thousand times.
        let one = preserved.get(&member.entry.digest).or(changes.patched.get(&member.entry.digest));
        held.take(one.map_or(0, weight), &named.reference)?;
    }
    let mut writing = Writing { changes, preserved: &preserved, manifests: Vec::new() };
    let mut new = Index { manifests: writing.entries(members), ..index.clone() };
    if !media_type::is_docker(&named.descriptor.media_type) {
        new.annotations = Some(index_annotations(index.annotations.as_ref(), changes.words));
    }
    let bytes = written(&new);
    let descriptor = Descriptor::of(&named.descriptor.media_type, &bytes);
    Ok(Content::Index { descriptor, bytes, manifests: writing.manifests })
}

fn written(index: &Index) -> Vec<u8> {
    serde_json::to_vec(index).expect("an index that was read can be written")
}

/// What stays as it is and goes along, each digest once.
pub(crate) fn staying<'a>(members: &'a [Member], changes: &Changes<'_>) -> Vec<&'a Member> {
    let mut seen = std::collections::BTreeSet::new();
    let stays = |m: &&Member| !changes.patched.contains_key(&m.entry.digest) && !is_dropped(m, changes);
    flat(members).into_iter().filter(stays).filter(|m| seen.insert(&m.entry.digest)).collect()
}

/// Whether it is about the original of an image that was patched.
fn is_stale(member: &Member, changes: &Changes<'_>) -> bool {
    matches!(&member.role, Role::Attestation(Some(about)) if changes.patched.contains_key(about))
}

fn is_dropped(member: &Member, changes: &Changes<'_>) -> bool {
    changes.referrers == Referrers::Drop && is_stale(member, changes)
}

/// What the user is told of attestations that do not go along.
pub(crate) fn dropped_note(members: &[Member], changes: &Changes<'_>) -> Option<String> {
    left_behind(flat(members).into_iter().filter(|m| is_dropped(m, changes)).count())
}

/// The same where one image leaves its index.
pub(crate) fn alone_note(members: &[Member], image: &Digest) -> Option<String> {
    let about = |m: &&Member| matches!(&m.role, Role::Attestation(Some(about)) if about == image);
    left_behind(flat(members).into_iter().filter(about).count())
}

fn left_behind(count: usize) -> Option<String> {
    let what = if count == 1 { "1 attestation is" } else { &format!("{count} attestations are") };
    (count > 0)
        .then(|| format!("{what} about images as they were before the patch, and left out of the result"))
}

/// Bytes of the documents of something that goes along.
fn weight(outgoing: &Outgoing) -> usize {
    outgoing.bytes.len() + outgoing.image.as_ref().map_or(0, |image| image.config_bytes.len())
}

/// A manifest that stays, with what it needs.
async fn preserved(source: &dyn Source, item: &str, member: &Member) -> Result<Outgoing, Error> {
    let entry = &member.entry;
    let (bytes, content_type) = source.manifest(entry).await?;
    let blobs = blobs(&bytes).map_err(|why| Error::Corrupt {
        item: format!("{} in {item}", entry.digest),
        why: format!("it cannot be preserved: {why}"),
    })?;
    let image = match &member.role {
        Role::Image(_) => image(source, &bytes, content_type.as_deref().or(Some(&entry.media_type))).await?,
        _ => None,
    };
    Ok(Outgoing { entry: entry.clone(), bytes, blobs, image, patched: false })
}

/// The image, where it is one that we take; others stay all the same.
async fn image(source: &dyn Source, bytes: &[u8], kind: Option<&str>) -> Result<Option<Image>, Error> {
    let Ok((Document::Manifest(manifest), _)) = Document::parse(bytes, kind) else { return Ok(None) };
    let config = source.config(&manifest.config).await?;
    Ok(Image::new(bytes.to_vec(), kind, config).ok())
}

/// The parts of a manifest of whatever kind that lead to blobs.
#[derive(Deserialize)]
struct Parts {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    blobs: Vec<Descriptor>,
}

/// What a manifest refers to, that may be passed on.
fn blobs(bytes: &[u8]) -> Result<Vec<Blob>, String> {
    let parts: Parts = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let all: Vec<Descriptor> = parts.config.into_iter().chain(parts.layers).chain(parts.blobs).collect();
    if all.is_empty() {
        return Err("it refers to nothing".to_owned());
    }
    if all.len() > limits::LAYERS_MAX + 1 {
        return Err(format!("it has more than {} layers", limits::LAYERS_MAX));
    }
    if let Some(lie) = all.iter().find(|b| b.size > limits::BLOB_BYTES_MAX) {
        return Err(format!("{} claims {} bytes", lie.digest, lie.size));
    }
    let passed_on = all.into_iter().filter(|b| !NOT_DISTRIBUTABLE.contains(&b.media_type.as_str()));
    Ok(passed_on.map(|descriptor| Blob { descriptor, from: From::Source }).collect())
}

/// Writes indexes, gathering all that they name on the way.
struct Writing<'a> {
    changes: &'a Changes<'a>,
    preserved: &'a BTreeMap<Digest, Outgoing>,
    manifests: Vec<Outgoing>,
}

impl Writing<'_> {
    fn entries(&mut self, members: &[Member]) -> Vec<Descriptor> {
        let mut entries = Vec::new();
        for member in members.iter().filter(|m| !is_dropped(m, self.changes)) {
            let outgoing = self.outgoing(member);
            entries.push(outgoing.entry.clone());
            self.manifests.push(outgoing);
        }
        entries
    }

    fn outgoing(&mut self, member: &Member) -> Outgoing {
        let entry = &member.entry;
        if let Role::Index(nested) = &member.role {
            let below = self.entries(&nested.members);
            let bytes = match below == nested.index.manifests {
                true => nested.bytes.clone(),
                false => written(&Index { manifests: below, ..nested.index.clone() }),
            };
            let entry = if bytes == nested.bytes { entry.clone() } else { moved(entry, &bytes) };
            return Outgoing { entry, bytes, blobs: Vec::new(), image: None, patched: false };
        }
        if let Some(patched) = self.changes.patched.get(&entry.digest) {
            let annotations =
                entry.annotations.as_ref().map(|old| entry_annotations(old, self.changes.words));
            let entry = Descriptor { annotations, ..moved(entry, &patched.bytes) };
            return Outgoing { entry, ..patched.clone() };
        }
        let mut outgoing = self.preserved[&entry.digest].clone();
        outgoing.entry = entry.clone();
        if self.changes.referrers == Referrers::Mark && is_stale(member, self.changes) {
            let annotations = outgoing.entry.annotations.get_or_insert_default();
            annotations.insert(STALE.to_owned(), "true".to_owned());
        }
        outgoing
    }
}

/// The entry of a manifest that has other bytes now: what it says of the old bytes themselves is gone.
fn moved(entry: &Descriptor, bytes: &[u8]) -> Descriptor {
    let mut entry = Descriptor { digest: Digest::of(bytes), size: bytes.len() as u64, ..entry.clone() };
    entry.rest.remove("data");
    entry.rest.remove("urls");
    entry
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use async_trait::async_trait;
    use oci::Reference;
    use serde_json::{Value, json};

    /// Documents and configs by their digests.
    #[derive(Default)]
    pub(crate) struct Store(BTreeMap<Digest, Vec<u8>>);

    impl Store {
        /// Keeps a document, and gives its descriptor with these fields beside.
        pub(crate) fn put(&mut self, kind: &str, document: &Value, more: &Value) -> Value {
            let bytes = document.to_string().into_bytes();
            let mut descriptor = serde_json::to_value(Descriptor::of(kind, &bytes)).unwrap();
            descriptor.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.0.insert(Digest::of(&bytes), bytes);
            descriptor
        }

        /// An image, its entry with these fields; none says of itself of what platform it is.
        fn make(&mut self, architecture: &str, more: &Value) -> Value {
            let config = json!({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers",
                "diff_ids": [Digest::of(architecture.as_bytes())]}});
            let config = self.put(media_type::OCI_CONFIG, &config, &json!({}));
            let layer = Descriptor::of(media_type::OCI_LAYER, architecture.as_bytes());
            let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer]});
            self.put(media_type::OCI_MANIFEST, &manifest, more)
        }

        fn attestation(&mut self, about: &Value) -> Value {
            let layer =
                Descriptor::of("application/vnd.in-toto+json", about["digest"].to_string().as_bytes());
            let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
            let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer]});
            let more = json!({"platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {REFERENCE_DIGEST: about["digest"]}});
            self.put(media_type::OCI_MANIFEST, &manifest, &more)
        }

        pub(crate) fn index(&mut self, entries: &[Value]) -> Value {
            let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries, "x": "kept"});
            self.put(media_type::OCI_INDEX, &index, &json!({}))
        }

        pub(crate) fn named(&self, descriptor: &Value) -> Named {
            let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
            Named::new("app:1".into(), self.0[&digest].clone(), None).unwrap()
        }
    }

    #[async_trait]
    impl engine::BlobSource for Store {
        async fn open(&self, descriptor: &Descriptor) -> Result<engine::BlobStream, engine::Error> {
            let bytes = self.0.get(&descriptor.digest).cloned().ok_or(engine::Error::Cancelled)?;
            Ok(Box::new(std::io::Cursor::new(bytes)))
        }
    }

    #[async_trait]
    impl Source for Store {
        async fn named(&self) -> Result<Named, Error> {
            Err(Error::Cancelled)
        }

        async fn manifest(&self, entry: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
            Ok((self.0.get(&entry.digest).cloned().ok_or(Error::Cancelled)?, None))
        }

        fn reference(&self) -> Option<&Reference> {
            None
        }

        fn name(&self) -> String {
            "app:1".into()
        }
    }

    pub(crate) fn platform(architecture: &str) -> Value {
        json!({"platform": {"os": "linux", "architecture": architecture}})
    }

    /// The index with one image replaced by another, as JSON, and all that goes with it.
    async fn written_anew(
        store: &Store,
        top: &Value,
        old: &Value,
        referrers: Referrers,
    ) -> (Value, Vec<Outgoing>) {
        let named = store.named(top);
        let members = members(store, &named).await.unwrap();
        let mut other = Store::default();
        let new = other.make("patched", &json!({}));
        let image = image(&other, &other.0[&new["digest"].as_str().unwrap().parse().unwrap()], None);
        let patched = Outgoing::patched(image.await.unwrap().unwrap(), &BTreeMap::new());
        let patched = [(old["digest"].as_str().unwrap().parse().unwrap(), patched)].into();
        let changes =
            Changes { patched: &patched, referrers, words: ("2026-01-01T00:00:00Z", Some("1-patched")) };
        match content(store, &named, &members, &changes).await.unwrap() {
            Content::Index { descriptor, bytes, manifests } => {
                assert_eq!(descriptor, Descriptor::of(&named.descriptor.media_type, &bytes));
                (serde_json::from_slice(&bytes).unwrap(), manifests)
            }
            Content::Image(_) => panic!("no index"),
        }
    }

    #[tokio::test]
    async fn what_is_not_patched_stays_and_what_is_keeps_its_place() {
        let mut store = Store::default();
        let mut more = platform("amd64");
        let old = "1970-01-01T00:00:00Z";
        more["annotations"] = json!({"mine": "kept", "org.opencontainers.image.created": old});
        (more["data"], more["urls"], more["vendor"]) =
            (json!("b2xk"), json!(["https://x.example/"]), json!([1]));
        let (amd, arm) = (store.make("amd64", &more), store.make("arm64", &platform("arm64")));
        let (about_amd, about_arm) = (store.attestation(&amd), store.attestation(&arm));
        let entries = [amd.clone(), arm.clone(), about_amd.clone(), about_arm.clone()];
        let top = store.index(&entries);
        for (referrers, attested) in [
            (Referrers::Drop, None),
            (Referrers::Keep, Some(about_amd["annotations"].clone())),
            (Referrers::Mark, Some(json!({REFERENCE_DIGEST: amd["digest"], STALE: "true"}))),
        ] {
            let (index, manifests) = written_anew(&store, &top, &amd, referrers).await;
            let new = index["manifests"].as_array().unwrap();
            assert_eq!((&index["x"], &new[1], new.last().unwrap()), (&json!("kept"), &arm, &about_arm));
            assert_eq!((&new[0]["platform"], &new[0]["vendor"]), (&amd["platform"], &json!([1])));
            assert!(
                new[0]["digest"] != amd["digest"]
                    && new[0].get("data").is_none()
                    && new[0].get("urls").is_none()
            );
            assert_eq!(new[0]["annotations"]["mine"], "kept");
            assert_ne!(new[0]["annotations"]["org.opencontainers.image.created"], old);
            let kept = (new.len() == 4).then(|| new[2]["annotations"].clone());
            assert_eq!(kept, attested, "{referrers:?}");
            if kept.is_some() {
                assert_eq!(new[2]["digest"], about_amd["digest"]);
            }
            let went: Vec<bool> = manifests.iter().map(|m| m.patched).collect();
            assert_eq!((went[0], went[1..].contains(&true), went.len()), (true, false, new.len()));
        }
    }

    #[tokio::test]
    async fn an_index_within_the_index_is_written_anew_only_where_it_must_be() {
        let mut store = Store::default();
        let (amd, arm) = (store.make("amd64", &platform("amd64")), store.make("arm64", &platform("arm64")));
        let unnamed = store.make("s390x", &json!({}));
        let (inner, other) =
            (store.index(&[amd.clone(), unnamed.clone()]), store.index(std::slice::from_ref(&arm)));
        let top = store.index(&[inner.clone(), other.clone()]);
        let members = members(&store, &store.named(&top)).await.unwrap();
        let roles: Vec<_> = flat(&members).into_iter().map(|m| m.role.clone()).collect();
        let expected = ["linux/amd64", "linux/s390x", "linux/arm64"].map(|p| Role::Image(p.parse().unwrap()));
        assert_eq!(roles, expected, "what an entry does not say, its config does");
        let (index, manifests) = written_anew(&store, &top, &amd, Referrers::Drop).await;
        assert_eq!(index["manifests"][1], other);
        assert_ne!(index["manifests"][0]["digest"], inner["digest"]);
        let order: Vec<_> = manifests.iter().map(|m| (m.patched, m.blobs.len())).collect();
        assert_eq!(order, [(true, 2), (false, 2), (false, 0), (false, 2), (false, 0)]);
        let rewritten: Value = serde_json::from_slice(&manifests[2].bytes).unwrap();
        assert_eq!((&rewritten["x"], &rewritten["manifests"][1]), (&json!("kept"), &unnamed));
        assert_eq!(rewritten["manifests"][0]["digest"], manifests[0].entry.digest.as_str());
    }

    #[tokio::test]
    async fn indexes_are_bounded_in_depth_and_number() {
        let mut store = Store::default();
        let mut deep = store.make("amd64", &platform("amd64"));
        for _ in 0..=DEPTH_MAX {
            deep = store.index(&[deep]);
        }
        let refused = members(&store, &store.named(&deep)).await.unwrap_err();
        assert!(format!("{refused:?}").contains("nested deeper than 3"), "{refused:?}");
        // The same inner index again and again: small to write down, large to follow.
        let leaf = store.make("amd64", &platform("amd64"));
        let inner = store.index(&vec![leaf; 100]);
        let wide = store.index(&vec![inner; 100]);
        let refused = members(&store, &store.named(&wide)).await.unwrap_err();
        assert!(format!("{refused:?}").contains("more than 1000 entries in all"), "{refused:?}");
        let nameless: Vec<Value> =
            (0..=UNNAMED_MAX).map(|n| store.make(&format!("a{n}"), &json!({}))).collect();
        let top = store.index(&nameless);
        let refused = members(&store, &store.named(&top)).await.unwrap_err();
        assert!(format!("{refused:?}").contains("without a platform"), "{refused:?}");
    }

    #[tokio::test]
    async fn documents_are_bounded_in_all_not_only_each() {
        let mut store = Store::default();
        let padding = json!({"annotations": {"padding": "x".repeat(4_000_000)}});
        let image = store.make("amd64", &platform("amd64"));
        let padded = |store: &mut Store, kind: &str, document: &Value| {
            let mut document = document.clone();
            document.as_object_mut().unwrap().extend(padding.as_object().unwrap().clone());
            store.put(kind, &document, &json!({}))
        };
        let inner = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
        let inner = padded(&mut store, media_type::OCI_INDEX, &inner);
        let top = |store: &mut Store, large: &Value, times| {
            let entries = [vec![image.clone()], vec![large.clone(); times]].concat();
            let top = store.index(&entries);
            store.named(&top)
        };
        for (times, fits) in [(2, true), (17, false)] {
            let named = top(&mut store, &inner, times);
            let found = members(&store, &named).await.map_err(|e| format!("{e:?}"));
            assert_eq!(found.is_ok(), fits, "{times} indexes");
            assert!(found.err().is_none_or(|why| why.contains("bytes in all")));
        }
        let artifact = json!({"schemaVersion": 2, "mediaType": "x/y", "blobs": [image]});
        let artifact = padded(&mut store, "x/y", &artifact);
        let words = ("2026-01-01T00:00:00Z", None);
        let changes = Changes { patched: &BTreeMap::new(), referrers: Referrers::Keep, words };
        for (times, fits) in [(2, true), (17, false)] {
            let named = top(&mut store, &artifact, times);
            let found = members(&store, &named).await.unwrap();
            let made = content(&store, &named, &found, &changes).await.map_err(|e| format!("{e:?}"));
            assert_eq!(made.is_ok(), fits, "{times} artifacts");
            assert!(made.err().is_none_or(|why| why.contains("bytes in all")));
        }
    }

    #[test]
    fn what_may_not_be_passed_on_is_left_where_it_is() {
        let blob = |kind: &str| serde_json::to_value(Descriptor::of(kind, kind.as_bytes())).unwrap();
        let layers: Vec<Value> =
            NOT_DISTRIBUTABLE.iter().map(|kind| blob(kind)).chain([blob("own")]).collect();
        let manifest = json!({"config": blob("config"), "layers": layers});
        let kinds = |manifest: &Value| {
            let blobs = blobs(manifest.to_string().as_bytes())?;
            Ok::<_, String>(blobs.into_iter().map(|b| b.descriptor.media_type).collect::<Vec<_>>())
        };
        assert_eq!(kinds(&manifest).unwrap(), ["config", "own"]);
        assert_eq!(kinds(&json!({"blobs": [blob("artifact")]})).unwrap(), ["artifact"]);
        let mut huge = manifest.clone();
        huge["layers"][0]["size"] = u64::MAX.into();
        let many = json!({"config": blob("c"), "layers": vec![blob("l"); limits::LAYERS_MAX + 1]});
        for refused in [json!({}), json!([]), json!({"layers": "x"}), huge, many] {
            assert!(
                kinds(&refused).is_err(),
                "{}",
                &refused.to_string()[..20.min(refused.to_string().len())]
            );
        }
    }
}
