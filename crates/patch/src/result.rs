//! The result document (`--result`): everything a machine may want to know of one run. Versioned; fields are only ever
//! added under the same [`SCHEMA_VERSION`]. Its JSON Schema is published in `docs/reference/result.schema.json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the document's shape.
pub const SCHEMA_VERSION: &str = "copa.sh/result/v1";

/// What became of one image.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResultDocument {
    /// Always `copa.sh/result/v1`.
    pub schema_version: String,
    /// The version of copa.
    pub tool_version: String,
    /// How it ended.
    pub status: Status,
    /// The error, where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRecord>,
    /// The image that was to be patched.
    pub image: ImageRecord,
    /// The patched image, where one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patched: Option<PatchedRecord>,
    /// Every place that the patched image was written to, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<DeliveryRecord>,
    /// `report` or `update-all`.
    pub scope: String,
    /// The packages the plan names, with their bounds. Empty for `update-all`.
    pub plan: Vec<FixRecord>,
    /// What changed in the package database.
    pub packages: Vec<PackageRecord>,
    /// Every finding of the report with its outcome.
    pub findings: Vec<FindingRecord>,
    /// Findings by outcome.
    pub summary: BTreeMap<String, u64>,
    /// Findings of kinds that are not patched (language libraries), by kind.
    pub not_considered: BTreeMap<String, u64>,
    /// The engine that ran.
    pub engine: String,
    /// `in-place` (the image's own package tool), `outside` (one of another image), `unpacked` (no program was run).
    /// Empty where the image was not looked at.
    #[serde(default)]
    pub strategy: String,
    /// Whether the distribution still keeps the image's release up. Absent where it has no releases, or none that are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<LifecycleRecord>,
    /// The image whose tools worked on this one, where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tooling: Option<ToolingRecord>,
    /// The package indexes that packages were chosen from, where they were unpacked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexRecord>,
    /// The steps that ran in the image.
    pub steps: Vec<StepRecord>,
    /// Every request that left the sandbox or was refused.
    pub fetches: Vec<FetchRecord>,
    /// Counters of what was done; most must be 0 in every run.
    pub counters: Counters,
    /// Milliseconds by phase.
    pub timings_ms: BTreeMap<String, u64>,
    /// What the user was told beside.
    pub notes: Vec<String>,
    /// The index with the patched images, where the name led to one. What is said above of one image is then said in
    /// `platforms`, of each; `summary` and `counters` are sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<PatchedIndexRecord>,
    /// Each platform of an index that was worked on, in the order of the index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<ResultDocument>,
    /// Everything of the index that stays bit for bit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preserved: Vec<PreservedRecord>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A patched image was made and delivered.
    Patched,
    /// There was nothing to do; nothing was written.
    UpToDate,
    /// Only the plan was asked for.
    Planned,
    /// It failed; no tag moved.
    Failed,
}

/// Why it failed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorRecord {
    /// What went wrong, causes included.
    pub message: String,
    /// The exit code that goes with it.
    pub exit_code: i32,
}

/// The source image.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageRecord {
    /// As it was asked for.
    pub name: String,
    /// Manifest digest.
    pub digest: String,
    /// `linux/amd64`.
    pub platform: String,
    /// Distribution, as `/etc/os-release` says.
    pub os: String,
    /// Layers.
    pub layers: u64,
    /// Whether it was patched before, so that its patch layer was replaced.
    pub repatched: bool,
}

/// What is known of the support of the image's release.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleRecord {
    /// The distribution, as endoflife.date calls it.
    pub product: String,
    /// The release that was looked up.
    pub release: String,
    /// Whether its support has ended; false where the source does not know the release.
    pub eol: bool,
    /// Its last day of support; absent where none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eol_from: Option<String>,
    /// Who says so: `embedded (DAY)` for the table of that day's state, or the URL of the API.
    pub source: String,
}

/// The patched image.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchedRecord {
    /// Where it went.
    pub reference: String,
    /// Manifest digest.
    pub digest: String,
    /// Layers.
    pub layers: u64,
    /// The patch layer.
    pub layer: LayerRecord,
    /// What it records about its own origin.
    pub lineage: crate::lineage::Lineage,
}

