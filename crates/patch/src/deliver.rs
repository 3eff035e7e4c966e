//! The patched image put together from image and layer, and content written where it belongs.

use crate::{
    Error, Event, Phase, Target,
    assemble::{annotations, layer_record, plan_digest, reencoded, rfc3339},
    format::Reencoded,
    line::{Patcher, Request, Subject},
    lineage::{self, Lineage, PatchFacts},
    record,
    result::{PatchedRecord, ResultDocument},
};
use endpoint::{Content, Outgoing, Receipt, Source, WriteRequest};
use layer::Packed;
use oci::{Digest, Image};
use plan::Plan;
use std::{collections::BTreeMap, path::PathBuf};
use tempfile::NamedTempFile;

/// A patched image, not delivered yet.
pub(crate) struct Patched {
    /// The image.
    pub(crate) image: Image,
    /// How many of its layers are the original's.
    pub(crate) base_layers: usize,
    /// What it records of its origin.
    pub(crate) lineage: Lineage,
    /// The patch layer.
    pub(crate) packed: Packed,
    /// Its bytes; gone with this value.
    pub(crate) file: NamedTempFile,
    /// Base layers that were compressed anew.
    pub(crate) reencoded: Reencoded,
}

/// What goes into a patched image beside the plan.
pub(crate) struct Parts {
    /// The patch layer, and its bytes.
    pub(crate) layer: (Packed, NamedTempFile),
    /// Base layers that were compressed anew.
    pub(crate) reencoded: Reencoded,
    /// An annotation that names what refers to the original.
    pub(crate) mark: Option<(String, String)>,
}

impl Patched {
    /// As something to be delivered.
    pub(crate) fn outgoing(&self) -> Outgoing {
        let own = std::iter::once((self.packed.digest.clone(), &self.file));
        let files: BTreeMap<Digest, PathBuf> = own
            .chain(self.reencoded.files())
            .map(|(digest, file)| (digest, file.path().to_owned()))
            .collect();
        Outgoing::patched(self.image.clone(), &files)
    }

    /// What is told of it once it has been delivered under a name.
    pub(crate) fn record(&self, reference: &str) -> PatchedRecord {
        PatchedRecord {
            reference: reference.to_owned(),
            digest: self.image.descriptor.digest.to_string(),
            layers: self.image.layers.len() as u64,
            layer: layer_record(&self.packed),
            lineage: self.lineage.clone(),
        }
    }
}

impl Patcher {
    /// Puts the patched image together.
    pub(crate) fn assemble(
        &self,
        request: &Request,
        subject: &Subject,
        plan: &Plan,
        Parts { layer: (packed, file), reencoded, mark }: Parts,
    ) -> Result<Patched, Error> {
        let plan_digest = plan_digest(plan);
        let facts = PatchFacts {
            diff_id: &packed.diff_id,
            plan_digest: &plan_digest,
            tool_version: &request.settings.tool_version,
        };
        let lineage = Lineage::of(&subject.image, &request.name, &subject.origin, &facts);
        let mut patch = self.patch_of(request, subject, &packed, &lineage);
        patch.annotations.extend(mark);
        let image = subject.image.patched(&patch).map_err(Error::Image)?;
        let image = reencoded.put_into(image, patch.compression)?;
        Ok(Patched { image, base_layers: patch.base_layers, lineage, packed, file, reencoded })
    }

    fn patch_of(
        &self,
        request: &Request,
        subject: &Subject,
        packed: &Packed,
        lineage: &Lineage,
    ) -> oci::Patch {
        let created = rfc3339(request.settings.source_date_epoch.unwrap_or(request.settings.now));
        let tag = request.target.as_ref().and_then(|t| t.tag.as_deref());
        oci::Patch {
            base_layers: lineage.base_layers,
            blob: (packed.digest.clone(), packed.size),
            diff_id: packed.diff_id.clone(),
            compression: request.settings.compression,
            history: oci::History {
                created: created.clone(),
                created_by: format!("copa patch ({} packages)", self.engine.name()),
                comment: format!("sh.copa {}", request.settings.tool_version),
            },
            labels: [(lineage::LABEL.to_owned(), lineage.to_label())].into(),
            annotations: annotations(&subject.image, &subject.annotations, lineage, (&created, tag)),
        }
    }

    /// Writes one patched image where it belongs.
    pub(crate) async fn deliver(
        &self,
        target: &Target,
        (source, before, patched): (&dyn Source, &Image, Patched),
        document: &mut ResultDocument,
    ) -> Result<(), Error> {
        let content = Content::Image(Box::new(patched.outgoing()));
        let receipt = self.write(target, (source, &content), document).await?;
        document.counters.layers_reencoded = reencoded(before, &patched.image, patched.base_layers);
        document.patched = Some(patched.record(&receipt.reference));
        Ok(())
    }

    /// Writes content under the target's name.
    pub(crate) async fn write(
        &self,
        target: &Target,
        (source, content): (&dyn Source, &Content),
        document: &mut ResultDocument,
    ) -> Result<Receipt, Error> {
        let write = WriteRequest {
            content,
            source,
            progress: &|digest, done, total| {
                (self.events)(Event::Upload { digest: digest.clone(), done, total })
            },
            cancel: &self.cancel,
        };
        let failed = |source| Error::Destination { name: target.name.clone(), source };
        let writing = async { target.destination.write(&write).await.map_err(failed) };
        let receipt = self.timed(Phase::Deliver, document, writing).await?;
        document.deliveries = record::deliveries(&receipt);
        document.counters.base_bytes_uploaded = receipt.base_bytes_uploaded;
        document.counters.bytes_uploaded = receipt.bytes_uploaded;
        for note in &receipt.notes {
            self.warn(note.clone(), document);
        }
        Ok(receipt)
    }
}
