//! What an earlier patch changed of the base, to be read without a run.

use crate::{
    errors,
    held::Held,
    lower::{Folders, hides_all, whole},
    opened::{Stack, topmost_first},
};
use engine::Error;
use layer::{Change, Changes, DirChanges, Entry, EntryPath, Overlay, Staged, Tree};
use rustix::fs::{Mode, OFlags, openat};
use std::{collections::BTreeMap, fs::File, sync::Arc};

/// The changes of all layers above the base; `None` where there are none.
pub(crate) fn changes(stack: &Arc<Stack>) -> Result<Option<Box<dyn Changes>>, Error> {
    if stack.earlier.iter().any(|layer| layer.stored.meta().opaque_root) {
        return Err(hides_all());
    }
    let folders = match &*stack.earlier {
        [] => return Ok(None),
        _ => whole(stack)?.inherited().map_err(errors::of_layer)?,
    };
    Ok(Some(match &*stack.earlier {
        [only] => {
            let folders = folders.into_iter().map(|folder| (folder.path.clone(), folder)).collect();
            let described = Described { changes: DirChanges::new(only.dir.clone()), folders };
            Box::new(Held::new(described, stack.clone()))
        }
        _ => Box::new(joined(stack, folders)?),
    }))
}

/// Several layers as one difference.
fn joined(stack: &Arc<Stack>, folders: Vec<Entry>) -> Result<impl Changes + use<>, Error> {
    let base = Overlay::new(topmost_first(&stack.base, None)).map_err(errors::of_layer)?;
    let base: Arc<dyn Tree> = Arc::new(Held::new(base, stack.clone()));
    let mut staged = Staged::over(base, spool(stack)?);
    for layer in &stack.earlier {
        staged.seed(&mut DirChanges::new(layer.dir.clone())).map_err(errors::of_layer)?;
    }
    staged.seed(&mut Folders(folders)).map_err(errors::of_layer)?;
    Ok(staged.changes())
}

/// A file that goes with its descriptor.
fn spool(stack: &Stack) -> Result<File, Error> {
    let work = stack.options.store.temp_dir().map_err(errors::of_store)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(work.fd(), "spool", flags, Mode::RUSR | Mode::WUSR);
    file.map(File::from).map_err(|e| errors::io("making a file for an earlier patch's changes", e))
}

/// A difference in which folders that its layer does not describe are as the image shows them.
struct Described {
    changes: DirChanges,
    folders: BTreeMap<EntryPath, Entry>,
}

impl Changes for Described {
    fn walk(
        &mut self,
        visit: &mut dyn FnMut(Change<'_>) -> Result<(), layer::Error>,
    ) -> Result<(), layer::Error> {
        let Described { changes, folders } = self;
        changes.walk(&mut |change| match change {
            Change::Set(entry, content) => {
                let shown = folders.get(&entry.path).cloned().unwrap_or(entry);
                visit(Change::Set(shown, content))
            }
            other => visit(other),
        })
    }
}
