//! OCI layout directories (image-spec `image-layout.md`): every file reached from the directory's own descriptor, no
//! symbolic link followed.

mod dir;
pub(crate) mod index_file;
pub(crate) mod read;
mod write;

pub use read::LayoutSource;
pub use write::LayoutDestination;
