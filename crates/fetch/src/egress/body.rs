//! Content on its way: taken from a server under time and size bounds, given to the sandbox in pieces.

use super::record::Entry;
use bytes::Bytes;
use http_body_util::{BodyExt as _, channel};
use hyper::body::Incoming;
use std::{
    io::Read as _,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tower::BoxError;

/// Pieces that wait for the sandbox to take them.
const PIECES_AHEAD: usize = 4;
/// Size of a piece read from the cache: small, because a sandbox may leave dozens of answers waiting.
const PIECE_BYTES: u64 = 64 << 10;
/// Over this time of waiting for a server…
const RATE_WINDOW: Duration = Duration::from_secs(60);
/// …at least this much must have come: slower is a fault, or an attack that would hold the run until its timeout.
const RATE_BYTES_MIN: u64 = 30 << 10;

/// The body of an answer to the sandbox.
pub(super) type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;

/// Content from a server.
pub(super) struct Intake {
    body: Incoming,
    idle: Duration,
    bytes_max: u64,
    bytes: u64,
    pace: Pace,
}

impl Intake {
    pub(super) fn new(body: Incoming, idle: Duration, bytes_max: u64) -> Self {
        Intake { body, idle, bytes_max, bytes: 0, pace: Pace::default() }
    }

    /// The next piece; nothing at the proper end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let begin = Instant::now();
            let frame = match timeout(self.idle, self.body.frame()).await {
                Err(_) => return Err(format!("the server sent nothing for {} s", self.idle.as_secs())),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(format!("the server broke off: {error}")),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            self.bytes += data.len() as u64;
            if self.bytes > self.bytes_max {
                return Err(format!("the server sent more than {} bytes", self.bytes_max));
            }
            self.pace.took(begin.elapsed(), data.len() as u64)?;
            return Ok(Some(data));
        }
    }
}

/// How fast a server sends, counting only the time in which we wait for it.
#[derive(Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn took(&mut self, waited: Duration, bytes: u64) -> Result<(), String> {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < RATE_WINDOW {
            return Ok(());
        }
        if self.bytes < RATE_BYTES_MIN {
            return Err(format!("the server sent {} bytes in {} s", self.bytes, self.waited.as_secs()));
        }
        *self = Pace::default();
        Ok(())
    }
}

/// Where content goes: the sandbox, its record, and the end of the network.
pub(super) struct Outlet {
    sender: channel::Sender<Bytes, BoxError>,
    entry: Entry,
    idle: Duration,
    stop: CancellationToken,
}

impl Outlet {
    /// The two ends of one answer.
    pub(super) fn open(entry: Entry, idle: Duration, stop: CancellationToken) -> (Outlet, Body) {
        let (sender, body) = channel::Channel::new(PIECES_AHEAD);
        (Outlet { sender, entry, idle, stop }, body.boxed_unsync())
    }

    /// Gives one piece.
    async fn send(&mut self, data: Bytes) -> Result<(), String> {
        let bytes = data.len() as u64;
        match timeout(self.idle, self.sender.send_data(data)).await {
            Err(_) => Err("the sandbox took nothing for too long".into()),
            Ok(Err(_)) => Err("the sandbox hung up".into()),
            Ok(Ok(())) => {
                self.entry.sent(bytes);
                Ok(())
            }
        }
    }

    /// Cuts the answer off, so that it cannot be taken for a whole one.
    fn cut(self, why: String) {
        self.entry.failed(why.clone());
        self.sender.abort(why.into());
    }

    /// Gives everything that comes from a server. True when it came to its proper end.
    pub(super) async fn pass(mut self, mut from: Intake) -> bool {
        let stop = self.stop.clone();
        let work = async {
            while let Some(data) = from.next().await? {
                self.send(data).await?;
            }
            Ok(())
        };
        let done = until(&stop, work).await;
        self.finish(done)
    }

    /// Gives a file, as far as it has been written, to its end.
    pub(super) async fn follow(mut self, file: std::fs::File, mut state: watch::Receiver<State>) -> bool {
        let stop = self.stop.clone();
        let work = async {
            let (mut file, mut sent) = (file, 0);
            loop {
                let now = state.borrow_and_update().clone();
                while sent < now.bytes {
                    let data = read_piece(&mut file, now.bytes - sent).await?;
                    sent += data.len() as u64;
                    self.send(data).await?;
                }
                match now.end {
                    Some(end) => return end,
                    None => state.changed().await.map_err(|_| "the download was given up")?,
                }
            }
        };
        let done = until(&stop, work).await;
        self.finish(done)
    }

    fn finish(self, done: Result<(), String>) -> bool {
        match done {
            Ok(()) => true,
            Err(why) => {
                self.cut(why);
                false
            }
        }
    }
}

async fn until(
    stop: &CancellationToken,
    work: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    tokio::select! {
        done = work => done,
        () = stop.cancelled() => Err("the step ended".into()),
    }
}

/// How far a file has been written.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// Content that can be read.
    pub(super) bytes: u64,
    /// Set when no more will come.
    pub(super) end: Option<Result<(), String>>,
}

async fn read_piece(file: &mut std::fs::File, left: u64) -> Result<Bytes, String> {
    let mut piece = Vec::new();
    // A piece is read from the page cache in well under a millisecond: handing it to a thread would cost more.
    let read = file.take(left.min(PIECE_BYTES)).read_to_end(&mut piece);
    match read {
        Ok(0) => Err("the cached object ended early".into()),
        Ok(_) => Ok(piece.into()),
        Err(error) => Err(format!("cannot read the cached object: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_is_noticed_and_a_slow_line_is_not() {
        let mut drip = Pace::default();
        let fed: Vec<_> = (0..120).map(|_| drip.took(Duration::from_secs(1), 1)).collect();
        assert_eq!(fed.iter().position(Result::is_err), Some(59));
        let mut slow = Pace::default();
        assert!((0..600).all(|_| slow.took(Duration::from_secs(1), 1024).is_ok()));
    }
}
