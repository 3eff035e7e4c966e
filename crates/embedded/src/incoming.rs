//! A blob on its way in, for those who read by waiting; the wait ends when we are told to stop.

use engine::{BlobStream, CancellationToken};
use std::io::{self, Read};
use tokio::{io::AsyncReadExt as _, runtime::Handle};

/// The stream.
pub(crate) struct Incoming {
    stream: BlobStream,
    cancel: CancellationToken,
    runtime: Handle,
    failure: Option<io::Error>,
}

impl Incoming {
    /// Reads from a thread that may wait.
    pub(crate) fn new(stream: BlobStream, cancel: CancellationToken, runtime: Handle) -> Self {
        Incoming { stream, cancel, runtime, failure: None }
    }

    /// Why the source itself gave up, if it did.
    pub(crate) fn failure(self) -> Option<io::Error> {
        self.failure
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (stream, cancel) = (&mut self.stream, &self.cancel);
        let read = self.runtime.block_on(async {
            tokio::select! {
                () = cancel.cancelled() => None,
                read = stream.read(buffer) => Some(read),
            }
        });
        match read {
            None => Err(io::Error::other("interrupted")),
            Some(Err(error)) => {
                let (kind, text) = (error.kind(), error.to_string());
                self.failure = Some(error);
                Err(io::Error::new(kind, text))
            }
            Some(read) => read,
        }
    }
}
