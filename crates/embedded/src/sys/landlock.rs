//! `landlock(7)`: files outside a folder cannot be written to any more, by whatever way they are reached.

use super::checked;
use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
};

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const ASK_VERSION: libc::c_ulong = 1;
/// `LANDLOCK_RULE_PATH_BENEATH`.
const PATH_BENEATH: libc::c_ulong = 1;
/// `LANDLOCK_ACCESS_FS_WRITE_FILE`.
const WRITE: u64 = 1 << 1;
/// `LANDLOCK_ACCESS_FS_REFER`: without a word on it nothing may be moved between folders. Since version 2.
const REFER: u64 = 1 << 13;
/// `LANDLOCK_ACCESS_FS_TRUNCATE`, since version 3.
const TRUNCATE: u64 = 1 << 14;

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: i32,
}

/// From now on this process and all that it starts can open or cut files for writing only below this folder. `false` where the
/// kernel has no such thing, or an old one under which programs could not work. Needs `no_new_privs` first.
pub(crate) fn write_only_below(folder: impl AsFd) -> io::Result<bool> {
    let none = std::ptr::null::<u64>();
    // SAFETY: with this flag the call takes no pointer and gives a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, ASK_VERSION) };
    let handled = match version {
        ..2 => return Ok(false),
        2 => WRITE | REFER,
        _ => WRITE | REFER | TRUNCATE,
    };
    let flags: libc::c_ulong = 0;
    // SAFETY: the kernel reads one u64, which is what the first version of the structure is.
    let made = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, size_of::<u64>(), flags)
    };
    // SAFETY: the call gives a new descriptor that nobody else owns.
    let rules = unsafe { OwnedFd::from_raw_fd(checked(made)? as libc::c_int) };
    let rule = Beneath { allowed: handled, parent: folder.as_fd().as_raw_fd() };
    let (number, rule) = (rules.as_raw_fd(), &raw const rule);
    // SAFETY: the kernel reads one structure of this layout, which lives through the call.
    checked(unsafe { libc::syscall(libc::SYS_landlock_add_rule, number, PATH_BENEATH, rule, flags) })?;
    // SAFETY: takes no pointer; restricts the calling thread, which is the only one.
    checked(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, number, flags) })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn nothing_outside_can_be_opened_for_writing() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("there"), "there").unwrap();
        // It holds for a thread and what it starts, so the other tests of this process stay as they are.
        let restricted = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            if !write_only_below(File::open(inside.path()).unwrap()).unwrap() {
                return None;
            }
            let one = inside.path().join("one");
            fs::write(&one, "one").unwrap();
            fs::create_dir(inside.path().join("folder")).unwrap();
            fs::rename(&one, inside.path().join("folder/moved")).unwrap();
            let there = outside.path().join("there");
            let refused = [fs::write(&there, "x"), File::options().append(true).open(&there).map(drop)];
            let kinds = refused.map(|tried| tried.unwrap_err().kind());
            Some((kinds, fs::read_to_string(there).unwrap()))
        });
        match restricted.join().unwrap() {
            None => eprintln!("skipped: no landlock in this kernel"),
            Some((kinds, content)) => {
                assert_eq!(kinds, [io::ErrorKind::PermissionDenied; 2]);
                assert_eq!(content, "there");
            }
        }
    }
}
