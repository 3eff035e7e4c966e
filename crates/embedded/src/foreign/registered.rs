//! What the kernel has been told about programs of other architectures: the entries of `binfmt_misc`. Only to say why such a
//! program did not run; whether it runs is found out by running it.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

/// Where the kernel shows them.
const FOLDER: &str = "/proc/sys/fs/binfmt_misc";
/// Bytes of one entry: an interpreter's path, and two times 128 bytes in hexadecimal.
const ENTRY_BYTES_MAX: u64 = 16 << 10;
/// Entries that are looked at; distributions have a few dozen.
const ENTRIES_MAX: usize = 1000;

/// What is known about a program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Registered {
    /// The kernel shows no entries here: not mounted, or not there.
    Unseen,
    /// No entry takes it.
    No,
    /// One takes it.
    Yes(Entry),
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name.
    pub name: String,
    /// The program that runs others.
    pub interpreter: String,
    /// Whether it is in use, as all of them are.
    pub enabled: bool,
    /// Whether the interpreter was opened when it was registered (flag `F`); otherwise it is looked for in the image.
    pub fixed: bool,
    offset: usize,
    magic: Vec<u8>,
    mask: Vec<u8>,
}

/// The entry that takes this program: the best where several do.
pub(super) fn of(program: &[u8]) -> Registered {
    within(Path::new(FOLDER), program)
}

fn within(folder: &Path, program: &[u8]) -> Registered {
    let (Ok(status), Ok(names)) = (read(&folder.join("status")), fs::read_dir(folder)) else {
        return Registered::Unseen;
    };
    let all_enabled = status.trim() == "enabled";
    let paths = names.take(ENTRIES_MAX).filter_map(|name| Some(name.ok()?.path()));
    let entries = paths.filter_map(|path| parsed(path.file_name()?.to_str()?, &read(&path).ok()?));
    let taking = entries.filter(|entry| entry.takes(program));
    let mut found: Vec<Entry> =
        taking.map(|entry| Entry { enabled: entry.enabled && all_enabled, ..entry }).collect();
    found.sort_by_key(|entry| (entry.enabled, entry.fixed));
    found.pop().map_or(Registered::No, Registered::Yes)
}

impl Entry {
    fn takes(&self, program: &[u8]) -> bool {
        let Some(there) = program.get(self.offset..self.offset.saturating_add(self.magic.len())) else {
            return false;
        };
        let mask = self.mask.iter().copied().chain(std::iter::repeat(0xff));
        there.iter().zip(&self.magic).zip(mask).all(|((there, magic), mask)| there & mask == magic & mask)
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(ENTRY_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// An entry that goes by content; `None` where it goes by name, or is none.
fn parsed(name: &str, text: &str) -> Option<Entry> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let magic = bytes(value("magic ")?)?;
    Some(Entry {
        name: name.escape_default().to_string(),
        interpreter: value("interpreter ")?.escape_default().to_string(),
        enabled: text.lines().next() == Some("enabled"),
        fixed: value("flags:")?.contains('F'),
        offset: value("offset ")?.parse().ok()?,
        mask: value("mask ").map_or(Some(vec![0xff; magic.len()]), bytes)?,
        magic,
    })
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    if !hexadecimal.len().is_multiple_of(2) || !hexadecimal.is_ascii() || hexadecimal.is_empty() {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&hexadecimal[at..at + 2], 16).ok();
    (0..hexadecimal.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::programs::Architecture;
    use oci::Platform;

    const AARCH64: &str = "flags: FLAGS\noffset 0\nmagic 7f454c460201010000000000000000000200b700\n\
        mask ffffffffffffff00fffffffffffffffffeffffff\n";

    fn entry(state: &str, flags: &str) -> String {
        format!("{state}\ninterpreter /usr/bin/qemu\n{}", AARCH64.replace("FLAGS", flags))
    }

    #[test]
    fn entries_are_matched_by_what_they_take_not_by_their_name() {
        let program = |name: &str| Architecture::of(&Platform::new("linux", name, None)).unwrap().program();
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let found = |name: &str| within(folder.path(), &program(name));
        assert_eq!(found("arm64"), Registered::Unseen);
        put("status", "enabled\n");
        put("register", "");
        put("qemu-riscv64", &entry("disabled", "OCF"));
        put("python", "enabled\ninterpreter /usr/bin/python\nflags: \nextension .py\n");
        put("junk", "enabled\ninterpreter x\nflags: F\noffset 99999999999\nmagic 7f\n");
        put("odd", "enabled\ninterpreter x\nflags: F\noffset 0\nmagic 7ü\n");
        let is = |name: &str| match found(name) {
            Registered::Yes(entry) => Some((entry.name, entry.enabled, entry.fixed)),
            _ => None,
        };
        assert_eq!(is("arm64"), Some(("qemu-riscv64".into(), false, true)));
        assert_eq!(
            (found("riscv64"), found("arm"), found("s390x")),
            (Registered::No, Registered::No, Registered::No)
        );
        put("second", &entry("enabled", "OC"));
        assert_eq!(is("arm64"), Some(("second".into(), true, false)));
        put("third", &entry("enabled", "POCF"));
        assert_eq!(is("arm64"), Some(("third".into(), true, true)));
        put("status", "disabled\n");
        assert!(matches!(is("arm64"), Some((_, false, _))));
    }
}
