//! Distribution client: auth, pull, mount, push, tags. What comes is verified; credentials go to their registry and its
//! token service only, and appear in no message.

mod auth;
mod blob;
mod certs_d;
mod challenge;
mod chunks;
mod credential_program;
mod credentials;
mod docker_config;
mod error;
mod logins;
mod manifest;
mod pages;
mod referrers;
mod registries_conf;
mod routes;
mod session;
mod tags;
mod token;
mod transport;
mod upload;
mod verified;

pub use blob::BlobReader;
pub use certs_d::{CertificateFolders, client_for};
pub use credentials::Credentials;
pub use docker_config::DockerConfig;
pub use error::Error;
pub use fetch::client::{
    Body, BodyReader, Client, ClientOptions, HostTls, Identity, ProxySettings, Secret, error_text,
};
pub use logins::Logins;
pub use manifest::FetchedManifest;
pub use referrers::{PutReport, referrers_tag};
pub use registries_conf::{RegistriesConf, ShortNameMode};
pub use routes::{Candidates, Purpose, Route, Routes};
pub use session::Registry;
pub use transport::Transport;
pub use verified::Verified;
