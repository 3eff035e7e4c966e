//! Images in tar files and streams: tars of an OCI layout, and tars as `docker save` writes them.

mod docker_names;
mod load_tar;
mod tar_stream;

pub use load_tar::{BaseBlobs, LoadTar, Root, TarSent, write_load_tar};
