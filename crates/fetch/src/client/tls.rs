//! TLS settings: the system's certificates and the user's own, ring, TLS 1.2 and 1.3.

use super::error::{Cause, Error};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use std::sync::Arc;

/// The configuration. A machine without any certificate is no error here: plain HTTP works, and TLS then trusts nobody.
pub(crate) fn config(ca_pem: Option<&[u8]>) -> Result<ClientConfig, Error> {
    let extra = ca_pem.map_or(Ok(Vec::new()), certificates)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = |e: rustls::Error| Error::Settings { what: "TLS settings", source: Box::new(e) };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let has_extra = !extra.is_empty();
    let mut config = match Verifier::new_with_extra_roots(extra, provider) {
        Ok(verifier) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        Err(e) if has_extra => return Err(ca_error(Box::new(e))),
        Err(_) => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn ca_error(source: Cause) -> Error {
    Error::Settings { what: "CA certificate file", source }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(all) if all.is_empty() => Err(ca_error("it holds no PEM certificate".into())),
        Ok(all) => Ok(all),
        Err(e) => Err(ca_error(e.to_string().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(config(None).is_ok());
        for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(config(Some(pem.as_bytes())), Err(Error::Settings { .. })), "{pem}");
        }
    }
}
