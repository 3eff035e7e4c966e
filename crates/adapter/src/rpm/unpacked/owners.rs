//! Owners by name, as packages have them, to the numbers that the image gives them.

use super::{in_image, path};
use crate::Error;
use layer::Tree;
use std::collections::HashMap;

/// Largest list of users or groups taken.
const BYTES_MAX: u64 = 4 << 20;

/// The names of an image.
#[derive(Debug, Default)]
pub(super) struct Owners {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Owners {
    /// Those of an image, by passwd(5) and group(5).
    pub(super) fn read(tree: &dyn Tree) -> Result<Owners, Error> {
        let numbers = |name: &str| {
            let bytes = tree.read(&path(name), BYTES_MAX).map_err(in_image(name))?;
            Ok::<_, Error>(numbers(&bytes.unwrap_or_default()))
        };
        Ok(Owners { users: numbers("etc/passwd")?, groups: numbers("etc/group")? })
    }

    pub(super) fn user(&self, name: &[u8]) -> Option<u32> {
        number(&self.users, name)
    }

    pub(super) fn group(&self, name: &[u8]) -> Option<u32> {
        number(&self.groups, name)
    }
}

/// Root is root, whatever the image says.
fn number(known: &HashMap<Vec<u8>, u32>, name: &[u8]) -> Option<u32> {
    if matches!(name, b"" | b"root") { Some(0) } else { known.get(name).copied() }
}

fn numbers(bytes: &[u8]) -> HashMap<Vec<u8>, u32> {
    let one = |line: &[u8]| {
        let mut fields = line.split(|b| *b == b':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        Some((name.to_vec(), std::str::from_utf8(number).ok()?.parse().ok()?))
    };
    // Of two of a name the first counts, as in the C library.
    bytes.split(|b| *b == b'\n').rev().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_name_counts() {
        let users = numbers(b"root:x:7:0:::\ndemo:x:42:1::\ndemo:x:43:1::\nbad:x:y\nshort\n");
        let owners = Owners { users, groups: HashMap::new() };
        assert_eq!(
            (owners.user(b"root"), owners.user(b"demo"), owners.user(b"bad")),
            (Some(0), Some(42), None)
        );
        assert_eq!((owners.group(b"root"), owners.group(b"demo")), (Some(0), None));
    }
}
