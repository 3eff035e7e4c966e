//! chisel's manifest, rewritten for the new versions: package, paths, sums, links.

use super::{
    Record, in_record,
    incoming::Incoming,
    left_out::LeftOut,
    place::{At, Placed},
    sums::Sum,
};
use crate::Error;
use inventory::wall::{self, Content, Wall, WallPackage, WallPath};
use layer::{EntryPath, Kind, Staged, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// Permission bits that chisel writes: set-user-ID and set-group-ID are not among them.
const MODE_BITS: u32 = 0o1777;

/// The slice of a package that was not in the image before: chisel's own definitions are not in a manifest.
const NEW_SLICE: &str = "all";

/// The manifest of an image.
#[derive(Debug)]
pub(super) struct Manifest {
    wall: Wall,
}

impl Manifest {
    /// Reads it; nothing where there is none.
    pub(super) fn read(tree: &dyn Tree) -> Result<Option<Manifest>, Error> {
        let bytes = tree.read(&super::path(wall::PATH), wall::PACKED_BYTES_MAX as u64);
        let Some(bytes) = bytes.map_err(in_record(wall::PATH))? else { return Ok(None) };
        let wall = wall::parse(&bytes).map_err(|why| Error::database(wall::PATH, why))?;
        Ok(Some(Manifest { wall }))
    }

    /// Whether a package is in it.
    pub(super) fn has(&self, record: &Record<'_>) -> bool {
        self.wall.packages.get(record.name).is_some_and(|package| package.arch == record.architecture)
    }

    /// The paths of a package's slices.
    pub(super) fn paths(&self, record: &Record<'_>) -> Result<BTreeMap<EntryPath, Option<Sum>>, Error> {
        let of_it = self.of(record.name);
        let one = |path: &WallPath| {
            let at = EntryPath::new(path.path.as_bytes()).map_err(in_record(wall::PATH))?;
            let sum = path.final_sha256.as_ref().or(path.sha256.as_ref());
            Ok((at, sum.cloned().map(Sum::Sha256)))
        };
        of_it.into_iter().map(one).collect()
    }

    /// Files of a package's slices that were changed when the image was made.
    pub(super) fn mutated(&self, record: &Record<'_>) -> Result<BTreeSet<EntryPath>, Error> {
        let changed = |path: &&WallPath| path.final_sha256.is_some() && path.final_sha256 != path.sha256;
        let paths = self.of(record.name).into_iter().filter(changed);
        paths.map(|path| EntryPath::new(path.path.as_bytes()).map_err(in_record(wall::PATH))).collect()
    }

    fn of(&self, package: &str) -> Vec<&WallPath> {
        let is_own = |path: &&WallPath| path.slices.iter().any(|slice| wall::package_of(slice) == package);
        self.wall.paths.values().filter(is_own).filter(|path| path.path != wall::PATH).collect()
    }

    /// Takes a package's new version in.
    pub(super) fn update(
        &mut self,
        incoming: &Incoming<'_>,
        placed: &Placed,
        left_out: &LeftOut,
        removed: &[EntryPath],
    ) {
        let package = WallPackage {
            name: incoming.name().to_owned(),
            version: incoming.package.version.clone(),
            sha256: incoming.archive.chosen().digest.hex().to_owned(),
            arch: incoming.package.architecture.clone(),
        };
        self.wall.packages.insert(package.name.clone(), package);
        for path in removed {
            self.remove(path, incoming.name());
        }
        let first = |path: &EntryPath| placed.at.get(path).map(|at| (path.clone(), at.clone()));
        for (path, at) in &placed.at {
            let at = match super::left_out::target(&at.entry)
                .filter(|_| matches!(at.entry.kind, Kind::Hardlink { .. }))
            {
                // One file has what its first name has.
                Some(target) => first(&target).map_or(at.clone(), |(_, first)| At { kept: at.kept, ..first }),
                None => at.clone(),
            };
            self.set(incoming, path, &at, left_out);
        }
        self.number(placed);
    }

    fn remove(&mut self, path: &EntryPath, package: &str) {
        let name = format!("/{}", String::from_utf8_lossy(path.as_bytes()));
        for name in [name.clone(), name + "/"] {
            self.wall
                .contents
                .retain(|content| content.path != name || wall::package_of(&content.slice) != package);
            let Some(known) = self.wall.paths.get_mut(&name) else { continue };
            known.slices.retain(|slice| wall::package_of(slice) != package);
            if known.slices.is_empty() {
                self.wall.paths.remove(&name);
            }
        }
    }

    fn set(&mut self, incoming: &Incoming<'_>, path: &EntryPath, at: &At, left_out: &LeftOut) {
        let Some(name) = name(path, &at.entry.kind) else { return };
        if self.wall.paths.contains_key(&name) && (at.kept || at.entry.kind == Kind::Directory) {
            return;
        }
        let cause = left_out.taken.as_ref().and_then(|taken| taken.get(path));
        let slices = match (self.wall.paths.get(&name), cause) {
            (Some(known), _) => known.slices.clone(),
            (None, Some(cause)) => self.slices_of(cause, incoming.name()),
            (None, None) if at.entry.kind == Kind::Directory => return,
            (None, None) => vec![format!("{}_{NEW_SLICE}", incoming.name())],
        };
        for slice in &slices {
            self.wall.slices.insert(slice.clone());
            self.wall.contents.insert(Content { slice: slice.clone(), path: name.clone() });
        }
        let inode = self.wall.paths.get(&name).and_then(|known| known.inode);
        let link = match &at.entry.kind {
            Kind::Symlink { target } => Some(String::from_utf8_lossy(target).into_owned()),
            _ => None,
        };
        let new = WallPath {
            path: name.clone(),
            mode: format!("0{:o}", at.entry.mode & MODE_BITS),
            slices,
            sha256: at.passed.as_ref().map(|passed| passed.sha256.clone()),
            final_sha256: None,
            size: at.passed.as_ref().map_or(0, |passed| passed.size),
            link,
            inode,
        };
        self.wall.paths.insert(name, new);
    }

    /// The slices that a path comes in with: those of the path that needs it.
    fn slices_of(&self, cause: &EntryPath, package: &str) -> Vec<String> {
        let name = format!("/{}", String::from_utf8_lossy(cause.as_bytes()));
        let known = self.wall.paths.get(&name);
        let own = |slice: &&String| wall::package_of(slice) == package;
        let slices: Vec<_> = known.iter().flat_map(|path| &path.slices).filter(own).cloned().collect();
        if slices.is_empty() { vec![format!("{package}_{NEW_SLICE}")] } else { slices }
    }

    /// Numbers of names of one file: what the new version has as one keeps its number, or gets the next; others lose theirs.
    fn number(&mut self, placed: &Placed) {
        let mut groups: BTreeMap<&EntryPath, Vec<&EntryPath>> = BTreeMap::new();
        for (path, at) in &placed.at {
            if let Kind::Hardlink { target } = &at.entry.kind {
                groups.entry(target).or_default().push(path);
            }
        }
        let is_name =
            |path: &EntryPath| groups.iter().any(|(first, more)| *first == path || more.contains(&path));
        for path in placed.at.keys().filter(|path| !is_name(path)) {
            if let Some(known) =
                self.wall.paths.get_mut(&format!("/{}", String::from_utf8_lossy(path.as_bytes())))
            {
                known.inode = None;
            }
        }
        for (first, more) in groups {
            let names: Vec<_> = std::iter::once(first)
                .chain(more)
                .map(|path| format!("/{}", String::from_utf8_lossy(path.as_bytes())))
                .collect();
            let number = names.iter().find_map(|name| self.wall.paths.get(name)?.inode);
            let number = number
                .unwrap_or_else(|| self.wall.paths.values().filter_map(|p| p.inode).max().unwrap_or(0) + 1);
            for name in names {
                if let Some(known) = self.wall.paths.get_mut(&name) {
                    known.inode = Some(number);
                }
            }
        }
    }

    /// Writes it.
    pub(super) fn write(&self, staged: &mut Staged) -> Result<(), Error> {
        let packed = self.wall.packed().map_err(|why| Error::database(wall::PATH, why))?;
        staged.write(&super::path(wall::PATH), &packed, 0o644).map_err(in_record(wall::PATH))
    }
}

/// A path as the manifest writes it; paths that are no text cannot be in it.
fn name(path: &EntryPath, kind: &Kind) -> Option<String> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    Some(if *kind == Kind::Directory { format!("/{text}/") } else { format!("/{text}") })
}
