//! Public keys as apk keeps them: RSA in PEM, each known by its file's name.

use base64::{Engine, engine::general_purpose::STANDARD};
use inventory::OsRelease;
use std::collections::BTreeMap;

/// Where an image has its keys; a name in the first hides the same in the second, which apk 3 has.
const FOLDERS: [&str; 2] = ["/etc/apk/keys/", "/lib/apk/keys/"];

/// Smallest modulus that counts; Alpine's oldest keys have just so many bits.
const BITS_MIN: usize = 2048;
/// Largest modulus, for the time that checking takes.
const BITS_MAX: usize = 8192;

/// `SEQUENCE { OBJECT IDENTIFIER rsaEncryption, NULL }` (RFC 3279, 2.3.1).
const RSA: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;

macro_rules! alpine {
    ($($id:literal)*) => {
        [$((
            concat!("alpine-devel@lists.alpinelinux.org-", $id, ".rsa.pub"),
            include_bytes!(concat!("../../keys/alpine/alpine-devel@lists.alpinelinux.org-", $id, ".rsa.pub")),
        )),*]
    };
}

/// Alpine's own keys, for images that have none. `keys/README.md` tells where they are from.
const ALPINE: &[(&str, &[u8])] = &alpine!["4a6a0840" "5243ef4b" "524d27bb" "5261cecb" "58199dcc" "58cbb476" "58e4f17d"
    "60ac2099" "6165ee59" "61666e3f" "616a9724" "616abc23" "616ac3bc" "616adfeb" "616ae350" "616db30d" "66ba20fe"];

/// Keys by name, as their files have them.
#[derive(Debug, Default)]
pub(super) struct Keys<'a>(BTreeMap<&'a str, &'a [u8]>);

/// A key that can be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// `RSAPublicKey` (RFC 8017, A.1.1) in DER.
    pub(super) der: Vec<u8>,
}

/// Why a key cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    Malformed(&'static str),
    Weak,
}

impl<'a> Keys<'a> {
    /// The image's own, or where it has none at all the distribution's.
    pub(super) fn of(files: &'a BTreeMap<String, Vec<u8>>, os: &OsRelease) -> Keys<'a> {
        let mut keys = Keys::default();
        for folder in FOLDERS {
            let own = files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(folder)?, bytes)));
            for (name, bytes) in own.filter(|(name, _)| !name.contains('/')) {
                keys.0.entry(name).or_insert(bytes);
            }
        }
        if keys.0.is_empty() && os.id == "alpine" {
            keys.0 = ALPINE.iter().copied().collect();
        }
        keys
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.get(name).copied()
    }
}

impl Key {
    /// Reads a key's file: one public key in PEM, and blank space.
    pub(super) fn parse(pem: &[u8]) -> Result<Key, Unusable> {
        let bad = Unusable::Malformed;
        let text = std::str::from_utf8(pem).map_err(|_| bad("not text"))?.trim();
        let body = text.strip_prefix("-----BEGIN PUBLIC KEY-----");
        let body = body.and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"));
        let body: String = body.ok_or(bad("no public key in PEM"))?.split_ascii_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| bad("not base64"))?;
        let key = subject_public_key(&der).ok_or(bad("no RSA public key"))?;
        let bits = modulus_bits(key).ok_or(bad("no RSA public key"))?;
        match bits {
            ..BITS_MIN => Err(Unusable::Weak),
            BITS_MIN..=BITS_MAX => Ok(Key { der: key.to_vec() }),
            _ => Err(bad("of more bits than is taken")),
        }
    }
}

/// The key inside `SubjectPublicKeyInfo` (RFC 5280, 4.1).
fn subject_public_key(der: &[u8]) -> Option<&[u8]> {
    let (info, rest) = element(der, SEQUENCE)?;
    let (bits, more) = element(info.strip_prefix(RSA)?, BIT_STRING)?;
    (rest.is_empty() && more.is_empty()).then(|| bits.strip_prefix(&[0]))?
}

/// Bits of the modulus of `RSAPublicKey`.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let (key, rest) = element(der, SEQUENCE)?;
    let (modulus, exponent) = element(key, INTEGER)?;
    let (_, more) = element(exponent, INTEGER)?;
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    (rest.is_empty() && more.is_empty()).then_some(bits)
}

/// The content of the DER element of this kind at the beginning, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), &rest[2..]),
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::command::argv;

    #[test]
    fn keys_of_alpine_are_read_and_used_where_an_image_has_none() {
        assert!(ALPINE.iter().all(|(_, pem)| Key::parse(pem).is_ok()));
        let os = |id: &str| OsRelease { id: id.into(), ..OsRelease::default() };
        let (none, name) = (BTreeMap::new(), "alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub");
        assert!(
            Keys::of(&none, &os("alpine")).get(name).is_some() && Keys::of(&none, &os("wolfi")).is_empty()
        );
        let own =
            [("/etc/apk/keys/a.rsa.pub", "1"), ("/lib/apk/keys/a.rsa.pub", "2"), ("/etc/apk/keys/x/b", "3")];
        let own = own.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into();
        let keys = Keys::of(&own, &os("alpine"));
        assert_eq!((keys.0.len(), keys.get("a.rsa.pub")), (1, Some(&b"1"[..])));
        assert_eq!(keys.get(name), None);
    }

    #[test]
    fn what_is_no_strong_rsa_key_is_refused() {
        let made = |arguments: &[&str]| {
            let private = argv("openssl", arguments).stdout().unwrap();
            argv("openssl", ["pkey", "-pubout"]).filter(&private).unwrap()
        };
        if testkit::apk::needs().is_err() {
            testkit::skip!("needs openssl");
        }
        assert_eq!(Key::parse(&made(&["genrsa", "1024"])), Err(Unusable::Weak));
        assert!(Key::parse(&made(&["genrsa", "2048"])).is_ok());
        let curve = made(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
        assert_eq!(Key::parse(&curve), Err(Unusable::Malformed("no RSA public key")));
        for text in [
            "",
            "-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----",
        ] {
            assert!(matches!(Key::parse(text.as_bytes()), Err(Unusable::Malformed(_))), "{text}");
        }
    }
}
