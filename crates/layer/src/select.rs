//! Which changes go into a layer, and with which times.

use crate::{
    Change, Changes, Entry, EntryPath, Error, Kind, Tree,
    extract::WHITEOUT,
    failure::{bad_entry, uncarry},
    limits::{ENTRIES_MAX, UNPACKED_BYTES_MAX},
    order,
    pack::{PackOptions, path_of, same_content},
};
use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    io::Read,
};

/// Clocks of file systems lag by up to a tick, and times are compared in whole seconds.
const WINDOW_SLACK: i64 = 1;
/// A name that no exclusion can mean, to ask whether one covers all that a folder holds.
const ANY_NAME: &[u8] = b"\x01any";

/// What to do with each change, in the order of the walk.
pub(crate) struct Selection {
    pub(crate) choices: Vec<Choice>,
    pub(crate) epoch: i64,
}

/// What to do with one change.
pub(crate) struct Choice {
    pub(crate) path: EntryPath,
    pub(crate) what: What,
}

/// See [`Choice`].
pub(crate) enum What {
    /// Nothing: it is no change, or excluded.
    Drop,
    /// Write the entry as this kind and with this time.
    Set(Kind, i64),
    /// Write a removal.
    Remove,
    /// Write that the folder is opaque.
    Opaque,
}

impl Choice {
    pub(crate) fn is_set(&self) -> bool {
        matches!(self.what, What::Set(..))
    }

    pub(crate) fn is_removal(&self) -> bool {
        matches!(self.what, What::Remove | What::Opaque)
    }
}

struct Selector<'a> {
    base: &'a dyn Tree,
    options: &'a PackOptions<'a>,
    choices: Vec<Choice>,
    /// Folders met, by path: their index, and the time they would carry.
    folders: HashMap<EntryPath, (usize, i64)>,
    /// Folders below which nothing of the base shows.
    fresh: HashSet<EntryPath>,
    /// First name of an object to the name that stands for it in the layer.
    first_names: HashMap<EntryPath, EntryPath>,
    /// Sizes of the files met, for links to them.
    sizes: HashMap<EntryPath, u64>,
    /// Bytes of the files that are kept.
    bytes: u64,
    /// Latest time of the base's entries where something is kept.
    base_newest: Option<i64>,
}

/// Judges every change.
pub(crate) fn select(
    changes: &mut dyn Changes,
    base: &dyn Tree,
    options: &PackOptions<'_>,
) -> Result<Selection, Error> {
    let mut selector = Selector {
        base,
        options,
        choices: Vec::new(),
        folders: HashMap::new(),
        fresh: HashSet::new(),
        first_names: HashMap::new(),
        sizes: HashMap::new(),
        bytes: 0,
        base_newest: None,
    };
    changes.walk(&mut |change| {
        if (options.cancel)() {
            return Err(Error::Cancelled);
        }
        selector.check_order(&change)?;
        check_count(selector.choices.len() as u64)?;
        let path = path_of(&change).clone();
        let what = selector.judge(change)?;
        selector.count(&path, &what)?;
        selector.choices.push(Choice { path, what });
        Ok(())
    })?;
    selector.keep_ways();
    let epoch = selector.epoch();
    Ok(Selection { choices: selector.choices_at(epoch), epoch })
}