/// A place that the patched image, or the index with it, was written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryRecord {
    /// Its whole name there.
    pub reference: String,
    /// What the name leads to there: a manifest or an index; in stores that know images by their configurations, that of this
    /// host's image.
    pub digest: String,
    /// How a local daemon was given it: `thin` (only what it did not have) or `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<String>,
}

/// An index with patched images.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchedIndexRecord {
    /// Where it went.
    pub reference: String,
    /// Its digest.
    pub digest: String,
    /// Its media type, which is that of the original.
    pub media_type: String,
}

/// A manifest of an index that stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreservedRecord {
    /// Its digest.
    pub digest: String,
    /// `linux/arm64`; absent where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// `image`, `attestation`, or `other`.
    pub kind: String,
    /// Why it was not patched; absent where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The patch layer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerRecord {
    /// Digest of the blob.
    pub digest: String,
    /// Digest of the uncompressed tar.
    pub diff_id: String,
    /// Bytes of the blob.
    pub size: u64,
    /// Bytes of the uncompressed tar.
    pub uncompressed_size: u64,
    /// Entries set.
    pub entries: u64,
    /// Entries removed (whiteouts).
    pub removed: u64,
    /// The time that newer times were clamped to, in seconds since 1970.
    pub epoch: i64,
}

/// One planned fix.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FixRecord {
    /// Package.
    pub package: String,
    /// Installed before.
    pub installed: String,
    /// Lowest version that settles all its findings.
    pub at_least: String,
    /// Their ids.
    pub vulnerabilities: Vec<String>,
}

/// One change of the package database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageRecord {
    /// Package.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// Version before; absent where it was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Version now; absent where it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// One finding.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingRecord {
    /// Vulnerability id.
    pub vulnerability: String,
    /// Package.
    pub package: String,
    /// Version before.
    pub installed: String,
    /// Version that fixes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    /// Version now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// Severity in the scanner's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// `fixed`, `already-fixed`, `not-installed`, `no-fix-known`, `repository-behind`, `held`, `excluded`, `failed`,
    /// or `planned` where only the plan was made.
    pub outcome: String,
    /// More about it, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One step that ran in the image.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// What it did.
    pub title: String,
    /// Exit code; absent where it was not needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// Milliseconds.
    pub took_ms: u64,
}

/// An image whose tools were used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolingRecord {
    /// As it was asked for.
    pub reference: String,
    /// Digest of what the name led to.
    pub digest: String,
    /// Digest of the manifest for the platform.
    pub manifest_digest: String,
}

/// One package index.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndexRecord {
    /// URL of its signed head.
    pub url: String,
    /// Digest of that head.
    pub digest: String,
    /// Fingerprint of the key that signed it; absent where the image's own configuration trusts it unsigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// When it was made, in seconds since 1970.
    pub date: i64,
}

/// One request of the sandbox.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FetchRecord {
    /// `GET`, `HEAD`, `CONNECT`.
    pub method: String,
    /// URL or `host:port`.
    pub target: String,
    /// Status given to the client.
    pub status: u16,
    /// Body bytes.
    pub bytes: u64,
    /// `hit`, `revalidated`, `miss`, `passed`, `tunnel`, `refused`, `failed`.
    pub how: String,
    /// Why, where it was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Counters that are free of noise; benchmarks and tests assert them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Base layers whose descriptor differs between source and result.
    pub layers_reencoded: u64,
    /// Bytes of base layers uploaded to the registry they came from.
    pub base_bytes_uploaded: u64,
    /// Times a base layer's directories were walked.
    pub lower_tree_walks: u64,
    /// Syncs that reached the kernel from the sandbox: 0 where the sandbox proved, by trying, that they do nothing;
    /// absent where nothing ran or that proof failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fsync_in_sandbox: Option<u64>,
    /// Suites whose package indexes were downloaded in full (not from the cache, not revalidated).
    pub index_fetches: u64,
    /// All bytes uploaded.
    pub bytes_uploaded: u64,
    /// Compressed bytes of base layers downloaded.
    pub base_bytes_downloaded: u64,
}

impl ResultDocument {
    /// A document that says nothing yet: of a run that failed before the image was looked at.
    pub fn blank(tool_version: &str, engine: &str) -> Self {
        crate::record::blank(tool_version, engine)
    }
}

/// The JSON Schema of the document.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(ResultDocument).to_value()
}
