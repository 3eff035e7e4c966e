//! Flags about the way to registries.

use std::path::PathBuf;

/// The way to registries.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Network")]
pub struct RegistryArgs {
    /// registries.conf to go by: mirrors, blocked and insecure registries, short names [default: the user's, the system's]
    ///
    /// What names like nginx mean is taken from it only where it is named here or by CONTAINERS_REGISTRIES_CONF; else they
    /// are docker.io's.
    #[arg(long, value_name = "FILE")]
    pub registries_conf: Option<PathBuf>,

    /// Folder with certificates by registry: DIR/HOST[:PORT]/{*.crt, client.cert, client.key}
    ///
    /// Goes before the usual ones: ~/.config/containers/certs.d, /etc/containers/certs.d, /etc/docker/certs.d.
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
}
