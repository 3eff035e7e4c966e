//! TLS to a daemon: its own authority and our client certificate, as docker's command line keeps them in a folder.

use super::{context::bounded, settings::wrong};
use crate::Error;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{fmt, path::Path, sync::Arc};

/// A certificate with its chain is a few thousand bytes.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// What TLS needs.
pub(crate) struct Material {
    pub(crate) config: Arc<ClientConfig>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material")
    }
}

impl Material {
    /// From `ca.pem`, and `cert.pem` with `key.pem`. All of them `must` be there, or only the first.
    pub(super) fn read(dir: &Path, must: bool) -> Result<Self, Error> {
        let shown = |name: &str| dir.join(name).display().to_string().escape_debug().to_string();
        let pem = |name: &str| {
            let content = bounded(&dir.join(name), PEM_BYTES_MAX);
            content.map_err(|e| wrong(format!("{}: {e}", shown(name))))
        };
        let absent = |name: &str| wrong(format!("{} is missing", shown(name)));
        let useless = |name: &str| wrong(format!("{} holds nothing that can be used", shown(name)));
        let certificates = |name: &str, pem: &[u8]| {
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            found.ok().filter(|all| !all.is_empty()).ok_or_else(|| useless(name))
        };
        let authority = pem("ca.pem")?.ok_or_else(|| absent("ca.pem"))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca.pem", &authority)? {
            roots.add(certificate).map_err(|_| useless("ca.pem"))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|e| wrong(format!("TLS: {e}")))?.with_root_certificates(roots);
        let config = match (pem("cert.pem")?, pem("key.pem")?) {
            (Some(chain), Some(key)) => {
                let chain = certificates("cert.pem", &chain)?;
                let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| useless("key.pem"))?;
                builder.with_client_auth_cert(chain, key).map_err(|_| useless("key.pem"))?
            }
            (None, None) if !must => builder.with_no_client_auth(),
            (None, _) => return Err(absent("cert.pem")),
            (_, None) => return Err(absent("key.pem")),
        };
        Ok(Material { config: Arc::new(config) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_useless_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let said = || Material::read(folder.path(), true).err().unwrap().to_string();
        assert!(said().contains("ca.pem is missing"), "{}", said());
        for text in ["", "-----BEGIN CERTIFICATE-----\nsecret\n-----END CERTIFICATE-----\n"] {
            std::fs::write(folder.path().join("ca.pem"), text).unwrap();
            assert!(said().contains("ca.pem holds nothing") && !said().contains("secret"), "{}", said());
        }
    }
}
