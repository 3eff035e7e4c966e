//! pacman's database of installed packages: a folder for each, with a file `desc` of sections.

use super::pattern;
use crate::{Error, Package, PackageState, check_size, pacman::conf::Conf, printable};
use version::{PackageName, pacman};

/// Largest `desc` taken. The real ones of packages with hundreds of dependencies have 20 kB.
pub const DESC_BYTES_MAX: usize = 1024 * 1024;

/// Most packages taken; all of Arch has fewer.
pub const PACKAGES_MAX: usize = 100_000;

/// Largest `ALPM_DB_VERSION` taken.
pub const VERSION_BYTES_MAX: usize = 64;

/// The version of the database that pacman writes since 4.2 (`ALPM_LOCAL_DB_VERSION`).
const VERSION_KNOWN: u32 = 9;

/// Most values of one section kept.
const VALUES_MAX: usize = 10_000;

/// Most bytes of patterns times bytes of names that are held against each other: some seconds; real ones take a hundredth.
const COMPARED_MAX: usize = 2_000_000_000;

/// What the database says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Local {
    /// Installed packages, sorted by name.
    pub packages: Vec<Package>,
    /// What is in doubt.
    pub notes: Vec<String>,
}

/// The sections of a `desc` that we use.
#[derive(Default)]
struct Desc<'a> {
    name: &'a str,
    version: &'a str,
    base: &'a str,
    architecture: &'a str,
    groups: Vec<&'a str>,
}

/// Checks `ALPM_DB_VERSION`; a database without one is older than any pacman that could be in use.
pub fn check_version(bytes: Option<&[u8]>) -> Result<(), Error> {
    let bytes =
        bytes.ok_or_else(|| Error::Malformed("not there, so the database is older than is known".into()))?;
    check_size(bytes, VERSION_BYTES_MAX)?;
    let text = String::from_utf8_lossy(bytes);
    match text.trim().parse::<u32>() {
        Ok(VERSION_KNOWN) => Ok(()),
        Ok(version) if version > VERSION_KNOWN => {
            Err(Error::Malformed(format!("version {version}, newer than {VERSION_KNOWN}, the newest known")))
        }
        Ok(version) => Err(Error::Malformed(format!(
            "version {version}, older than {VERSION_KNOWN}; run pacman-db-upgrade"
        ))),
        Err(_) => Err(Error::Malformed(format!("not a version: {}", printable(text.trim())))),
    }
}

/// Reads a database: the names of the folders and the `desc` in each. What pacman.conf says to ignore is held.
pub fn read<'a>(entries: impl Iterator<Item = (&'a str, &'a [u8])>, conf: &Conf) -> Result<Local, Error> {
    let (mut local, mut compared) = (Local::default(), 0usize);
    let bytes_of = |texts: &[String]| texts.iter().map(|text| 1 + text.len()).sum::<usize>();
    let (names, groups) = (bytes_of(&conf.ignored_packages), bytes_of(&conf.ignored_groups));
    for (folder, bytes) in entries {
        let wrong = |why: String| Error::Malformed(format!("{}: {why}", printable(folder)));
        let desc = parse(bytes).map_err(wrong)?;
        // libalpm takes name and version from the folder and refuses a database where they differ.
        if folder.strip_prefix(desc.name).and_then(|rest| rest.strip_prefix('-')) != Some(desc.version) {
            let (name, version) = (printable(desc.name), printable(desc.version));
            return Err(wrong(format!("the folder of {name} {version} has another name")));
        }
        if local.packages.len() == PACKAGES_MAX {
            return Err(wrong(format!("more than {PACKAGES_MAX} packages")));
        }
        let of_groups: usize = desc.groups.iter().map(|group| 1 + group.len()).sum();
        let more = names.saturating_mul(desc.name.len()).saturating_add(groups.saturating_mul(of_groups));
        compared = compared.saturating_add(more);
        if compared > COMPARED_MAX {
            return Err(wrong("too much is ignored for so many packages and groups to be compared".into()));
        }
        local.packages.push(package(&desc, conf, &mut local.notes).map_err(wrong)?);
    }
    local.packages.sort_by(|a, b| a.name.cmp(&b.name));
    match local.packages.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(Error::Malformed(format!("{} is in it twice", pair[0].name))),
        None => Ok(local),
    }
}

