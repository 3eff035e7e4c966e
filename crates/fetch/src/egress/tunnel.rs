//! CONNECT: an opaque connection to an allowed host, bounded in time without traffic and in what may go out.

use super::body::Body;
use super::dial::Stop;
use super::forward::{bare, check_host_header};
use super::hosts::{Scheme, Target};
use super::record::{Entry, How, Refusal};
use super::serve::Proxy;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

/// Most bytes out of the sandbox through one tunnel: thousands of requests, and no way to carry much away.
const OUT_BYTES_MAX: u64 = 64 << 20;
/// Size of a piece.
const PIECE_BYTES: usize = 32 << 10;

/// The target of a CONNECT.
pub(super) fn target_of(request: &Request<Incoming>) -> Result<Target, Refusal> {
    let authority = request.uri().authority().ok_or(Refusal::Form)?;
    if authority.port().is_none() || authority.as_str().contains('@') {
        return Err(Refusal::Form);
    }
    let target = Target::of(authority.as_str(), Scheme::Tunnel)?;
    check_host_header(request.headers(), &target, Scheme::Tunnel)?;
    Ok(target)
}

/// Connects, and once the sandbox has its answer, carries bytes both ways.
pub(super) async fn tunnel(
    proxy: &Proxy,
    request: Request<Incoming>,
    entry: Entry,
    stop: CancellationToken,
) -> Result<Response<Body>, Stop> {
    let target = target_of(&request)?;
    let far = proxy.dialer().tunnel(&target).await?;
    entry.answered(200, How::Tunnel);
    let idle = proxy.idle();
    tokio::spawn(async move {
        let carry = async {
            let near = hyper::upgrade::on(request).await.map_err(io::Error::other)?;
            carry(TokioIo::new(near), far, &entry, idle).await
        };
        let done = tokio::select! {
            done = carry => done,
            () = stop.cancelled() => Ok(()),
        };
        if let Err(error) = done {
            entry.failed(format!("tunnel: {error}"));
        }
    });
    Ok(bare(StatusCode::OK))
}

/// Carries until both sides have ended, or nothing moves for `idle`.
async fn carry<N, F>(near: N, far: F, entry: &Entry, idle: Duration) -> io::Result<()>
where
    N: AsyncRead + AsyncWrite,
    F: AsyncRead + AsyncWrite,
{
    let (near_read, near_write) = tokio::io::split(near);
    let (far_read, far_write) = tokio::io::split(far);
    let moved = AtomicU64::new(0);
    let count = |bytes: u64| {
        moved.fetch_add(bytes, Ordering::Relaxed);
        entry.sent(bytes);
    };
    let both = async {
        tokio::try_join!(
            one_way(near_read, far_write, OUT_BYTES_MAX, &count),
            one_way(far_read, near_write, super::BODY_BYTES_MAX, &count),
        )
    };
    tokio::select! {
        done = both => done.map(drop),
        () = until_idle(&moved, idle) => Ok(()),
    }
}

async fn one_way<R, W>(mut from: R, mut to: W, max: u64, count: &impl Fn(u64)) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (mut piece, mut total) = (vec![0; PIECE_BYTES], 0);
    loop {
        let bytes = from.read(&mut piece).await?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        total += bytes as u64;
        if total > max {
            return Err(io::Error::other(format!("more than {max} bytes one way")));
        }
        to.write_all(&piece[..bytes]).await?;
        count(bytes as u64);
    }
}

async fn until_idle(moved: &AtomicU64, idle: Duration) {
    let mut before = u64::MAX;
    loop {
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
        tokio::time::sleep(idle).await;
    }
}
