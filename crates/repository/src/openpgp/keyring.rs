//! Public keys for one repository, from files of an image or our own: binary or in armour, one after another.

use pgp::{
    composed::{Deserializable, SignedPublicKey},
    types::KeyDetails,
};

/// Bytes of one keyring. Debian's, with all certifications by others, has 60 kB.
const KEYRING_BYTES_MAX: usize = 4 << 20;
/// Keys of one repository.
const KEYS_MAX: usize = 512;
/// How an armoured key begins.
const ARMOUR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Keys that are trusted for a repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keyring {
    keys: Vec<Trusted>,
}

/// A key that is trusted, and which of it and its subkeys may sign.
#[derive(Debug, Clone)]
pub(super) struct Trusted {
    pub(super) key: SignedPublicKey,
    /// Fingerprints; all where there are none.
    only: Option<Vec<String>>,
}

impl Trusted {
    /// Whether the key or subkey of this fingerprint may sign.
    pub(super) fn admits(&self, fingerprint: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|listed| listed == fingerprint))
    }
}

impl From<SignedPublicKey> for Trusted {
    fn from(key: SignedPublicKey) -> Self {
        Trusted { key, only: None }
    }
}

impl Keyring {
    /// Adds the keys of a file. Keys of a kind that is not understood are passed over, as gpgv does; an error where none is
    /// left.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() > KEYRING_BYTES_MAX {
            return Err(format!("keyring of {} bytes, more than {KEYRING_BYTES_MAX}", bytes.len()));
        }
        let before = self.keys.len();
        match std::str::from_utf8(bytes).ok().filter(|text| text.contains(ARMOUR)) {
            Some(text) => {
                text.split(ARMOUR).skip(1).for_each(|block| self.add_armoured(&format!("{ARMOUR}{block}")))
            }
            None => self.add_binary(bytes),
        }
        match self.keys.len() {
            count if count == before => Err("no key that is understood".into()),
            count if count > KEYS_MAX => Err(format!("more than {KEYS_MAX} keys")),
            _ => Ok(()),
        }
    }

    fn add_armoured(&mut self, block: &str) {
        if let Ok((keys, _)) = SignedPublicKey::from_string_many(block) {
            self.keys.extend(keys.filter_map(Result::ok).take(KEYS_MAX + 1).map(Trusted::from));
        }
    }

    fn add_binary(&mut self, bytes: &[u8]) {
        if let Ok(keys) = SignedPublicKey::from_bytes_many(bytes) {
            self.keys.extend(keys.filter_map(Result::ok).take(KEYS_MAX + 1).map(Trusted::from));
        }
    }

    /// Leaves only what has one of these fingerprints (upper-case hexadecimal), as apt's `Signed-By` means them: a key stands
    /// for its subkeys too, unless `!` follows; a subkey for itself.
    pub(crate) fn restrict(&mut self, fingerprints: &[String]) {
        let listed = |print: &String| fingerprints.iter().any(|f| f.trim_end_matches('!') == print);
        self.keys.retain_mut(|Trusted { key, only }| {
            let primary = format!("{:X}", key.fingerprint());
            if fingerprints.contains(&primary) {
                return true;
            }
            let subkeys = key.public_subkeys.iter().map(|subkey| format!("{:X}", subkey.key.fingerprint()));
            let admitted: Vec<String> = std::iter::once(primary).chain(subkeys).filter(listed).collect();
            let any = !admitted.is_empty();
            *only = Some(admitted);
            any
        });
    }

    /// Adds all keys of another.
    pub(crate) fn join(&mut self, other: Keyring) {
        self.keys.extend(other.keys);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Fingerprints of the primary keys, in upper-case hexadecimal.
    #[cfg(test)]
    pub(crate) fn fingerprints(&self) -> Vec<String> {
        self.keys.iter().map(|trusted| format!("{:X}", trusted.key.fingerprint())).collect()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Trusted> {
        self.keys.iter()
    }
}
