//! A package's file: its two headers, its signatures, and what they vouch for.
//!
//! Sources: rpm's manual on the format of packages (lead, signature header, header, payload) and on signatures.

use super::{keys::Signers, replaced::Replaced};
use crate::{
    Error, Package, SignatureFault,
    archive::Form,
    inflate::Packing,
    openpgp::{Keyring, Signed, verify},
    section::Section,
};
use inventory::{
    printable,
    rpm::{Header, Tag, contents, header},
};
use oci::Hasher;
use std::{collections::BTreeMap, io::Read};

const LEAD_BYTES: u64 = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
const INTRO_BYTES: u64 = 16;

/// Largest header taken; a signature header has some kilobytes.
pub(super) const HEADER_BYTES_MAX: u64 = header::DATA_BYTES_MAX as u64;

/// Tags of the signature header (rpm's `include/rpm/rpmtag.h`): signatures of the header by DSA, EdDSA and ECDSA keys, by RSA keys,
/// and rpm 6's list of all in base64.
const SIGNATURES: [Tag; 2] = [Tag(268), Tag(267)];
const SIGNATURE_LIST: Tag = Tag(278);

/// Signatures of one package that are looked at: each costs the digest of the whole header. Real packages have two or three.
const SIGNATURES_MAX: usize = 16;

/// `PGPHASHALGO_SHA256` (RFC 9580 §9.5).
const SHA256: u64 = 8;

/// The name of the header among the control files.
pub(crate) const HEADER: &str = "header";

/// A package's headers, each as it lies in the file.
struct Headers {
    signature: Vec<u8>,
    header: Vec<u8>,
    /// Where they end.
    end: u64,
}

/// A package's headers, and its content.
struct Parts {
    headers: Headers,
    payload: Section,
}

/// Gives so many bytes from somewhere in a file.
type Bytes<'a> = dyn Fn(u64, u64) -> Result<Vec<u8>, String> + 'a;

impl Headers {
    fn of(bytes: &Bytes<'_>) -> Result<Headers, String> {
        let lead = bytes(0, LEAD_BYTES)?;
        if lead[..4] != LEAD_MAGIC || !matches!(lead[4], 3 | 4) {
            return Err("not a package of a form that we know".into());
        }
        if lead[6..8] != [0, 0] {
            return Err("a source package".into());
        }
        let signature = header_at(bytes, LEAD_BYTES)?;
        let at = LEAD_BYTES + (signature.len() as u64).next_multiple_of(8);
        let header = header_at(bytes, at)?;
        let end = at + header.len() as u64;
        Ok(Headers { signature, header, end })
    }

    fn header(&self) -> Result<Header<'_>, String> {
        parsed(&self.header)
    }

    /// Signatures of the header, the first ones where there are very many.
    fn signatures(&self) -> Result<Vec<Vec<u8>>, String> {
        let header = parsed(&self.signature)?;
        let mut all = Vec::new();
        for tag in SIGNATURES {
            all.extend(header.binary(tag).map_err(|e| e.to_string())?.map(<[u8]>::to_vec));
        }
        for text in header.texts(SIGNATURE_LIST).map_err(|e| e.to_string())?.take(SIGNATURES_MAX) {
            let armour = [b"-----BEGIN PGP SIGNATURE-----\n\n", text, b"\n-----END PGP SIGNATURE-----\n"];
            all.push(armour.concat());
        }
        Ok(all)
    }

    /// Who signed the header.
    fn signed_by(&self, keys: &Keyring, now: i64) -> Result<String, SignatureFault> {
        let malformed = SignatureFault::Malformed;
        if !self.header().map_err(malformed)?.is_sealed(Tag::HEADER_IMMUTABLE) {
            return Err(SignatureFault::Malformed("its header has more than what is signed".into()));
        }
        let mut worst = SignatureFault::Missing;
        for signature in self.signatures().map_err(malformed)? {
            match verify(Signed::Detached(&self.header), &signature, keys, now) {
                Ok(fingerprint) => return Ok(fingerprint),
                Err(fault) if worst == SignatureFault::Missing => worst = fault,
                Err(_) => {}
            }
        }
        Err(worst)
    }
}

impl Parts {
    fn of(file: &Section) -> Result<Parts, String> {
        let headers = Headers::of(&|at, size| part(file, at, size))?;
        let rest = file.len().checked_sub(headers.end).and_then(|size| file.part(headers.end, size));
        Ok(Parts { payload: rest.ok_or("it breaks off")?, headers })
    }

    /// Whether the payload is what the header says.
    fn check_payload(&self) -> Result<(), String> {
        let header = self.headers.header()?;
        let text = header.text(Tag::PAYLOAD_DIGEST).map_err(|e| e.to_string())?;
        let kind = header.number(Tag::PAYLOAD_DIGEST_ALGO).map_err(|e| e.to_string())?;
        let (Some(expected), Some(SHA256)) = (text, kind) else {
            return Err("its header has no SHA-256 digest of its content".into());
        };
        let (mut hasher, mut stream, mut buffer) =
            (Hasher::default(), self.payload.clone(), vec![0; 256 << 10]);
        loop {
            match stream.read(&mut buffer).map_err(|e| e.to_string())? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
        match hasher.finish().hex() == expected {
            true => Ok(()),
            false => Err("its content is not what its header says".into()),
        }
    }
}

fn parsed(bytes: &[u8]) -> Result<Header<'_>, String> {
    let (header, rest) = Header::parse_in_file(bytes).map_err(|e| e.to_string())?;
    if rest.is_empty() { Ok(header) } else { Err("something after its header".into()) }
}

