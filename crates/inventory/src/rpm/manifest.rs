//! What Mariner's and Azure Linux's distroless images have instead of a database: two lists of the packages in them.
//!
//! `container-manifest-1` has `name-version-release.arch` a line, `container-manifest-2` ten columns parted by tabs: name,
//! version-release, install time, build time, vendor, epoch or `(none)`, size, architecture, epoch or 0, file of the source package.
//! Source: `SPECS` of CBL-Mariner's and Azure Linux's distroless images, and what Go Copa writes back.

use super::package::{Draft, Reading};
use super::{Installed, corrupt_manifest};
use crate::{Error, check_size, printable};
use std::collections::BTreeSet;

/// The folder of both lists.
pub const FOLDER: &str = "/var/lib/rpmmanifest";

/// The two lists, in that folder.
pub const NAMES: [&str; 2] = ["container-manifest-1", "container-manifest-2"];

/// Largest list taken: a hundred bytes a package.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;

const COLUMNS: usize = 10;

/// The packages of an image from its lists. The second says everything; the first must say the same where it is there.
pub fn packages(first: Option<&[u8]>, second: &[u8]) -> Result<Installed, Error> {
    let mut reading = Reading::default();
    let mut named = BTreeSet::new();
    for (number, line) in lines(second)? {
        let columns: Vec<&str> = line.split('\t').collect();
        if columns.len() != COLUMNS {
            let found = columns.len();
            return Err(corrupt_manifest(format!(
                "line {number} of {} has {found} columns, not {COLUMNS}",
                NAMES[1]
            )));
        }
        named.insert(format!("{}-{}.{}", columns[0], columns[1], columns[7]));
        reading.add_draft(draft(&columns))?;
    }
    if let Some(first) = first {
        compare(&lines(first)?.into_iter().map(|(_, line)| line.to_owned()).collect(), &named)?;
    }
    reading.finish()
}

/// The lines of a list, counted from 1.
fn lines(bytes: &[u8]) -> Result<Vec<(usize, &str)>, Error> {
    check_size(bytes, BYTES_MAX)?;
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt_manifest("not text"))?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(corrupt_manifest("it ends in the middle of a line"));
    }
    Ok(text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.is_empty())
        .collect())
}

fn draft<'a>(columns: &[&'a str]) -> Result<Draft<'a>, Error> {
    let (version, release) =
        columns[1].rsplit_once('-').ok_or_else(|| Error::Malformed("no release".into()))?;
    let epoch = match columns[5] {
        "(none)" | "" => 0,
        number => number.parse().map_err(|_| Error::Malformed(format!("epoch \"{}\"", printable(number))))?,
    };
    Ok(Draft {
        name: columns[0],
        epoch,
        version,
        release,
        architecture: columns[7],
        source_file: Some(columns[9]),
        install_only: None,
    })
}

/// Refuses lists that name different packages.
fn compare(first: &BTreeSet<String>, second: &BTreeSet<String>) -> Result<(), Error> {
    let difference =
        |of: &BTreeSet<String>, to: &BTreeSet<String>| of.difference(to).next().map(|name| printable(name));
    let only = |name: String, list| corrupt_manifest(format!("{name} is only in {list}"));
    match (difference(first, second), difference(second, first)) {
        (Some(name), _) => Err(only(name, NAMES[0])),
        (_, Some(name)) => Err(only(name, NAMES[1])),
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str =
        "openssl-libs-3.3.0-2.azl3.x86_64\ngpg-pubkey-3135ce90-5e6fda74.(none)\nbash-5.2.15-3.azl3.x86_64\n";
    const SECOND: &str = "bash\t5.2.15-3.azl3\t1\t2\tMicrosoft Corporation\t(none)\t3\tx86_64\t0\tbash-5.2.15-3.azl3.src.rpm\n\
        gpg-pubkey\t3135ce90-5e6fda74\t1\t2\t(none)\t(none)\t0\t(none)\t0\t(none)\n\
        openssl-libs\t3.3.0-2.azl3\t1\t2\tMicrosoft Corporation\t1\t3\tx86_64\t1\topenssl-3.3.0-2.azl3.src.rpm\n";

    fn read(first: Option<&str>, second: &str) -> Result<Vec<String>, String> {
        let read = packages(first.map(str::as_bytes), second.as_bytes()).map_err(|e| e.to_string())?;
        assert_eq!(read.notes, [""; 0]);
        Ok(read
            .packages
            .iter()
            .map(|p| format!("{} {} {} {}", p.name, p.version, p.architecture, p.source))
            .collect())
    }

    #[test]
    fn both_lists_give_the_packages() {
        let expected = ["bash 5.2.15-3.azl3 x86_64 bash", "openssl-libs 1:3.3.0-2.azl3 x86_64 openssl"];
        assert_eq!(read(Some(FIRST), SECOND).unwrap(), expected);
        assert_eq!(read(None, SECOND).unwrap(), expected);
        assert_eq!(read(Some(""), ""), Ok(Vec::new()));
    }

    #[test]
    fn lists_that_differ_are_damaged_or_cut_off_are_errors() {
        let more = format!("{FIRST}zlib-1-1.x86_64\n");
        for (first, second, why) in [
            (Some(more.as_str()), SECOND, "zlib-1-1.x86_64 is only in container-manifest-1"),
            (Some(""), SECOND, "bash-5.2.15-3.azl3.x86_64 is only in container-manifest-2"),
            (None, &SECOND[..SECOND.len() - 1], "middle of a line"),
            (Some("bash"), SECOND, "middle of a line"),
            (None, "bash 5.2.15-3.azl3\n", "line 1 of container-manifest-2 has 1 columns"),
            (
                None,
                &format!("{}\tmore\n", SECOND.trim_end()),
                "line 3 of container-manifest-2 has 11 columns",
            ),
        ] {
            let error = read(first, second).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(packages(None, b"\xff\xfe\n").is_err());
        let odd = SECOND.replace("bash\t", "--root=/\t");
        let read = packages(None, odd.as_bytes()).unwrap();
        assert!(read.packages.len() == 1 && read.notes[0].contains("invalid package name"), "{read:?}");
    }
}
