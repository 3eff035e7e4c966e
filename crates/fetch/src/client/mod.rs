//! The HTTP client: every request bounded in time, size, redirects and retries; credentials go to their own origin only.

mod address;
mod error;
mod host_tls;
mod options;
mod parts;
mod redirect;
mod request;
mod response;
mod resume;
mod retry;
mod send;
mod shown;
mod tls;
mod transports;

pub(crate) use address::METADATA;
pub use address::{Reach, is_in_private_network, is_link_local, is_loopback_host, is_private};
pub use error::Error;
pub use host_tls::{HostTls, Identity};
pub use options::{ClientOptions, PartSettings, ProxySettings};
pub use parts::{InParts, PartOpener, first_part, in_parts};
pub use request::{Body, BodyReader, Request};
pub use reqwest::{
    Method, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
pub use response::Response;
pub use resume::{Opener, resumable};
pub use retry::Pauses;
pub use send::Client;
pub use shown::{Secret, error_text, printable, same_origin, shown};
