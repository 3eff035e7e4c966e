//! Scripts of packages, which are never run: whether that matters.

use super::{Next, in_record, path};
use crate::Error;
use inventory::printable;
use layer::{Kind, Tree};

/// Most scripts that are named.
const NAMED_MAX: usize = 8;

/// Without it no script was ever run in the image.
const SHELL: &str = "bin/sh";

/// Judges the scripts of all packages before anything is placed. `triggers` names the packages whose trigger would run.
pub(super) fn judge(
    next: &[Next<'_>],
    triggers: &[&str],
    tree: &dyn Tree,
    skip_scripts: bool,
) -> Result<Option<String>, Error> {
    let shell = tree.entry(&path(SHELL), true).map_err(in_record(SHELL))?;
    let has_shell = shell.is_some_and(|entry| matches!(entry.kind, Kind::File { .. }));
    let mut matter = Vec::new();
    for incoming in next.iter().filter_map(|one| one.incoming) {
        let scripts: &[&str] = match incoming.old {
            Some(_) => &[".pre-upgrade", ".post-upgrade"],
            None => &[".pre-install", ".post-install"],
        };
        for script in scripts {
            let text = incoming.package.control.get(*script);
            if text.is_some_and(|text| !has_no_effect(text)) {
                matter.push(format!("{} of {}", script.trim_start_matches('.'), incoming.name()));
            }
        }
    }
    matter.extend(triggers.iter().map(|name| format!("trigger of {name}")));
    if matter.is_empty() {
        return Ok(None);
    }
    let more = matter.len().saturating_sub(NAMED_MAX);
    matter.truncate(NAMED_MAX);
    let mut named = printable(&matter.join(", "));
    if more > 0 {
        named.push_str(&format!(" and {more} more"));
    }
    match (has_shell, skip_scripts) {
        (false, _) => {
            Ok(Some(format!("not run, as nothing in this image ever was when it was made: {named}")))
        }
        (true, true) => Ok(Some(format!("not run, as was asked for: {named}"))),
        (true, false) => Err(Error::Scripts(named)),
    }
}

/// Whether a script does nothing whatever the shell: comments, and an end without a failure.
fn has_no_effect(script: &[u8]) -> bool {
    let idle = |line: &[u8]| {
        line.is_empty() || line.starts_with(b"#") || [&b"exit 0"[..], b":", b"true"].contains(&line)
    };
    script.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).all(idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_nothing_is_told_from_what_does() {
        for (text, nothing) in [
            ("#!/bin/sh\n\n# comment\nexit 0\n", true),
            ("#!/bin/sh\nexit 1\n", false),
            ("#!/bin/sh\ntrue; rm x\n", false),
            ("", true),
        ] {
            assert_eq!(has_no_effect(text.as_bytes()), nothing, "{text}");
        }
    }
}
