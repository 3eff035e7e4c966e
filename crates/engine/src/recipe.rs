//! The recipe: what an adapter wants done in a root, as plain values. argv only; no shell text anywhere.

use std::{collections::BTreeMap, time::Duration};

/// What shall be done in one root, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipe {
    /// The steps.
    pub steps: Vec<Step>,
    /// Files shown read-only during the run and gone afterwards, leaving no mount point behind.
    pub mounts: Vec<Mount>,
    /// What to read back afterwards.
    pub evidence: Vec<Look>,
    /// What never goes into the layer, relative to the root.
    pub exclusions: Vec<Exclusion>,
    /// What steps with network may reach, from the image's own repository configuration: `host[:port]` by plain http,
    /// `https://host[:port]` by https only. Where that only names lists of mirrors, `*` and `https://*`: every host with a
    /// public address.
    pub hosts: Vec<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Run a program of the image as uid 0 in a clean environment.
    Exec(Exec),
    /// Write a file (parents must exist). Does not follow a link in the last component.
    Write {
        /// Absolute path in the root.
        path: String,
        /// Its content.
        content: Vec<u8>,
        /// Permission bits.
        mode: u32,
    },
    /// Remove a file if it is there. Does not follow a link in the last component.
    Remove {
        /// Absolute path in the root.
        path: String,
    },
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// What it does, for the user (`Refreshing package lists`).
    pub title: String,
    /// Program by absolute path, and arguments.
    pub argv: Vec<String>,
    /// The environment beside PATH, HOME and LC_ALL. Nothing of the image's or the host's own is added.
    pub env: BTreeMap<String, String>,
    /// Whether the proxy may be reached.
    pub network: bool,
    /// Longest duration.
    pub timeout: Duration,
    /// When to run it.
    pub when: When,
    /// Go on with the next step when it fails.
    pub may_fail: bool,
}

/// When a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// Only if that earlier step (counted from 0) ran and failed.
    IfFailed(usize),
}

/// A file shown during the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Name below `/dev/copa/`, where the run sees it. `/dev` is ours, so the image gets no mount point.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// What to read from a root. Paths are absolute in the root; links are followed inside it only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// One regular file; absent is no error.
    File {
        /// Its path.
        path: String,
        /// Error above this size.
        max_bytes: u64,
    },
    /// Every regular file right in a folder whose name ends so; an absent folder is no error.
    Folder {
        /// Its path.
        path: String,
        /// How the names end; empty takes all.
        suffix: String,
        /// Error above this number.
        max_files: usize,
        /// Error above this size, each.
        max_bytes: u64,
    },
    /// A file of the same name in every folder right in a folder (pacman's database); what is absent is no error.
    EachFolder {
        /// The path of the outer folder.
        path: String,
        /// The name of the file in each.
        file: String,
        /// Error above this number of names in the outer folder.
        max_folders: usize,
        /// Error above this size, each.
        max_bytes: u64,
    },
    /// Whether something is there at all: evidence holds an empty value where it is.
    Exists {
        /// Its path.
        path: String,
    },
}

/// Bytes read back, by absolute path. What is absent was not there.
pub type Evidence = BTreeMap<String, Vec<u8>>;

/// What never goes into the layer. Paths are relative to the root, without a leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exclusion {
    /// This path and everything below it.
    Under(String),
    /// Everything below this folder, not the folder itself.
    Inside(String),
    /// Files right in a folder whose name ends so.
    Suffix {
        /// The folder.
        folder: String,
        /// How the names end.
        suffix: String,
    },
}

impl Exclusion {
    /// Whether it covers a path (relative, no leading slash).
    pub fn covers(&self, path: &[u8]) -> bool {
        match self {
            Exclusion::Under(at) => path == at.as_bytes() || below(path, at),
            Exclusion::Inside(at) => below(path, at),
            Exclusion::Suffix { folder, suffix } => {
                below(path, folder)
                    && !path[folder.len() + 1..].contains(&b'/')
                    && path.ends_with(suffix.as_bytes())
            }
        }
    }
}

fn below(path: &[u8], folder: &str) -> bool {
    path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusions_cover_what_they_say() {
        let under = Exclusion::Under("var/log/apt".into());
        assert!(under.covers(b"var/log/apt") && under.covers(b"var/log/apt/term.log"));
        assert!(!under.covers(b"var/log/aptitude"));
        let inside = Exclusion::Inside("var/lib/apt/lists".into());
        assert!(!inside.covers(b"var/lib/apt/lists") && inside.covers(b"var/lib/apt/lists/partial"));
        let suffix = Exclusion::Suffix { folder: "var/lib/dpkg".into(), suffix: "-old".into() };
        assert!(suffix.covers(b"var/lib/dpkg/status-old"));
        assert!(!suffix.covers(b"var/lib/dpkg/info/x-old") && !suffix.covers(b"var/lib/dpkg/status"));
    }
}
