//! Records cut off or changed at every byte: an error, a note or a value, never a panic, and never an unescaped control
//! character in what is shown.

use inventory::{apt_sources::Sources, apt_states, dpkg, os_release};

const OS_RELEASE: &str = "ID=debian\nID_LIKE=\"a b\"\nVERSION_ID='12'\nPRETTY_NAME=\"Debian \\\"12\\\"\"\n";

const STATUS: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\n\
    Source: glibc (2.36-9)\nVersion: 2.36-9+deb12u4\nDescription: x\n y\n\nPackage: a\nStatus: hold ok installed\n\
    Architecture: all\nVersion: 1:2\n\n";

const LIST: &str =
    "deb [arch=amd64 trusted=yes] http://user:pw@[::1]:80/debian x main\ndeb mirror+file:/m y z\n";

const DEB822: &str =
    "Types: deb\nURIs: https://a.example:444/x\n http://b.example\nSuites: s\nEnabled: yes\n\n";

const STATES: &str = "Package: a\nArchitecture: amd64\nAuto-Installed: 1\n\n";

/// Every beginning of a text, and every text with one byte changed to one that means something or nothing.
fn damaged(text: &str) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cut = (0..text.len()).map(|end| text.as_bytes()[..end].to_vec());
    let changes = b"\n\0 :\"'[]@/\x1b\xff".iter();
    let changed = changes.flat_map(|new| (0..text.len()).map(move |at| (at, *new))).map(|(at, new)| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = new;
        bytes
    });
    cut.chain(changed)
}

fn shown(text: &str) {
    assert!(text.chars().all(|c| (' '..='~').contains(&c)), "{text:?}");
}

#[test]
fn damaged_os_release_files_are_survived() {
    for bytes in damaged(OS_RELEASE) {
        match os_release::parse(&bytes) {
            Ok(os) => [os.id, os.version_id].iter().chain(&os.pretty_name).for_each(|text| shown(text)),
            Err(error) => shown(&error.to_string()),
        }
    }
}

#[test]
fn damaged_status_files_are_survived() {
    for bytes in damaged(STATUS) {
        match dpkg::parse_status(&bytes) {
            Ok(status) => {
                status.notes.iter().for_each(|note| shown(note));
                status
                    .packages
                    .iter()
                    .for_each(|p| [&p.version, &p.source, &p.source_version].iter().for_each(|t| shown(t)));
            }
            Err(error) => shown(&error.to_string()),
        }
    }
}

#[test]
fn damaged_repository_configuration_is_survived() {
    for (path, text) in [("/a.list", LIST), ("/a.sources", DEB822)] {
        for bytes in damaged(text) {
            let mut sources = Sources::default();
            if sources.add(path, &bytes).is_ok() {
                sources.hosts.iter().chain(&sources.notes).for_each(|text| shown(text));
            }
        }
    }
}

#[test]
fn damaged_marks_are_survived() {
    for bytes in damaged(STATES) {
        let names = apt_states::automatic(&bytes).unwrap_or_default();
        names.iter().for_each(|name| shown(name.as_str()));
    }
}
