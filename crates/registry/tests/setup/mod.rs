//! Clients as the tests of this room need them: impatient, and repeating without long pauses.

use registry::{Client, ClientOptions, Credentials, Registry, Transport};
use std::time::Duration;
use testkit::fault_registry::FaultRegistry;

/// A client that waits for nothing long.
pub fn client() -> Client {
    let options = ClientOptions {
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
        backoff: Duration::from_millis(2),
        pause_max: Duration::from_millis(50),
        ..ClientOptions::default()
    };
    Client::new(options).unwrap()
}

/// The registry as nobody sees it.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn registry(server: &FaultRegistry) -> Registry {
    registry_as(server, Credentials::Anonymous)
}

/// The registry as somebody sees it.
pub fn registry_as(server: &FaultRegistry, credentials: Credentials) -> Registry {
    Registry::new(client(), &server.host(), Transport::Automatic, credentials)
}
