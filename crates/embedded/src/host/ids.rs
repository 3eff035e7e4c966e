//! The ids that the system's administrator gave this user beside his own: `/etc/subuid`, `/etc/subgid`.

use crate::failure::{Doing as _, Failure};
use std::fs;

/// Ids in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// The largest range that a file has for a user.
pub(super) fn subordinate(file: &str, uid: u32) -> Result<Option<Range>, Failure> {
    let text = match fs::read_to_string(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.doing(&format!("reading {file}"))?,
    };
    let name = fs::read_to_string("/etc/passwd").ok().and_then(|accounts| name_of(&accounts, uid));
    Ok(largest(&text, uid, name.as_deref()))
}

fn largest(text: &str, uid: u32, name: Option<&str>) -> Option<Range> {
    let number = uid.to_string();
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let ours = owner == number || name.is_some_and(|n| n == owner);
        let range = Range { first: fields.next()?.parse().ok()?, count: fields.next()?.parse().ok()? };
        (ours && fields.next().is_none() && range.count > 0).then_some(range)
    });
    ranges.max_by_key(|r| r.count)
}

fn name_of(accounts: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    let mut lines = accounts.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1) == Some(&uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text =
            "root:100000:65536\nada:200000:1000\n1000:300000:65536\nbroken\nada:x:1\nada:1:2:3\neve:0:0\n";
        let found = |uid, name| largest(text, uid, name).map(|r| (r.first, r.count));
        assert_eq!(found(7, Some("ada")), Some((200_000, 1000)));
        assert_eq!(found(1000, Some("ada")), Some((300_000, 65_536)));
        assert_eq!(found(1000, None), Some((300_000, 65_536)));
        assert_eq!(found(100, None), None, "a prefix of a number is another number");
        assert_eq!(found(8, Some("eve")), None);
    }

    #[test]
    fn accounts_have_names() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(name_of(accounts, 1000).as_deref(), Some("ada"));
        assert_eq!(name_of(accounts, 1001), None);
    }
}
