//! Where images come from and go to, in one shape: a registry, an OCI layout directory or archive, a local daemon.

mod address;
pub mod archive;
mod connections;
mod containerd;
mod content;
mod destination;
mod docker;
mod error;
mod feed;
mod layout;
mod local;
mod mirrored;
mod note;
mod podman;
mod program;
mod push;
mod registries;
mod registry_source;
mod resolve;
mod source;

pub use address::{Address, AddressError, LocalName};
pub use connections::Connections;
pub use containerd::{Containerd, ContainerdDestination, ContainerdSource};
pub use content::{Blob, Content, From, Outgoing};
pub use destination::{Destination, Load, Receipt, WriteRequest, Written};
pub use docker::{Docker, DockerDestination, DockerFacts, DockerSettings, DockerSource, ImageStore};
pub use error::Error;
pub use layout::{LayoutDestination, LayoutSource};
pub use local::{Daemon, LocalDaemons};
pub use note::{Note, TakeNote};
pub use podman::{Podman, PodmanDestination, PodmanSource};
pub use program::Programs;
pub use push::RegistryDestination;
pub use registries::RegistrySettings;
pub use registry_source::RegistrySource;
pub use source::{Beside, Named, Source, SourceImage};
