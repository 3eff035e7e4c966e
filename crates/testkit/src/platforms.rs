//! Images of several platforms as builders leave them in registries: with attestations that belong to platforms, and with
//! platforms that are not Linux.

use crate::debian_root::{self, Suite};
use crate::image::{self, Compression, Layout, Types, text};
use crate::{Error, tar, tree, workspace};
use flate2::{Compression as Level, write::GzEncoder};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;

/// Says of a member of an index what it is to another (docs/attestations/attestation-storage.md of BuildKit).
pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Says of a member of an index to which other it belongs, by digest.
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// The [`REFERENCE_TYPE`] of attestations.
pub const ATTESTATION: &str = "attestation-manifest";

/// The tag of [`debian`].
pub const TAG: &str = "platforms";

/// What BuildKit attests of an image: how it was built, and what is in it.
const PREDICATES: [&str; 2] = ["https://slsa.dev/provenance/v0.2", "https://spdx.dev/Document"];

/// The build of Windows that images for it name.
const WINDOWS: &str = "10.0.20348.2031";

/// A layout that holds the vulnerable Debian of `suite` for each of `architectures`, with an attestation each, as [`TAG`]; made if
/// it is not there yet. [`debian_root::needs`] says whether one can be made.
pub fn debian(suite: Suite, architectures: &[&str]) -> Result<Layout, Error> {
    let name = format!("debian-{}-{TAG}-{}", suite.name(), architectures.join("-"));
    let directory = workspace::cache().join("layouts").join(name);
    workspace::once(&directory, |unfinished| {
        let layout = Layout::create(unfinished)?;
        for architecture in architectures {
            take(&layout, &debian_root::image_for(suite, architecture)?, debian_root::TAG, architecture)?;
        }
        join_attested(&layout, TAG, architectures).map(drop)
    })?;
    Layout::open(&directory)
}

/// Joins images that are tagged already to one of several platforms as BuildKit does: first the images, then an attestation of each.
/// Gives the index's descriptor.
pub fn join_attested(layout: &Layout, tag: &str, members: &[&str]) -> Result<Value, Error> {
    let mut manifests = members.iter().map(|tag| untagged(layout, tag)).collect::<Result<Vec<_>, _>>()?;
    let attestations = manifests.iter().map(|image| attestation(layout, image));
    let attestations = attestations.collect::<Result<Vec<_>, _>>()?;
    manifests.extend(attestations);
    let index = json!({ "schemaVersion": 2, "mediaType": Types::Oci.index(), "manifests": manifests });
    let descriptor = layout.put_json(&index, Types::Oci.index())?;
    layout.tag(tag, &descriptor)?;
    Ok(descriptor)
}

/// Writes attestations of the image of a descriptor; gives the descriptor that an index has of them.
pub fn attestation(layout: &Layout, image: &Value) -> Result<Value, Error> {
    let subject = text(&image["digest"])?;
    let layers = PREDICATES.map(|predicate| {
        let mut layer = layout.put_json(&statement(&subject, predicate), "application/vnd.in-toto+json")?;
        layer["annotations"] = json!({ "in-toto.io/predicate-type": predicate });
        Ok(layer)
    });
    let layers = layers.into_iter().collect::<Result<Vec<Value>, Error>>()?;
    let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    let config = json!({
        "architecture": "unknown", "os": "unknown", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = layout.put_json(&config, Types::Oci.config())?;
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": Types::Oci.manifest(), "config": config, "layers": layers });
    let mut descriptor = layout.put_json(&manifest, Types::Oci.manifest())?;
    descriptor["annotations"] = json!({ REFERENCE_DIGEST: subject, REFERENCE_TYPE: ATTESTATION });
    descriptor["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    Ok(descriptor)
}

/// Writes an image for Windows and tags it; its layer has the folders that layers for Windows have, and no program.
pub fn windows(layout: &Layout, tag: &str) -> Result<Value, Error> {
    let bytes = tar::write(&[
        tar::Entry::directory("Files"),
        tar::Entry::file("Files/License.txt", "a text"),
        tar::Entry::directory("Hives"),
    ]);
    let mut packed = GzEncoder::new(Vec::new(), Level::fast());
    let packed = packed.write_all(&bytes).and_then(|()| packed.finish()).map_err(Error::io("a layer"))?;
    let layer = layout.put_bytes(&packed, Types::Oci.layer(Compression::Gzip))?;
    let config = json!({
        "created": tree::EPOCH_TEXT, "architecture": "amd64", "os": "windows", "os.version": WINDOWS,
        "config": { "Cmd": ["c:\\windows\\system32\\cmd.exe"] },
        "rootfs": { "type": "layers", "diff_ids": [image::digest(&bytes)] },
    });
    let config = layout.put_json(&config, Types::Oci.config())?;
    let manifest = json!({ "schemaVersion": 2, "mediaType": Types::Oci.manifest(), "config": config, "layers": [layer] });
    let mut descriptor = layout.put_json(&manifest, Types::Oci.manifest())?;
    descriptor["platform"] = json!({ "architecture": "amd64", "os": "windows", "os.version": WINDOWS });
    layout.tag(tag, &descriptor)?;
    Ok(descriptor)
}

/// Takes the image `tag` of another layout as `name`, with all its blobs; those of large layouts are linked where that can be.
pub fn take(layout: &Layout, from: &Layout, tag: &str, name: &str) -> Result<(), Error> {
    let descriptor = from.descriptor(tag)?;
    for digest in blobs(from, &text(&descriptor["digest"])?)? {
        let (old, new) = (from.blob_path(&digest), layout.blob_path(&digest));
        if !new.exists() && fs::hard_link(&old, &new).is_err() {
            fs::copy(&old, &new).map_err(Error::io(&new))?;
        }
    }
    layout.tag(name, &descriptor)
}

/// Digests of a manifest or an index and of everything that it names.
fn blobs(layout: &Layout, digest: &str) -> Result<Vec<String>, Error> {
    let manifest = layout.json(digest)?;
    let list = |name: &str| manifest[name].as_array().cloned().unwrap_or_default();
    let mut all = vec![digest.to_owned()];
    for member in list("manifests") {
        all.extend(blobs(layout, &text(&member["digest"])?)?);
    }
    for blob in list("layers").iter().chain(manifest.get("config")) {
        all.push(text(&blob["digest"])?);
    }
    Ok(all)
}

fn untagged(layout: &Layout, tag: &str) -> Result<Value, Error> {
    let mut descriptor = layout.descriptor(tag)?;
    descriptor.as_object_mut().into_iter().for_each(|object| drop(object.remove("annotations")));
    Ok(descriptor)
}

/// What is attested, in the form of in-toto (spec/v0.1.0 of in-toto/attestation); the predicate itself is short.
fn statement(subject: &str, predicate: &str) -> Value {
    let (algorithm, hex) = subject.split_once(':').unwrap_or(("sha256", subject));
    json!({
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": predicate,
        "subject": [{ "name": "pkg:docker/example@1", "digest": { algorithm: hex } }],
        "predicate": { "buildType": "https://mobyproject.org/buildkit@v1" },
    })
}
