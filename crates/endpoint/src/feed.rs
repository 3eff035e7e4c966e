//! A blob as a body that may be asked for again: from a file or from the source, verified, its progress told.

use crate::{Blob, Error, From, WriteRequest};
use oci::Descriptor;
use registry::{Body, BodyReader, Verified};
use std::sync::Arc;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};

/// How much lies between reader and sender.
const PIPE_BYTES: usize = 512 << 10;
/// How much is read at once.
const CHUNK_BYTES: usize = 128 << 10;

/// Opens a blob. What it yields is exactly the blob, or an error.
pub(crate) async fn open(request: &WriteRequest<'_>, blob: &Blob) -> Result<Verified<BodyReader>, Error> {
    let Descriptor { digest, size, .. } = &blob.descriptor;
    let wrong = |source| Error::Blob { item: format!("blob {digest}"), source };
    let reader: BodyReader = match &blob.from {
        From::File(path) => {
            let file = tokio::fs::File::open(path).await.map_err(|e| wrong(e.into()))?;
            Box::new(file)
        }
        From::Bytes(bytes) => Box::new(std::io::Cursor::new(bytes.clone())),
        From::Source => request.source.open(&blob.descriptor).await.map_err(|e| wrong(e.into()))?,
    };
    Ok(Verified::new(reader, digest, *size))
}

/// Runs an upload whose body is fed with a blob, as often as the upload asks for it. The last bytes are held back until
/// the whole blob is verified, so that a bad one is never completed.
pub(crate) async fn feed<T>(
    request: &WriteRequest<'_>,
    blob: &Blob,
    upload: impl AsyncFnOnce(Body) -> Result<T, Error>,
) -> Result<T, Error> {
    let (asks, mut asked) = mpsc::unbounded_channel();
    let body = body(blob.descriptor.size, asks);
    let mut failure = None;
    let feeding = async {
        while let Some(pipe) = asked.recv().await {
            failure = pour(request, blob, pipe).await.err();
        }
        // The upload holds the other end as long as it lives.
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = upload(body) => result,
        () = feeding => unreachable!("feeding never ends by itself"),
    };
    match (result, failure) {
        (Err(_), Some(failure)) => Err(failure),
        (result, _) => result,
    }
}

fn body(size: u64, asks: mpsc::UnboundedSender<DuplexStream>) -> Body {
    let open = move || -> futures_util::future::BoxFuture<'static, std::io::Result<BodyReader>> {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let sent = asks.send(near);
        Box::pin(async move {
            sent.map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe))?;
            Ok(Box::new(far) as BodyReader)
        })
    };
    Body::Stream { size, open: Arc::new(open) }
}

/// Pours a blob into a pipe. An error only where the blob is to blame; a pipe that nobody reads is the upload's matter.
async fn pour(request: &WriteRequest<'_>, blob: &Blob, mut pipe: DuplexStream) -> Result<(), Error> {
    let mut reader = open(request, blob).await?;
    let Descriptor { digest, size, .. } = &blob.descriptor;
    let mut held = Vec::new();
    let mut done = 0;
    (request.progress)(digest, 0, *size);
    loop {
        let wrong = |e| Error::blob(format!("blob {digest}"), e);
        let fresh = next(&mut reader).await.map_err(wrong)?;
        if pipe.write_all(&held).await.is_err() {
            return Ok(());
        }
        done += held.len() as u64;
        (request.progress)(digest, done, *size);
        if fresh.is_empty() {
            return Ok(());
        }
        held = fresh;
    }
}

async fn next(reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    reader.take(CHUNK_BYTES as u64).read_buf(&mut chunk).await?;
    Ok(chunk)
}
