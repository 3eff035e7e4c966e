//! TLS settings: the system's certificates and the user's own, ring, TLS 1.2 and 1.3; what one host needs beside them.

use super::{
    HostTls, Identity,
    error::{Cause, Error},
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use rustls_platform_verifier::Verifier;
use std::sync::Arc;

/// The configuration for every host. A machine without any certificate is no error here: plain HTTP works, and TLS then
/// trusts nobody.
pub(crate) fn config(ca_pem: Option<&[u8]>) -> Result<ClientConfig, Error> {
    config_for(ca_pem, "", &HostTls::default())
}

/// The configuration for one host, by its name without port; authorities of its own are among the others by now.
pub(crate) fn config_for(ca_pem: Option<&[u8]>, host: &str, tls: &HostTls) -> Result<ClientConfig, Error> {
    let extra = ca_pem.map_or(Ok(Vec::new()), |pem| chain(pem).map_err(ca_error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (has_extra, named) = (!extra.is_empty(), extra.clone());
    let trusted = match Verifier::new_with_extra_roots(extra, provider.clone()) {
        Err(e) if has_extra => return Err(ca_error(Box::new(e))),
        found => found.ok(),
    };
    let unverified = tls.unverified.then(|| host.to_owned());
    let trust = Trust { trusted, named, unverified, provider: provider.clone() };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Settings { what: "TLS settings", source: Box::new(e) })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust));
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = pair(identity)?;
            builder.with_client_auth_cert(chain, key).map_err(|e| identity_error(Box::new(e)))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn ca_error(source: Cause) -> Error {
    Error::Settings { what: "CA certificate file", source }
}

fn identity_error(source: Cause) -> Error {
    Error::Settings { what: "client certificate", source }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(all) if all.is_empty() => Err("it holds no PEM certificate".into()),
        Ok(all) => Ok(all),
        Err(e) => Err(e.to_string().into()),
    }
}

/// What is wrong with a key is not told in detail: the message might quote it.
fn pair(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let chain = chain(&identity.certificates_pem).map_err(identity_error)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes());
    let key = key.map_err(|_| identity_error("its key is no PEM private key without password".into()))?;
    Ok((chain, key))
}

/// Whom to believe.
#[derive(Debug)]
struct Trust {
    /// The system's and the user's authorities, where there are any.
    trusted: Option<Verifier>,
    /// Those that the user named.
    named: Vec<CertificateDer<'static>>,
    /// The host whose certificate is taken as it is.
    unverified: Option<String>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    /// A server's certificate that vouches for itself, as `openssl req -x509` makes them: good where the user named it.
    fn verify_named(
        &self,
        certificate: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.named.iter().any(|named| named == certificate) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }
}

/// Whether nothing is wrong but that the certificate is an authority's. webpki looks at its dates before that.
fn vouches_for_itself(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    other.0.to_string() == "CaUsedAsEndEntity"
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.unverified.as_deref().is_some_and(|name| name == server_name.to_str()) {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(trusted) = &self.trusted else { return Err(CertificateError::UnknownIssuer.into()) };
        let verified = trusted.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(error) if vouches_for_itself(&error) => self.verify_named(end_entity, server_name),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Secret;

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(config(None).is_ok());
        for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(config(Some(pem.as_bytes())), Err(Error::Settings { .. })), "{pem}");
        }
    }

    #[test]
    fn a_client_certificate_that_is_none_is_refused_without_its_key() {
        for (certificates, key) in
            [("", "hunter2"), ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "hunter2")]
        {
            let identity = Identity { certificates_pem: certificates.into(), key_pem: Secret::new(key) };
            let tls = HostTls { identity: Some(identity), ..HostTls::default() };
            let error = config_for(None, "h.example", &tls).unwrap_err();
            assert!(matches!(error, Error::Settings { what: "client certificate", .. }), "{error:?}");
            assert!(!format!("{error:?} {tls:?}").contains("hunter2"), "{error:?}");
        }
    }
}
