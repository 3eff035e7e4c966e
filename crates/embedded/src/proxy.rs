//! Where steps find the egress proxy: a door in the sandbox's own loopback, so that it clashes with nothing on the host.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// The address that init listens on.
pub(crate) const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3128));
/// The same as a URL.
pub(crate) const URL: &str = "http://127.0.0.1:3128";

#[cfg(test)]
mod tests {
    #[test]
    fn the_url_is_the_address() {
        assert_eq!(super::URL, format!("http://{}", super::ADDRESS));
    }
}
