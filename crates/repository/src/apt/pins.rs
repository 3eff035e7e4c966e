//! apt_preferences(5): which version of a package is the candidate.

use super::{deb822, release::Release, settings::Settings};
use crate::Error;
use std::{collections::BTreeMap, sync::Arc};

/// Bytes of one file.
const BYTES_MAX: usize = 1 << 20;
/// Pins of one image.
const PINS_MAX: usize = 10_000;
/// Of what is installed, and of what is not automatic but upgrades so.
pub(crate) const INSTALLED: i32 = 100;
/// Of what is not automatic.
const NOT_AUTOMATIC: i32 = 1;
/// Of everything else.
const USUAL: i32 = 500;
/// Of the release that the configuration prefers.
const PREFERRED: i32 = 990;

/// Where a version is from, as pins see it.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) release: Arc<Release>,
    pub(crate) component: String,
    pub(crate) architecture: String,
    /// The host.
    pub(crate) site: String,
}

/// What pins see of a version.
pub(crate) struct Pinned<'a> {
    pub(crate) name: &'a str,
    pub(crate) source: &'a str,
    pub(crate) architecture: &'a str,
    pub(crate) version: &'a str,
    pub(crate) installed: bool,
    pub(crate) origins: Vec<&'a Origin>,
}

/// The pins of an image, in order: the first that fits counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pins {
    /// Of certain packages.
    specific: Vec<(Vec<String>, Pin)>,
    /// Of all packages.
    general: Vec<Pin>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pin {
    target: Target,
    priority: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Version(String),
    /// Letter and pattern, all of which must fit; `-` is a name of the release in any form.
    Release(Vec<(char, String)>),
    Site(String),
}

impl Pins {
    /// Of the files of an image. What is not understood is an error: to pass over a pin would change what is chosen.
    pub(crate) fn of(files: &BTreeMap<String, Vec<u8>>, settings: &Settings) -> Result<Pins, Error> {
        let mut pins = Pins::default();
        if let Some(preferred) = settings.get("APT::Default-Release") {
            let target = release(preferred).map_err(|why| configuration("APT::Default-Release", why))?;
            pins.general.push(Pin { target, priority: PREFERRED });
        }
        let whole = files.get_key_value("/etc/apt/preferences");
        let parts = files.iter().filter(|(path, _)| is_part(path));
        for (path, bytes) in whole.into_iter().chain(parts) {
            pins.add(bytes).map_err(|why| configuration(path, why))?;
        }
        Ok(pins)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() > BYTES_MAX {
            return Err(format!("{} bytes, more than {BYTES_MAX}", bytes.len()));
        }
        for stanza in deb822::stanzas(&String::from_utf8_lossy(bytes))? {
            // A stanza of comments only.
            let Some(packages) = stanza.get("package") else { continue };
            let get = |name: &str| stanza.get(name).ok_or_else(|| format!("a pin without {name}"));
            let (target, priority) = (target(get("pin")?)?, priority(get("pin-priority")?)?);
            let packages: Vec<String> = packages.split_ascii_whitespace().map(str::to_owned).collect();
            if packages.iter().any(|name| name.starts_with('/')) {
                return Err("a pin by regular expression is not understood".into());
            }
            if self.specific.len() + self.general.len() >= PINS_MAX {
                return Err(format!("more than {PINS_MAX} pins"));
            }
            match packages.iter().any(|name| name == "*") {
                true => self.general.push(Pin { target, priority }),
                false => self.specific.push((packages, Pin { target, priority })),
            }
        }
        Ok(())
    }

    /// The priority of a version. Not above nought: never taken.
    pub(crate) fn priority(&self, version: &Pinned<'_>) -> i32 {
        let of_name = self.specific.iter().filter(|(names, _)| names.iter().any(|name| is_of(name, version)));
        if let Some((_, pin)) = of_name.into_iter().find(|(_, pin)| fits(&pin.target, version)) {
            return pin.priority;
        }
        let of_origin = |origin: &&Origin| {
            let pin = self.general.iter().find(|pin| fits_origin(&pin.target, version, origin));
            pin.map_or_else(|| own_priority(&origin.release), |pin| pin.priority)
        };
        let installed = version.installed.then_some(INSTALLED);
        version.origins.iter().map(of_origin).chain(installed).max().unwrap_or(0)
    }
}

fn configuration(path: &str, why: String) -> Error {
    Error::Configuration { path: inventory::printable(path), why }
}

