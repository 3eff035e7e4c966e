//! What happens while an image is patched, for whoever draws or logs it.

/// A stretch of the work, in the order they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Manifest and config are read.
    Resolve,
    /// Layers are pulled, verified and unpacked.
    Pull,
    /// Installed packages are read and the plan is made.
    Plan,
    /// The image with the package tools is resolved and pulled, where the image has none of its own.
    Tooling,
    /// The package tool runs in the sandbox, or packages are fetched and unpacked.
    Run,
    /// What changed is checked against the package database and made a layer.
    Pack,
    /// The image is written to its destination.
    Deliver,
}

impl Phase {
    /// Words for the user.
    pub fn title(self) -> &'static str {
        match self {
            Phase::Resolve => "Resolving image",
            Phase::Pull => "Pulling layers",
            Phase::Plan => "Planning",
            Phase::Tooling => "Getting package tools",
            Phase::Run => "Patching packages",
            Phase::Pack => "Packing patch layer",
            Phase::Deliver => "Delivering image",
        }
    }
}

/// Something happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A phase begins.
    PhaseStarted(Phase),
    /// A phase has ended well.
    PhaseEnded(Phase, std::time::Duration),
    /// The engine tells something (layers, steps, output).
    Engine(engine::Event),
    /// Bytes of a blob have gone to the destination.
    Upload {
        /// The blob.
        digest: oci::Digest,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// It happened to one of several platforms that are worked on side by side.
    Platform {
        /// Which: `linux/arm64`.
        platform: std::sync::Arc<str>,
        /// What.
        event: Box<Event>,
    },
    /// The plan is made: one line each.
    Planned(Vec<String>),
    /// Something the user should know; not an error.
    Warning(String),
}
