//! Certificates of a registry, good and bad, and of its clients, made by `openssl`.

use crate::{Error, command::argv};
use std::{fs, path::Path};

/// What a registry shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Certificate {
    /// One for loopback names, of an authority of its own.
    #[default]
    Good,
    /// The same, out of date.
    Expired,
    /// One for `elsewhere.test` only.
    OtherName,
    /// One that nobody vouches for but itself.
    SelfSigned,
}

/// Makes an authority (`ca`), a certificate of its (`server`, unless it vouches for itself) and one for a client (`client`).
pub(super) fn make(folder: &Path, certificate: Certificate) -> Result<(), Error> {
    let names = match certificate {
        Certificate::OtherName => "subjectAltName=DNS:elsewhere.test",
        _ => "subjectAltName=DNS:localhost,DNS:registry.test,IP:127.0.0.1",
    };
    let configuration = format!("[server]\n{names}\n[client]\nextendedKeyUsage=clientAuth\n");
    let path = folder.join("extensions");
    fs::write(&path, configuration).map_err(Error::io(&path))?;
    let openssl = |text: &str| argv("openssl", text.split(' ')).folder(folder).stdout().map(drop);
    let key = "req -newkey rsa:2048 -nodes -days 30";
    openssl(&format!("{key} -x509 -subj /CN=testkit-ca -keyout ca.key -out ca.crt"))?;
    openssl(&format!("{key} -subj /CN=client -keyout client.key -out client.csr"))?;
    openssl(
        "x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile extensions -extensions client -out client.crt",
    )?;
    if certificate == Certificate::SelfSigned {
        return openssl(&format!(
            "{key} -x509 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout server.key -out server.crt"
        ));
    }
    openssl(&format!("{key} -subj /CN=localhost -keyout server.key -out server.csr"))?;
    if certificate == Certificate::Expired {
        return sign_expired(folder);
    }
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile extensions -extensions server -out server.crt",
    )
}

/// Only `openssl ca` makes certificates of other times than now.
fn sign_expired(folder: &Path) -> Result<(), Error> {
    let configuration = "[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
        policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n";
    for (name, content) in [("ca.conf", configuration), ("index", ""), ("serial", "1000\n")] {
        let path = folder.join(name);
        fs::write(&path, content).map_err(Error::io(&path))?;
    }
    let sign = "ca -batch -config ca.conf -cert ca.crt -keyfile ca.key -in server.csr -out server.crt -notext \
        -startdate 20200101000000Z -enddate 20200201000000Z -extfile extensions -extensions server";
    argv("openssl", sign.split_whitespace()).folder(folder).stdout().map(drop)
}
