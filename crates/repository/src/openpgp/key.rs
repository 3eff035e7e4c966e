//! One public key with what binds it: whether it, or a subkey of it, could sign at a given time.

use crate::SignatureFault;
use pgp::{
    composed::SignedPublicKey,
    packet::{PublicSubkey, Signature, SignatureType},
    types::{KeyDetails, PublicParams, Tag},
};
use rsa_bits::bits;

/// Fewest bits of an RSA key, as apt has it.
const RSA_BITS_MIN: usize = 2048;

/// A key that may have made a signature.
#[derive(Clone, Copy)]
pub(super) enum Signer<'a> {
    Primary(&'a SignedPublicKey),
    Subkey(&'a SignedPublicKey, &'a pgp::composed::SignedPublicSubKey),
}

/// What self-signatures say of a key at a time.
struct Binding {
    /// Seconds since 1970 at which it ends.
    expires: Option<i64>,
    signs: bool,
}

impl<'a> Signer<'a> {
    /// Every key that could have made a signature, by what the signature says of its maker.
    pub(super) fn of(key: &'a SignedPublicKey, signature: &Signature) -> Option<Signer<'a>> {
        let made_by = |details: &dyn KeyDetails| {
            let (id, print) = (details.legacy_key_id(), details.fingerprint());
            let prints = signature.issuer_fingerprint();
            match prints.is_empty() {
                true => signature.issuer_key_id().contains(&&id),
                false => prints.contains(&&print),
            }
        };
        if made_by(&key.primary_key) {
            return Some(Signer::Primary(key));
        }
        key.public_subkeys
            .iter()
            .find(|subkey| made_by(&subkey.key))
            .map(|subkey| Signer::Subkey(key, subkey))
    }

    /// Its fingerprint, in upper-case hexadecimal.
    pub(super) fn fingerprint(&self) -> String {
        match self {
            Signer::Primary(key) => format!("{:X}", key.fingerprint()),
            Signer::Subkey(_, subkey) => format!("{:X}", subkey.key.fingerprint()),
        }
    }

    /// Whether the arithmetic comes out.
    pub(super) fn has_signed(&self, signature: &Signature, data: &[u8]) -> bool {
        match self {
            Signer::Primary(key) => signature.verify(&key.primary_key, data).is_ok(),
            Signer::Subkey(_, subkey) => signature.verify(&subkey.key, data).is_ok(),
        }
    }

    /// Whether it could sign at a time, in seconds since 1970.
    pub(super) fn could_sign(&self, at: i64) -> Result<(), SignatureFault> {
        let name = self.fingerprint();
        let weak = |why| Err(SignatureFault::Weak { key: name.clone(), why });
        let (primary, params, made) = match self {
            Signer::Primary(key) => (key, key.public_params(), key.created_at()),
            Signer::Subkey(key, subkey) => (key, subkey.key.public_params(), subkey.key.created_at()),
        };
        if let Some(why) = weakness(params) {
            return weak(why);
        }
        if is_revoked(primary) || self.is_revoked_subkey() {
            return Err(SignatureFault::Revoked(name));
        }
        if i64::from(made.as_secs()) > at {
            return Err(SignatureFault::Malformed(format!("older than key {name}")));
        }
        let Some(own) = primary_binding(primary) else { return weak("the key does not vouch for itself") };
        let binding = match self {
            Signer::Primary(_) => Some(own.signs),
            Signer::Subkey(key, subkey) => match subkey_binding(key, subkey) {
                Some(Binding { expires, .. }) if is_past(expires, at) => {
                    return Err(SignatureFault::Expired(name));
                }
                binding => binding.map(|binding| binding.signs),
            },
        };
        match binding {
            _ if is_past(own.expires, at) => Err(SignatureFault::Expired(name)),
            Some(true) => Ok(()),
            _ => weak("the key is not meant for signing"),
        }
    }

    fn is_revoked_subkey(&self) -> bool {
        let Signer::Subkey(key, subkey) = self else { return false };
        let revokes = |s: &&Signature| s.typ() == Some(SignatureType::SubkeyRevocation);
        subkey
            .signatures
            .iter()
            .filter(revokes)
            .any(|s| s.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok())
    }
}

fn is_past(end: Option<i64>, at: i64) -> bool {
    end.is_some_and(|end| end <= at)
}

fn weakness(params: &PublicParams) -> Option<&'static str> {
    match params {
        PublicParams::RSA(rsa) if bits(rsa) < RSA_BITS_MIN => Some("RSA key of less than 2048 bits"),
        PublicParams::RSA(_)
        | PublicParams::ECDSA(_)
        | PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => None,
        _ => Some("an algorithm that is no longer used for signing"),
    }
}

fn is_revoked(key: &SignedPublicKey) -> bool {
    key.details.revocation_signatures.iter().any(|s| s.verify_key(&key.primary_key).is_ok())
}

/// What the newest valid self-signature says. Its digest may be an old one: a keyring is trusted as it lies there.
fn primary_binding(key: &SignedPublicKey) -> Option<Binding> {
    let primary = &key.primary_key;
    let own = |s: &&Signature| {
        s.issuer_key_id().contains(&&primary.legacy_key_id()) || !s.issuer_fingerprint().is_empty()
    };
    let direct = key.details.direct_signatures.iter().filter(own).filter(|s| s.verify_key(primary).is_ok());
    let users = key.details.users.iter().flat_map(|user| {
        let certifies = |s: &&Signature| s.typ() != Some(SignatureType::CertRevocation);
        let valid = |s: &&Signature| s.verify_certification(primary, Tag::UserId, &user.id).is_ok();
        user.signatures.iter().filter(certifies).filter(own).filter(valid)
    });
    newest(direct.chain(users), primary.created_at().as_secs())
}

fn subkey_binding(key: &SignedPublicKey, subkey: &pgp::composed::SignedPublicSubKey) -> Option<Binding> {
    let binds = |s: &&Signature| s.typ() == Some(SignatureType::SubkeyBinding);
    let valid = |s: &&Signature| s.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok();
    let bindings = subkey.signatures.iter().filter(binds).filter(valid);
    let newest_one = bindings.max_by_key(|s| s.created().map(|t| t.as_secs()))?;
    let mut binding = newest(std::iter::once(newest_one), subkey.key.created_at().as_secs())?;
    binding.signs &= is_bound_back(newest_one, &subkey.key, key);
    Some(binding)
}

/// A subkey that signs must itself say whose it is, or anyone could claim its signatures.
fn is_bound_back(binding: &Signature, subkey: &PublicSubkey, key: &SignedPublicKey) -> bool {
    let back = binding.embedded_signature();
    back.is_some_and(|back| back.verify_primary_key_binding(subkey, &key.primary_key).is_ok())
}

fn newest<'s>(signatures: impl Iterator<Item = &'s Signature>, made: u32) -> Option<Binding> {
    let newest = signatures.max_by_key(|s| s.created().map(|t| t.as_secs()))?;
    let lasts = newest.key_expiration_time().map(|d| d.as_secs()).filter(|seconds| *seconds != 0);
    let expires = lasts.map(|seconds| i64::from(made) + i64::from(seconds));
    Some(Binding { expires, signs: newest.key_flags().sign() })
}

mod rsa_bits {
    use pgp::{ser::Serialize, types::RsaPublicParams};

    /// Bits of the modulus, as the key's own encoding says: it begins with them (RFC 9580 §3.2).
    pub(super) fn bits(params: &RsaPublicParams) -> usize {
        let encoded = params.to_bytes().unwrap_or_default();
        match encoded[..] {
            [high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
            _ => 0,
        }
    }
}
