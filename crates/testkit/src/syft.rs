//! What the real `syft` says is installed in an image: a reader that shares nothing with what it judges.

use crate::{Error, command::argv};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Name and version of every dpkg package that `syft` finds in the image `tag` of a layout.
pub fn packages(layout: &Path, tag: &str) -> Result<BTreeMap<String, String>, Error> {
    packages_of(layout, tag, "deb")
}

/// Name and version of every package of one kind, as `syft` calls it: `deb`, `apk`, `rpm`, `alpm`.
pub fn packages_of(layout: &Path, tag: &str, kind: &str) -> Result<BTreeMap<String, String>, Error> {
    let copy = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
    // syft wants a layout that holds one image.
    let (from, to) =
        (format!("oci:{}:{tag}", layout.display()), format!("oci:{}:only", copy.path().display()));
    argv("skopeo", ["copy", "--quiet", &from, &to]).stdout()?;
    let source = format!("oci-dir:{}", copy.path().display());
    let listing = argv("syft", ["scan", &source, "--quiet", "--output", "json"]);
    let listing = listing.env("SYFT_CHECK_FOR_APP_UPDATE", "false").stdout()?;
    let document: Value =
        serde_json::from_slice(&listing).map_err(|error| Error::malformed("syft's output", error))?;
    let artifacts = document["artifacts"].as_array().into_iter().flatten();
    let wanted = artifacts.filter(|artifact| artifact["type"] == kind);
    let pair = |artifact: &Value| {
        Some((artifact["name"].as_str()?.to_owned(), artifact["version"].as_str()?.to_owned()))
    };
    Ok(wanted.filter_map(pair).collect())
}
