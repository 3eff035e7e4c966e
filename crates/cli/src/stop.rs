//! The ways to be stopped: Ctrl-C, SIGTERM, SIGHUP and the deadline. The first asks, the second commands.

use crate::{args::go_text, error::Failure, exit::Kind, output};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Longest time that cleaning up may take once asked to stop; then the process ends as it is. The sandbox dies with it,
/// and the cache mends itself at the next start.
const GRACE: Duration = Duration::from_secs(5);

/// Cancels the work on a signal or at the deadline, and remembers why.
pub struct Stop {
    /// Told when to stop.
    pub token: CancellationToken,
    cause: Arc<OnceLock<Kind>>,
    timeout: Duration,
}

impl Stop {
    /// Listens from now on, within the runtime.
    pub fn arm(timeout: Duration) -> Result<Self, Failure> {
        let token = CancellationToken::new();
        let cause = Arc::new(OnceLock::new());
        let watch = Watch { token: token.clone(), cause: cause.clone(), signals: Signals::new()? };
        tokio::spawn(watch.run(timeout));
        Ok(Stop { token, cause, timeout })
    }

    /// The failure of a stop, if there was one.
    pub fn failure(&self) -> Option<Failure> {
        let kind = *self.cause.get()?;
        Some(match kind {
            Kind::Timeout => Failure::new(kind, format!("patch exceeded timeout {}", go_text(self.timeout)))
                .hint("Try increasing timeout with --timeout flag (e.g., --timeout 10m)"),
            Kind::Interrupted => Failure::new(kind, "interrupted"),
            _ => Failure::new(kind, "terminated"),
        })
    }
}

struct Signals {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|e| Failure::internal("cannot listen to signals").because(e.to_string()))
        };
        Ok(Signals {
            int: listen(SignalKind::interrupt())?,
            term: listen(SignalKind::terminate())?,
            hup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Kind {
        tokio::select! {
            _ = self.int.recv() => Kind::Interrupted,
            _ = self.term.recv() => Kind::Terminated,
            _ = self.hup.recv() => Kind::HungUp,
        }
    }
}

struct Watch {
    token: CancellationToken,
    cause: Arc<OnceLock<Kind>>,
    signals: Signals,
}

impl Watch {
    async fn run(mut self, timeout: Duration) {
        let kind = tokio::select! {
            kind = self.signals.next() => kind,
            () = tokio::time::sleep(timeout) => Kind::Timeout,
        };
        let _ = self.cause.set(kind);
        self.token.cancel();
        let last = tokio::select! {
            kind = self.signals.next() => kind,
            () = tokio::time::sleep(GRACE) => kind,
        };
        leave(last);
    }
}

#[expect(clippy::exit, reason = "the user insists, or cleaning up hangs")]
fn leave(kind: Kind) -> ! {
    output::say("stopped at once; what is left in the cache is cleaned at the next start");
    std::process::exit(i32::from(kind.code().code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_deadline_cancels_and_says_how_to_get_more_time() {
        let stop = Stop::arm(Duration::from_millis(10)).unwrap();
        assert!(stop.failure().is_none());
        stop.token.cancelled().await;
        let text = stop.failure().unwrap().to_string();
        assert_eq!(
            text,
            "error: patch exceeded timeout 10ms\nhint: Try increasing timeout with --timeout flag (e.g., --timeout 10m)"
        );
    }
}