impl Selector<'_> {
    /// A difference that is not walked in order would pack to other bytes elsewhere.
    fn check_order(&self, change: &Change<'_>) -> Result<(), Error> {
        let Some(last) = self.choices.last() else { return Ok(()) };
        let path = path_of(change);
        match order::compare(&last.path, path) {
            Ordering::Less => Ok(()),
            Ordering::Equal if matches!(change, Change::Opaque(_)) => Ok(()),
            _ => Err(bad_entry(path, "out of order in the difference")),
        }
    }

    /// A file with holes costs its maker nothing and everybody else all of its size.
    fn count(&mut self, path: &EntryPath, what: &What) -> Result<(), Error> {
        let What::Set(Kind::File { size }, _) = what else { return Ok(()) };
        self.bytes = self.bytes.saturating_add(*size);
        match self.bytes > UNPACKED_BYTES_MAX {
            true => Err(Error::Limit(format!(
                "with {path} the changes have more than {UNPACKED_BYTES_MAX} bytes"
            ))),
            false => Ok(()),
        }
    }

    fn judge(&mut self, change: Change<'_>) -> Result<What, Error> {
        match change {
            Change::Set(entry, content) => self.judge_set(entry, content),
            Change::Remove(path) => self.judge_remove(&path),
            Change::Opaque(path) => self.judge_opaque(&path),
        }
    }

    fn judge_remove(&mut self, path: &EntryPath) -> Result<What, Error> {
        if (self.options.excluded)(path) {
            return Ok(What::Drop);
        }
        let Some(base) = self.below(path)? else { return Ok(What::Drop) };
        self.base_newest = self.base_newest.max(Some(base.mtime.0));
        Ok(What::Remove)
    }

    fn judge_opaque(&mut self, path: &EntryPath) -> Result<What, Error> {
        let shown = (self.options.excluded)(path) || (self.options.excluded)(&path.join(ANY_NAME)?);
        let hides = !shown && self.below(path)?.is_some_and(|base| base.kind == Kind::Directory);
        if hides {
            self.fresh.insert(path.clone());
        }
        Ok(if hides { What::Opaque } else { What::Drop })
    }

    fn judge_set(&mut self, entry: Entry, content: Option<&mut dyn Read>) -> Result<What, Error> {
        if entry.path.name().starts_with(WHITEOUT) && !(self.options.excluded)(&entry.path) {
            return Err(bad_entry(&entry.path, "its name would stand for a removal in a layer"));
        }
        if entry.kind == Kind::Directory {
            return self.judge_folder(&entry);
        }
        if let Kind::File { size } = entry.kind {
            self.sizes.insert(entry.path.clone(), size);
        }
        if (self.options.excluded)(&entry.path) {
            return Ok(What::Drop);
        }
        let base = self.below(&entry.path)?;
        let promoted = self.promoted(&entry, content.is_some())?;
        if let (Some(base), Some(content)) = (&base, content)
            && self.same_file(&entry, base, content)?
        {
            return Ok(What::Drop);
        }
        if base.as_ref().is_some_and(|base| self.same_other(&entry, base)) {
            return Ok(What::Drop);
        }
        self.base_newest = self.base_newest.max(base.map(|base| base.mtime.0));
        let first = match &entry.kind {
            Kind::Hardlink { target } => target.clone(),
            _ => entry.path.clone(),
        };
        self.first_names.entry(first).or_insert_with(|| entry.path.clone());
        Ok(What::Set(promoted, entry.mtime.0))
    }

    /// What an entry becomes in the layer: a link whose first name is left out is a file by itself, or a link to the name that
    /// took its place.
    fn promoted(&self, entry: &Entry, has_content: bool) -> Result<Kind, Error> {
        let Kind::Hardlink { target } = &entry.kind else { return Ok(entry.kind.clone()) };
        match (self.first_names.get(target), self.sizes.get(target)) {
            (Some(name), _) => Ok(Kind::Hardlink { target: name.clone() }),
            (None, Some(size)) if has_content => Ok(Kind::File { size: *size }),
            _ => Err(bad_entry(
                &entry.path,
                format!("link to {target}, which is left out and cannot be read again"),
            )),
        }
    }

    fn judge_folder(&mut self, entry: &Entry) -> Result<What, Error> {
        let base = self.below(&entry.path)?;
        let same = base.as_ref().is_some_and(|b| b.kind == Kind::Directory && same_metadata(entry, b));
        if base.is_none_or(|b| b.kind != Kind::Directory) {
            self.fresh.insert(entry.path.clone());
        }
        self.folders.insert(entry.path.clone(), (self.choices.len(), entry.mtime.0));
        let keep = !same && !(self.options.excluded)(&entry.path);
        Ok(if keep { What::Set(Kind::Directory, entry.mtime.0) } else { What::Drop })
    }

    /// What the base has at a path, unless it is hidden by what the difference puts above it.
    fn below(&self, path: &EntryPath) -> Result<Option<Entry>, Error> {
        let mut above = path.parent();
        while let Some(folder) = above {
            if self.fresh.contains(&folder) {
                return Ok(None);
            }
            above = folder.parent();
        }
        self.base.entry(path, false)
    }

    fn same_file(&self, entry: &Entry, base: &Entry, content: &mut dyn Read) -> Result<bool, Error> {
        let Kind::File { size: base_size } = base.kind else { return Ok(false) };
        let first = if let Kind::Hardlink { target } = &entry.kind { target } else { &entry.path };
        if self.sizes.get(first) != Some(&base_size)
            || !same_metadata(entry, base)
            || !self.same_time(entry, base)
        {
            return Ok(false);
        }
        let mut other = self.base.open(&entry.path)?;
        same_content(content, &mut other).map_err(|e| uncarry(|| format!("comparing {}", entry.path), e))
    }

    /// The same for what has no content.
    fn same_other(&self, entry: &Entry, base: &Entry) -> bool {
        let has_none = !matches!(entry.kind, Kind::File { .. } | Kind::Hardlink { .. });
        has_none && entry.kind == base.kind && same_metadata(entry, base) && self.same_time(entry, base)
    }

    /// A time made by the run says nothing.
    fn same_time(&self, entry: &Entry, base: &Entry) -> bool {
        entry.mtime.0 == base.mtime.0 || self.in_window(entry.mtime.0)
    }

    fn in_window(&self, seconds: i64) -> bool {
        let (start, end) = self.options.run_window;
        (start.saturating_sub(WINDOW_SLACK)..=end.saturating_add(WINDOW_SLACK)).contains(&seconds)
    }

    /// Keeps the folders that lead to something kept.
    fn keep_ways(&mut self) {
        for index in (0..self.choices.len()).rev() {
            let choice = &self.choices[index];
            if matches!(choice.what, What::Drop) {
                continue;
            }
            let above = if matches!(choice.what, What::Opaque) {
                Some(choice.path.clone())
            } else {
                choice.path.parent()
            };
            let Some(&(folder, mtime)) = above.as_ref().and_then(|path| self.folders.get(path)) else {
                continue;
            };
            if matches!(self.choices[folder].what, What::Drop) {
                self.choices[folder].what = What::Set(Kind::Directory, mtime);
            }
        }
    }

    /// The latest time that an entry may carry.
    fn epoch(&self) -> i64 {
        let kept = self.choices.iter().filter_map(|choice| match choice.what {
            What::Set(_, mtime) if !self.in_window(mtime) => Some(mtime),
            _ => None,
        });
        // Where all was made by the run, the base's own time is the only one that is the same in every run.
        self.options.source_date_epoch.or_else(|| kept.max()).or(self.base_newest).unwrap_or(0)
    }

    fn choices_at(mut self, epoch: i64) -> Vec<Choice> {
        let mut choices = std::mem::take(&mut self.choices);
        for choice in &mut choices {
            if let What::Set(_, mtime) = &mut choice.what
                && (*mtime > epoch || self.in_window(*mtime))
            {
                *mtime = epoch;
            }
        }
        choices
    }
}

/// Changes are held until all are known; nobody could unpack a layer of more entries anyway.
fn check_count(before: u64) -> Result<(), Error> {
    match before >= ENTRIES_MAX {
        true => Err(Error::Limit(format!("there are more than {ENTRIES_MAX} changes"))),
        false => Ok(()),
    }
}

fn same_metadata(a: &Entry, b: &Entry) -> bool {
    (a.mode, a.uid, a.gid) == (b.mode, b.uid, b.gid) && a.xattrs == b.xattrs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted() {
        assert!(check_count(0).is_ok() && check_count(ENTRIES_MAX - 1).is_ok());
        assert!(matches!(check_count(ENTRIES_MAX), Err(Error::Limit(_))));
    }
}
