//! What the administrator of an image asked not to be touched: locked versions and excluded names of dnf, dnf5, yum, tdnf and zypper.
//!
//! Sources: dnf-versionlock(8), yum-versionlock(1), dnf5-versionlock(8), dnf.conf(5), tdnf's `locks.d`, zypp's locks(5).

use super::{glob, ini};
use crate::{Error, Package, printable};

/// Most locks taken.
const LOCKS_MAX: usize = 10_000;

/// Most steps taken to compare all locks with all packages, a second or two; real ones take a thousandth.
const STEPS_MAX: u64 = 500_000_000;

/// Most notes kept.
const NOTES_MAX: usize = 20;

/// The form of a file with locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `versionlock.list`: a name with its version a line; `!` before it only bars that version.
    List,
    /// dnf5's `versionlock.toml`.
    Toml,
    /// `dnf.conf` and its like: `exclude` and `excludepkgs` of `[main]`.
    Main,
    /// zypp's `locks`: paragraphs of `attribute: value`.
    Zypp,
    /// A name a line.
    Names,
}

/// The files in which locks are. Files that the folder of tdnf has are [`Form::Names`].
pub const FILES: [(&str, Form); 9] = [
    ("/etc/dnf/plugins/versionlock.list", Form::List),
    ("/etc/yum/pluginconf.d/versionlock.list", Form::List),
    ("/etc/dnf/versionlock.toml", Form::Toml),
    ("/etc/dnf/dnf.conf", Form::Main),
    ("/etc/yum.conf", Form::Main),
    ("/etc/yum/yum.conf", Form::Main),
    ("/etc/tdnf/tdnf.conf", Form::Main),
    ("/etc/zypp/locks", Form::Zypp),
    ("/etc/tdnf/locks.d", Form::Names),
];

/// Locks, gathered over all files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locks {
    locks: Vec<Lock>,
    /// What is not understood, and so does not hold anything.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Lock {
    /// A glob for names, or for names with versions.
    pattern: String,
    versioned: bool,
    any_case: bool,
}

impl Locks {
    /// Adds a file.
    pub fn add(&mut self, path: &str, form: Form, bytes: &[u8]) -> Result<(), Error> {
        let text = ini::text(bytes)?;
        match form {
            Form::List => text.lines().for_each(|line| self.list_line(path, line)),
            Form::Toml => toml_names(&text).into_iter().for_each(|name| self.name(path, name)),
            Form::Names => plain_lines(&text).for_each(|name| self.name(path, name)),
            Form::Zypp => text.split("\n\n").for_each(|paragraph| self.zypp(path, paragraph)),
            Form::Main => {
                for section in ini::sections(bytes)?.iter().filter(|section| section.name == "main") {
                    let excluded = ["exclude", "excludepkgs"].into_iter().flat_map(|key| section.list(key));
                    excluded.for_each(|name| self.name(path, name));
                }
            }
        }
        match self.locks.len() > LOCKS_MAX {
            true => Err(Error::Malformed(format!("more than {LOCKS_MAX} locks"))),
            false => Ok(()),
        }
    }

    /// Marks the packages that one of the locks is for. Locks built to take forever hold everything that is left.
    pub fn apply(&mut self, packages: &mut [Package]) {
        let mut steps = STEPS_MAX;
        for package in packages {
            package.held |= self.locks.iter().any(|lock| lock.is_for(package, &mut steps));
        }
        if steps == 0 {
            self.notes.push(
                "the locks of packages are too many to be compared; packages may be held that are not locked"
                    .into(),
            );
        }
    }

