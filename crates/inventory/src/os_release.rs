//! os-release(5): shell-like assignments, read without a shell.

use crate::{Error, OsRelease, check_size, printable};

/// Largest file taken. Real ones have a few hundred bytes.
pub const BYTES_MAX: usize = 64 * 1024;

/// Longest value taken; everything we read is a name or a number.
const VALUE_BYTES_MAX: usize = 1024;

/// Reads an os-release file. Lines that are no assignment are passed over, as os-release(5) asks.
pub fn parse(bytes: &[u8]) -> Result<OsRelease, Error> {
    check_size(bytes, BYTES_MAX)?;
    let malformed = |what: &str| Error::Malformed(what.to_owned());
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("not UTF-8 text"))?;
    if text.contains('\0') {
        return Err(malformed("binary, not text"));
    }
    let mut os = OsRelease::default();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some((key, value)) = line.split_once('=') {
            set(&mut os, key, value)?;
        }
    }
    Ok(os)
}

fn set(os: &mut OsRelease, key: &str, raw: &str) -> Result<(), Error> {
    if !matches!(key, "ID" | "ID_LIKE" | "VERSION_ID" | "VERSION_CODENAME" | "PRETTY_NAME") {
        return Ok(());
    }
    let bad = |why: &str| Error::Malformed(format!("{key}: {why}: {}", printable(raw)));
    let value = unquote(raw).ok_or_else(|| bad("unbalanced or unquoted value"))?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(bad("value too long"));
    }
    let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+~-".contains(&b));
    match key {
        "ID" | "VERSION_ID" | "VERSION_CODENAME" if !word(&value) => return Err(bad("unexpected character")),
        "ID" => os.id = value.to_ascii_lowercase(),
        "ID_LIKE" => os.id_like = value.split_whitespace().map(str::to_ascii_lowercase).collect(),
        "VERSION_ID" => os.version_id = value,
        "VERSION_CODENAME" => os.codename = Some(value).filter(|v| !v.is_empty()),
        _ => os.pretty_name = Some(printable(&value)).filter(|v| !v.is_empty()),
    }
    Ok(())
}

/// The value as a shell would take it: quotes are parts of a word, a backslash takes the next character as it is (within
/// double quotes only before the four characters that are special there). None where a shell would see more than a word.
fn unquote(raw: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => loop {
                match chars.next()? {
                    '\'' => break,
                    c => out.push(c),
                }
            },
            '"' => double_quoted(&mut chars, &mut out)?,
            '\\' => out.push(chars.next()?),
            ' ' | '\t' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`' | '$' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

fn double_quoted(chars: &mut std::str::Chars<'_>, out: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => match chars.next()? {
                c @ ('"' | '\\' | '$' | '`') => out.push(c),
                c => out.extend(['\\', c]),
            },
            // What a shell would expand has no place in an os-release file.
            '$' | '`' => return None,
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
        VERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n\
        HOME_URL=\"https://www.debian.org/\"\n";

    #[test]
    fn a_debian_file_is_read() {
        let os = parse(DEBIAN.as_bytes()).unwrap();
        assert_eq!((os.id.as_str(), os.version_id.as_str()), ("debian", "12"));
        assert_eq!(os.codename.as_deref(), Some("bookworm"));
        assert_eq!(os.pretty_name.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        let ubuntu =
            parse(b"ID=ubuntu\nID_LIKE=\"debian\"\nVERSION_ID='22.04'\r\n# x\n\nnonsense\n").unwrap();
        assert_eq!((ubuntu.version_id.as_str(), ubuntu.id_like), ("22.04", vec!["debian".to_owned()]));
        assert_eq!(parse(b"").unwrap(), OsRelease::default());
    }

    #[test]
    fn values_are_quoted_as_in_a_shell() {
        for (raw, value) in [
            ("a", Some("a")),
            ("\"a b\"", Some("a b")),
            ("'a\\b'", Some("a\\b")),
            ("\"a\\\"b\\$\\x\"", Some("a\"b$\\x")),
            ("a'b'\"c\"\\ d", Some("abc d")),
            ("\"\"", Some("")),
            ("\"a", None),
            ("'a", None),
            ("a\\", None),
            ("a b", None),
            ("$(id)", None),
            ("\"$(id)\"", None),
            ("`id`", None),
        ] {
            assert_eq!(unquote(raw).as_deref(), value, "{raw}");
        }
    }

    #[test]
    fn hostile_files_are_refused() {
        let large = vec![b'#'; BYTES_MAX + 1];
        let long = format!("ID={}", "a".repeat(VALUE_BYTES_MAX + 1));
        for bytes in [
            &b"ID=\"debian"[..],
            b"ID=../../etc",
            b"ID=\"a\x1b[2J\"",
            b"VERSION_ID=\"12\\n;x\"",
            b"\x7fELF\0\0",
            b"ID=\xff\xfe",
            &large,
            long.as_bytes(),
        ] {
            assert!(parse(bytes).is_err(), "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
        }
        let escaped = parse(b"PRETTY_NAME=\"a\x1b[2J\"").unwrap();
        assert_eq!(escaped.pretty_name.as_deref(), Some("a\\u{1b}[2J"));
    }
}
