//! Descriptors that our caller leaked to us must not reach what we run.

use std::io;

/// First descriptor above standard input, output and error.
const FIRST: libc::c_uint = 3;

/// Marks every open descriptor from 3 on as closed at exec.
pub(crate) fn close_all_on_exec() -> io::Result<()> {
    // SAFETY: close_range with CLOEXEC closes nothing; it changes a flag that no safe abstraction relies on being unset.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { one_by_one() }
}

/// The same for kernels before 5.11.
fn one_by_one() -> io::Result<()> {
    let named = std::fs::read_dir("/proc/self/fd")?;
    let open = named.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<libc::c_int>().ok());
    for number in open.filter(|n| *n >= FIRST as libc::c_int).collect::<Vec<_>>() {
        // SAFETY: sets a flag on a number; a number that is not open any more gives EBADF, which is fine.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn both_ways_set_the_flag() {
        for set in [close_all_on_exec, one_by_one] {
            let file = std::fs::File::open("/dev/null").unwrap();
            // SAFETY: clears a flag on a descriptor that we own.
            unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) };
            set().unwrap();
            let flags = rustix::io::fcntl_getfd(&file).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }
}
