//! Reads dpkg's database for judging, and compares versions by asking the real `dpkg`.

use crate::{Error, chiseled::manifest, command::argv, image_reader::ImageReader};
use std::collections::{BTreeMap, HashMap};

/// An installed package, as its database says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// Name of the source package.
    pub source: String,
    /// Version of the source package.
    pub source_version: String,
}

/// The installed packages of an image, by name, with the layer that brought each at its version.
pub fn installed(image: &ImageReader) -> Result<BTreeMap<String, (Installed, usize)>, Error> {
    let is_status = |path: &[u8]| {
        path == b"var/lib/dpkg/status"
            || path.starts_with(b"var/lib/dpkg/status.d/") && !path.ends_with(b".md5sums")
    };
    let mut packages = BTreeMap::new();
    packages.extend(of_manifest(image)?);
    for file in image.files(is_status)?.into_values() {
        let text = String::from_utf8_lossy(file.entry.content().unwrap_or_default()).into_owned();
        let read = parse(&text).into_iter().map(|package| (package.name.clone(), (package, file.layer)));
        packages.extend(read);
    }
    settle_layers(image, &mut packages)?;
    Ok(packages)
}

/// What chisel's manifest says, which knows nothing of sources.
fn of_manifest(image: &ImageReader) -> Result<BTreeMap<String, (Installed, usize)>, Error> {
    let manifest = image.files(|path| path == manifest::PATH.as_bytes())?.into_values().next();
    let Some(file) = manifest else { return Ok(BTreeMap::new()) };
    let records = manifest::read_bytes(file.entry.content().unwrap_or_default())?;
    let packages = records.into_iter().filter(|record| record["kind"] == "package");
    let installed = packages.map(|record| {
        let [name, version, architecture] =
            ["name", "version", "arch"].map(|member| record[member].as_str().unwrap_or_default().to_owned());
        let (source, source_version) = (name.clone(), version.clone());
        (name.clone(), (Installed { name, version, architecture, source, source_version }, file.layer))
    });
    Ok(installed.collect())
}

/// Name and version of every installed package.
pub fn versions(image: &ImageReader) -> Result<BTreeMap<String, String>, Error> {
    Ok(installed(image)?.into_iter().map(|(name, (package, _))| (name, package.version)).collect())
}

/// A package belongs to the first layer whose database has it at its version.
fn settle_layers(
    image: &ImageReader,
    packages: &mut BTreeMap<String, (Installed, usize)>,
) -> Result<(), Error> {
    for layer in (0..image.layers().len().saturating_sub(1)).rev() {
        let entries = image.layer_entries_matching(layer, |path| path == b"var/lib/dpkg/status")?;
        for entry in entries {
            for earlier in parse(&String::from_utf8_lossy(entry.content().unwrap_or_default())) {
                if let Some((package, found)) = packages.get_mut(&earlier.name)
                    && package.version == earlier.version
                {
                    *found = layer;
                }
            }
        }
    }
    Ok(())
}

/// The installed packages of a status file. A paragraph of `status.d` has no status; it is installed.
pub fn parse(text: &str) -> Vec<Installed> {
    text.split("\n\n").filter_map(paragraph).collect()
}

fn paragraph(text: &str) -> Option<Installed> {
    let own_lines = text.lines().filter(|line| !line.starts_with([' ', '\t']));
    let fields: HashMap<&str, &str> =
        own_lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect();
    let status = fields.get("Status").copied().unwrap_or("install ok installed");
    if status.rsplit(' ').next() != Some("installed") {
        return None;
    }
    let (name, version) = (fields.get("Package")?.to_string(), fields.get("Version")?.to_string());
    let source = fields.get("Source").copied().unwrap_or(&name);
    let (source, source_version) = match source.split_once(" (") {
        Some((source, version)) => (source.to_owned(), version.trim_end_matches(')').to_owned()),
        None => (source.to_owned(), version.clone()),
    };
    let architecture = fields.get("Architecture").copied().unwrap_or_default().to_owned();
    Some(Installed { name, version, architecture, source, source_version })
}

/// Version order, asked from `dpkg` once per pair.
#[derive(Debug, Default)]
pub struct Order {
    asked: HashMap<(String, String), bool>,
}

impl Order {
    /// Whether version `left` is below version `right`.
    pub fn is_below(&mut self, left: &str, right: &str) -> Result<bool, Error> {
        if left == right {
            return Ok(false);
        }
        let pair = (left.to_owned(), right.to_owned());
        if let Some(answer) = self.asked.get(&pair) {
            return Ok(*answer);
        }
        let answer = argv("dpkg", ["--compare-versions", left, "lt", right]).output()?.status.success();
        self.asked.insert(pair, answer);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_packages() {
        let text = "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl (3.0-1)\nVersion: 3.0-1+b1\n\
                    Description: x\n Version: 9\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: bare\nVersion: 1:2\n";
        let packages = parse(text);
        assert_eq!(packages.len(), 2);
        assert_eq!(
            (&packages[0].source[..], &packages[0].source_version[..], &packages[0].version[..]),
            ("openssl", "3.0-1", "3.0-1+b1")
        );
        assert_eq!(
            (&packages[1].name[..], &packages[1].source[..], &packages[1].source_version[..]),
            ("bare", "bare", "1:2")
        );
    }

    #[test]
    fn dpkg_tells_the_order() {
        let mut order = Order::default();
        for (left, right, below) in
            [("1.0~rc1", "1.0", true), ("1:0", "2", false), ("2", "2", false), ("1.9", "1.10", true)]
        {
            assert_eq!(order.is_below(left, right).unwrap(), below, "{left} < {right}");
            assert_eq!(order.is_below(left, right).unwrap(), below, "{left} < {right}, asked again");
        }
    }
}
