//! A vulnerability scanner for Debian and Ubuntu images that writes reports as Trivy does: the judge before and after a patch.
//!
//! Own reading of the image, own advisories, version order asked from the real `dpkg`: nothing is shared with what it judges.

use crate::advisories::{Advisories, Advisory};
use crate::dpkg::{self, Installed, Order};
use crate::{Error, image_reader::ImageReader, tree};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What an image is called in its report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Naming<'a> {
    /// The reference that was scanned; the layout's path and tag where there is none.
    pub reference: Option<&'a str>,
    /// Leave out what has no fix, as `trivy --ignore-unfixed` does.
    pub ignore_unfixed: bool,
}

/// A vulnerability of an installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// `CVE-…`
    pub vulnerability: String,
    /// Package.
    pub package: String,
    /// Its version.
    pub installed: String,
    /// The version that fixes it.
    pub fixed: Option<String>,
}

/// A scanned image.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Name and version of every installed package.
    pub packages: BTreeMap<String, String>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// The report in Trivy's format.
    pub report: Value,
}

impl Scan {
    /// Findings that have a fix.
    pub fn fixable(&self) -> usize {
        self.findings.iter().filter(|finding| finding.fixed.is_some()).count()
    }

    /// Writes the report to a file.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        fs::write(path, format!("{:#}", self.report)).map_err(Error::io(path))
    }
}

/// Scans the image `tag` of a layout, all findings in the report.
pub fn layout(directory: &Path, tag: &str) -> Result<Scan, Error> {
    named(directory, tag, Naming::default())
}

/// Scans the image `tag` of a layout under a name of its own.
pub fn named(directory: &Path, tag: &str, naming: Naming<'_>) -> Result<Scan, Error> {
    let Distribution { version, .. } = distribution(&ImageReader::open(directory, tag)?)?;
    let release = version.split('.').next().unwrap_or_default();
    with(directory, tag, naming, &Advisories::built_in(release)?)
}

/// Scans the image `tag` of a layout with advisories of one's own.
pub fn with(directory: &Path, tag: &str, naming: Naming<'_>, advisories: &Advisories) -> Result<Scan, Error> {
    let image = ImageReader::open(directory, tag)?;
    let of = distribution(&image)?;
    let installed = dpkg::installed(&image)?;
    let mut order = Order::default();
    let mut findings = Vec::new();
    let mut records = Vec::new();
    for (package, layer) in installed.values() {
        for advisory in advisories.of_source(&package.source) {
            if is_hit(package, advisory, naming.ignore_unfixed, &mut order)? {
                findings.push(finding(package, advisory));
                records.push(vulnerability_record(package, advisory, &of, layer_record(&image, *layer)));
            }
        }
    }
    let packages =
        installed.values().map(|(package, layer)| package_record(package, &of, layer_record(&image, *layer)));
    let fallback = format!("{}:{tag}", directory.display());
    let name = naming.reference.unwrap_or(&fallback);
    let results = json!([{
        "Target": format!("{name} ({} {})", of.family, of.version), "Class": "os-pkgs", "Type": of.family,
        "Packages": packages.collect::<Vec<_>>(), "Vulnerabilities": records,
    }]);
    let report = document(&image, name, naming.reference, &of, results);
    let packages = installed.into_iter().map(|(name, (package, _))| (name, package.version)).collect();
    Ok(Scan { packages, findings, report })
}

fn is_hit(
    package: &Installed,
    advisory: &Advisory,
    ignore_unfixed: bool,
    order: &mut Order,
) -> Result<bool, Error> {
    match &advisory.fixed {
        Some(fixed) => order.is_below(&package.source_version, fixed),
        None => Ok(!ignore_unfixed),
    }
}

fn finding(package: &Installed, advisory: &Advisory) -> Finding {
    Finding {
        vulnerability: advisory.id.clone(),
        package: package.name.clone(),
        installed: package.version.clone(),
        fixed: advisory.fixed.clone(),
    }
}

/// What an image is, in the words of reports.
struct Distribution {
    /// `debian`, `ubuntu`.
    family: &'static str,
    /// `12.1`, `22.04`.
    version: String,
}

fn distribution(image: &ImageReader) -> Result<Distribution, Error> {
    let text = |wanted: &str| -> Result<Option<String>, Error> {
        let file = image.files(|path| path == wanted.as_bytes())?.into_values().next();
        Ok(file
            .map(|file| String::from_utf8_lossy(file.entry.content().unwrap_or_default()).trim().to_owned()))
    };
    let release = text("usr/lib/os-release")?.unwrap_or_default();
    let field = |name: &str| {
        release.lines().find_map(|line| line.strip_prefix(name)).map(|word| word.trim_matches('"'))
    };
    if let (Some("ubuntu"), Some(version)) = (field("ID="), field("VERSION_ID=")) {
        return Ok(Distribution { family: "ubuntu", version: version.to_owned() });
    }
    let version = text("etc/debian_version")?;
    let version = version.ok_or_else(|| Error::malformed("image", "has no etc/debian_version"))?;
    Ok(Distribution { family: "debian", version })
}