/// `run-parts` names: no end, or `.pref`.
fn is_part(path: &str) -> bool {
    let Some(name) = path.strip_prefix("/etc/apt/preferences.d/") else { return false };
    let stem = name.strip_suffix(".pref").unwrap_or(name);
    !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

fn own_priority(release: &Release) -> i32 {
    match (release.not_automatic, release.but_automatic_upgrades) {
        (true, true) => INSTALLED,
        (true, false) => NOT_AUTOMATIC,
        (false, _) => USUAL,
    }
}

fn priority(text: &str) -> Result<i32, String> {
    match text {
        "never" => Ok(-1),
        number => {
            let parsed = number.parse::<i16>().ok().filter(|value| *value != 0);
            parsed.map(i32::from).ok_or_else(|| format!("invalid priority {}", inventory::printable(text)))
        }
    }
}

fn target(text: &str) -> Result<Target, String> {
    let (kind, rest) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    let rest = rest.trim();
    match kind {
        "version" if !rest.is_empty() => Ok(Target::Version(checked(rest)?)),
        "origin" => Ok(Target::Site(checked(rest.trim_matches('"'))?)),
        "release" => release(rest),
        _ => Err(format!("a pin to {} is not understood", inventory::printable(text))),
    }
}

fn release(text: &str) -> Result<Target, String> {
    let part = |part: &str| match part.split_once('=') {
        None => Ok(('-', checked(part)?)),
        Some((letter, value)) => match letter {
            "a" | "n" | "o" | "l" | "c" | "v" | "b" => {
                Ok((char::from(letter.as_bytes()[0]), checked(value.trim_matches('"'))?))
            }
            _ => Err(format!("a pin to {} is not understood", inventory::printable(text))),
        },
    };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    Ok(Target::Release(parts.map(part).collect::<Result<_, _>>()?))
}

fn checked(pattern: &str) -> Result<String, String> {
    match pattern.starts_with('/') {
        true => Err("a pin by regular expression is not understood".into()),
        false => Ok(pattern.to_owned()),
    }
}

fn is_of(pattern: &str, version: &Pinned<'_>) -> bool {
    if let Some(source) = pattern.strip_prefix("src:") {
        return matches(source, version.source);
    }
    match pattern.split_once(':') {
        Some((name, architecture)) => {
            let fits = matches!(architecture, "any" | "native") || architecture == version.architecture;
            fits && matches(name, version.name)
        }
        None => matches(pattern, version.name),
    }
}

fn fits(target: &Target, version: &Pinned<'_>) -> bool {
    match target {
        Target::Version(pattern) => matches(pattern, version.version),
        _ => version.origins.iter().any(|origin| fits_origin(target, version, origin)),
    }
}

fn fits_origin(target: &Target, version: &Pinned<'_>, origin: &Origin) -> bool {
    let release = &origin.release;
    match target {
        Target::Version(pattern) => matches(pattern, version.version),
        Target::Site(pattern) => matches(pattern, &origin.site),
        Target::Release(parts) => parts.iter().all(|(letter, pattern)| match letter {
            'a' => matches(pattern, &release.suite),
            'n' => matches(pattern, &release.codename),
            'o' => matches(pattern, &release.origin),
            'l' => matches(pattern, &release.label),
            'c' => matches(pattern, &origin.component),
            'b' => matches(pattern, &origin.architecture),
            'v' => matches(pattern, &release.version),
            _ => {
                [&release.suite, &release.codename, &release.version].iter().any(|own| matches(pattern, own))
            }
        }),
    }
}

/// glob(7), as far as apt's patterns go: `*`, `?`, `[…]`.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match one(&pattern[p..], text[t]) {
            Some(0) => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(taken) => {
                p += taken;
                t += 1;
            }
            // The last star takes one more character, and what follows it is tried again.
            None => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How many characters of the pattern match one of the text; none for a star.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '*' => Some(0),
        '?' => Some(1),
        '[' => match pattern.iter().skip(2).position(|end| *end == ']') {
            Some(length) => class(&pattern[1..length + 2], c).then_some(length + 3),
            None => (c == '[').then_some(1),
        },
        own => (*own == c).then_some(1),
    }
}

