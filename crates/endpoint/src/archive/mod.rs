//! Images in tar files and streams: tars of an OCI layout, and tars as `docker save` writes them.
//!
//! ```text
//! file or stream ─(spool)─▶ tar_index ─▶ opened ─▶ layout | docker ─▶ source
//! destination ─▶ load_tar ─▶ tar_stream ─▶ file or stream
//! ```

mod build_context;
mod destination;
mod docker;
pub(crate) mod docker_names;
mod layout;
mod load_tar;
mod opened;
mod owned;
mod places;
mod source;
mod spool;
mod tar_index;
mod tar_stream;

pub use build_context::{BuildContext, ContextOutput};
pub use destination::{ArchiveDestination, OutputStream, StreamDestination};
pub use load_tar::{BaseBlobs, LoadTar, Root, TarSent, write_load_tar};
pub use places::Archives;
pub use source::{ArchiveSource, InputStream};
