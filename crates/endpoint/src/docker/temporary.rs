//! Names in a daemon that are ours for a moment: taken away in every case, also when the work is dropped half-way.

use super::api::Client;
use crate::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long taking a name away may hold up a program that is told to stop, which has five seconds in all.
const REMOVE_LIMIT: Duration = Duration::from_secs(4);

/// How often a name that is still to come is asked for.
const PAUSE: Duration = Duration::from_millis(50);

/// A name that goes when this is dropped.
pub(super) struct Temporary {
    client: Client,
    repository: String,
    tag: &'static str,
    there: bool,
    underway: AtomicBool,
}

impl Temporary {
    /// Counts as there from now on: what begins to make it may be interrupted.
    pub(super) fn new(client: Client, repository: String, tag: &'static str) -> Self {
        Temporary { client, repository, tag, there: true, underway: AtomicBool::new(false) }
    }

    /// The whole name.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    pub(super) fn tag(&self) -> &'static str {
        self.tag
    }

    /// Whether the daemon is about to make it, whatever becomes of who asked for it.
    pub(super) fn set_underway(&self, underway: bool) {
        self.underway.store(underway, Ordering::Relaxed);
    }

    /// Takes it away.
    pub(super) async fn remove(mut self) -> Result<(), Error> {
        let removed = self.client.remove(&self.name()).await;
        self.there = removed.is_err();
        removed
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.there {
            return;
        }
        let (client, name) = (self.client.clone(), self.name());
        let underway = self.underway.load(Ordering::Relaxed);
        let remove = async move {
            while !client.remove_if_there(&name).await? && underway {
                tokio::time::sleep(PAUSE).await;
            }
            Ok::<(), Error>(())
        };
        // The runtime that we are dropped in may be ending: this needs one of its own, and no longer than that.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async { tokio::time::timeout(REMOVE_LIMIT, remove).await.ok() })
        });
        match removing.join() {
            Ok(Some(Ok(()))) => {}
            _ => tracing::warn!(name = self.name(), "a temporary name stays in docker"),
        }
    }
}
