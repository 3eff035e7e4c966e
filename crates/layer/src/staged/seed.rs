//! An earlier difference as the start: its paths lead through real folders only.

use super::{Below, Folder, Found, Node, Staged};
use crate::{Change, Entry, EntryPath, Error, Kind, failure::bad_entry};
use std::io::Read;

impl Staged {
    /// Stages one change.
    pub(super) fn apply(&mut self, change: Change<'_>) -> Result<(), Error> {
        match change {
            // Who mounts or packs takes the root's owner and mode from below.
            Change::Set(entry, _) if entry.path.is_root() => Ok(()),
            Change::Set(entry, content) => self.set(entry, content),
            Change::Remove(path) => {
                let shows = self.leads_to(&path)?;
                self.take_away(&path, shows)
            }
            Change::Opaque(path) if path.is_root() => {
                Err(bad_entry(&path, "it hides the whole tree below it"))
            }
            Change::Opaque(path) => self.hide(&path),
        }
    }

    fn set(&mut self, entry: Entry, content: Option<&mut dyn Read>) -> Result<(), Error> {
        self.check(&entry)?;
        let path = entry.path.clone();
        let shows = self.leads_to(&path)?;
        let found = self.view.found(&path, shows)?;
        let node = match (&entry.kind, found) {
            (Kind::Directory, Found::Folder(shown)) => {
                let staged = self.nodes().folder(&path).map(|folder| folder.below);
                let below = staged.unwrap_or(if shown { Below::Shown } else { Below::Nothing });
                Node::Folder(Folder { entry, below })
            }
            (Kind::Directory, _) => self.new_folder_over(shows, entry)?,
            (Kind::Hardlink { target }, _) => match self.view.nodes.get(target) {
                Some(Node::File(file)) if *target != path => Node::File(file.clone()),
                _ => {
                    return Err(bad_entry(
                        &path,
                        format!("a hardlink to {target}, which is no file of the difference"),
                    ));
                }
            },
            _ => {
                self.nodes().clear_below(&path);
                self.node(&path, shows, entry, content)?
            }
        };
        self.insert(path, node)
    }

    /// A folder in the place of something else. Only one that was removed before hides a folder below.
    fn new_folder_over(&mut self, shows: bool, entry: Entry) -> Result<Node, Error> {
        self.nodes().clear_below(&entry.path);
        self.new_folder(shows, entry)
    }

    fn hide(&mut self, path: &EntryPath) -> Result<(), Error> {
        self.leads_to(path)?;
        self.raise(path)?;
        self.nodes().clear_below(path);
        match self.nodes().folder(path) {
            None => Err(bad_entry(path, "hides what is below it and is no directory")),
            Some(folder) => {
                if folder.below == Below::Shown {
                    folder.below = Below::Hidden;
                }
                Ok(())
            }
        }
    }

    /// Makes sure that a path leads through real folders, staged all; whether names of the lower tree show in the last.
    fn leads_to(&mut self, path: &EntryPath) -> Result<bool, Error> {
        let folder = path.parent().unwrap_or_default();
        if let Some(Node::Folder(known)) = self.view.nodes.get(&folder) {
            return Ok(known.below == Below::Shown);
        }
        let at = self.view.resolve(&folder, false)?;
        match at.found {
            Found::Folder(shows) if at.path == folder => {
                self.raise(&folder)?;
                Ok(shows)
            }
            _ => Err(bad_entry(path, format!("{folder} is no directory"))),
        }
    }
}
