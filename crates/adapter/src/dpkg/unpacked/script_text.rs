//! Whether a maintainer script has an effect on an upgrade, by its text: most consist of what debhelper adds to every package
//! of a kind, and that is known. What is not known to have none has one.

use layer::{EntryPath, Error, Tree};
use version::Scheme;

/// Largest script that is looked into.
const BYTES_MAX: usize = 64 * 1024;

/// How debhelper begins and ends what it adds.
const ADDED: &str = "# Automatically added by ";
const END: &str = "# End automatically added section";

/// Sections that do nothing where none of these programs is in the image: they ask for them first, or do what only concerns
/// a system that is booted.
const NEEDED_BY: [(&str, &[&str]); 13] = [
    ("dh_makeshlibs", &[]),
    ("dh_strip", &[]),
    ("dh_installmenu", &["usr/bin/update-menus"]),
    ("dh_icons", &["usr/sbin/update-icon-caches"]),
    ("dh_installmime", &["usr/bin/update-mime"]),
    ("dh_python3", &["usr/bin/py3compile", "usr/bin/py3clean"]),
    ("dh_python2", &["usr/bin/pycompile", "usr/bin/pyclean"]),
    ("dh_systemd_enable", &["usr/bin/deb-systemd-helper"]),
    ("dh_systemd_start", &["usr/bin/deb-systemd-invoke", "bin/systemctl"]),
    ("dh_installsystemd", &["usr/bin/deb-systemd-helper", "usr/bin/deb-systemd-invoke", "bin/systemctl"]),
    ("dh_installinit", &["usr/sbin/update-rc.d", "usr/sbin/invoke-rc.d"]),
    ("dh_installtmpfiles", &["usr/bin/systemd-tmpfiles", "bin/systemd-tmpfiles"]),
    ("dh_apparmor", &["usr/sbin/aa-status", "usr/bin/aa-status", "sbin/apparmor_parser"]),
];

/// Whether nothing would come of it in this image, coming from the old version.
pub(super) fn has_no_effect(script: &[u8], old: Option<&str>, tree: &dyn Tree) -> Result<bool, Error> {
    let Ok(text) = std::str::from_utf8(script) else { return Ok(false) };
    if text.len() > BYTES_MAX || !text.starts_with("#!") {
        return Ok(false);
    }
    let (mut section, mut in_default) = (None, false);
    for line in text.lines().map(str::trim) {
        if let Some(by) = line.strip_prefix(ADDED) {
            section = Some(by.split(['/', ' ']).next().unwrap_or(by));
        } else if line.starts_with(END) {
            section = None;
        } else if let Some(by) = section {
            if !section_line_is_inert(by, line, old, tree)? {
                return Ok(false);
            }
        } else if !is_inert(line, &mut in_default) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn section_line_is_inert(by: &str, line: &str, old: Option<&str>, tree: &dyn Tree) -> Result<bool, Error> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(true);
    }
    if by == "dh_installdeb" {
        return helper_is_inert(line, old, tree);
    }
    let Some((_, programs)) = NEEDED_BY.iter().find(|(name, _)| *name == by) else { return Ok(false) };
    for program in *programs {
        if tree.entry(&super::path(program), true)?.is_some() {
            return Ok(false);
        }
    }
    // What `ldconfig` would do is said when it matters: see `generated`.
    Ok(true)
}

/// dpkg-maintscript-helper(1): does something only when coming from a version up to the one given, and to a path that is there.
fn helper_is_inert(line: &str, old: Option<&str>, tree: &dyn Tree) -> Result<bool, Error> {
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("dpkg-maintscript-helper") {
        return Ok(false);
    }
    let arguments: Vec<&str> = words.take_while(|word| *word != "--").collect();
    let (path, prior) = match arguments[..] {
        ["rm_conffile", path, ref rest @ ..] => (path, rest.first()),
        ["mv_conffile" | "symlink_to_dir" | "dir_to_symlink", path, _, ref rest @ ..] => (path, rest.first()),
        _ => return Ok(false),
    };
    let parse = |text: &str| Scheme::Deb.parse(text).ok();
    if let (Some(old), Some(prior)) = (old.and_then(parse), prior.and_then(|prior| parse(prior)))
        && old > prior
    {
        return Ok(true);
    }
    let path = EntryPath::new(path.as_bytes());
    Ok(match path {
        Ok(path) => tree.entry(&path, false)?.is_none(),
        Err(_) => false,
    })
}