fn document(
    image: &ImageReader,
    name: &str,
    reference: Option<&str>,
    of: &Distribution,
    results: Value,
) -> Value {
    let diff_ids = image.diff_ids();
    let layers: Vec<Value> = (0..diff_ids.len()).map(|layer| layer_record(image, layer)).collect();
    let mut metadata = json!({
        "OS": { "Family": of.family, "Name": of.version }, "ImageID": image.manifest["config"]["digest"],
        "DiffIDs": diff_ids, "ImageConfig": image.config, "Layers": layers,
    });
    if let Some(reference) = reference {
        let (repository, _) = reference.rsplit_once(':').unwrap_or((reference, ""));
        metadata["RepoTags"] = json!([reference]);
        metadata["RepoDigests"] = json!([format!("{repository}@{}", image.manifest_digest)]);
    }
    json!({
        "SchemaVersion": 2, "CreatedAt": tree::EPOCH_TEXT, "ArtifactName": name, "ArtifactType": "container_image",
        "Metadata": metadata, "Results": results,
    })
}

fn layer_record(image: &ImageReader, layer: usize) -> Value {
    json!({ "Digest": image.layers()[layer]["digest"], "DiffID": image.diff_ids().get(layer) })
}

fn package_record(package: &Installed, of: &Distribution, layer: Value) -> Value {
    let mut record = json!({
        "ID": format!("{}@{}", package.name, package.version), "Name": package.name,
        "Identifier": { "PURL": purl(package, of) }, "Arch": package.architecture, "SrcName": package.source, "Layer": layer,
    });
    set_version(&mut record, "", &package.version);
    set_version(&mut record, "Src", &package.source_version);
    record
}

/// Trivy keeps epoch, version and release apart.
fn set_version(record: &mut Value, prefix: &str, version: &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
    record[format!("{prefix}Version")] = json!(upstream);
    if !release.is_empty() {
        record[format!("{prefix}Release")] = json!(release);
    }
    if let Some(epoch) = epoch.parse::<u64>().ok().filter(|epoch| *epoch > 0) {
        record[format!("{prefix}Epoch")] = json!(epoch);
    }
}

fn vulnerability_record(package: &Installed, advisory: &Advisory, of: &Distribution, layer: Value) -> Value {
    let severity = ["low", "medium", "high"]
        .iter()
        .position(|word| *word == advisory.urgency)
        .map_or(0, |rank| rank + 1);
    let mut record = json!({
        "VulnerabilityID": advisory.id, "PkgID": format!("{}@{}", package.name, package.version), "PkgName": package.name,
        "PkgIdentifier": { "PURL": purl(package, of) }, "InstalledVersion": package.version,
    });
    if let Some(fixed) = &advisory.fixed {
        record["FixedVersion"] = json!(fixed);
    }
    record["Status"] = json!(advisory.status);
    record["Layer"] = layer;
    record["Title"] = json!(advisory.title);
    record["Severity"] = json!(advisory.urgency.to_uppercase());
    record["VendorSeverity"] = json!({ "nvd": severity });
    record
}

fn purl(package: &Installed, of: &Distribution) -> String {
    let escaped = |text: &str| text.replace('+', "%2B");
    let (epoch, version) = package.version.split_once(':').unwrap_or(("", &package.version));
    let (name, architecture) = (escaped(&package.name), &package.architecture);
    let (family, version) = (of.family, escaped(version));
    let purl =
        format!("pkg:deb/{family}/{name}@{version}?arch={architecture}&distro={family}-{}", of.version);
    if epoch.is_empty() { purl } else { format!("{purl}&epoch={epoch}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Compression, Image, Layer, Layout};

    fn scan(status: &str, reference: Option<&str>) -> Scan {
        let dir = tempfile::tempdir().unwrap();
        let old = "Package:\\slibssl3\\nStatus:\\sinstall\\sok\\sinstalled\\nSource:\\sopenssl\\nVersion:\\s3.0.1-1\\nArchitecture:\\samd64\\n";
        let base = format!("file etc/debian_version text=12.1\\n\nfile var/lib/dpkg/status text={old}");
        let layers =
            vec![Layer::text(&base), Layer::text(&format!("file var/lib/dpkg/status text={status}"))];
        let layout = Layout::create(dir.path()).unwrap();
        layout.add("t", &Image { compression: Compression::None, ..Image::new(layers) }).unwrap();
        named(dir.path(), "t", Naming { reference, ignore_unfixed: false }).unwrap()
    }

    #[test]
    fn what_is_below_its_fix_is_found_until_it_is_not() {
        let status = |version: &str| {
            format!(
                "Package:\\slibssl3\\nStatus:\\sinstall\\sok\\sinstalled\\nSource:\\sopenssl\\nVersion:\\s{version}\\nArchitecture:\\samd64\\n"
            )
        };
        let vulnerable = scan(&status("3.0.1-1"), Some("localhost:5000/debian:old"));
        assert!(vulnerable.fixable() > 0);
        let report = &vulnerable.report;
        let record = &report["Results"][0]["Vulnerabilities"][0];
        assert_eq!((&record["PkgName"], &record["InstalledVersion"]), (&json!("libssl3"), &json!("3.0.1-1")));
        assert_eq!(
            record["Layer"]["Digest"], report["Metadata"]["Layers"][0]["Digest"],
            "the layer that brought the version"
        );
        assert_eq!(report["Metadata"]["RepoTags"], json!(["localhost:5000/debian:old"]));
        assert!(
            report["Metadata"]["RepoDigests"][0]
                .as_str()
                .unwrap()
                .starts_with("localhost:5000/debian@sha256:")
        );
        let patched = scan(&status("99"), None);
        assert_eq!(patched.fixable(), 0);
        assert_eq!(patched.packages["libssl3"], "99");
    }

    #[test]
    fn versions_are_taken_apart_as_trivy_does() {
        let mut record = json!({});
        set_version(&mut record, "Src", "1:2.3-4-5");
        assert_eq!(record, json!({ "SrcVersion": "2.3-4", "SrcRelease": "5", "SrcEpoch": 1 }));
    }
}
