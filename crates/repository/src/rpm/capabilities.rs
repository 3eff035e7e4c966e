//! Capabilities of a file as rpm writes them (`cap_net_raw=ep`), as the attribute that the kernel reads.
//!
//! Sources: cap_from_text(3), capabilities(7), Linux' `include/uapi/linux/capability.h` (`struct vfs_cap_data`, revision 2).

/// Names in the order of their numbers.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The attribute's name.
pub(super) const XATTR: &[u8] = b"security.capability";

const REVISION_2: u32 = 0x0200_0000;
const EFFECTIVE: u32 = 1;

/// Longest text taken.
const TEXT_BYTES_MAX: usize = 4096;

/// The attribute of a text; an error where it is none or cannot be said of a file.
pub(crate) fn attribute(text: &[u8]) -> Result<Vec<u8>, String> {
    let bad = || format!("capabilities \"{}\"", inventory::printable(&String::from_utf8_lossy(text)));
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= TEXT_BYTES_MAX).ok_or_else(bad)?;
    // Effective, inheritable, permitted.
    let mut sets = [0_u64; 3];
    for clause in text.split_ascii_whitespace() {
        apply(clause, &mut sets).ok_or_else(bad)?;
    }
    let [effective, inheritable, permitted] = sets;
    // A file has no more than one mark for all that is effective.
    if effective != 0 && effective != permitted | inheritable {
        return Err(bad());
    }
    let head = REVISION_2 | if effective == 0 { 0 } else { EFFECTIVE };
    let low = |set: u64| (set & 0xffff_ffff) as u32;
    let words = [head, low(permitted), low(inheritable), low(permitted >> 32), low(inheritable >> 32)];
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn apply(clause: &str, sets: &mut [u64; 3]) -> Option<()> {
    let operator = |c: char| matches!(c, '=' | '+' | '-');
    let (names, mut rest) = clause.split_at(clause.find(operator)?);
    let all = (1_u64 << NAMES.len()) - 1;
    let mask = match names {
        "" if rest.starts_with('=') => all,
        "all" => all,
        list => list.split(',').try_fold(0, |mask, name| Some(mask | 1 << number(name)?))?,
    };
    while let Some(mark) = rest.chars().next() {
        let flags = &rest[1..];
        let end = flags.find(operator).unwrap_or(flags.len());
        let mut named = [false; 3];
        for flag in flags[..end].chars() {
            named["eip".find(flag)?] = true;
        }
        for (set, named) in sets.iter_mut().zip(named) {
            match mark {
                '=' => *set = if named { *set | mask } else { *set & !mask },
                '+' if named => *set |= mask,
                '-' if named => *set &= !mask,
                _ => {}
            }
        }
        rest = &flags[end..];
    }
    Some(())
}

fn number(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("cap_")?;
    NAMES.iter().position(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_what_the_kernel_reads() {
        let bytes = |words: [u32; 5]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        for (text, words) in [
            ("cap_net_raw=ep", [REVISION_2 | 1, 1 << 13, 0, 0, 0]),
            ("= cap_net_raw+ep", [REVISION_2 | 1, 1 << 13, 0, 0, 0]),
            ("cap_chown,cap_bpf=p", [REVISION_2, 1, 0, 1 << 7, 0]),
            ("cap_setuid=i", [REVISION_2, 0, 1 << 7, 0, 0]),
            ("cap_setuid+ep-e", [REVISION_2, 1 << 7, 0, 0, 0]),
            ("=ep", [REVISION_2 | 1, u32::MAX, 0, 0x1ff, 0]),
        ] {
            assert_eq!(attribute(text.as_bytes()), Ok(bytes(words)), "{text}");
        }
        for text in ["cap_x=ep", "cap_chown", "cap_chown=z", "chown=ep", "cap_chown=ep cap_kill=p", "\u{e9}"]
        {
            assert!(attribute(text.as_bytes()).is_err(), "{text}");
        }
    }
}
