//! How layers are compressed: what an image's format takes, and base layers compressed anew where that is asked for.

use crate::{
    Error, Event,
    line::{Patcher, Request, Subject, layer_error},
};
use engine::LayerStage;
use layer::{Limits, RecompressOptions, Recompressed, Verified};
use oci::{Digest, Image, ImageLayer, media_type};
use std::{collections::BTreeMap, io::Write};
use tempfile::NamedTempFile;
use tokio_util::io::SyncIoBridge;

/// Base layers under new blobs, by their place.
#[derive(Default)]
pub(crate) struct Reencoded(BTreeMap<usize, (Recompressed, NamedTempFile)>);

impl Reencoded {
    /// The image with these blobs.
    pub(crate) fn put_into(
        &self,
        image: Image,
        compression: media_type::Compression,
    ) -> Result<Image, Error> {
        if self.0.is_empty() {
            return Ok(image);
        }
        let blobs = self.0.iter().map(|(at, (made, _))| (*at, (made.digest.clone(), made.size))).collect();
        image.with_blobs(&blobs, compression).map_err(Error::Image)
    }

    /// Where the bytes are; gone with this value.
    pub(crate) fn files(&self) -> impl Iterator<Item = (Digest, &NamedTempFile)> {
        self.0.values().map(|(made, file)| (made.digest.clone(), file))
    }
}

/// Refuses a compression that the image's format has no type for. Docker's schema never got one for zstd: containerd reads and
/// writes a name that skopeo, and whatever is built on the same library, does not know. Images that have such layers already
/// may get more of them.
pub(crate) fn check(image: &Image, compression: media_type::Compression) -> Result<(), Error> {
    let docker = media_type::is_docker(&image.descriptor.media_type);
    let has = image.layers.iter().any(|l| l.descriptor.media_type == media_type::DOCKER_LAYER_ZSTD);
    if docker && compression == media_type::Compression::Zstd && !has {
        return Err(Error::Format {
            why: "the image is in docker's format, which has no type for zstd layers that everybody reads"
                .to_owned(),
        });
    }
    Ok(())
}

impl Patcher {
    /// Compresses those base layers anew that are not as the patch layer will be, where that is asked for.
    pub(crate) async fn reencode(&self, request: &Request, subject: &Subject) -> Result<Reencoded, Error> {
        let mut made = Reencoded::default();
        if !request.settings.reencode_base {
            return Ok(made);
        }
        let base = subject.origin.base_layers(&subject.image);
        for (at, layer) in subject.image.layers.iter().take(base).enumerate() {
            let from = media_type::compression(&layer.descriptor.media_type);
            // A manifest with layers of unknown types was refused.
            let Some(from) = from.filter(|from| *from != request.settings.compression) else { continue };
            let event = |stage| engine::Event::Layer {
                digest: layer.descriptor.digest.clone(),
                done: layer.descriptor.size,
                total: layer.descriptor.size,
                stage,
            };
            (self.events)(Event::Engine(event(LayerStage::Pulling)));
            made.0.insert(at, self.anew(request, layer, from).await?);
            (self.events)(Event::Engine(event(LayerStage::Ready)));
        }
        Ok(made)
    }

    async fn anew(
        &self,
        request: &Request,
        layer: &ImageLayer,
        from: media_type::Compression,
    ) -> Result<(Recompressed, NamedTempFile), Error> {
        let settings = &request.settings;
        let doing = || format!("writing a layer in {}", settings.work_dir.display());
        let io = |source| Error::Io { doing: doing(), source };
        let file = NamedTempFile::new_in(&settings.work_dir).map_err(io)?;
        let mut out = file.reopen().map_err(io)?;
        let blob = request.source.open(&layer.descriptor).await.map_err(|e| self.engine_error(e))?;
        let blob = SyncIoBridge::new(blob);
        let (digest, size) = (layer.descriptor.digest.clone(), layer.descriptor.size);
        let (diff_id, cancel) = (layer.diff_id.clone(), self.cancel.clone());
        let (compression, level, threads) =
            (settings.compression, settings.compression_level, settings.threads);
        let working = tokio::task::spawn_blocking(move || {
            let cancelled = || cancel.is_cancelled();
            let limits = Limits::default();
            let options = RecompressOptions { compression, level, threads, limits, cancel: &cancelled };
            let made =
                layer::recompress(Verified::new(blob, digest, size), (from, &diff_id), &options, &mut out)?;
            out.flush().map_err(|source| layer::Error::Io { doing: "writing a layer".into(), source })?;
            Ok(made)
        });
        let made = working.await.map_err(|_| Error::Cancelled)?.map_err(layer_error)?;
        Ok((made, file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media_type::Compression::{Gzip, None as Plain, Zstd};
    use oci::Descriptor;
    use serde_json::json;

    fn image(manifest: &str, config: &str, layer: &str) -> Image {
        let id = Digest::of(b"l").to_string();
        let bytes =
            json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [id]}});
        let bytes = serde_json::to_vec(&bytes).unwrap();
        let whole = json!({"schemaVersion": 2, "mediaType": manifest,
            "config": Descriptor::of(config, &bytes), "layers": [Descriptor::of(layer, b"l")]});
        Image::new(serde_json::to_vec(&whole).unwrap(), None, bytes).unwrap()
    }

    #[test]
    fn docker_images_get_zstd_layers_only_where_they_have_some() {
        let docker = |layer| image(media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG, layer);
        let oci = image(media_type::OCI_MANIFEST, media_type::OCI_CONFIG, media_type::OCI_LAYER_GZIP);
        for compression in [Gzip, Plain, Zstd] {
            assert!(check(&oci, compression).is_ok());
            assert!(check(&docker(media_type::DOCKER_LAYER_ZSTD), compression).is_ok());
            let plain = check(&docker(media_type::DOCKER_LAYER_GZIP), compression);
            assert_eq!(plain.is_err(), compression == Zstd, "{plain:?}");
        }
    }
}
