//! The inner form of a `.deb` (deb(5)): format number, control files, data, in this order and nothing twice.

use super::{ar, deb822};
use crate::{
    Error, Package,
    archive::Form,
    inflate::{Inflate, Packing},
    limits::{CONTROL_BYTES_MAX, CONTROL_FILES_MAX},
    section::Section,
};
use layer::{Kind, Limits, TarReader};
use std::{collections::BTreeMap, io::Read};

/// Bytes of the format number's member: `2.0` and a newline, and some room.
const FORMAT_BYTES_MAX: u64 = 64;

/// Opens the file of a package.
pub(crate) fn open(file: &Section, item: &str) -> Result<Package, Error> {
    let refuse = |why: String| Error::Archive { item: item.to_owned(), why: inventory::printable(&why) };
    let (control, data) = parts(file).map_err(refuse)?;
    let control = control_files(control).map_err(refuse)?;
    let stanza = control.get("control").ok_or_else(|| refuse("no control file".into()))?;
    let fields = deb822::fields(stanza).map_err(refuse)?;
    let get = |name: &str| {
        fields.get(name).cloned().ok_or_else(|| refuse(format!("no {name} in its control file")))
    };
    Ok(Package {
        name: get("package")?.parse().map_err(|e: version::NameError| refuse(e.to_string()))?,
        version: get("version")?,
        architecture: get("architecture")?,
        control,
        packing: Packing::of_name(&data.name),
        content: data.content,
        form: Form::Tar,
    })
}

/// The members for control files and data. Names that begin with an underscore are for others (signatures).
fn parts(file: &Section) -> Result<(ar::Member, ar::Member), String> {
    let mut members = ar::members(file)?.into_iter();
    let format = members
        .next()
        .filter(|member| member.name == "debian-binary")
        .ok_or("no format number at its beginning")?;
    let mut text = String::new();
    let read = format.content.take(FORMAT_BYTES_MAX).read_to_string(&mut text);
    if read.is_err() || !text.starts_with("2.") || !text.contains('\n') {
        return Err("unknown format number".into());
    }
    let mut rest = members.filter(|member| !member.name.starts_with('_'));
    let mut next = |stem: &str| {
        let known =
            |name: &str| ["", ".gz", ".xz", ".zst"].iter().any(|end| name.strip_prefix(stem) == Some(end));
        rest.next()
            .filter(|member| known(&member.name))
            .ok_or_else(|| format!("{stem} is missing, misplaced, or packed in an unknown way"))
    };
    let found = (next("control.tar")?, next("data.tar")?);
    match rest.next() {
        Some(more) => Err(format!("unexpected member {}", more.name)),
        None => Ok(found),
    }
}

fn control_files(member: ar::Member) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let packing = Packing::of_name(&member.name);
    let stream = Inflate::new(member.content, packing, CONTROL_BYTES_MAX).map_err(|e| e.to_string())?;
    let mut tar = TarReader::new(stream, &Limits { entries: CONTROL_FILES_MAX as u64, ..Limits::default() });
    let mut files = BTreeMap::new();
    while let Some(entry) = tar.next_entry().map_err(|e| e.to_string())? {
        match entry.kind {
            Kind::Directory if entry.path.is_root() => continue,
            Kind::File { .. } if entry.path.parent().is_some_and(|parent| parent.is_root()) => {}
            _ => return Err(format!("control file {} is no plain file", entry.path)),
        }
        let name = String::from_utf8(entry.path.as_bytes().to_vec()).map_err(|e| e.to_string())?;
        let mut content = Vec::new();
        tar.read_to_end(&mut content).map_err(|e| e.to_string())?;
        if files.insert(name, content).is_some() {
            return Err(format!("control file {} is there twice", entry.path));
        }
    }
    Ok(files)
}