fn class(class: &[char], c: char) -> bool {
    let (negated, class) = match class.first() {
        Some('!' | '^') => (true, &class[1..]),
        _ => (false, class),
    };
    let mut at = 0;
    while at < class.len() {
        let range = (class.get(at + 1) == Some(&'-')).then(|| class.get(at + 2)).flatten();
        let (low, high) = (class[at], *range.unwrap_or(&class[at]));
        if (low..=high).contains(&c) {
            return !negated;
        }
        at += if range.is_some() { 3 } else { 1 };
    }
    negated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(text: &str) -> Pins {
        let files = [("/etc/apt/preferences".to_owned(), text.as_bytes().to_vec())].into();
        Pins::of(&files, &Settings::default()).unwrap()
    }

    fn origin(suite: &str, codename: &str, label: &str) -> Origin {
        let head = format!(
            "Date: Thu, 01 Jan 1970 00:00:00 GMT\nOrigin: Debian\nVersion: 12.5\nSuite: {suite}\n\
             Codename: {codename}\nLabel: {label}\n"
        );
        let release = Arc::new(Release::parse(&head).unwrap());
        Origin {
            release,
            component: "main".into(),
            architecture: "amd64".into(),
            site: "mirror.example".into(),
        }
    }

    fn priority_of(pins: &Pins, name: &str, version: &str, origin: &Origin) -> i32 {
        let pinned = Pinned {
            name,
            source: "src",
            architecture: "amd64",
            version,
            installed: false,
            origins: vec![origin],
        };
        pins.priority(&pinned)
    }

    #[test]
    fn the_first_pin_that_fits_counts_and_specific_ones_before_general() {
        let stable = origin("stable", "bookworm", "Debian");
        for (text, name, version, expected) in [
            ("", "a", "1", 500),
            ("Package: a\nPin: version 1*\nPin-Priority: 1001\n", "a", "1.5", 1001),
            ("Package: a\nPin: version 1*\nPin-Priority: 1001\n", "a", "2", 500),
            ("Package: a\nPin: version 1*\nPin-Priority: 1001\n", "b", "1", 500),
            ("Package: lib* b\nPin: release n=bookworm\nPin-Priority: -1\n", "libx", "1", -1),
            ("Package: *\nPin: release a=stable, o=Debian\nPin-Priority: 700\n", "a", "1", 700),
            ("Package: *\nPin: release a=stable, o=Other\nPin-Priority: 700\n", "a", "1", 500),
            ("Package: *\nPin: release v=12*\nPin-Priority: 701\n", "a", "1", 701),
            ("Package: *\nPin: release bookworm\nPin-Priority: 702\n", "a", "1", 702),
            ("Package: *\nPin: origin \"mirror.example\"\nPin-Priority: 703\n", "a", "1", 703),
            (
                "Package: *\nPin: origin other\nPin-Priority: 1\n\nPackage: *\nPin: release c=main\nPin-Priority: 2\n",
                "a",
                "1",
                2,
            ),
            (
                "Package: *\nPin: release l=Debian\nPin-Priority: 1\n\nPackage: src:src\nPin: release b=amd64\nPin-Priority: 3\n",
                "a",
                "1",
                3,
            ),
            ("# c\nExplanation: x\nPackage: a:amd64\nPin: release *\nPin-Priority: never\n", "a", "1", -1),
        ] {
            assert_eq!(priority_of(&pins(text), name, version, &stable), expected, "{text}");
        }
    }

    #[test]
    fn releases_have_priorities_of_their_own() {
        let mut backports = origin("stable-backports", "bookworm-backports", "Debian Backports");
        Arc::make_mut(&mut backports.release).not_automatic = true;
        assert_eq!(priority_of(&pins(""), "a", "1", &backports), 1);
        Arc::make_mut(&mut backports.release).but_automatic_upgrades = true;
        assert_eq!(priority_of(&pins(""), "a", "1", &backports), 100);
        let files = [("/etc/apt/apt.conf".to_owned(), b"APT::Default-Release \"stable\";".to_vec())].into();
        let preferring = Pins::of(&BTreeMap::new(), &Settings::of(&files)).unwrap();
        assert_eq!(priority_of(&preferring, "a", "1", &origin("stable", "x", "")), 990);
        assert_eq!(priority_of(&preferring, "a", "1", &origin("testing", "y", "")), 500);
    }

    #[test]
    fn patterns_are_those_of_glob() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("*a*b*", "xaxxbx", true),
            ("a?", "ab", true),
            ("a?", "a", false),
            ("[a-c]1", "b1", true),
            ("[!a-c]1", "b1", false),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("1.2", "1x2", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)), "no blow-up");
    }

    #[test]
    fn pins_that_are_not_understood_are_errors() {
        for text in [
            "Package: /^a/\nPin: version 1\nPin-Priority: 1\n",
            "Package: a\nPin: release n=/x/\nPin-Priority: 1\n",
            "Package: a\nPin: release z=1\nPin-Priority: 1\n",
            "Package: a\nPin: moon\nPin-Priority: 1\n",
            "Package: a\nPin: version 1\n",
            "Package: a\nPin: version 1\nPin-Priority: 0\n",
            "Package: a\nPin-Priority: 1\n",
            "nonsense",
        ] {
            let files = [("/etc/apt/preferences.d/x".to_owned(), text.as_bytes().to_vec())].into();
            assert!(
                matches!(Pins::of(&files, &Settings::default()), Err(Error::Configuration { .. })),
                "{text}"
            );
            let passed_over =
                [("/etc/apt/preferences.d/x.dpkg-old".to_owned(), text.as_bytes().to_vec())].into();
            assert!(Pins::of(&passed_over, &Settings::default()).is_ok());
        }
    }
}
