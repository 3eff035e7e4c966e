//! RSA keys as apk has them, and signatures, good and bad ones, made by the real `openssl`.

use super::member;
use crate::tar::Entry;
use crate::{Error, command::argv};
use std::path::PathBuf;
use tempfile::TempDir;

/// How a package or an index is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signature {
    /// By the repository's own key over SHA-1, as Alpine's builders do.
    #[default]
    Good,
    /// By the repository's own key over SHA-256.
    Sha256,
    /// By the repository's own key, but over something else.
    Tampered,
    /// By a key that the image does not have.
    Stranger,
    /// By a key that the image does not have, under the name of the repository's own.
    Impostor,
    /// Not at all.
    Missing,
}

/// The keys of a repository: its own, and one that nobody trusts.
pub(super) struct Keys {
    folder: TempDir,
}

/// The name of the repository's own key in images.
pub const NAME: &str = "copa@example.invalid-5f3a2b1c.rsa.pub";
const STRANGER: &str = "stranger@example.invalid-00000000.rsa.pub";

impl Keys {
    pub(super) fn generate() -> Result<Keys, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let keys = Keys { folder };
        for name in ["own", "stranger"] {
            argv("openssl", ["genrsa", "-out"]).arg(keys.private(name)).arg("2048").stdout()?;
        }
        Ok(keys)
    }

    /// The public half of the repository's own key, in PEM.
    pub(super) fn public(&self) -> Result<Vec<u8>, Error> {
        argv("openssl", ["rsa", "-pubout", "-in"]).arg(self.private("own")).stdout()
    }

    /// The public half of the key that nobody trusts.
    pub(super) fn strange(&self) -> Result<Vec<u8>, Error> {
        argv("openssl", ["rsa", "-pubout", "-in"]).arg(self.private("stranger")).stdout()
    }

    /// The member that stands before `signed` and signs it; empty where it is not signed.
    pub(super) fn member(&self, signed: &[u8], signature: Signature) -> Result<Vec<u8>, Error> {
        let (key, name) = match signature {
            Signature::Missing => return Ok(Vec::new()),
            Signature::Stranger => ("stranger", STRANGER),
            Signature::Impostor => ("stranger", NAME),
            _ => ("own", NAME),
        };
        let (hash, kind) =
            if signature == Signature::Sha256 { ("-sha256", "RSA256") } else { ("-sha1", "RSA") };
        let signed = if signature == Signature::Tampered { &signed[1..] } else { signed };
        let bytes = argv("openssl", ["dgst", hash, "-sign"]).arg(self.private(key)).filter(signed)?;
        member::of(&[Entry::file(&format!(".SIGN.{kind}.{name}"), bytes)], false)
    }

    fn private(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
