//! Ubuntu as far as it can be had here: the words by which an image says that it is one. The programs below them are Debian's
//! and the packages are those of the throw-away repository; no file of a real Ubuntu is used.

use crate::tar::{self, Entry};

/// `os-release` of Ubuntu 22.04.
pub const OS_RELEASE: &str = "PRETTY_NAME=\"Ubuntu 22.04.4 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\n\
    VERSION=\"22.04.4 LTS (Jammy Jellyfish)\"\nVERSION_CODENAME=jammy\nID=ubuntu\nID_LIKE=debian\n\
    HOME_URL=\"https://www.ubuntu.com/\"\nUBUNTU_CODENAME=jammy\n";

/// A layer that makes a Debian root say that it is Ubuntu, for updates in place by its own apt.
pub fn layer() -> Vec<u8> {
    tar::write(&[
        Entry::file("usr/lib/os-release", OS_RELEASE),
        Entry::file("etc/debian_version", "bookworm/sid\n"),
        Entry::file(
            "etc/lsb-release",
            "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\nDISTRIB_CODENAME=jammy\nDISTRIB_DESCRIPTION=\"Ubuntu 22.04.4 LTS\"\n",
        ),
    ])
}
