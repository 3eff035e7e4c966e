//! The cleartext signature framework (RFC 9580 §7), taken apart in one way only: what is given out is what was signed, and
//! nothing stands before, between or after.

use crate::SignatureFault;

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// A text with its signatures, not verified yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Clearsigned {
    /// The signed text: dash escapes undone, blanks at line ends left out, lines ended by newlines but for the last.
    pub(crate) text: String,
    /// The armoured signatures.
    pub(crate) armour: String,
}

impl Clearsigned {
    /// Whether bytes begin as such a text does.
    pub(crate) fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(BEGIN.as_bytes())
    }

    /// Takes a text apart.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Clearsigned, SignatureFault> {
        take_apart(bytes).map_err(|why| SignatureFault::Malformed(why.into()))
    }
}

fn take_apart(bytes: &[u8]) -> Result<Clearsigned, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8 text")?;
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    if lines.next() != Some(BEGIN) {
        return Err("no signed text at its beginning");
    }
    for line in lines.by_ref() {
        match line {
            "" => break,
            header if header.starts_with("Hash: ") => {}
            _ => return Err("unknown header of a signed text"),
        }
    }
    let mut signed = Vec::new();
    loop {
        match lines.next().ok_or("the signature is missing")? {
            SIGNATURE => break,
            line => signed.push(unescaped(line)?),
        }
    }
    let mut armour = String::from(SIGNATURE);
    loop {
        armour.push('\n');
        match lines.next().ok_or("the signature is cut short")? {
            END => break,
            line => armour.push_str(line),
        }
    }
    armour.push_str(END);
    armour.push('\n');
    match lines.all(|line| line.trim_ascii().is_empty()) {
        true => Ok(Clearsigned { text: signed.join("\n"), armour }),
        false => Err("something follows the signature"),
    }
}

/// A line as it was signed.
fn unescaped(line: &str) -> Result<&str, &'static str> {
    let line = match line.strip_prefix("- ") {
        Some(rest) => rest,
        None if line.starts_with('-') => return Err("a line begins with a dash that is not escaped"),
        None => line,
    };
    // Readers differ in what ends a line.
    match line.bytes().any(|b| b == b'\r' || b == 0) {
        true => Err("a control character in the signed text"),
        false => Ok(line.trim_end_matches([' ', '\t'])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: x \n- -dash\n\nDate: y\n\
        -----BEGIN PGP SIGNATURE-----\n\nabc=\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn the_signed_text_alone_comes_out() {
        let parsed = Clearsigned::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(parsed.text, "Origin: x\n-dash\n\nDate: y");
        assert_eq!(parsed.armour, "-----BEGIN PGP SIGNATURE-----\n\nabc=\n-----END PGP SIGNATURE-----\n");
        assert_eq!(Clearsigned::parse(GOOD.replace('\n', "\r\n").as_bytes()).unwrap().text, parsed.text);
    }

    #[test]
    fn anything_beside_it_is_refused() {
        for bad in [
            format!("Origin: evil\n\n{GOOD}"),
            format!("\n{GOOD}"),
            format!("{GOOD}Origin: evil\n"),
            format!("{GOOD}{GOOD}"),
            GOOD.replace("Hash: SHA512", "Hash: SHA512\nOrigin: evil"),
            GOOD.replace("- -dash", "-dash"),
            GOOD.replace("- -dash", "-----BEGIN PGP SIGNED MESSAGE-----"),
            GOOD.replace("Date", "Da\rte"),
            GOOD.replace("Date", "Da\0te"),
            GOOD.replace("-----END PGP SIGNATURE-----", ""),
            GOOD.replace("-----BEGIN PGP SIGNATURE-----", ""),
            "<html>".into(),
            String::new(),
        ] {
            assert!(Clearsigned::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
