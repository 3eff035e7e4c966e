//! The smallest program of each architecture: it ends with a certain exit code and does nothing else. Whether it runs says
//! whether programs of that architecture do.

use oci::Platform;

/// The exit code of every program here; nothing that fails gives it.
pub(super) const EXIT: i32 = 42;

/// Where a program is loaded: beyond what kernels keep free, and on the border of the largest page (64 KiB).
const ADDRESS: u64 = 0x40_0000;
const PAGE_MAX: u64 = 0x1_0000;
/// Bytes of the two headers, by word size.
const HEADERS_64: u64 = 64 + 56;
const HEADERS_32: u64 = 52 + 32;

/// An architecture that programs can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Architecture {
    /// As images name it.
    pub name: &'static str,
    /// `e_machine` of the ELF format.
    machine: u16,
    /// `e_flags`: the calling convention.
    flags: u32,
    is_64: bool,
    big_endian: bool,
    /// `exit(42)`.
    code: &'static [u8],
}

/// Numbers are those of `<elf.h>` and of each architecture's manual; the code was checked by running it.
const ALL: [Architecture; 9] = [
    Architecture {
        name: "amd64",
        machine: 62,
        flags: 0,
        is_64: true,
        big_endian: false,
        // mov eax, 60; mov edi, 42; syscall
        code: b"\xb8\x3c\0\0\0\xbf\x2a\0\0\0\x0f\x05",
    },
    Architecture {
        name: "386",
        machine: 3,
        flags: 0,
        is_64: false,
        big_endian: false,
        // mov eax, 1; mov ebx, 42; int 0x80
        code: b"\xb8\x01\0\0\0\xbb\x2a\0\0\0\xcd\x80",
    },
    Architecture {
        name: "arm64",
        machine: 183,
        flags: 0,
        is_64: true,
        big_endian: false,
        // mov x8, 93; mov x0, 42; svc 0
        code: b"\xa8\x0b\x80\xd2\x40\x05\x80\xd2\x01\0\0\xd4",
    },
    Architecture {
        name: "arm",
        machine: 40,
        flags: 0x0500_0000,
        is_64: false,
        big_endian: false,
        // mov r7, 1; mov r0, 42; svc 0
        code: b"\x01\x70\xa0\xe3\x2a\0\xa0\xe3\0\0\0\xef",
    },
    Architecture {
        name: "ppc64le",
        machine: 21,
        flags: 2,
        is_64: true,
        big_endian: false,
        // li r0, 1; li r3, 42; sc
        code: b"\x01\0\0\x38\x2a\0\x60\x38\x02\0\0\x44",
    },
    Architecture {
        name: "s390x",
        machine: 22,
        flags: 0,
        is_64: true,
        big_endian: true,
        // lghi r2, 42; svc 1
        code: b"\xa7\x29\0\x2a\x0a\x01",
    },
    Architecture {
        name: "riscv64",
        machine: 243,
        flags: 5,
        is_64: true,
        big_endian: false,
        // li a7, 93; li a0, 42; ecall
        code: b"\x93\x08\xd0\x05\x13\x05\xa0\x02\x73\0\0\0",
    },
    Architecture {
        name: "mips64le",
        machine: 8,
        flags: 0x8000_0007,
        is_64: true,
        big_endian: false,
        // li v0, 5058; li a0, 42; syscall
        code: b"\xc2\x13\x02\x24\x2a\0\x04\x24\x0c\0\0\0",
    },
    Architecture {
        name: "loong64",
        machine: 258,
        flags: 0x43,
        is_64: true,
        big_endian: false,
        // li a7, 93; li a0, 42; syscall 0
        code: b"\x0b\x74\x81\x03\x04\xa8\x80\x03\0\0\x2b\0",
    },
];

impl Architecture {
    /// That of a platform, where a program can be made for it.
    pub(super) fn of(platform: &Platform) -> Option<Architecture> {
        ALL.into_iter().find(|one| one.name == platform.architecture)
    }