fn parse(bytes: &[u8]) -> Result<Desc<'_>, String> {
    check_size(bytes, DESC_BYTES_MAX).map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8 text")?;
    if text.contains('\0') {
        return Err("binary, not text".into());
    }
    let mut desc = Desc::default();
    let mut section = "";
    for line in text.lines() {
        match line {
            "" => section = "",
            _ if section.is_empty() => section = line,
            _ => desc.set(section, line)?,
        }
    }
    // A file that was cut off before its name or version is no record of a package.
    match desc.name.is_empty() || desc.version.is_empty() {
        true => Err("no name or no version in it".into()),
        false => Ok(desc),
    }
}

impl<'a> Desc<'a> {
    fn set(&mut self, section: &str, line: &'a str) -> Result<(), String> {
        let place = match section {
            "%NAME%" => &mut self.name,
            "%VERSION%" => &mut self.version,
            "%BASE%" => &mut self.base,
            "%ARCH%" => &mut self.architecture,
            "%GROUPS%" if self.groups.len() == VALUES_MAX => return Err("too many groups".into()),
            "%GROUPS%" => {
                self.groups.push(line);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match place.is_empty() {
            true => *place = line,
            false => return Err(format!("{} has two values", section.trim_matches('%'))),
        }
        Ok(())
    }
}

fn package(desc: &Desc<'_>, conf: &Conf, notes: &mut Vec<String>) -> Result<Package, String> {
    let name: PackageName = desc.name.parse().map_err(|error| format!("{error}"))?;
    if let Err(error) = desc.version.parse::<pacman::Version>() {
        notes.push(format!("{name}: {error}"));
    }
    if !desc.architecture.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
        return Err(format!("invalid architecture \"{}\"", printable(desc.architecture)));
    }
    let fits = |patterns: &[String], text: &str| patterns.iter().any(|p| pattern::fits(p, text));
    let held = fits(&conf.ignored_packages, desc.name)
        || desc.groups.iter().any(|group| fits(&conf.ignored_groups, group));
    let version = printable(desc.version);
    Ok(Package {
        source: printable(if desc.base.is_empty() { desc.name } else { desc.base }),
        source_version: version.clone(),
        version,
        architecture: desc.architecture.to_owned(),
        held,
        state: PackageState::Installed,
        essential: false,
        multi_arch_same: false,
        install_only: false,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENSSL: &str = "%NAME%\nopenssl\n\n%VERSION%\n3.2.0-1\n\n%BASE%\nopenssl-base\n\n%DESC%\nThe Open Source toolkit\n\n\
        %ARCH%\nx86_64\n\n%BUILDDATE%\n1700000000\n\n%GROUPS%\nbase\nbase-devel\n\n%DEPENDS%\nglibc\n%strange\n\n";

    fn local(entries: &[(&str, &str)], conf: &Conf) -> Result<Local, Error> {
        read(entries.iter().map(|(folder, desc)| (*folder, desc.as_bytes())), conf)
    }

    #[test]
    fn packages_are_read_and_ignored_ones_are_held() {
        let fips = "%NAME%\nfips-extra\n\n%VERSION%\n1:1-1\n\n%ARCH%\nany\n";
        let entries = [("openssl-3.2.0-1", OPENSSL), ("fips-extra-1:1-1", fips)];
        let read = local(&entries, &Conf::default()).unwrap();
        let shown: Vec<_> = read
            .packages
            .iter()
            .map(|p| {
                (p.name.as_str(), p.version.as_str(), p.architecture.as_str(), p.source.as_str(), p.held)
            })
            .collect();
        let expected = [
            ("fips-extra", "1:1-1", "any", "fips-extra", false),
            ("openssl", "3.2.0-1", "x86_64", "openssl-base", false),
        ];
        assert_eq!(shown, expected);
        for (packages, groups, held) in [
            (vec!["openss?"], vec![], [false, true]),
            (vec![], vec!["base-*"], [false, true]),
            (vec!["*"], vec![], [true, true]),
            (vec!["ssl"], vec!["bas"], [false, false]),
        ] {
            let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
            let conf =
                Conf { ignored_packages: owned(packages), ignored_groups: owned(groups), ..Conf::default() };
            let found: Vec<_> = local(&entries, &conf).unwrap().packages.iter().map(|p| p.held).collect();
            assert_eq!(found, held);
        }
    }

    #[test]
    fn patterns_built_to_take_forever_are_refused() {
        let groups = format!("{OPENSSL}%GROUPS%\n{}\n", "a".repeat(900_000));
        let ignored_groups = vec![format!("{}b", "*a".repeat(1000)); 3];
        let conf = Conf { ignored_groups, ..Conf::default() };
        let error = local(&[("openssl-3.2.0-1", &groups)], &conf).unwrap_err().to_string();
        assert!(error.contains("too much is ignored"), "{error}");
    }

    #[test]
    fn what_is_no_record_is_refused_by_its_folder() {
        for (folder, desc, why) in [
            ("a-1-1", "", "a-1-1: no name or no version in it"),
            ("a-1-1", "%NAME%\na\n\n%VERSION%\n", "a-1-1: no name or no version in it"),
            ("a-1-2", "%NAME%\na\n\n%VERSION%\n1-1\n", "a-1-2: the folder of a 1-1 has another name"),
            ("a-1-1", "%NAME%\na\nb\n", "a-1-1: NAME has two values"),
            ("-x-1-1", "%NAME%\n-x\n\n%VERSION%\n1-1\n", "-x-1-1: invalid package name \"-x\""),
            ("a-1-1", "%NAME%\na\n\n%VERSION%\n1-1\n\n%ARCH%\nx y\n", "a-1-1: invalid architecture \"x y\""),
            ("a\u{1b}", "\0", "a\\u{1b}: binary, not text"),
        ] {
            assert_eq!(local(&[(folder, desc)], &Conf::default()).unwrap_err().to_string(), why);
        }
        let (one, two) = ("%NAME%\na\n\n%VERSION%\n1-1\n", "%NAME%\na\n\n%VERSION%\n2-1\n");
        let twice = local(&[("a-1-1", one), ("a-2-1", two)], &Conf::default());
        assert_eq!(twice.unwrap_err().to_string(), "a is in it twice");
        let odd = local(&[("a-x y", "%NAME%\na\n\n%VERSION%\nx y\n")], &Conf::default()).unwrap();
        assert_eq!(odd.notes.len(), 1);
    }

    #[test]
    fn only_the_known_version_of_the_database_is_read() {
        assert_eq!(check_version(Some(b"9\n")), Ok(()));
        for (bytes, why) in [
            (Some(&b"10\n"[..]), "version 10, newer than 9, the newest known"),
            (Some(b"8\n"), "version 8, older than 9; run pacman-db-upgrade"),
            (Some(b"x\x1b"), "not a version: x\\u{1b}"),
            (Some(b""), "not a version: "),
            (None, "not there, so the database is older than is known"),
        ] {
            assert_eq!(check_version(bytes).unwrap_err().to_string(), why);
        }
        assert!(check_version(Some(&[b'9'; 100])).is_err());
    }

    #[test]
    fn mutations_never_panic() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let mut taken = 0;
        for _ in 0..20_000 {
            let mut bytes = OPENSSL.as_bytes().to_vec();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = random(256) as u8,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"\n%NAMEV\0"[random(8)]),
                    _ => bytes.truncate(at.max(16)),
                }
            }
            let one = [("openssl-3.2.0-1", bytes.as_slice())];
            taken += usize::from(read(one.into_iter(), &Conf::default()).is_ok());
        }
        assert!(taken > 1000, "{taken}");
    }
}
