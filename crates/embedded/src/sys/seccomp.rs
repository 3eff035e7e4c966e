//! Installing a seccomp filter.

use super::checked;
use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

/// One instruction of a filter.
pub(crate) type Instruction = libc::sock_filter;

/// Installs a filter on the calling thread and all that it starts. With `listen`, gives the descriptor where calls that
/// the filter hands over arrive. Needs `no_new_privs` first.
pub(crate) fn install(filter: &[Instruction], listen: bool) -> io::Result<Option<OwnedFd>> {
    let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let len = libc::c_ushort::try_from(filter.len()).map_err(too_long)?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    let flags = if listen { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // SAFETY: the kernel copies `len` instructions, which is how many the slice has, and writes to none of them.
    let got =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let number = checked(got)?;
    // SAFETY: with NEW_LISTENER the call gives a new descriptor that nobody else owns.
    Ok(listen.then(|| unsafe { OwnedFd::from_raw_fd(number as libc::c_int) }))
}
