//! The conventions by which a directory on disk stands for a layer: what overlayfs asks for, and what we put in place of
//! what the user namespace does not let us make.

use crate::record::Device;

/// In which surroundings a layer directory was made and is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// Real root.
    Native,
    /// Uid 0 of a user namespace with a range of ids: no device nodes.
    UserNamespace,
    /// Uid 0 of a user namespace with that one id: owners are noted, not set.
    SingleId,
}

/// Owner of a file or directory that is not really its owner: `uid:gid`.
pub const OWNER_XATTR: &str = "user.copa.owner";
/// What an empty file stands for: `c:major:minor` or `b:major:minor`.
pub const DEVICE_XATTR: &str = "user.copa.device";
/// Prefix of an attribute that could not be set under its own name.
pub const HELD_XATTR: &str = "user.copa.xattr.";
/// Prefix of all of ours.
pub const OWN_XATTRS: &str = "user.copa.";

/// Prefixes of attributes that belong to overlayfs.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
/// Attributes that the host's security modules put on files; never part of an image.
const OF_THE_HOST: [&[u8]; 5] =
    [b"security.selinux", b"security.ima", b"security.evm", b"security.apparmor", b"security.SMACK64"];

impl Flavor {
    /// Name of its folder in a store.
    pub fn name(self) -> &'static str {
        match self {
            Flavor::Native => "native",
            Flavor::UserNamespace => "userns",
            Flavor::SingleId => "single",
        }
    }

    /// Overlayfs' mark of a directory that hides what lies below.
    pub fn opaque_xattr(self) -> &'static str {
        match self {
            Flavor::Native => "trusted.overlay.opaque",
            Flavor::UserNamespace | Flavor::SingleId => "user.overlay.opaque",
        }
    }

    /// Whether files can be given to other owners.
    pub(crate) fn sets_owners(self) -> bool {
        self != Flavor::SingleId
    }

    /// Whether device nodes can be made.
    pub(crate) fn makes_devices(self) -> bool {
        self == Flavor::Native
    }
}

/// Whether an attribute is a matter of directories on disk only and has no place in a layer.
pub(crate) fn is_private(name: &[u8]) -> bool {
    is_overlay(name) || name.starts_with(OWN_XATTRS.as_bytes()) || OF_THE_HOST.contains(&name)
}

fn is_overlay(name: &[u8]) -> bool {
    OVERLAY.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether an attribute says that overlayfs split an object in ways that we switched off.
pub(crate) fn is_split(name: &[u8]) -> bool {
    OVERLAY
        .iter()
        .any(|p| name.strip_prefix(*p).is_some_and(|rest| matches!(rest, b"redirect" | b"metacopy")))
}

/// `uid:gid`.
pub(crate) fn owner_text(uid: u32, gid: u32) -> String {
    format!("{uid}:{gid}")
}

/// What [`owner_text`] wrote.
pub(crate) fn parse_owner(value: &[u8]) -> Option<(u32, u32)> {
    let (uid, gid) = std::str::from_utf8(value).ok()?.split_once(':')?;
    Some((plain(uid)?, plain(gid)?)).filter(|(uid, gid)| *uid != u32::MAX && *gid != u32::MAX)
}

/// `c:major:minor` or `b:major:minor`.
pub(crate) fn device_text(device: Device) -> String {
    format!("{}:{}:{}", if device.block { 'b' } else { 'c' }, device.major, device.minor)
}

/// What [`device_text`] wrote. Device 0:0 is overlayfs' mark of a removal and never a device.
pub(crate) fn parse_device(value: &[u8]) -> Option<Device> {
    let mut parts = std::str::from_utf8(value).ok()?.split(':');
    let block = match parts.next()? {
        "b" => true,
        "c" => false,
        _ => return None,
    };
    let (major, minor) = (plain(parts.next()?)?, plain(parts.next()?)?);
    (parts.next().is_none() && (major, minor) != (0, 0)).then_some(Device { block, major, minor })
}

fn plain(digits: &str) -> Option<u32> {
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// A capability attribute in the form that images carry: version 3, which names the user namespace it holds in, as 2.
pub(crate) fn portable_capability(value: Vec<u8>) -> Vec<u8> {
    const VERSION_3: u32 = 0x0300_0000;
    const VERSION_2: u32 = 0x0200_0000;
    const VERSION_MASK: u32 = 0xff00_0000;
    let Some(head) = value.first_chunk::<4>().map(|head| u32::from_le_bytes(*head)) else { return value };
    if value.len() != 24 || head & VERSION_MASK != VERSION_3 {
        return value;
    }
    let flags = head & !VERSION_MASK;
    [&(VERSION_2 | flags).to_le_bytes()[..], &value[4..20]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_strictly() {
        assert_eq!(parse_owner(owner_text(33, 44).as_bytes()), Some((33, 44)));
        for bad in ["", "1", "1:", "-1:0", "+1:0", "1:2:3", "4294967295:0", "4294967296:0", " 1:2"] {
            assert_eq!(parse_owner(bad.as_bytes()), None, "{bad}");
        }
        let null = Device { block: false, major: 1, minor: 3 };
        assert_eq!(parse_device(device_text(null).as_bytes()), Some(null));
        for bad in ["c:0:0", "b:0:0", "x:1:3", "c:1", "c:1:3:4", "c:1:-3"] {
            assert_eq!(parse_device(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn namespaced_capabilities_become_portable() {
        let body = [1u8; 16];
        let v2 = [&0x0200_0001u32.to_le_bytes()[..], &body].concat();
        let v3 = [&0x0300_0001u32.to_le_bytes()[..], &body, &1000u32.to_le_bytes()].concat();
        assert_eq!(portable_capability(v3), v2);
        assert_eq!(portable_capability(v2.clone()), v2);
        assert_eq!(portable_capability(vec![1, 2]), [1, 2]);
    }
}
