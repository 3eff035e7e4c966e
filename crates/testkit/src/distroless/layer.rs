//! One package as one layer: its files, and what `status.d` holds of it. As the builders of real distroless images write it
//! (`PACKAGE_METADATA.md` of GoogleContainerTools/distroless).

use crate::tar::{Entry, Kind, Reader};
use crate::{Error, command::argv, image_reader::plain};
use std::path::Path;

/// Where the paragraphs of packages lie.
pub const STATUS_D: &str = "var/lib/dpkg/status.d";

/// The entries of a package's layer: folders first made where the package has none of its own.
pub fn entries(deb: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = files(deb)?;
    let name = field(deb, "Package")?;
    let control = argv("dpkg-deb", ["--field"]).arg(deb).stdout()?;
    let mut own = vec![Entry::file(&format!("{STATUS_D}/{name}"), control)];
    if let Some(sums) = control_file(deb, "md5sums")? {
        own.push(Entry::file(&format!("{STATUS_D}/{name}.md5sums"), sums));
    }
    add_folders(&mut entries, STATUS_D);
    entries.extend(own);
    Ok(entries)
}

/// What a package installs; paths have no `./` at the front.
pub fn files(deb: &Path) -> Result<Vec<Entry>, Error> {
    let tar = argv("dpkg-deb", ["--fsys-tarfile"]).arg(deb).stdout()?;
    let entries = Reader::new(&tar[..]).collect()?.into_iter().map(|mut entry| {
        entry.path = plain(&entry.path);
        if let Kind::Hardlink(target) = &mut entry.kind {
            *target = plain(target);
        }
        entry
    });
    Ok(entries.filter(|entry| !entry.path.is_empty()).collect())
}

/// One field of a package.
pub fn field(deb: &Path, name: &str) -> Result<String, Error> {
    Ok(argv("dpkg-deb", ["--field"]).arg(deb).arg(name).text()?.trim().to_owned())
}

/// One file of a package's control part, if it has it.
pub fn control_file(deb: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let tar = argv("dpkg-deb", ["--ctrl-tarfile"]).arg(deb).stdout()?;
    let found =
        Reader::new(&tar[..]).collect()?.into_iter().find(|entry| plain(&entry.path) == name.as_bytes());
    Ok(found.and_then(|entry| entry.content().map(<[u8]>::to_vec)))
}

/// Adds a folder and those above it, as far as they are not there.
pub fn add_folders(entries: &mut Vec<Entry>, folder: &str) {
    let ends = folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]);
    for end in ends {
        let path = &folder[..end];
        if !entries.iter().any(|entry| entry.path == path.as_bytes()) {
            entries.push(Entry::directory(path));
        }
    }
}
