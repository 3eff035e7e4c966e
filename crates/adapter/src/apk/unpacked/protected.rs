//! Protected paths (`protected_paths.d`, apk-protected_paths in apk-tools' documentation): where a file that the image's maker
//! changed stays as it is. apk puts the new one beside it as `.apk-new`; here it is left out, and the user told.

use super::{in_record, path, patterns};
use crate::Error;
use layer::Tree;

/// Where an image has lists of its own.
const FOLDERS: [&str; 2] = ["etc/apk/protected_paths.d", "lib/apk/protected_paths.d"];
/// What apk itself protects.
const DEFAULTS: [(Mode, &str); 3] =
    [(Mode::Changed, "etc"), (Mode::Links, "etc/init.d"), (Mode::None, "etc/apk")];
/// Most lists, and bytes of one.
const LISTS_MAX: usize = 256;
const BYTES_MAX: u64 = 64 << 10;

/// How a path is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Not at all.
    None,
    /// What differs from the record, or has none, stays.
    Changed,
    /// Symbolic links stay.
    Links,
    /// Whatever is there stays.
    All,
}

/// The paths of an image.
#[derive(Debug)]
pub(super) struct Protected(Vec<(Mode, String)>);

impl Protected {
    /// apk's own, and those of the image's lists.
    pub(super) fn read(tree: &dyn Tree) -> Result<Protected, Error> {
        let mut rules: Vec<_> = DEFAULTS.iter().map(|(mode, path)| (*mode, (*path).to_owned())).collect();
        for folder in FOLDERS {
            let at = path(folder);
            if tree.entry(&at, true).map_err(in_record(folder))?.is_none() {
                continue;
            }
            for name in tree.list(&at, LISTS_MAX).map_err(in_record(folder))? {
                if !name.ends_with(b".list") || name.starts_with(b".") {
                    continue;
                }
                let list = at.join(&name).map_err(in_record(folder))?;
                let bytes = tree.read(&list, BYTES_MAX).map_err(in_record(folder))?.unwrap_or_default();
                rules.extend(String::from_utf8_lossy(&bytes).lines().filter_map(rule));
            }
        }
        Ok(Protected(rules))
    }

    /// How a path is protected: by the longest rule that leads to it, of equal ones the last.
    pub(super) fn mode(&self, path: &str) -> Mode {
        let leading =
            self.0.iter().filter_map(|(mode, rule)| Some((patterns::depth_of_folder(rule, path)?, *mode)));
        leading.max_by_key(|(depth, _)| *depth).map_or(Mode::None, |(_, mode)| mode)
    }
}

fn rule(line: &str) -> Option<(Mode, String)> {
    let line = line.trim();
    let mode = match line.chars().next()? {
        '#' => return None,
        '-' => Mode::All,
        '@' => Mode::Links,
        '!' => Mode::None,
        _ => Mode::Changed,
    };
    let rest = line.trim_start_matches(['+', '-', '@', '!']).trim_matches('/');
    (!rest.is_empty()).then(|| (mode, rest.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_rule_counts() {
        let mut rules: Vec<_> = DEFAULTS.iter().map(|(mode, path)| (*mode, (*path).to_owned())).collect();
        rules.extend("# x\n+opt/conf\n!etc/own/\n-etc/mine\nvar/*/conf\n\n".lines().filter_map(rule));
        let protected = Protected(rules);
        for (path, mode) in [
            ("etc/a", Mode::Changed),
            ("etc/init.d/a", Mode::Links),
            ("etc/apk/world", Mode::None),
            ("etc/own/x", Mode::None),
            ("etc/mine", Mode::All),
            ("opt/conf/x", Mode::Changed),
            ("var/a/conf/x", Mode::Changed),
            ("usr/bin/a", Mode::None),
            ("etcetera", Mode::None),
        ] {
            assert_eq!(protected.mode(path), mode, "{path}");
        }
    }
}
