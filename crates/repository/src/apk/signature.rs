//! Signatures of an index: which there are, and whether one of them counts.
//!
//! `.SIGN.RSA.<key>` is PKCS #1 v1.5 over the SHA-1 of the next member, and all that Alpine's builders make for this format; apk
//! itself takes it, and there is nothing else to go by. To forge one, other bytes with the SHA-1 of an index that was signed
//! must be found (a second preimage), which nobody can; who could have bytes of their own put into an index before it is signed
//! might make two with the same SHA-1, and such bytes are told by the traces that this leaves. Where there is one over SHA-256
//! or SHA-512 too, that one is taken.

use super::{
    checksum::{Hashing, Kind},
    keys::{Key, Keys, Unusable},
    member,
};
use crate::SignatureFault;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RsaParameters, UnparsedPublicKey,
};

/// Bytes that the signatures unpack to; one of the largest key has 1 kB.
const BYTES_MAX: u64 = 64 << 10;
/// Signatures of one index.
const SIGNATURES_MAX: usize = 16;
/// How the name of a signature's file begins.
const PREFIX: &str = ".SIGN.";

/// Hashes, the strongest first.
const HASHES: [(&str, &RsaParameters); 3] = [
    ("RSA512.", &RSA_PKCS1_2048_8192_SHA512),
    ("RSA256.", &RSA_PKCS1_2048_8192_SHA256),
    ("RSA.", &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
];

/// The place of SHA-1 in [`HASHES`].
const SHA1: usize = 2;

/// Whether the name of a member's file says that the member signs the next one.
pub(super) fn is_signature(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// One signature.
struct Signature {
    /// In [`HASHES`].
    hash: usize,
    /// The name of the key's file.
    key: String,
    bytes: Vec<u8>,
}

/// What is signed of an index, and the name of the key that did: everything after the first member, which has the signatures.
pub(super) fn verified<'a>(index: &'a [u8], keys: &Keys<'_>) -> Result<(&'a [u8], String), SignatureFault> {
    let malformed = |why: String| SignatureFault::Malformed(inventory::printable(&why));
    // What is not signed is the list itself, which may be long.
    let found = member::unpacked(index, BYTES_MAX).map_err(malformed)?;
    let (plain, signed) = found.ok_or(SignatureFault::Missing)?;
    let files = member::files(&plain, SIGNATURES_MAX).map_err(malformed)?;
    if files.is_empty() || !files.keys().all(|name| is_signature(name)) {
        return Err(SignatureFault::Missing);
    }
    let mut signatures: Vec<_> =
        files.into_iter().filter_map(|(name, bytes)| Signature::of(&name, bytes)).collect();
    signatures.sort_by_key(|signature| signature.hash);
    let first = signatures.first().ok_or_else(|| malformed("of an unknown kind".into()))?;
    let Some(known) = signatures.iter().find(|signature| keys.get(&signature.key).is_some()) else {
        return Err(SignatureFault::UnknownKey(inventory::printable(&first.key)));
    };
    known.verify(signed, keys.get(&known.key).unwrap_or_default())?;
    Ok((signed, known.key.clone()))
}

impl Signature {
    /// `None` where it is of a kind that is not known.
    fn of(name: &str, bytes: Vec<u8>) -> Option<Signature> {
        let rest = name.strip_prefix(PREFIX)?;
        let found =
            HASHES.iter().enumerate().find_map(|(hash, (kind, _))| Some((hash, rest.strip_prefix(kind)?)));
        found.map(|(hash, key)| Signature { hash, key: key.to_owned(), bytes })
    }

    fn verify(&self, signed: &[u8], pem: &[u8]) -> Result<(), SignatureFault> {
        let name = || inventory::printable(&self.key);
        let weak = |why| SignatureFault::Weak { key: name(), why };
        let key = Key::parse(pem).map_err(|why| match why {
            Unusable::Weak => weak("an RSA key of less than 2048 bits"),
            Unusable::Malformed(why) => SignatureFault::Malformed(format!("{}: {why}", name())),
        })?;
        let parameters = HASHES[self.hash].1;
        let public = UnparsedPublicKey::new(parameters, &key.der);
        public.verify(signed, &self.bytes).map_err(|_| SignatureFault::Bad(name()))?;
        if self.hash == SHA1 {
            let mut hashing = Hashing::new(Kind::Sha1);
            hashing.update(signed);
            hashing.finish().ok_or_else(|| weak("what is signed was made to collide under SHA-1"))?;
        }
        Ok(())
    }
}
