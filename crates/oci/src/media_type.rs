//! Media types by name, and what each one means to us.

/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Docker manifest, v2 schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// OCI layer, gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// OCI layer, not compressed.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Docker layer, gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker layer, not compressed.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker layer, zstd (as containerd writes it).
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

/// How a layer blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip, one or more members.
    Gzip,
    /// zstd.
    Zstd,
}

/// The compression a layer's media type says, or `None` where the type is no layer that we can read
/// (foreign, non-distributable, encrypted, unknown).
pub fn compression(media_type: &str) -> Option<Compression> {
    match media_type {
        OCI_LAYER | DOCKER_LAYER => Some(Compression::None),
        OCI_LAYER_GZIP | DOCKER_LAYER_GZIP => Some(Compression::Gzip),
        OCI_LAYER_ZSTD | DOCKER_LAYER_ZSTD => Some(Compression::Zstd),
        _ => None,
    }
}

/// The type of a layer of a compression, of docker's family or of OCI's.
pub fn layer(docker: bool, compression: Compression) -> &'static str {
    match (docker, compression) {
        (true, Compression::Gzip) => DOCKER_LAYER_GZIP,
        (true, Compression::None) => DOCKER_LAYER,
        (true, Compression::Zstd) => DOCKER_LAYER_ZSTD,
        (false, Compression::Gzip) => OCI_LAYER_GZIP,
        (false, Compression::None) => OCI_LAYER,
        (false, Compression::Zstd) => OCI_LAYER_ZSTD,
    }
}

/// Whether a manifest type is of docker's family, whose layers and config then use docker's types.
pub fn is_docker(manifest_type: &str) -> bool {
    matches!(manifest_type, DOCKER_MANIFEST | DOCKER_LIST)
}
