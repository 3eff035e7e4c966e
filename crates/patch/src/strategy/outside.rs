//! From outside: another image's tools are found, opened and attached.

use crate::{
    Error, Phase,
    line::{Patcher, Request, Subject},
    result::{ResultDocument, ToolingRecord},
};
use async_trait::async_trait;
use endpoint::{Source, SourceImage};
use engine::OpenRequest;
use std::sync::Arc;

/// Opens images by reference; only `cli` knows credentials and policy.
#[async_trait]
pub trait ToolingImages: Send + Sync {
    /// The image behind a reference.
    async fn open(&self, reference: &str) -> Result<Arc<dyn Source>, endpoint::Error>;
}

impl Patcher {
    /// Attaches the tooling: the user's, or the adapter's choice. The result names it by digest.
    pub(crate) async fn attach_tooling(
        &self,
        request: &Request,
        subject: &mut Subject,
        document: &mut ResultDocument,
    ) -> Result<(), Error> {
        let observed = &subject.observed;
        let chosen = observed.adapter.tooling(&observed.facts);
        let chosen = match (&request.tooling.reference, chosen) {
            (Some(given), _) => given.clone(),
            (None, Ok(tooling)) => tooling.reference,
            (None, Err(source)) => return Err(Error::Adapter { name: request.name.clone(), source }),
        };
        let platform = subject.image.platform();
        let failed = |source| Error::Tooling { reference: chosen.clone(), source };
        let resolve = async {
            let source = request.tooling.images.open(&chosen).await.map_err(failed)?;
            let image = source.image(&platform).await.map_err(failed)?;
            Ok((source, image))
        };
        let (source, SourceImage { image, digest, .. }) =
            self.timed(Phase::Tooling, document, resolve).await?;
        document.tooling = Some(ToolingRecord {
            reference: chosen.clone(),
            digest: digest.to_string(),
            manifest_digest: image.descriptor.digest.to_string(),
        });
        let open = OpenRequest { base_layers: image.layers.len(), image, blobs: source, keep_blobs: false };
        let (root, context) = (&mut subject.root, self.context());
        let attach = async { root.attach_tooling(open, &context).await.map_err(|e| self.engine_error(e)) };
        self.timed(Phase::Tooling, document, attach).await
    }
}
