//! A verified package file, and what is in it: control files, and entries in archive order by the one strict tar reader.

use crate::{
    Chosen, Error, Format, apk, apt,
    inflate::{Inflate, Packing},
    limits::UNPACKED_BYTES_MAX,
    rpm,
    section::Section,
};
use layer::{Entry, Kind, Limits, TarReader};
use oci::Hasher;
use std::{collections::BTreeMap, io::Read, sync::Arc};

/// Bytes read at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// A package's file as the index promises it: size and digest have been checked. It stays readable whatever becomes of
/// the cache.
#[derive(Debug, Clone)]
pub struct Archive {
    chosen: Chosen,
    file: Section,
    pub(crate) replaced: Option<Arc<Vec<u8>>>,
}

/// An opened package.
#[derive(Debug, Clone)]
pub struct Package {
    /// Name, as the package itself says; the same as in the index.
    pub name: version::PackageName,
    /// Version, likewise.
    pub version: String,
    /// Architecture, likewise.
    pub architecture: String,
    /// Control files by name; of a deb `control`, `md5sums`, `conffiles`, `triggers`, `postinst` and so on; of an
    /// apk `.PKGINFO`, `.post-install` and so on; of an RPM package
    /// its `header`, without magic, and scripts by their phase.
    pub control: BTreeMap<String, Vec<u8>>,
    pub(crate) content: Section,
    pub(crate) packing: Packing,
    pub(crate) form: Form,
}

/// How a package's entries lie in its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Tar,
    /// As of RPM packages: what is not in the archive's own heads is in the package's header.
    Cpio,
}

/// Takes the entries of a package: each with its content where it is a regular file.
pub type Visit<'a> = dyn FnMut(Entry, Option<&mut dyn Read>) -> Result<(), Error> + 'a;

impl Archive {
    pub(crate) fn new(chosen: Chosen, file: Section) -> Self {
        Archive { chosen, file, replaced: None }
    }

    /// A file that is on disk already. An error where it has not the size and the digest that the index promises.
    pub fn of_file(chosen: Chosen, file: std::fs::File) -> Result<Self, Error> {
        let mismatch = |why: String| Error::Mismatch { url: inventory::printable(chosen.name.as_str()), why };
        let read = |source| Error::io(format!("reading {}", chosen.name), source);
        let size = file.metadata().map_err(read)?.len();
        if size != chosen.size {
            return Err(mismatch(format!("{size} bytes where {} are expected", chosen.size)));
        }
        let file = Section::whole(Arc::new(file), size);
        if chosen.format == Format::Apk {
            apk::check(&chosen, &file)?;
            return Ok(Archive::new(chosen, file));
        }
        let (mut hasher, mut bytes, mut buffer) = (Hasher::default(), file.clone(), vec![0; BUFFER_BYTES]);
        while let count @ 1.. = bytes.read(&mut buffer).map_err(read)? {
            hasher.update(&buffer[..count]);
        }
        match hasher.finish() {
            digest if digest == chosen.digest => Ok(Archive::new(chosen, file)),
            digest => Err(mismatch(format!("digest {digest} where {} is expected", chosen.digest))),
        }
    }

    /// What it was chosen as.
    pub fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    /// Of an RPM package the header, without magic, of the installed version that it takes the place of, where the repositories
    /// still have that and it is signed by a key of theirs; never where packages need no signature.
    pub fn replaced_header(&self) -> Option<&[u8]> {
        self.replaced.as_deref().map(Vec::as_slice)
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.file.len()
    }

    /// The file from its beginning.
    pub fn reader(&self) -> impl Read + Send + 'static {
        self.file.clone()
    }

    /// Opens it. An error where it is malformed, or another package than its index says.
    pub fn open(&self) -> Result<Package, Error> {
        let Chosen { name, version, architecture, format, .. } = &self.chosen;
        let package = match format {
            Format::Deb => apt::deb::open(&self.file, &self.item())?,
            Format::Apk => apk::open(&self.file, &self.chosen, &self.item())?,
            Format::Rpm(_) => rpm::open::open(&self.file, &self.item())?,
        };
        let same = (&package.name, &package.version, &package.architecture) == (name, version, architecture);
        if same {
            return Ok(package);
        }
        let inventory = |text: &str| inventory::printable(text);
        let why = format!(
            "it says that it is {} {} {}",
            package.name,
            inventory(&package.version),
            inventory(&package.architecture)
        );
        Err(Error::Archive { item: self.item(), why })
    }

    fn item(&self) -> String {
        let Chosen { name, version, architecture, .. } = &self.chosen;
        inventory::printable(&format!("{name} {version} {architecture}"))
    }
}

impl Package {
    /// Calls `visit` for every entry, in archive order. Not all of them may have been visited when there is an error.
    pub fn entries(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
        let limits = Limits { unpacked_bytes: UNPACKED_BYTES_MAX, ..Limits::default() };
        let stream = Inflate::new(self.content.clone(), self.packing, UNPACKED_BYTES_MAX);
        let stream = stream.map_err(|e| self.malformed(&e))?;
        if self.form == Form::Cpio {
            let header = self.control.get(rpm::open::HEADER).map_or(&[][..], Vec::as_slice);
            return rpm::payload::entries(header, stream, &self.item(), visit);
        }
        let mut tar = TarReader::new(stream, &limits);
        while let Some(entry) = tar.next_entry().map_err(|e| self.malformed(&e))? {
            match entry.kind {
                Kind::File { .. } => visit(entry, Some(&mut tar))?,
                _ => visit(entry, None)?,
            }
        }
        Ok(())
    }

    fn item(&self) -> String {
        inventory::printable(&format!("{} {}", self.name, self.version))
    }

    fn malformed(&self, why: &dyn std::error::Error) -> Error {
        Error::Archive { item: self.item(), why: inventory::printable(&why.to_string()) }
    }
}
