//! Scripts of packages, which are never run: whether that matters.

use super::{incoming::Incoming, notes::listed, script_text};
use crate::Error;
use inventory::printable;
use layer::{Kind, Tree};

/// What an upgrade would have run of the new version (deb-preinst(5), deb-postinst(5)).
const SCRIPTS: [&str; 2] = ["preinst", "postinst"];

/// Without it no script was ever run in the image.
const SHELL: &str = "bin/sh";

/// Judges the scripts of all packages before anything is placed.
pub(super) fn judge(
    all: &[Incoming<'_>],
    tree: &dyn Tree,
    skip_scripts: bool,
) -> Result<Option<String>, Error> {
    let shell = tree.entry(&super::path(SHELL), true).map_err(super::in_record(SHELL))?;
    let has_shell = shell.is_some_and(|entry| matches!(entry.kind, Kind::File { .. }));
    let mut matter = Vec::new();
    for incoming in all {
        for script in SCRIPTS {
            let Some(text) = incoming.control(script) else { continue };
            let old = incoming.old.map(|old| old.version.as_str());
            let no_effect = script_text::has_no_effect(text, old, tree).map_err(|why| incoming.error(why))?;
            if !no_effect {
                matter.push((incoming.name(), script));
            }
        }
    }
    if matter.is_empty() {
        return Ok(None);
    }
    let named = listed(matter.iter().map(|(name, script)| printable(&format!("{script} of {name}"))));
    match (has_shell, skip_scripts) {
        (false, _) => {
            Ok(Some(format!("not run, as nothing in this image ever was when it was made: {named}")))
        }
        (true, true) => Ok(Some(format!("not run, as was asked for: {named}"))),
        (true, false) => Err(Error::Scripts(named)),
    }
}
