//! `manifest.json`, as `docker save` writes it: which blobs of the tar are which image, under which names.

use crate::Outgoing;
use oci::{Digest, Platform, Reference, ReferenceError};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One image of `manifest.json`.
pub(super) struct DockerImage<'a> {
    pub(super) image: &'a Outgoing,
    /// Whole references with tags.
    pub(super) names: Vec<Reference>,
}

/// Where a blob is in the tar.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A reference as a daemon keeps it: whole, with its tag.
pub(crate) fn whole(name: &Reference) -> String {
    format!("{}/{}:{}", name.host(), name.repository(), tag(name))
}

/// The tag; where none was given the one that is meant.
pub(crate) fn tag(name: &Reference) -> &str {
    name.tag().unwrap_or("latest")
}

/// `manifest.json` of the images.
pub(super) fn manifest_json(images: &[DockerImage<'_>]) -> Vec<u8> {
    let entry = |image: &DockerImage<'_>| -> Option<Value> {
        let (config, layers) = image.image.blobs.split_first()?;
        let layers: Vec<String> = layers.iter().map(|l| blob_path(&l.descriptor.digest)).collect();
        let names: Vec<String> = image.names.iter().map(whole).collect();
        Some(json!({"Config": blob_path(&config.descriptor.digest), "RepoTags": names, "Layers": layers}))
    };
    let all: Vec<Value> = images.iter().filter_map(entry).collect();
    Value::from(all).to_string().into_bytes()
}

/// The images of several platforms under names of their own: that of the host has the names as they are, each other one
/// has them with its architecture and variant added. Where two would have the same name (systems of several versions) the
/// first has it.
pub(super) fn by_platform<'a>(
    images: Vec<&'a Outgoing>,
    own: &Outgoing,
    names: &[Reference],
) -> Result<Vec<DockerImage<'a>>, ReferenceError> {
    let mut taken = BTreeSet::new();
    let named = |image: &'a Outgoing| {
        let mut names = match image.platform() {
            Some(platform) if image.entry.digest != own.entry.digest => {
                names.iter().map(|name| of_platform(name, &platform)).collect::<Result<Vec<_>, _>>()?
            }
            _ => names.to_vec(),
        };
        names.retain(|name| taken.insert(name.clone()));
        Ok(DockerImage { image, names })
    };
    images.into_iter().map(named).collect()
}

/// `NAME-ARCHITECTURE[-VARIANT]`, as Copa names the images of platforms.
pub(crate) fn of_platform(name: &Reference, platform: &Platform) -> Result<Reference, ReferenceError> {
    let variant = platform.variant.as_ref().map_or(String::new(), |v| format!("-{v}"));
    let system = if platform.os == "linux" { String::new() } else { format!("-{}", platform.os) };
    name.with_tag(&format!("{}{system}-{}{variant}", tag(name), platform.architecture))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_and_those_of_platforms_end_in_them() {
        for (name, platform, wanted) in [
            ("nginx", "linux/arm64", "docker.io/library/nginx:latest-arm64"),
            ("r.example:5000/a/b:1.2", "linux/arm/v7", "r.example:5000/a/b:1.2-arm-v7"),
            ("a/b:1", "windows/amd64", "docker.io/a/b:1-windows-amd64"),
        ] {
            let named = of_platform(&name.parse().unwrap(), &platform.parse().unwrap()).unwrap();
            assert_eq!(whole(&named), wanted);
        }
        assert_eq!(
            whole(
                &"x@sha256:0000000000000000000000000000000000000000000000000000000000000000".parse().unwrap()
            ),
            "docker.io/library/x:latest"
        );
        let long: Reference = format!("x:{}", "t".repeat(125)).parse().unwrap();
        assert!(of_platform(&long, &"linux/arm64".parse().unwrap()).is_err());
    }
}
