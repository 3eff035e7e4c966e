//! A registry on loopback that misbehaves by script, in memory or in front of a real one, and records what it saw.
//!
//! Without a script it is honest; so each fault has its benign twin. What it can do:
//!
//! - **Contents**: [`FaultRegistry::start`] holds everything in memory (blobs, manifests, tags, chunked uploads, ranges,
//!   mounts, referrers, paging; [`Behaviour`] says which of it). [`FaultRegistry::in_front_of`] passes every request to a
//!   real registry ([`crate::registry::Registry`]) and its answers back: real semantics with faults between.
//! - **Access**: [`Access`]: open, user and password, or tokens that end after some uses; in both modes.
//! - **Scripts**: [`FaultRegistry::fault`] gives the next requests of a method whose path contains a text one [`Fault`]
//!   each ([`Fault::None`] passes one over); [`FaultRegistry::fault_at`] the n-th of them, [`FaultRegistry::fault_always`]
//!   all. Rules are tried in the order in which they were made.
//! - **Interruption**: [`FaultRegistry::break_after`] makes it vanish once it has got so many bytes or requests;
//!   [`FaultRegistry::mend`] brings it back with what it holds.
//! - **Records**: [`FaultRegistry::requests`], [`FaultRegistry::count`], [`FaultRegistry::bytes`],
//!   [`FaultRegistry::blob_bytes`] (up and down, by digest), [`FaultRegistry::saw_authorization`] (ask a second registry
//!   that plays the foreign origin).
//!
//! ```no_run
//! use testkit::fault_registry::{Access, Fault, FaultRegistry};
//! let real = testkit::registry::Registry::start().expect("docker-registry is installed");
//! let user = None; // tokens for anybody, each good for three requests
//! let access = Access::Token { user, refresh: None, uses: 3, realm: None };
//! let front = FaultRegistry::in_front_of(&real.host(), access);
//! front.fault_at("PATCH", "/blobs/uploads/", 2, Fault::CutRequest(1000));
//! // … push to front.host() …
//! assert!(front.bytes().0 > 0);
//! ```

mod auth;
mod behaviour;
mod contents;
mod fault;
mod records;
mod serve;
mod uploads;
mod upstream;
mod wire;

pub use auth::Access;
pub use behaviour::Behaviour;
pub use contents::{INDEX_TYPE, MANIFEST_TYPE, sha256};
pub use fault::Fault;
pub use records::Break;
pub use wire::{Answer, Recorded};

use contents::Contents;
use records::Records;
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
    /// The real registry behind, where there is one.
    upstream: Option<String>,
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    contents: Contents,
    auth: auth::Auth,
    rules: Vec<Rule>,
    records: Records,
}

/// Faults for the requests of one kind, one after the other; afterwards all meet `always`, or are answered honestly.
struct Rule {
    method: String,
    part: String,
    faults: VecDeque<Fault>,
    always: Option<Fault>,
}

impl FaultRegistry {
    /// Starts one in memory that anybody may use. Panics where loopback cannot be used.
    pub fn start() -> Self {
        FaultRegistry::start_with(Access::Open)
    }

    /// Starts one in memory with access control. Panics where loopback cannot be used.
    pub fn start_with(access: Access) -> Self {
        FaultRegistry::listen(access, None)
    }

    /// Starts one that passes everything to a real registry at `upstream` (`HOST:PORT`, plain http). With [`Access::Open`]
    /// `Authorization` is passed on too; else it is asked for here, and not shown to the real one. Panics where loopback
    /// cannot be used.
    pub fn in_front_of(upstream: &str, access: Access) -> Self {
        FaultRegistry::listen(access, Some(upstream.to_owned()))
    }

    fn listen(access: Access, upstream: Option<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Mutex::new(State { auth: auth::Auth::new(access), ..State::default() });
        let shared = Arc::new(Shared { address, upstream, stop: AtomicBool::new(false), state });
        let accepting = shared.clone();
        std::thread::spawn(move || serve::accept(&listener, &accepting));
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

    /// Makes it a registry of another kind (in memory only).
    pub fn behave(&self, behaviour: Behaviour) {
        self.state().contents.behaviour = behaviour;
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

    /// How many uploads are begun and not ended.
    pub fn open_uploads(&self) -> usize {
        self.state().contents.open_uploads()
    }

    /// Forgets all uploads that are not ended, as a restart would.
    pub fn forget_uploads(&self) {
        self.state().contents.forget_uploads();
    }

    /// The next requests of this method (`*`: any) whose path (with query) contains `part` meet these faults, one each.
    pub fn fault(&self, method: &str, part: &str, faults: impl IntoIterator<Item = Fault>) {
        self.rule(method, part, faults.into_iter().collect(), None);
    }

    /// The `nth` such request from now on meets the fault; the first is 1.
    pub fn fault_at(&self, method: &str, part: &str, nth: usize, fault: Fault) {
        let before = std::iter::repeat_n(Fault::None, nth.saturating_sub(1));
        self.fault(method, part, before.chain([fault]));
    }

    /// Every such request meets the fault.
    pub fn fault_always(&self, method: &str, part: &str, fault: Fault) {
        self.rule(method, part, VecDeque::new(), Some(fault));
    }

    fn rule(&self, method: &str, part: &str, faults: VecDeque<Fault>, always: Option<Fault>) {
        self.state().rules.push(Rule { method: method.into(), part: part.into(), faults, always });
    }

    /// Drops all scripts: it is honest again.
    pub fn clear_faults(&self) {
        self.state().rules.clear();
    }

    /// Makes it vanish (every connection is cut) after so much more has come.
    pub fn break_after(&self, limit: Break) {
        self.state().records.break_after(limit);
    }

    /// Brings it back after [`FaultRegistry::break_after`].
    pub fn mend(&self) {
        self.state().records.mend();
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state().records.all.clone()
    }

    /// Forgets the requests so far, and with them what was counted.
    pub fn clear_requests(&self) {
        self.state().records.clear();
    }

    /// How many requests of this method (`*`: any) had `part` in their path. What the client gave up half way is none.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let fits = |r: &&Recorded| fits(method, &r.method) && r.path.contains(part) && !r.given_up;
        self.state().records.all.iter().filter(fits).count()
    }

    /// Whether any request carried `Authorization`.
    pub fn saw_authorization(&self) -> bool {
        self.state().records.all.iter().any(|r| r.authorization.is_some())
    }

    /// Bytes of all bodies that it got and that it sent.
    pub fn bytes(&self) -> (u64, u64) {
        self.state().records.bytes()
    }

    /// Bytes of one blob that it got (in all requests of the uploads that ended as this blob) and that it sent.
    pub fn blob_bytes(&self, digest: &str) -> (u64, u64) {
        self.state().records.blob_bytes(digest)
    }

    /// Makes every token that was given out void, as its expiry would.
    pub fn expire_tokens(&self) {
        self.state().auth.expire();
    }

    /// From now on gives no more tokens to anybody, or gives them again.
    pub fn refuse_tokens(&self, refuse: bool) {
        self.state().auth.refuse(refuse);
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

impl State {
    fn take_fault(&mut self, method: &str, path: &str) -> Option<Fault> {
        let meets = |r: &&mut Rule| {
            fits(&r.method, method) && path.contains(&r.part) && (r.always.is_some() || !r.faults.is_empty())
        };
        let rule = self.rules.iter_mut().find(meets)?;
        rule.faults.pop_front().or_else(|| rule.always.clone())
    }
}

fn fits(wanted: &str, method: &str) -> bool {
    wanted == "*" || wanted == method
}

#[cfg(test)]
mod tests;
