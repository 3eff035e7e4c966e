//! OCI layout directories.

use crate::place::{Abilities, Place};
use async_trait::async_trait;
use endpoint::{Destination, LayoutDestination, LayoutSource, Source};
use std::{path::PathBuf, sync::Arc};

/// Names in one layout.
pub struct Layouts(tempfile::TempDir);

impl Layouts {
    pub fn new() -> Self {
        Layouts(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("layout")
    }
}

#[async_trait]
impl Place for Layouts {
    fn abilities(&self) -> Abilities {
        Abilities { kind: "layout", keeps_manifests: true, keeps_indexes: true, knows_itself: true }
    }

    async fn source(&self, name: &str) -> Arc<dyn Source> {
        Arc::new(LayoutSource::new(self.dir(), Some(name.to_owned())))
    }

    async fn destination(&self, name: &str, replace_source: bool) -> Arc<dyn Destination> {
        Arc::new(LayoutDestination::new(self.dir(), Some(name.to_owned()), replace_source))
    }
}
