//! A tar to load as the body of a request, made while it is sent.

use super::{api::Client, temporary::Temporary};
use crate::{
    Error, WriteRequest,
    archive::{LoadTar, TarSent, write_load_tar},
};
use bytes::Bytes;
use http_body_util::{
    BodyExt,
    channel::{Channel, Sender},
};
use std::io;
use tokio::io::{AsyncReadExt, DuplexStream};

/// How much lies between who makes the tar and who sends it.
const PIPE_BYTES: usize = 512 << 10;
/// How much is sent at once.
const CHUNK_BYTES: usize = 128 << 10;
/// Chunks that wait.
const WAITING: usize = 2;

/// Has the daemon load a tar that names `temporary`. A tar that cannot be made breaks the request off, so that nothing of it has a
/// name; once all of it was sent, the daemon goes on by itself.
pub(super) async fn upload(
    client: &Client,
    request: &WriteRequest<'_>,
    tar: &LoadTar<'_>,
    (item, temporary): (&str, &Temporary),
) -> Result<TarSent, Error> {
    let (sender, body) = Channel::<Bytes, io::Error>::new(WAITING);
    let made = async {
        let made = make(request, tar, sender).await;
        temporary.set_underway(made.is_ok());
        made
    };
    let loaded = async {
        let loaded = client.load(item, body.boxed_unsync()).await;
        temporary.set_underway(false);
        loaded
    };
    let (made, loaded) = futures_util::future::join(made, loaded).await;
    match (made, loaded) {
        (Ok(sent), Ok(())) => Ok(sent),
        // What the daemon says is why it did not read on.
        (Ok(_) | Err(Error::Io { .. }), Err(refused)) => Err(refused),
        (Err(error), _) => Err(error),
    }
}

async fn make(
    request: &WriteRequest<'_>,
    tar: &LoadTar<'_>,
    mut sender: Sender<Bytes, io::Error>,
) -> Result<TarSent, Error> {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let (made, ()) =
        futures_util::future::join(write_load_tar(request, tar, near), send(far, &mut sender)).await;
    if let Err(error) = &made {
        sender.abort(io::Error::other(error.to_string()));
    }
    made
}

/// Ends early where nobody takes it any more.
async fn send(mut far: DuplexStream, sender: &mut Sender<Bytes, io::Error>) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut far).take(CHUNK_BYTES as u64).read_buf(&mut chunk).await;
        if read.is_err() || chunk.is_empty() || sender.send_data(chunk.into()).await.is_err() {
            return;
        }
    }
}
