//! Two destinations as one: the layout first, the registry after it, so that the registry's tag moves last of all.

use async_trait::async_trait;
use endpoint::{Destination, Error, Receipt, WriteRequest};
use oci::{Digest, ImageLayer};
use std::sync::Arc;

/// Writes to the first and then to the second.
pub struct Both(pub Arc<dyn Destination>, pub Arc<dyn Destination>);

#[async_trait]
impl Destination for Both {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        let first = self.0.write(request).await?;
        let second = self.1.write(request).await?;
        Ok(Receipt {
            reference: second.reference,
            digest: second.digest,
            bytes_uploaded: first.bytes_uploaded + second.bytes_uploaded,
            base_bytes_uploaded: first.base_bytes_uploaded + second.base_bytes_uploaded,
            base_bytes_copied: first.base_bytes_copied + second.base_bytes_copied,
            mounted: first.mounted + second.mounted,
            existing: first.existing + second.existing,
            load: second.load.or(first.load),
            notes: [first.notes, second.notes].concat(),
        })
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        self.1.current().await
    }

    fn wants_base_blobs(&self, base: &[ImageLayer]) -> bool {
        self.0.wants_base_blobs(base) || self.1.wants_base_blobs(base)
    }

    fn name(&self) -> String {
        format!("{}, {}", self.1.name(), self.0.name())
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
    async fn both_get_the_image_and_the_second_gives_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("layer"), b"layer").unwrap();
        let (image, both) = (image(b"layer"), Both(layout(&at("first")), layout(&at("second"))));
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
    }
}
