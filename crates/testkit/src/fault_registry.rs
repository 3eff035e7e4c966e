//! A registry on loopback that misbehaves by script: status, delay, cut, redirect, lies in headers, endless answers. It
//! records every request, what it carried, and whether it carried `Authorization`.
//!
//! Without a script it is a small, honest, in-memory registry; so each fault has its benign twin.

mod auth;
mod contents;
mod fault;
mod wire;

pub use auth::Access;
pub use contents::{MANIFEST_TYPE, sha256};
pub use fault::Fault;
pub use wire::{Answer, Recorded};

use contents::Contents;
use std::{
    collections::VecDeque,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A running registry. It goes when it is dropped.
pub struct FaultRegistry {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    contents: Contents,
    auth: auth::Auth,
    rules: Vec<Rule>,
    recorded: Vec<Recorded>,
    sent: u64,
}

/// Faults for the requests of one kind, one after the other; afterwards they are answered honestly.
struct Rule {
    method: String,
    part: String,
    faults: VecDeque<Fault>,
}

impl FaultRegistry {
    /// Starts one that anybody may use. Panics where loopback cannot be used.
    pub fn start() -> Self {
        FaultRegistry::start_with(Access::Open)
    }

    /// Starts one with access control. Panics where loopback cannot be used.
    pub fn start_with(access: Access) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = State { auth: auth::Auth::new(access), ..State::default() };
        let shared = Arc::new(Shared { address, stop: AtomicBool::new(false), state: Mutex::new(state) });
        let accepting = shared.clone();
        std::thread::spawn(move || accept(&listener, &accepting));
        FaultRegistry { address, shared }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Stores a blob; its digest.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        self.state().contents.put_blob(repository, bytes.to_vec())
    }

    /// Stores a manifest under a tag, whatever it refers to; its digest.
    pub fn put_manifest(&self, repository: &str, tag: &str, kind: &str, bytes: &[u8]) -> String {
        self.state().contents.put_manifest(repository, Some(tag), kind, bytes.to_vec())
    }

    /// Stores an image with these layer blobs (of any bytes) and their diff ids; the digest of its manifest.
    pub fn put_image(&self, repository: &str, tag: &str, layers: &[(&[u8], String)]) -> String {
        self.state().contents.put_image(repository, tag, layers)
    }

    /// The digest that a tag leads to.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        self.state().contents.tag(repository, tag)
    }

    /// Lets a tag lead elsewhere, as somebody else's push would.
    pub fn move_tag(&self, repository: &str, tag: &str, digest: &str) {
        self.state().contents.set_tag(repository, tag, digest);
    }

    /// The bytes of a blob, where the repository has it.
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.state().contents.blob(repository, digest).cloned()
    }

    /// The next requests of this method whose path (with query) contains `part` meet these faults, one each.
    pub fn fault(&self, method: &str, part: &str, faults: impl IntoIterator<Item = Fault>) {
        let rule = Rule { method: method.into(), part: part.into(), faults: faults.into_iter().collect() };
        self.state().rules.push(rule);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state().recorded.clone()
    }

    /// How many requests of this method had `part` in their path.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let state = self.state();
        state.recorded.iter().filter(|r| r.method == method && r.path.contains(part)).count()
    }

    /// Whether any request carried `Authorization`.
    pub fn saw_authorization(&self) -> bool {
        self.state().recorded.iter().any(|r| r.authorization.is_some())
    }

    /// Bytes of all bodies that it got and that it sent.
    pub fn bytes(&self) -> (u64, u64) {
        let state = self.state();
        (state.recorded.iter().map(|r| r.body).sum(), state.sent)
    }

    /// Makes every token that was given out void, as its expiry would.
    pub fn expire_tokens(&self) {
        self.state().auth.expire();
    }
}

impl Drop for FaultRegistry {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the listener; where that fails it is gone already.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that failed with the lock held must not hide why.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(stream) = stream {
            let shared = shared.clone();
            std::thread::spawn(move || serve(stream, &shared));
        }
    }
}

/// Answers the requests of one connection until either side ends it.
fn serve(stream: TcpStream, shared: &Shared) {
    let Ok(mut connection) = wire::Connection::new(stream) else { return };
    while let Some(mut head) = connection.read_head() {
        let early = shared.state().take_fault(&head.method, &head.path);
        if let Some(fault) = early.as_ref().filter(|f| f.is_before_body()) {
            shared.state().recorded.push(head.recorded(0));
            fault.wait();
            return;
        }
        let Some(body) = connection.read_body(&head) else { return };
        head.whole = matches!(early, Some(Fault::IgnoreRange));
        let done = match early {
            // What is answered so does not happen.
            Some(Fault::Answer(other)) => {
                shared.state().recorded.push(head.recorded(body.len() as u64));
                connection.send(&if head.method == "HEAD" { other.head_only() } else { other })
            }
            Some(fault) => {
                let honest = shared.state().answer(shared.address, &head, body);
                fault.send(&mut connection, honest)
            }
            None => {
                let honest = shared.state().answer(shared.address, &head, body);
                connection.send(&honest)
            }
        };
        shared.state().sent += connection.take_sent();
        if !done {
            return;
        }
    }
}

impl State {
    fn take_fault(&mut self, method: &str, path: &str) -> Option<Fault> {
        let fits = |r: &&mut Rule| r.method == method && path.contains(&r.part) && !r.faults.is_empty();
        self.rules.iter_mut().find(fits)?.faults.pop_front()
    }

    fn answer(&mut self, address: SocketAddr, head: &wire::Head, body: Vec<u8>) -> Answer {
        self.recorded.push(head.recorded(body.len() as u64));
        if let Some(answer) = self.auth.answer(address, head, &body) {
            return answer;
        }
        self.contents.answer(head, body)
    }
}
