//! PAX extended header records: parsed strictly, one meaning each.

use crate::{
    limits::{XATTR_NAME_BYTES_MAX, XATTR_VALUE_BYTES_MAX, XATTRS_MAX},
    sparse::Records,
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use std::collections::BTreeMap;

/// What an extended header says about the entry after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link_path: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) sparse: Records,
}

const SCHILY_XATTR: &[u8] = b"SCHILY.xattr.";
const LIBARCHIVE_XATTR: &[u8] = b"LIBARCHIVE.xattr.";

impl Pax {
    /// The records of a header for one entry.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut pax = Pax::default();
        let mut seen: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
        for record in records(bytes) {
            let (key, value) = record?;
            match seen.insert(key, value) {
                Some(earlier) if earlier != value && !Records::repeats(key) => {
                    return Err(format!("conflicting PAX records \"{}\"", key.escape_ascii()));
                }
                _ => pax.take(key, value)?,
            }
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        if let Some(name) = key.strip_prefix(SCHILY_XATTR) {
            return self.xattr(name.to_vec(), value.to_vec());
        }
        if let Some(name) = key.strip_prefix(LIBARCHIVE_XATTR) {
            let unpadded = value.trim_ascii_end().split(|b| *b == b'=').next().unwrap_or(value);
            let value = STANDARD_NO_PAD.decode(unpadded).map_err(|_| "PAX xattr is not base64")?;
            return self.xattr(url_decode(name), value);
        }
        if Records::is_key(key) {
            return self.sparse.take(key, value);
        }
        match key {
            b"path" => self.path = Some(text("path", value)?),
            b"linkpath" => self.link_path = Some(text("linkpath", value)?),
            b"size" => self.size = Some(number("size", value)?),
            b"uid" => self.uid = Some(number("uid", value)?),
            b"gid" => self.gid = Some(number("gid", value)?),
            b"mtime" => self.mtime = Some(time(value).ok_or("PAX mtime is not a time")?),
            _ => return unless_meaningful(key),
        }
        Ok(())
    }

    fn xattr(&mut self, name: Vec<u8>, value: Vec<u8>) -> Result<(), String> {
        let shown = name.escape_ascii().to_string();
        if name.is_empty() || name.contains(&0) || name.len() > XATTR_NAME_BYTES_MAX {
            return Err(format!("extended attribute name \"{shown}\" is not valid"));
        }
        if value.len() > XATTR_VALUE_BYTES_MAX {
            return Err(format!("extended attribute \"{shown}\" is too large"));
        }
        match self.xattrs.get(&name) {
            Some(earlier) if *earlier != value => {
                return Err(format!("conflicting values of extended attribute \"{shown}\""));
            }
            _ => drop(self.xattrs.insert(name, value)),
        }
        if self.xattrs.len() > XATTRS_MAX { Err("too many extended attributes".into()) } else { Ok(()) }
    }
}

