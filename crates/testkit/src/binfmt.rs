//! Programs of other architectures, run by the kernel through an emulator of Debian's `qemu-user-static`. What is registered stays
//! until the machine is started anew, as with Debian's own package.

use crate::image::native_architecture;
use crate::{command::argv, probe, tools};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows and takes what is registered (`Documentation/admin-guide/binfmt-misc.rst`).
const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// The emulator is opened when it is registered, so that it works in every root; it gets the rights of the program that it runs,
/// and the program opened.
const FLAGS: &str = "OCF";

/// Architectures in the words of images; their names in qemu's words, number and width in the head of an ELF file.
const EMULATED: [(&str, &str, u8, u8); 3] =
    [("amd64", "x86_64", 62, 2), ("arm64", "aarch64", 183, 2), ("arm", "arm", 40, 1)];

/// Makes programs of an architecture run here; a reason to skip where that cannot be.
pub fn ensure(architecture: &str) -> Result<(), String> {
    if architecture == native_architecture() {
        return Ok(());
    }
    let known = EMULATED.iter().find(|(name, ..)| *name == architecture);
    let (_, name, machine, class) =
        *known.ok_or_else(|| format!("no emulator is known for {architecture}"))?;
    let entry = PathBuf::from(FOLDER).join(format!("qemu-{name}"));
    if works(&entry) {
        return Ok(());
    }
    probe::root()?;
    let emulator = tools::find(&format!("qemu-{name}-static")).map_err(|error| error.to_string())?;
    mount()?;
    if !entry.exists() {
        register(&description(name, machine, class, &emulator), &entry)?;
    }
    if works(&entry) { Ok(()) } else { Err(format!("{} is switched off or has no flag F", entry.display())) }
}

fn works(entry: &Path) -> bool {
    let text = fs::read_to_string(entry).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags: ")).unwrap_or_default();
    text.starts_with("enabled") && flags.contains('F')
}

fn mount() -> Result<(), String> {
    if Path::new(FOLDER).join("register").exists() {
        return Ok(());
    }
    let mounted = argv("mount", ["-t", "binfmt_misc", "none", FOLDER]).stdout();
    mounted.map(drop).map_err(|error| error.to_string())
}

/// Others may do so in the same moment.
fn register(description: &[u8], entry: &Path) -> Result<(), String> {
    let registered = fs::write(Path::new(FOLDER).join("register"), description);
    match registered {
        Err(error) if !entry.exists() => Err(format!("the kernel takes no emulator: {error}")),
        _ => Ok(()),
    }
}

/// `:NAME:M:OFFSET:MAGIC:MASK:INTERPRETER:FLAGS`, for executable and shared ELF files of little-endian machines.
fn description(name: &str, machine: u8, class: u8, emulator: &Path) -> Vec<u8> {
    let (executable, version) = (2, 1);
    let mut magic = vec![0x7f, b'E', b'L', b'F', class, 1, version];
    magic.resize(16, 0);
    magic.extend([executable, 0, machine, 0]);
    let mut mask = [0xff; 20];
    (mask[7], mask[16]) = (0, 0xfe);
    let escaped =
        |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("\\x{byte:02x}"));
    let (magic, mask) = (escaped(&magic), escaped(&mask));
    format!(":qemu-{name}:M::{magic}:{mask}:{}:{FLAGS}", emulator.display()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_is_described_as_debian_describes_it() {
        let text = description("aarch64", 183, 2, Path::new("/usr/bin/qemu-aarch64-static"));
        let expected = ":qemu-aarch64:M::\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00\
                        :\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff\
                        :/usr/bin/qemu-aarch64-static:OCF";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn its_own_programs_run_anyway_and_those_of_unknown_machines_do_not() {
        assert_eq!(ensure(native_architecture()), Ok(()));
        assert!(ensure("vax").unwrap_err().contains("vax"));
    }
}