    /// The patterns of all locks, as they may be shown.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.locks.iter().map(|lock| printable(&lock.pattern))
    }

    fn push(&mut self, path: &str, lock: Lock) {
        match lock.pattern.len() <= glob::PATTERN_BYTES_MAX && self.locks.len() <= LOCKS_MAX {
            true => self.locks.push(lock),
            false => self.note(path, "a lock is too long"),
        }
    }

    fn note(&mut self, path: &str, what: &str) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(format!("{}: {}", printable(path), printable(what)));
        }
    }

    fn name(&mut self, path: &str, name: &str) {
        self.push(path, Lock { pattern: name.to_owned(), versioned: false, any_case: false });
    }

    fn list_line(&mut self, path: &str, line: &str) {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix('!') {
            Some(version) => self.note(path, &format!("{version} is barred; other versions of it are not")),
            None if line.is_empty() => {}
            None => self.push(path, Lock { pattern: line.to_owned(), versioned: true, any_case: false }),
        }
    }

    /// A paragraph of zypp's: a lock of packages by name.
    fn zypp(&mut self, path: &str, paragraph: &str) {
        let fields = plain_lines(paragraph).filter_map(|line| line.split_once(':'));
        let fields: Vec<(&str, &str)> = fields.map(|(key, value)| (key.trim(), value.trim())).collect();
        let all =
            |key: &'static str| fields.iter().filter(move |(name, _)| *name == key).map(|(_, value)| *value);
        let last = |key| all(key).next_back();
        let for_packages = last("type").is_none_or(|kind| kind == "package");
        if fields.is_empty() || !for_packages || last("install_status") == Some("not-installed") {
            return;
        }
        let any_case = !matches!(last("case_sensitive"), Some("on" | "true" | "yes" | "1"));
        for name in all("solvable_name") {
            // A condition on the version may follow the name.
            let name =
                name.split(|c: char| c.is_whitespace() || "<>=".contains(c)).next().unwrap_or_default();
            let pattern = match last("match_type").unwrap_or("substring") {
                "exact" => escaped(name),
                "glob" => name.to_owned(),
                "substring" | "word" => format!("*{}*", escaped(name)),
                other => {
                    self.note(path, &format!("a lock of {name} by {other} is not understood"));
                    continue;
                }
            };
            self.push(path, Lock { pattern, versioned: false, any_case });
        }
        if all("solvable_name").next().is_none() {
            self.note(path, "a lock that is not of names is not understood");
        }
    }
}

impl Lock {
    fn is_for(&self, package: &Package, steps: &mut u64) -> bool {
        let (name, architecture) = (package.name.as_str(), &package.architecture);
        let mut fits = |pattern: &str, text: &str| match self.any_case {
            true => glob::fits(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase(), steps),
            false => glob::fits(pattern, text, steps),
        };
        if fits(&self.pattern, name) || fits(&self.pattern, &format!("{name}.{architecture}")) {
            return true;
        }
        self.versioned
            && (locked_name(&self.pattern).is_some_and(|locked| fits(locked, name))
                || self.is_for_version(package, steps))
    }

    /// Whether the lock is of the installed version, in one of the ways to write it.
    fn is_for_version(&self, package: &Package, steps: &mut u64) -> bool {
        let (name, architecture) = (&package.name, &package.architecture);
        let (epoch, rest) = package.version.split_once(':').unwrap_or(("0", &package.version));
        [
            format!("{name}-{rest}"),
            format!("{name}-{rest}.{architecture}"),
            format!("{name}-{epoch}:{rest}"),
            format!("{name}-{epoch}:{rest}.{architecture}"),
            format!("{epoch}:{name}-{rest}.{architecture}"),
        ]
        .iter()
        .any(|text| glob::fits(&self.pattern, text, steps))
    }
}

/// The name in `name-[epoch:]version-release.arch` or `epoch:name-version-release.arch`, where a version and a release, or a
/// version alone, can be made out at its end: both begin with a digit or a star.
fn locked_name(pattern: &str) -> Option<&str> {
    let is_epoch = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let pattern =
        pattern.split_once(':').filter(|(epoch, _)| is_epoch(epoch)).map_or(pattern, |(_, rest)| rest);
    let numbered = |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || c == '*');
    let (rest, release) = pattern.rsplit_once('-').filter(|(_, release)| numbered(release))?;
    match rest.rsplit_once('-').filter(|(_, version)| numbered(version)) {
        Some((name, _)) => Some(name),
        None => (!release.is_empty()).then_some(rest),
    }
}

/// A text as a glob that fits only itself.
fn escaped(text: &str) -> String {
    let escape = |c: char| if "*?[\\".contains(c) { vec!['\\', c] } else { vec![c] };
    text.chars().flat_map(escape).collect()
}

