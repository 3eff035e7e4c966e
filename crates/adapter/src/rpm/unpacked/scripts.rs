//! Scripts of packages, which are never run: whether that matters.

use super::{Incoming, in_image, listed, path};
use crate::Error;
use inventory::{printable, rpm::contents};
use layer::{Kind, Tree};

/// What an upgrade would have run of the new version.
const PHASES: [&str; 4] = ["pretrans", "pre", "post", "posttrans"];

/// Without it no script was ever run in the image.
const SHELL: &str = "bin/sh";

/// A cache that the loader does without.
const LDCONFIG: [&[u8]; 3] = [b"/sbin/ldconfig", b"/usr/sbin/ldconfig", b"ldconfig"];

/// Judges the scripts of all packages before anything is placed.
pub(super) fn judge(
    all: &[Incoming<'_>],
    tree: &dyn Tree,
    skip_scripts: bool,
) -> Result<Option<String>, Error> {
    let shell = tree.entry(&path(SHELL), true).map_err(in_image(SHELL))?;
    let has_shell = shell.is_some_and(|entry| matches!(entry.kind, Kind::File { .. }));
    let mut matter = Vec::new();
    for incoming in all {
        let header = incoming.header()?;
        let scripts = contents::scripts(&header).map_err(|why| incoming.error(why))?;
        let counts = |s: &&contents::Script<'_>| PHASES.contains(&s.phase) && !is_harmless(s);
        let phases = scripts.iter().filter(counts).map(|script| script.phase);
        matter.extend(phases.map(|phase| printable(&format!("%{phase} of {}", incoming.package.name))));
    }
    if matter.is_empty() {
        return Ok(None);
    }
    let named = listed(&matter);
    match (has_shell, skip_scripts) {
        (false, _) => Ok(Some(format!("not run, as the image has no shell to run them: {named}"))),
        (true, true) => Ok(Some(format!("not run, as was asked for: {named}"))),
        (true, false) => Err(Error::Scripts(named)),
    }
}

/// Whether a script does nothing but refresh the loader's cache.
fn is_harmless(script: &contents::Script<'_>) -> bool {
    let is_ldconfig = |text: &[u8]| LDCONFIG.contains(&text.trim_ascii());
    let program = script.interpreter.first().copied().unwrap_or_default();
    let lines = script.body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let mut counting = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    match is_ldconfig(program) {
        true => counting.next().is_none(),
        false => counting.all(is_ldconfig),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refreshing_the_loaders_cache_is_harmless() {
        let shell = format!("/{SHELL}");
        for (program, body, expected) in [
            (&b"/sbin/ldconfig"[..], &b""[..], true),
            (shell.as_bytes(), b"# comment\n\n/sbin/ldconfig\n", true),
            (shell.as_bytes(), b"/sbin/ldconfig; rm x", false),
            (shell.as_bytes(), b"useradd x", false),
            (b"<lua>", b"posix.symlink()", false),
            (b"/sbin/ldconfig", b"x", false),
        ] {
            let script = contents::Script { phase: "post", interpreter: vec![program], body };
            assert_eq!(is_harmless(&script), expected, "{script:?}");
        }
    }
}
