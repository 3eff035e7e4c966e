//! Whether a text is signed by one of the keys given.

use super::{Keyring, key::Signer, keyring::Trusted};
use crate::SignatureFault;
use pgp::{
    composed::{Deserializable, DetachedSignature},
    crypto::hash::HashAlgorithm,
    packet::{Signature, SignatureType, SubpacketData},
};

/// Signatures looked at on one text. Debian's have three.
const SIGNATURES_MAX: usize = 32;
/// How far a signature may be ahead of our clock.
const AHEAD_SECONDS_MAX: i64 = 24 * 3600;

/// What is signed, and how.
#[derive(Clone, Copy)]
pub(crate) enum Signed<'a> {
    /// A text whose signature follows it in one file.
    Clear(&'a str),
    /// A file beside the signature.
    Detached(&'a [u8]),
}

/// The fingerprint of a key that has signed, or the most telling reason why none of the signatures counts.
pub(crate) fn verify(
    signed: Signed<'_>,
    signatures: &[u8],
    keys: &Keyring,
    now: i64,
) -> Result<String, SignatureFault> {
    let mut worst = SignatureFault::Missing;
    for signature in parse(signatures)? {
        match judge(signed, &signature, keys, now) {
            Ok(fingerprint) => return Ok(fingerprint),
            Err(fault) if rank(&fault) > rank(&worst) => worst = fault,
            Err(_) => {}
        }
    }
    Err(worst)
}

fn parse(bytes: &[u8]) -> Result<Vec<Signature>, SignatureFault> {
    let malformed = |e: pgp::errors::Error| SignatureFault::Malformed(inventory::printable(&e.to_string()));
    let found: Box<dyn Iterator<Item = _>> = match bytes.starts_with(b"-----BEGIN") {
        true => DetachedSignature::from_armor_many_buf(bytes).map_err(malformed)?.0,
        false => DetachedSignature::from_bytes_many(bytes).map_err(malformed)?,
    };
    let found = found.take(SIGNATURES_MAX).collect::<Result<Vec<_>, _>>().map_err(malformed)?;
    match found.is_empty() {
        true => Err(SignatureFault::Malformed("no signature in it".into())),
        false => Ok(found.into_iter().map(|detached| detached.signature).collect()),
    }
}

/// How telling a fault is: a known key that does not fit says more than an unknown one.
fn rank(fault: &SignatureFault) -> u8 {
    match fault {
        SignatureFault::Missing => 0,
        SignatureFault::Malformed(_) => 1,
        SignatureFault::UnknownKey(_) => 2,
        SignatureFault::Weak { .. } => 3,
        SignatureFault::Expired(_) => 4,
        SignatureFault::Revoked(_) => 5,
        SignatureFault::Bad(_) => 6,
    }
}

fn judge<'k>(
    signed: Signed<'_>,
    signature: &Signature,
    keys: &'k Keyring,
    now: i64,
) -> Result<String, SignatureFault> {
    let malformed = |why: &str| Err(SignatureFault::Malformed(why.to_owned()));
    let signer = |trusted: &'k Trusted| {
        Signer::of(&trusted.key, signature).filter(|signer| trusted.admits(&signer.fingerprint()))
    };
    let signers: Vec<_> = keys.keys().filter_map(signer).collect();
    if signers.is_empty() {
        return Err(SignatureFault::UnknownKey(maker(signature)));
    }
    let (Some(made), Some(hash)) = (signature.created(), signature.hash_alg()) else {
        return malformed("a version that is not understood, or no date");
    };
    let kind_fits = match (signed, signature.typ()) {
        (Signed::Clear(_), kind) => kind == Some(SignatureType::Text),
        (Signed::Detached(_), kind) => matches!(kind, Some(SignatureType::Text | SignatureType::Binary)),
    };
    if !kind_fits || has_unknown_critical(signature) {
        return malformed("not a signature of this kind of text");
    }
    let (made, name) = (i64::from(made.as_secs()), maker(signature));
    if made > now.saturating_add(AHEAD_SECONDS_MAX) {
        return malformed("dated in the future");
    }
    let lasts = signature.signature_expiration_time().map(|d| i64::from(d.as_secs()));
    if lasts.is_some_and(|seconds| seconds != 0 && made + seconds <= now) {
        return Err(SignatureFault::Expired(name));
    }
    if !is_strong(hash) {
        return Err(SignatureFault::Weak { key: name, why: "its digest can be forged" });
    }
    let mut fault = SignatureFault::Missing;
    for signer in signers {
        match by(signer, signed, signature, made) {
            Ok(fingerprint) => return Ok(fingerprint),
            Err(why) => fault = why,
        }
    }
    Err(fault)
}

fn by(
    signer: Signer<'_>,
    signed: Signed<'_>,
    signature: &Signature,
    made: i64,
) -> Result<String, SignatureFault> {
    let data = match signed {
        Signed::Clear(text) => text.as_bytes(),
        Signed::Detached(bytes) => bytes,
    };
    if !signer.has_signed(signature, data) {
        return Err(SignatureFault::Bad(signer.fingerprint()));
    }
    signer.could_sign(made).map(|()| signer.fingerprint())
}

fn is_strong(hash: HashAlgorithm) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha224, Sha256, Sha384, Sha512};
    matches!(hash, Sha224 | Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512)
}

/// RFC 9580 §5.2.3.7: what is marked critical and not understood makes a signature void.
fn has_unknown_critical(signature: &Signature) -> bool {
    let unknown =
        |data: &SubpacketData| matches!(data, SubpacketData::Other(..) | SubpacketData::Experimental(..));
    let config = signature.config();
    config.is_none_or(|config| config.hashed_subpackets().any(|p| p.is_critical && unknown(&p.data)))
}

/// Who says to have signed: the fingerprint, or else the key's id.
fn maker(signature: &Signature) -> String {
    let print = signature.issuer_fingerprint().first().map(|print| format!("{print:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    print.or_else(id).unwrap_or_else(|| "of no name".into())
}
