//! dpkg's own file, rewritten in dpkg's form: the stanzas of what is unpacked are new, all others stay byte for byte.

use super::{Record, incoming::Incoming};
use crate::Error;
use inventory::{deb822, dpkg};
use layer::EntryPath;

/// The fields that dpkg knows, in the order in which it writes them; others follow as the package has them
/// (`fieldinfos` in dpkg's lib/dpkg/parse.c).
const ORDER: [&str; 26] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Description",
    "Triggers-Pending",
];

/// A conffile and the sum that a record has for it.
pub(super) type ConffileSum = (EntryPath, String);

/// A configuration file as the record of its package has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Where it is.
    pub(super) path: EntryPath,
    /// Its MD5 sum as the package had it.
    pub(super) md5: String,
}

/// The configuration files of a stanza.
pub(super) fn conffiles(stanza: &deb822::Stanza) -> Vec<Recorded> {
    let lines = stanza.get("conffiles").unwrap_or_default().lines();
    let one = |line: &str| {
        let mut words = line.trim().rsplitn(3, ' ').collect::<Vec<_>>();
        if matches!(words[..], ["obsolete" | "remove-on-upgrade", _, _]) {
            words.remove(0);
            return match words[..] {
                [md5, path] => recorded(path, md5),
                _ => None,
            };
        }
        let (path, md5) = line.trim().rsplit_once(' ')?;
        recorded(path, md5)
    };
    lines.filter_map(one).collect()
}

fn recorded(path: &str, md5: &str) -> Option<Recorded> {
    Some(Recorded { path: EntryPath::new(path.as_bytes()).ok()?, md5: md5.to_owned() })
}

/// One stanza with its bytes as they stand.
struct Block<'a> {
    bytes: &'a [u8],
    name: &'a [u8],
    architecture: &'a [u8],
}

/// What becomes of one stanza.
pub(super) struct New<'a> {
    /// The package.
    pub(super) incoming: &'a Incoming<'a>,
    /// Its conffiles with the sums that it has for them.
    pub(super) conffiles: &'a [ConffileSum],
    /// Conffiles of the old version that stay on disk and are none of the new one.
    pub(super) obsolete: &'a [ConffileSum],
}

/// The stanzas of some packages, read whole.
pub(super) fn stanza(bytes: &[u8], record: &Record<'_>) -> Option<deb822::Stanza> {
    let block = blocks(bytes).into_iter().find(|block| block.is(record))?;
    deb822::stanzas(block.bytes, dpkg::BYTES_MAX).ok()?.into_iter().next()
}

/// The file with these packages in it.
pub(super) fn rewritten(bytes: &[u8], all: &[New<'_>]) -> Result<Vec<u8>, Error> {
    let mut texts: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut rest: Vec<&New<'_>> = all.iter().collect();
    for block in blocks(bytes) {
        let of_it = |new: &&New<'_>| {
            let own = Record { name: new.incoming.name(), architecture: &new.incoming.package.architecture };
            block.is(&new.incoming.old.map_or(own, Record::of))
        };
        let text = match rest.iter().position(of_it) {
            Some(at) => new_text(rest.remove(at), Some(block.bytes))?,
            None => block.bytes.to_vec(),
        };
        texts.push((block.name.to_vec(), text));
    }
    for new in rest {
        let name = new.incoming.name().as_bytes();
        let at = texts.iter().position(|(other, _)| other.as_slice() > name).unwrap_or(texts.len());
        texts.insert(at, (name.to_vec(), new_text(new, None)?));
    }
    let with_end = |(_, mut text): (Vec<u8>, Vec<u8>)| {
        text.push(b'\n');
        text
    };
    Ok(texts.into_iter().flat_map(with_end).collect())
}

fn new_text(new: &New<'_>, old: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let control = new.incoming.control("control").unwrap_or_default();
    let read = |bytes: &[u8]| deb822::stanzas(bytes, dpkg::BYTES_MAX).map_err(|why| new.incoming.error(why));
    let mut stanza =
        read(control)?.into_iter().next().ok_or_else(|| new.incoming.error("no control file"))?;
    let want = old.and_then(|old| deb822::stanzas(old, dpkg::BYTES_MAX).ok()?.into_iter().next());
    let want = want.and_then(|old| old.get("status")?.split_whitespace().next().map(str::to_owned));
    let want = want.filter(|want| want == "hold").unwrap_or_else(|| "install".to_owned());
    stanza.set("Status", &format!("{want} ok installed"), "package");
    if let Some(lines) = conffile_lines(new) {
        stanza.set("Conffiles", &lines, "version");
    }
    let rank =
        |name: &str| ORDER.iter().position(|known| known.eq_ignore_ascii_case(name)).unwrap_or(ORDER.len());
    stanza.fields.sort_by_key(|(name, _)| rank(name));
    Ok(stanza.text().into_bytes())
}

fn conffile_lines(new: &New<'_>) -> Option<String> {
    let line = |(path, md5): &ConffileSum, end: &str| {
        let path = String::from_utf8(path.as_bytes().to_vec()).ok()?;
        Some(format!("\n /{path} {md5}{end}"))
    };
    let current = new.conffiles.iter().filter_map(|sum| line(sum, ""));
    let lines: String = current.chain(new.obsolete.iter().filter_map(|sum| line(sum, " obsolete"))).collect();
    (!lines.is_empty()).then_some(lines)
}

impl Block<'_> {
    fn is(&self, record: &Record<'_>) -> bool {
        self.name == record.name.as_bytes() && self.architecture == record.architecture.as_bytes()
    }
}

fn blocks(bytes: &[u8]) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if line.trim_ascii().is_empty() {
            blocks.extend(block(&bytes[start..at]));
            start = at + line.len();
        }
        at += line.len();
    }
    blocks.extend(block(&bytes[start..]));
    blocks
}

fn block(bytes: &[u8]) -> Option<Block<'_>> {
    let field = |name: &[u8]| {
        let mut lines = bytes.split(|b| *b == b'\n');
        let line = lines.find(|line| {
            line.len() > name.len()
                && line[name.len()] == b':'
                && line[..name.len()].eq_ignore_ascii_case(name)
        });
        line.map(|line| line[name.len() + 1..].trim_ascii()).unwrap_or_default()
    };
    let block = Block { bytes, name: field(b"package"), architecture: field(b"architecture") };
    (!bytes.is_empty()).then_some(block)
}