    /// The program, as a file.
    pub(super) fn program(&self) -> Vec<u8> {
        let headers = if self.is_64 { HEADERS_64 } else { HEADERS_32 };
        let size = headers + self.code.len() as u64;
        let mut elf = Elf { bytes: Vec::new(), big_endian: self.big_endian, is_64: self.is_64 };
        let (class, data) = (if self.is_64 { 2 } else { 1 }, if self.big_endian { 2 } else { 1 });
        elf.bytes.extend_from_slice(b"\x7fELF");
        // Version 1, System V, and padding.
        elf.bytes.extend_from_slice(&[class, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // An executable; its version.
        elf.half(2);
        elf.half(self.machine);
        elf.word(1);
        // Entry, program headers, no section headers.
        elf.address(ADDRESS + headers);
        elf.address(if self.is_64 { 64 } else { 52 });
        elf.address(0);
        elf.word(self.flags);
        let sizes = if self.is_64 { [64, 56, 1, 64, 0, 0] } else { [52, 32, 1, 40, 0, 0] };
        sizes.into_iter().for_each(|size| elf.half(size));
        elf.segment(size);
        elf.bytes.extend_from_slice(self.code);
        elf.bytes
    }
}

/// A file that is being written.
struct Elf {
    bytes: Vec<u8>,
    big_endian: bool,
    is_64: bool,
}

impl Elf {
    fn half(&mut self, value: u16) {
        self.bytes.extend_from_slice(&if self.big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        });
    }

    fn word(&mut self, value: u32) {
        self.bytes.extend_from_slice(&if self.big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        });
    }

    fn address(&mut self, value: u64) {
        if !self.is_64 {
            // All of ours are small.
            return self.word(value as u32);
        }
        self.bytes.extend_from_slice(&if self.big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        });
    }

    /// The one segment, which is the whole file: to be loaded, read and executed.
    fn segment(&mut self, size: u64) {
        const LOAD: u32 = 1;
        const READ_AND_EXECUTE: u32 = 5;
        self.word(LOAD);
        if self.is_64 {
            self.word(READ_AND_EXECUTE);
        }
        [0, ADDRESS, ADDRESS, size, size].into_iter().for_each(|value| self.address(value));
        if !self.is_64 {
            self.word(READ_AND_EXECUTE);
        }
        self.address(PAGE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt as _, process::Command};

    /// QEMU's name of an architecture.
    fn emulator(name: &str) -> String {
        let name = match name {
            "amd64" => "x86_64",
            "386" => "i386",
            "arm64" => "aarch64",
            "mips64le" => "mips64el",
            "loong64" => "loongarch64",
            other => other,
        };
        format!("/usr/bin/qemu-{name}-static")
    }

    #[test]
    fn each_program_ends_with_its_code() {
        let folder = tempfile::tempdir().unwrap();
        let mut ran = 0;
        for architecture in ALL {
            let path = folder.path().join(architecture.name);
            std::fs::write(&path, architecture.program()).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let (emulator, own) =
                (emulator(architecture.name), architecture.name == Platform::host().architecture);
            if !std::path::Path::new(&emulator).exists() && !own {
                eprintln!("skipped: program of {}: no {emulator} on this machine", architecture.name);
                continue;
            }
            let ended =
                if own { Command::new(&path).status() } else { Command::new(&emulator).arg(&path).status() };
            assert_eq!(ended.unwrap().code(), Some(EXIT), "{}", architecture.name);
            ran += 1;
        }
        assert!(ran > 0 || Architecture::of(&Platform::host()).is_none());
    }

    #[test]
    fn architectures_are_found_by_their_names() {
        let of = |name: &str| Architecture::of(&Platform::new("linux", name, None)).map(|a| a.name);
        assert_eq!((of("arm64"), of("386"), of("pdp11")), (Some("arm64"), Some("386"), None));
    }
}
