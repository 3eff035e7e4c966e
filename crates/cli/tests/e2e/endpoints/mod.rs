//! Every kind of place as source and as destination, and every kind of registry: `copa` itself patches, and others judge.
//! `cargo xtask endpoints` makes docs/reference/endpoints.md of what these tests say.

mod bytes_up;
mod debian;
mod judges;
mod local;
mod place;
mod registries;
mod stopped_pushes;
mod subject;
mod table;

use place::Kind;
use testkit::daemon::{DockerVersion, Store};

macro_rules! rows {
    ($($source:ident: $kind:expr;)*) => { $(
        #[test]
        fn $source() {
            table::row($kind);
        }
    )* };
}

rows! {
    from_registry: Kind::Registry;
    from_oci_layout: Kind::Layout;
    from_oci_archive: Kind::OciArchive;
    from_docker_archive: Kind::DockerArchive;
    from_stream: Kind::Stream;
    from_docker_28: Kind::Docker(DockerVersion::V28, Store::Classic);
    from_docker_28_with_containerd_store: Kind::Docker(DockerVersion::V28, Store::Containerd);
    from_docker_26: Kind::Docker(DockerVersion::V26, Store::Classic);
    from_docker_26_with_containerd_store: Kind::Docker(DockerVersion::V26, Store::Containerd);
    from_podman: Kind::Podman;
    from_containerd: Kind::Containerd;
}
