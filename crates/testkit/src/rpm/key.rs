//! Keys that sign packages and indexes while the material is made; only their public halves are kept.

use crate::Error;
use crate::command::{Argv, argv};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// A key with a folder of its own.
pub(super) struct Key {
    home: TempDir,
    owner: String,
}

impl Key {
    pub(super) fn generate(owner: &str) -> Result<Key, Error> {
        // In the system's own folder: the sockets of gpg's agent have room for a short path only.
        let home = tempfile::Builder::new().prefix("gpg").tempdir().map_err(Error::io("temporary folder"))?;
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(home.path(), private).map_err(Error::io(home.path()))?;
        let key = Key { home, owner: owner.to_owned() };
        let user = format!("{owner} <nobody@example.invalid>");
        key.gpg(&["--quick-generate-key", &user, "rsa2048", "sign", "never"]).stdout()?;
        Ok(key)
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The public key in armour.
    pub(super) fn public(&self) -> Result<Vec<u8>, Error> {
        self.gpg(&["--armor", "--export"]).stdout()
    }

    /// Signs a file beside it, as `FILE.asc`.
    pub(super) fn sign_file(&self, file: &Path) -> Result<(), Error> {
        self.gpg(&["--armor", "--detach-sign"]).arg(file).stdout().map(drop)
    }

    fn gpg(&self, arguments: &[&str]) -> Argv {
        let gpg = argv(
            "gpg",
            ["--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", "", "--homedir"],
        );
        arguments.iter().fold(gpg.arg(self.home.path()), Argv::arg)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // The agent ends by itself when its folder is gone; this only makes it sooner.
        let _ = argv("gpgconf", ["--homedir"]).arg(self.home.path()).arg("--kill").arg("all").output();
    }
}
