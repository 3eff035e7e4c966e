//! OCI layout directories (image-spec `image-layout.md`): every file reached from the directory's own descriptor, no
//! symbolic link followed.

mod dir;
mod index_file;
mod read;
mod write;

pub use read::LayoutSource;
pub use write::LayoutDestination;