/// Lines that are neither empty nor comments.
fn plain_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The `name` of each `[[packages]]` table, as dnf5 writes them: a line a key. Whatever else TOML could say, dnf5 does not.
fn toml_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut in_package = false;
    for line in plain_lines(text) {
        if line.starts_with('[') {
            in_package = line.starts_with("[[packages]]");
        } else if let Some((_, value)) =
            line.split_once('=').filter(|(key, _)| in_package && key.trim() == "name")
        {
            let value = value.trim();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
            names.extend(quote.and_then(|quote| value[1..].split(quote).next()));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::super::{Database, packages};
    use super::*;

    /// A package of this name in version 1:2.0-3.el9, x86_64.
    fn package(name: &'static str) -> Package {
        let bytes = testing::sqlite(&[testing::package(name, (1, "2.0", "3.el9"), 0)]);
        packages(&Database::alone(&bytes)).unwrap().packages.remove(0)
    }

    fn locks(form: Form, text: &str) -> Locks {
        let mut locks = Locks::default();
        locks.add("/locks", form, text.as_bytes()).unwrap();
        locks
    }

    #[test]
    fn each_form_holds_what_it_names() {
        for (form, text, name, held) in [
            (Form::List, "# c\n\nbash-1:2.0-3.el9.*\n", "bash", true),
            (Form::List, "1:bash-2.0-3.el9.*\n", "bash", true),
            (Form::List, "bash-0:9.9-1.*\n", "bash", true),
            (Form::List, "bash # why\n", "bash", true),
            (Form::List, "bash-2.*\n", "bash", true),
            (Form::List, "java-1.8.0-openjdk\n", "java-1.8.0-openjdk", true),
            (Form::List, "java-1.8.0-openjdk\n", "java", false),
            (Form::List, "gtk2-devel\n", "gtk2", false),
            (Form::List, "bash-1:2.0-3.el9.*\n", "bash-completion", false),
            (Form::List, "!bash-1:2.0-3.el9.*\n", "bash", false),
            (
                Form::Toml,
                "version = \"1.0\"\n[[packages]]\nname = \"b*\" # x\n[[packages.conditions]]\nkey = \"evr\"\n",
                "bash",
                true,
            ),
            (Form::Toml, "[[packages]]\ncomment = \"name = 'bash'\"\n[x]\nname = 'bash'\n", "bash", false),
            (Form::Main, "[main]\nexclude=kernel* bash\n", "bash", true),
            (Form::Main, "[main]\nexcludepkgs=a,\n b*.x86_64\n", "bash", true),
            (Form::Main, "[base]\nexclude=bash\n", "bash", false),
            (
                Form::Zypp,
                "\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: ba*\n",
                "bash",
                true,
            ),
            (
                Form::Zypp,
                "type: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: BA*\n",
                "bash",
                false,
            ),
            (Form::Zypp, "type: package\nmatch_type: exact\nsolvable_name: BASH > 1\n", "bash", true),
            (Form::Zypp, "solvable_name: as\n", "bash", true),
            (Form::Zypp, "type: patch\nsolvable_name: bash\n", "bash", false),
            (
                Form::Zypp,
                "type: package\ninstall_status: not-installed\nsolvable_name: bash\n",
                "bash",
                false,
            ),
            (Form::Names, "bash\n", "bash", true),
        ] {
            let mut packages = [package(name)];
            locks(form, text).apply(&mut packages);
            assert_eq!(packages[0].held, held, "{text:?} {name}");
        }
    }

    #[test]
    fn held_packages_are_marked_and_patterns_shown() {
        let mut locks = locks(Form::Names, "ba*\n\u{1b}x\n");
        let mut all = [package("bash"), package("glibc")];
        locks.apply(&mut all);
        assert_eq!(all.map(|p| p.held), [true, false]);
        assert_eq!(locks.patterns().collect::<Vec<_>>(), ["ba*", "\\u{1b}x"]);
    }

    #[test]
    fn what_is_not_understood_is_noted() {
        for (form, text, why) in [
            (Form::List, "!bash-1-1.*\n", "bash-1-1.* is barred"),
            (Form::Zypp, "match_type: regex\nsolvable_name: ^b\n", "by regex is not understood"),
            (Form::Zypp, "type: package\nprovides: x\n", "not of names"),
            (Form::Names, &"x".repeat(600), "too long"),
        ] {
            let locks = locks(form, text);
            assert!(locks.locks.is_empty() && locks.notes[0].contains(why), "{locks:?}");
        }
        let many = "a\n".repeat(LOCKS_MAX + 1);
        assert!(Locks::default().add("/l", Form::Names, many.as_bytes()).is_err());
        assert!(Locks::default().add("/l", Form::Names, b"\0").is_err());
    }
}
