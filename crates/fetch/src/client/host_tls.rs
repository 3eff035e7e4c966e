//! What one host needs of TLS beside what the client has: an authority of its own, a client certificate.

use super::Secret;

/// What one host needs of TLS. The default adds nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostTls {
    /// Certificates to trust beside the client's, as PEM: for the host, and for what it sends to (token service,
    /// storage), as docker and podman have it.
    pub ca_pem: Option<Vec<u8>>,
    /// What to show to the host, and to no other, when it asks who we are.
    pub identity: Option<Identity>,
    /// Takes any certificate of the host. Those of other hosts are verified all the same.
    pub unverified: bool,
}

/// A client certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and those that vouch for it, as PEM.
    pub certificates_pem: Vec<u8>,
    /// The private key, as PEM.
    pub key_pem: Secret,
}

impl HostTls {
    /// Whether it adds nothing.
    pub fn is_plain(&self) -> bool {
        *self == HostTls::default()
    }
}