/// A line of the script's own. What stands in the branch for unknown arguments is never reached on an upgrade.
fn is_inert(line: &str, in_default: &mut bool) -> bool {
    let is_pattern = |line: &str| {
        let names = line.strip_suffix(')').unwrap_or("|");
        !names.is_empty()
            && names.bytes().all(|b| b.is_ascii_lowercase() || b"-|* ".contains(&b))
            && names != "|"
    };
    match line {
        "" | "set -e" | "set -eu" | "set -e -u" | "set -u" | "exit 0" | ":" | "true" | "esac" => true,
        ";;" => {
            *in_default = false;
            true
        }
        "*)" => {
            *in_default = true;
            true
        }
        _ if line.starts_with('#') => true,
        _ if line.starts_with("case ") => {
            let word =
                line.strip_prefix("case ").and_then(|rest| rest.strip_suffix(" in")).unwrap_or_default();
            matches!(word.trim(), "\"$1\"" | "$1" | "\"${1}\"" | "${1}")
        }
        _ if is_pattern(line) => true,
        _ if *in_default => {
            let plain =
                !line.contains(['`', '$', ';', '|']) || line.contains("\\`$1'") || line.contains("'$1'");
            line == "exit 1" || (line.starts_with("echo ") && plain && !line.contains("$("))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layer::{Entry, Kind};
    use std::{collections::BTreeMap, io::Read};

    /// A tree that has these paths as files.
    struct Paths(&'static [&'static str]);

    impl Tree for Paths {
        fn entry(&self, path: &EntryPath, _: bool) -> Result<Option<Entry>, Error> {
            let there = self.0.iter().any(|there| path.as_bytes() == there.as_bytes());
            let (kind, path, mtime) = (Kind::File { size: 0 }, path.clone(), (0, 0));
            Ok(there.then(|| Entry {
                path,
                kind,
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime,
                xattrs: BTreeMap::new(),
            }))
        }

        fn open(&self, _: &EntryPath) -> Result<Box<dyn Read + Send>, Error> {
            Ok(Box::new(std::io::empty()))
        }

        fn list(&self, _: &EntryPath, _: usize) -> Result<Vec<Vec<u8>>, Error> {
            Ok(vec![])
        }
    }

    fn section(by: &str, body: &str) -> String {
        format!(
            "#!/bin/sh\nset -e\n# Automatically added by {by}/13.11\n{body}\n# End automatically added section\n"
        )
    }

    #[test]
    fn what_does_nothing_is_known_and_all_else_counts() {
        let template = "#!/bin/sh\nset -e\ncase \"$1\" in\n    configure)\n    ;;\n    abort-upgrade|abort-remove)\n    \
                        ;;\n    *)\n        echo \"postinst called with unknown argument \\`$1'\" >&2\n        \
                        exit 1\n    ;;\nesac\n#DEBHELPER#\nexit 0\n";
        let helper =
            |line: &str| section("dh_installdeb", &format!("dpkg-maintscript-helper {line} -- \"$@\""));
        let python =
            section("dh_python3", "if command -v py3compile >/dev/null; then\n\tpy3compile -p a\nfi");
        let cases: Vec<(String, &'static [&'static str], bool)> = vec![
            ("#!/bin/sh\nset -e\nexit 0\n".into(), &[], true),
            (template.into(), &[], true),
            (section("dh_makeshlibs", "if [ \"$1\" = \"configure\" ]; then\n\tldconfig\nfi"), &[], true),
            (python.clone(), &[], true),
            (python, &["usr/bin/py3compile"], false),
            (section("dh_unheard_of", "true"), &[], false),
            (helper("rm_conffile /etc/a 0.9~ a"), &["etc/a"], true),
            (helper("rm_conffile /etc/a 1.5~ a"), &["etc/a"], false),
            (helper("rm_conffile /etc/a 1.5~ a"), &[], true),
            (helper("dir_to_symlink /usr/share/doc/a b 2.0~ a"), &[], true),
            ("#!/bin/sh\nset -e\nmkdir -p /x\n".into(), &[], false),
            ("#!/bin/sh\nexit 1\n".into(), &[], false),
            ("#!/bin/sh\ncase \"$(rm x)\" in\nesac\n".into(), &[], false),
            ("#!/bin/sh\n*)\necho $(rm x)\n;;\n".into(), &[], false),
            ("set -e\n".into(), &[], false),
        ];
        for (text, there, expected) in cases {
            let judged = has_no_effect(text.as_bytes(), Some("1.0"), &Paths(there)).unwrap();
            assert_eq!(judged, expected, "{text} {there:?}");
        }
        assert!(!has_no_effect(b"\x7fELF", None, &Paths(&[])).unwrap());
    }
}
