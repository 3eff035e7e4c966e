//! Raising the loopback interface of a fresh network namespace, without netlink or any tool.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;

/// `struct ifreq` as far as SIOCSIFFLAGS reads it.
#[repr(C)]
struct InterfaceFlags {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

/// Brings `lo` up in the network namespace of the calling process.
pub(crate) fn raise_loopback() -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut request = InterfaceFlags {
        name: [0; libc::IFNAMSIZ],
        flags: (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short,
        rest: [0; 22],
    };
    request.name[..2].copy_from_slice(b"lo");
    type SetFlags = rustix::ioctl::Setter<{ libc::SIOCSIFFLAGS as u32 }, InterfaceFlags>;
    // SAFETY: SIOCSIFFLAGS reads one `struct ifreq`, which `InterfaceFlags` has the size and layout of.
    unsafe { rustix::ioctl::ioctl(&socket, SetFlags::new(request)) }?;
    Ok(())
}
