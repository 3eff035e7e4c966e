//! Several destinations as one, written one after another: the last, whose name moves last of all, speaks for them.

use async_trait::async_trait;
use endpoint::{Destination, Error, Receipt, WriteRequest};
use oci::{Digest, ImageLayer};
use std::sync::Arc;

/// Writes to each, in this order. There must be one.
pub struct Several {
    before: Vec<Arc<dyn Destination>>,
    last: Arc<dyn Destination>,
}

impl Several {
    /// All of them as one; none is none.
    pub fn of(mut all: Vec<Arc<dyn Destination>>) -> Option<Arc<dyn Destination>> {
        let last = all.pop()?;
        Some(if all.is_empty() { last } else { Arc::new(Several { before: all, last }) })
    }
}

#[async_trait]
impl Destination for Several {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        let mut before: Vec<Receipt> = Vec::new();
        for destination in self.before.iter().chain([&self.last]) {
            let written = destination.write(request).await;
            before.push(written.map_err(|source| failed(&**destination, &before, source))?);
        }
        let last = before.pop().ok_or(Error::Cancelled)?;
        Ok(before.into_iter().rev().fold(last, joined))
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        self.last.current().await
    }

    fn wants_base_blobs(&self, base: &[ImageLayer]) -> bool {
        self.before.iter().chain([&self.last]).any(|destination| destination.wants_base_blobs(base))
    }

    fn name(&self) -> String {
        let names = self.before.iter().rev().map(|destination| destination.name());
        std::iter::once(self.last.name()).chain(names).collect::<Vec<_>>().join(", ")
    }
}

/// Which one failed, and those that have the image by then.
fn failed(destination: &dyn Destination, before: &[Receipt], source: Error) -> Error {
    let written = before.iter().map(|receipt| receipt.reference.clone()).collect();
    Error::OneOfSeveral { name: destination.name(), written, source: Box::new(source) }
}

/// A receipt with what an earlier destination took.
fn joined(last: Receipt, earlier: Receipt) -> Receipt {
    let before = [earlier.written(), last.before].concat();
    Receipt {
        reference: last.reference,
        digest: last.digest,
        load: last.load,
        before,
        bytes_uploaded: earlier.bytes_uploaded + last.bytes_uploaded,
        base_bytes_uploaded: earlier.base_bytes_uploaded + last.base_bytes_uploaded,
        base_bytes_copied: earlier.base_bytes_copied + last.base_bytes_copied,
        mounted: earlier.mounted + last.mounted,
        existing: earlier.existing + last.existing,
        notes: [earlier.notes, last.notes].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use endpoint::{Content, LayoutDestination, LayoutSource};
    use engine::CancellationToken;
    use oci::{Descriptor, DiffId, Image, media_type};
    use serde_json::json;
    use std::path::Path;

    /// An image of one new layer.
    fn image(layer: &[u8]) -> Image {
        let config = json!({"os": "linux", "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [DiffId(Digest::of(layer)).to_string()]}});
        let config = serde_json::to_vec(&config).unwrap();
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &config),
            "layers": [Descriptor::of(media_type::OCI_LAYER, layer)]});
        Image::new(serde_json::to_vec(&manifest).unwrap(), None, config).unwrap()
    }

    fn layout(dir: &Path) -> Arc<dyn Destination> {
        Arc::new(LayoutDestination::new(dir.to_owned(), Some("x".to_owned()), false))
    }

    #[tokio::test]
    async fn all_get_the_image_and_the_last_gives_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("layer"), b"layer").unwrap();
        let image = image(b"layer");
        let both = Several::of(["first", "second"].map(|name| layout(&at(name))).into()).unwrap();
        let source = LayoutSource::new(at("none"), None);
        let files = [(Digest::of(b"layer"), at("layer"))].into();
        let content = Content::patched(image.clone(), &files);
        let request = WriteRequest {
            content: &content,
            source: &source,
            progress: &|_, _, _| (),
            cancel: &CancellationToken::new(),
        };
        let receipt = both.write(&request).await.unwrap();
        assert_eq!(receipt.reference, format!("oci:{}:x", at("second").display()));
        assert_eq!(receipt.digest, image.descriptor.digest);
        let written: Vec<String> = receipt.written().into_iter().map(|written| written.reference).collect();
        assert_eq!(written, ["first", "second"].map(|name| format!("oci:{}:x", at(name).display())));
        for name in ["first", "second"] {
            assert_eq!(
                layout(&at(name)).current().await.unwrap().as_ref(),
                Some(&image.descriptor.digest),
                "{name}"
            );
        }
        assert!(!both.wants_base_blobs(&image.layers), "what both have is not wanted again");
        std::fs::remove_dir_all(at("first")).unwrap();
        assert!(both.wants_base_blobs(&image.layers), "what one of them lacks is wanted");
        std::fs::write(at("file"), "").unwrap();
        let half = Several::of(vec![layout(&at("first")), layout(&at("file"))]).unwrap();
        let said = half.write(&request).await.unwrap_err().to_string();
        let (failed, has) = (at("file").display().to_string(), at("first").display().to_string());
        assert_eq!(said, format!("oci:{failed}:x failed; the image is in oci:{has}:x"));
    }
}