fn header_at(bytes: &Bytes<'_>, at: u64) -> Result<Vec<u8>, String> {
    let intro = bytes(at, INTRO_BYTES)?;
    let number =
        |at: usize| u64::from(u32::from_be_bytes([intro[at], intro[at + 1], intro[at + 2], intro[at + 3]]));
    let size = INTRO_BYTES + number(8) * 16 + number(12);
    if size > HEADER_BYTES_MAX {
        return Err(format!("a header of {size} bytes"));
    }
    bytes(at, size)
}

fn part(file: &Section, at: u64, size: u64) -> Result<Vec<u8>, String> {
    let part = file.part(at, size).ok_or("it breaks off")?;
    let mut bytes = Vec::new();
    part.take(size).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err("it breaks off".into()) }
}

/// Whether a package is signed as it must be, and has the content that is signed.
pub(crate) fn check(file: &Section, signers: &Signers, item: &str, now: i64) -> Result<(), Error> {
    let archive = |why: String| Error::Archive { item: item.to_owned(), why: printable(&why) };
    let Some(keys) = &signers.0 else { return Ok(()) };
    let parts = Parts::of(file).map_err(archive)?;
    let signature = |fault| Error::Signature { url: item.to_owned(), fault };
    let signed_by = parts.headers.signed_by(keys, now).map_err(signature)?;
    tracing::debug!(item, signed_by, "package is signed");
    parts.check_payload().map_err(archive)
}

/// Opens a package: its header and scripts as control files.
pub(crate) fn open(file: &Section, item: &str) -> Result<Package, Error> {
    let archive = |why: String| Error::Archive { item: item.to_owned(), why: printable(&why) };
    let parts = Parts::of(file).map_err(archive)?;
    read(parts).map_err(archive)
}

/// The header of an installed package, without magic, from the beginning of its file; signed as a package must be.
pub(super) fn installed_header(beginning: &[u8], replaced: &Replaced, now: i64) -> Result<Vec<u8>, String> {
    let part = |at: u64, size: u64| {
        let range = usize::try_from(at).ok().zip(usize::try_from(size).ok());
        let bytes = range.and_then(|(at, size)| beginning.get(at..)?.get(..size));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| "it breaks off".to_owned())
    };
    let headers = Headers::of(&part)?;
    let keys = replaced.signers.0.as_ref().ok_or("nobody must have signed it")?;
    headers.signed_by(keys, now).map_err(|fault| fault.to_string())?;
    let header = headers.header()?;
    let text = |tag| header.text(tag).map(Option::unwrap_or_default).map_err(|e| e.to_string());
    match replaced.is(text(Tag::NAME)?, &version(&header)?, text(Tag::ARCH)?) {
        true => Ok(headers.header[8..].to_vec()),
        false => Err("another package than the index says".into()),
    }
}

/// `[epoch:]version-release` of a header.
fn version(header: &Header<'_>) -> Result<String, String> {
    let text = |tag| header.text(tag).map(Option::unwrap_or_default).map_err(|e| e.to_string());
    let epoch = header.number(Tag::EPOCH).map_err(|e| e.to_string())?.unwrap_or(0).to_string();
    Ok(super::primary::written(&epoch, text(Tag::VERSION)?, text(Tag::RELEASE)?))
}

fn read(parts: Parts) -> Result<Package, String> {
    let header = parts.headers.header()?;
    let text = |tag| header.text(tag).map(Option::unwrap_or_default).map_err(|e| e.to_string());
    let version = version(&header)?;
    if !matches!(text(Tag::PAYLOAD_FORMAT)?, "" | "cpio") {
        return Err(format!("content in the form \"{}\"", text(Tag::PAYLOAD_FORMAT)?));
    }
    let packing = match text(Tag::PAYLOAD_COMPRESSOR)? {
        "" | "gzip" => Packing::Gzip,
        "xz" => Packing::Xz,
        "zstd" => Packing::Zstd,
        other => return Err(format!("content packed by \"{other}\"")),
    };
    let mut control = BTreeMap::new();
    for script in contents::scripts(&header).map_err(|e| e.to_string())? {
        control.insert(script.phase.to_owned(), script.body.to_vec());
    }
    let name = text(Tag::NAME)?.parse().map_err(|e: version::NameError| e.to_string())?;
    let architecture = text(Tag::ARCH)?.to_owned();
    // As the database has it: without the magic of the file.
    control.insert(HEADER.to_owned(), parts.headers.header[8..].to_vec());
    Ok(Package { name, version, architecture, control, content: parts.payload, packing, form: Form::Cpio })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_of_very_many_signatures_are_looked_at() {
        for (count, expected) in [(2u32, 2), (1000, SIGNATURES_MAX)] {
            let texts = b"x\0".repeat(count as usize);
            // One entry: tag, an array of texts, offset, count.
            let numbers = [1, texts.len() as u32, SIGNATURE_LIST.0, 8, 0, count];
            let numbers = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            let signature = [vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0], numbers, texts].concat();
            let headers = Headers { signature, header: Vec::new(), end: 0 };
            assert_eq!(headers.signatures().map(|all| all.len()), Ok(expected));
        }
    }
}
