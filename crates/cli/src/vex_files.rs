//! Names of the VEX documents of several platforms.

use std::path::{Path, PathBuf};

/// The file for one platform: its words in front of the extension, so that `out.vex.json` has `out.vex.linux-arm64.json`
/// beside it. Of several images for one platform the later ones have a number too.
pub fn of_platform(path: &Path, platform: &str, number: usize) -> PathBuf {
    let mut words = platform.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    if number > 1 {
        words.push_str(&format!("-{number}"));
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{words}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Whether other files can lie beside it: not where it is standard output, a pipe or a device.
pub fn is_a_file(path: &Path) -> bool {
    path.as_os_str() != crate::output::STDOUT && std::fs::metadata(path).is_ok_and(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_has_a_file_beside_the_whole() {
        for (path, platform, number, file) in [
            ("out.vex.json", "linux/arm64", 1, "out.vex.linux-arm64.json"),
            ("a.b/out", "linux/arm/v7", 1, "a.b/out.linux-arm-v7"),
            ("/x/out.json", "linux/amd64", 2, "/x/out.linux-amd64-2.json"),
            ("out.json", "linux/../x", 1, "out.linux----x.json"),
        ] {
            assert_eq!(of_platform(Path::new(path), platform, number), Path::new(file));
        }
        assert!(!is_a_file(Path::new("-")) && !is_a_file(Path::new("/dev/null")));
    }
}
