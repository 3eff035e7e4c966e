//! From the address of an archive to its source or destination.

use super::{ArchiveDestination, ArchiveSource, InputStream, OutputStream, StreamDestination};
use crate::{Address, Destination, Error, Source};
use oci::Reference;
use std::{path::PathBuf, sync::Arc};

/// What archives need beside their address.
pub struct Archives {
    /// A folder for temporary files: streams and compressed archives are put aside there.
    pub work_dir: PathBuf,
    /// Standard input, for the source `-`; `None` where it must not be read.
    pub input: Option<InputStream>,
    /// Standard output, for the destination `-`; `None` where it must not be written to.
    pub output: Option<OutputStream>,
    /// What a stream that is written calls the image.
    pub stream_names: Vec<Reference>,
}

impl Archives {
    /// The source at an address; `None` where it is no archive's.
    pub fn source(&mut self, address: &Address) -> Result<Option<Arc<dyn Source>>, Error> {
        let work_dir = self.work_dir.clone();
        Ok(Some(match address {
            Address::OciArchive { file, tag } => {
                Arc::new(ArchiveSource::oci(file.clone(), tag.clone(), work_dir))
            }
            Address::DockerArchive { file, reference } => {
                Arc::new(ArchiveSource::docker(file.clone(), reference.clone(), work_dir))
            }
            Address::Stream => {
                let input = self.input.take().ok_or_else(|| closed("standard input"))?;
                Arc::new(ArchiveSource::stream(input, work_dir))
            }
            _ => return Ok(None),
        }))
    }

    /// The destination at an address; `None` where it is no archive's.
    pub fn destination(
        &mut self,
        address: &Address,
        replace_source: bool,
    ) -> Result<Option<Arc<dyn Destination>>, Error> {
        let work_dir = self.work_dir.clone();
        Ok(Some(match address {
            Address::OciArchive { file, tag } => {
                Arc::new(ArchiveDestination::oci(file.clone(), tag.clone(), replace_source, work_dir))
            }
            Address::DockerArchive { file, reference } => Arc::new(ArchiveDestination::docker(
                file.clone(),
                reference.clone(),
                replace_source,
                work_dir,
            )),
            Address::Stream => {
                let output = self.output.take().ok_or_else(|| closed("standard output"))?;
                Arc::new(StreamDestination::new(output, self.stream_names.clone()))
            }
            _ => return Ok(None),
        }))
    }
}

fn closed(what: &str) -> Error {
    Error::Unavailable { what: what.to_owned(), tried: vec!["it is not open for an archive".into()] }
}