/// Checks a global header: only what says nothing about entries is taken.
pub(crate) fn check_global(bytes: &[u8]) -> Result<(), String> {
    for record in records(bytes) {
        let (key, _) = record?;
        let changes_entries = key.starts_with(SCHILY_XATTR) || key.starts_with(LIBARCHIVE_XATTR);
        let standard =
            matches!(key, b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime" | b"uname" | b"gname");
        if changes_entries || standard {
            return Err(format!("global PAX record \"{}\" would change every entry", key.escape_ascii()));
        }
        unless_meaningful(key)?;
    }
    Ok(())
}

/// Records that change what an entry is and that we do not read are refused; all others say nothing to us.
fn unless_meaningful(key: &[u8]) -> Result<(), String> {
    if Records::is_key(key) || key == b"SCHILY.realsize" {
        return Err("unsupported: sparse file".into());
    }
    if matches!(
        key,
        b"SCHILY.devmajor" | b"SCHILY.devminor" | b"SCHILY.filetype" | b"SUN.devmajor" | b"SUN.devminor"
    ) {
        return Err(format!("unsupported: PAX record \"{}\"", key.escape_ascii()));
    }
    Ok(())
}

/// `<length> <key>=<value>\n`, where length counts the whole record.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), String>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let parsed = record(bytes);
        bytes = parsed.as_ref().map_or(&[], |(_, _, rest)| rest);
        Some(parsed.map(|(key, value, _)| (key, value)).ok_or_else(|| "malformed PAX record".to_owned()))
    })
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(8).position(|b| *b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let body = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=').filter(|at| *at > 0)?;
    let (key, value) = (&body[..equals], &body[equals + 1..]);
    (!key.contains(&0)).then_some((key, value, &bytes[length..]))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let canonical = digits.len() == 1 || digits.first() != Some(&b'0');
    if plain && canonical { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

fn number(what: &str, value: &[u8]) -> Result<u64, String> {
    decimal(value).ok_or_else(|| format!("PAX {what} is not a number"))
}

fn text(what: &str, value: &[u8]) -> Result<Vec<u8>, String> {
    let good = !value.is_empty() && !value.contains(&0);
    good.then(|| value.to_vec()).ok_or_else(|| format!("PAX {what} is empty or has a NUL byte"))
}

/// `[-]seconds[.fraction]`, rounded down to nanoseconds.
fn time(value: &[u8]) -> Option<(i64, u32)> {
    let (negative, value) = value.strip_prefix(b"-").map_or((false, value), |rest| (true, rest));
    let mut parts = value.splitn(2, |b| *b == b'.');
    let whole = parts.next()?;
    let seconds: i64 = if whole.iter().all(u8::is_ascii_digit) {
        std::str::from_utf8(whole).ok()?.parse().ok()?
    } else {
        return None;
    };
    let fraction = parts.next().unwrap_or(b"");
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |i| u32::from(fraction.get(i).map_or(0, |d| d - b'0'));
    let nanos = (0..9).fold(0, |n, i| n * 10 + digit(i));
    match (negative, nanos) {
        (false, nanos) => Some((seconds, nanos)),
        (true, 0) => Some((-seconds, 0)),
        (true, nanos) => Some((-seconds - 1, 1_000_000_000 - nanos)),
    }
}

fn url_decode(name: &[u8]) -> Vec<u8> {
    let hex = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).map(|d| d as u8);
    let mut out = Vec::with_capacity(name.len());
    let mut at = 0;
    while at < name.len() {
        match (name[at], hex(name.get(at + 1)), hex(name.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rec(body: &str) -> Vec<u8> {
        let digits = (1..).find(|d| (body.len() + 2 + d).to_string().len() == *d).unwrap();
        format!("{} {body}\n", body.len() + 2 + digits).into_bytes()
    }

    #[test]
    fn records_say_what_they_mean() {
        let bytes = [
            rec("path=a/é"),
            rec("size=123"),
            rec("mtime=-1.25"),
            rec("SCHILY.xattr.user.x=a=b\nc"),
            rec("LIBARCHIVE.xattr.user.y%20z=aGk"),
            rec("LIBARCHIVE.xattr.user.x=YT1iCmM"),
            rec("comment=whatever"),
            rec("VENDOR.key=x"),
            rec("size=123"),
        ]
        .concat();
        let pax = Pax::parse(&bytes).unwrap();
        assert_eq!((pax.path.as_deref(), pax.size), (Some("a/é".as_bytes()), Some(123)));
        assert_eq!(pax.mtime, Some((-2, 750_000_000)));
        let xattr = |name: &str| pax.xattrs.get(name.as_bytes()).cloned();
        assert_eq!((xattr("user.x"), xattr("user.y z")), (Some(b"a=b\nc".to_vec()), Some(b"hi".to_vec())));
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for (bytes, why) in [
            ([rec("size=1"), rec("size=2")].concat(), "conflicting PAX records \"size\""),
            (b"9 size=12".to_vec(), "malformed"),
            (b"12 size=12\n".to_vec(), "malformed"),
            (b"010 size=1\n".to_vec(), "malformed"),
            (b"99999999999 a=b\n".to_vec(), "malformed"),
            (b"5 ab\n".to_vec(), "malformed"),
            (rec("=x"), "malformed"),
            (rec("path="), "path is empty"),
            (rec("path=a\0b"), "NUL"),
            (rec("size=-1"), "not a number"),
            (rec("size= 1"), "not a number"),
            (rec("size=99999999999999999999"), "not a number"),
            (rec("mtime=1e5"), "not a time"),
            (rec("GNU.sparse.major=x"), "not a number"),
            (rec("GNU.sparse.other=1"), "unsupported"),
            ([rec("GNU.sparse.size=1"), rec("GNU.sparse.realsize=2")].concat(), "conflicting"),
            (rec("SCHILY.realsize=1"), "sparse"),
            (rec("LIBARCHIVE.xattr.user.x=***"), "base64"),
            (
                [rec("SCHILY.xattr.user.x=a"), rec("LIBARCHIVE.xattr.user.x=Yg")].concat(),
                "conflicting values",
            ),
        ] {
            let error = Pax::parse(&bytes).unwrap_err();
            assert!(error.contains(why), "{}: {error}", bytes.escape_ascii());
        }
    }

    #[test]
    fn global_headers_may_only_remark() {
        assert!(check_global(&rec("comment=0123abc")).is_ok());
        for body in [
            "path=x",
            "size=3",
            "uid=0",
            "mtime=0",
            "SCHILY.xattr.security.capability=x",
            "GNU.sparse.size=1",
        ] {
            assert!(check_global(&rec(body)).is_err(), "{body}");
        }
    }
}
