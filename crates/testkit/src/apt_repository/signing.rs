//! Keys that live as long as a repository, and signatures, good and bad ones, made by the real `gpg`.

use crate::{
    Error,
    command::{Argv, argv},
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// How the head of an index is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// By the repository's own key.
    Good,
    /// By the repository's own key, but the text was changed afterwards.
    Tampered,
    /// By a key that nobody trusts.
    Stranger,
    /// By the repository's own key over a hash that is no longer trusted.
    Weak,
    /// Not at all.
    Missing,
}

/// A key with a folder of its own.
pub(crate) struct Key {
    home: TempDir,
}

impl Key {
    pub(crate) fn generate(owner: &str) -> Result<Key, Error> {
        // In the system's own folder: the sockets of gpg's agent have room for a short path only.
        let home = tempfile::Builder::new().prefix("gpg").tempdir().map_err(Error::io("temporary folder"))?;
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(home.path(), private).map_err(Error::io(home.path()))?;
        let key = Key { home };
        let user = format!("{owner} <nobody@example.invalid>");
        let arguments = ["--quick-generate-key", &user, "rsa2048", "sign", "never"];
        arguments.iter().fold(key.gpg(), Argv::arg).stdout()?;
        Ok(key)
    }

    /// Writes the public key beside `stem`, as `.gpg` and in armour as `.asc`.
    pub(crate) fn export(&self, stem: &Path) -> Result<(), Error> {
        let public = self.gpg().arg("--export").stdout()?;
        let armoured = self.gpg().arg("--armor").arg("--export").stdout()?;
        for (extension, bytes) in [("gpg", public), ("asc", armoured)] {
            let path = stem.with_extension(extension);
            fs::write(&path, bytes).map_err(Error::io(&path))?;
        }
        Ok(())
    }

    /// Signs the `Release` in `suite`: `InRelease`, and `Release.gpg` beside it.
    pub(super) fn sign(&self, suite: &Path, signature: Signature) -> Result<(), Error> {
        if signature == Signature::Missing {
            return Ok(());
        }
        let weak: &[&str] = if signature == Signature::Weak { &["--digest-algo", "SHA1"] } else { &[] };
        let release = suite.join("Release");
        for (how, name) in [("--clear-sign", "InRelease"), ("--detach-sign", "Release.gpg")] {
            let gpg = weak.iter().fold(self.gpg().arg("--armor"), Argv::arg);
            gpg.arg("--output").arg(suite.join(name)).arg(how).arg(&release).stdout()?;
        }
        if signature == Signature::Tampered { tamper(suite) } else { Ok(()) }
    }

    /// Signs any file, apart from it and not in armour.
    pub(crate) fn detach(&self, file: &Path, signature: &Path, words: &[&str]) -> Result<(), Error> {
        let gpg = words.iter().fold(self.gpg(), Argv::arg);
        gpg.arg("--output").arg(signature).arg("--detach-sign").arg(file).stdout().map(drop)
    }

    fn gpg(&self) -> Argv {
        argv(
            "gpg",
            ["--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", "", "--homedir"],
        )
        .arg(self.home.path())
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // The agent ends by itself when its folder is gone; this only makes it sooner.
        let _ = argv("gpgconf", ["--homedir"]).arg(self.home.path()).arg("--kill").arg("all").output();
    }
}

/// Changes what has been signed.
fn tamper(suite: &Path) -> Result<(), Error> {
    for name in ["InRelease", "Release"] {
        let path = suite.join(name);
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        fs::write(&path, text.replacen("Label: copa", "Label: Copa", 1)).map_err(Error::io(&path))?;
    }
    Ok(())
}
