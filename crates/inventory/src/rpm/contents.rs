//! What a package's header says of its files, its relations to others and its scripts.
//!
//! Source: rpm's `docs/manual/tags.md`, `include/rpm/rpmfiles.h` (flags of files), `include/rpm/rpmds.h` (flags of relations).

use super::header::{Numbers, Texts};
use super::{Header, Tag};
use crate::{Error, printable};

/// Most files of a package taken; kernel sources and icon themes have some ten thousand.
pub const FILES_MAX: usize = 250_000;

/// Most relations of one kind taken; the largest packages provide some ten thousand things.
pub const RELATIONS_MAX: usize = 250_000;

/// Bytes of all paths of a package together; those of the largest have some 20 MB.
const PATHS_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Most words of the program that reads a script.
const INTERPRETER_WORDS_MAX: usize = 64;

/// Longest path of a file, the kernel's limit.
pub const PATH_BYTES_MAX: usize = 4096;

/// File flag: the administrator may change it (`%config`).
pub const FILE_CONFIG: u32 = 1;
/// File flag: documentation.
pub const FILE_DOC: u32 = 1 << 1;
/// File flag: need not be there.
pub const FILE_MISSING_OK: u32 = 1 << 3;
/// File flag: a `%config` file that stays where it was changed; the new one is placed beside it.
pub const FILE_NO_REPLACE: u32 = 1 << 4;
/// File flag: owned by the package but not in it (`%ghost`).
pub const FILE_GHOST: u32 = 1 << 6;

/// Relation flag: versions older than that named.
pub const LESS: u32 = 1 << 1;
/// Relation flag: versions newer than that named.
pub const GREATER: u32 = 1 << 2;
/// Relation flag: the version named.
pub const EQUAL: u32 = 1 << 3;
/// Relation flag: a feature of rpm itself, of no package.
pub const RPMLIB: u32 = 1 << 24;

/// The tags of what a package provides.
pub const PROVIDES: [Tag; 3] = [Tag::PROVIDE_NAME, Tag::PROVIDE_FLAGS, Tag::PROVIDE_VERSION];
/// The tags of what a package requires.
pub const REQUIRES: [Tag; 3] = [Tag::REQUIRE_NAME, Tag::REQUIRE_FLAGS, Tag::REQUIRE_VERSION];
/// The tags of what a package conflicts with.
pub const CONFLICTS: [Tag; 3] = [Tag::CONFLICT_NAME, Tag::CONFLICT_FLAGS, Tag::CONFLICT_VERSION];
/// The tags of what a package takes the place of.
pub const OBSOLETES: [Tag; 3] = [Tag::OBSOLETE_NAME, Tag::OBSOLETE_FLAGS, Tag::OBSOLETE_VERSION];

/// One file of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// Its folder, absolute, with the closing slash.
    pub folder: &'a [u8],
    /// Its name there; empty for the root folder itself.
    pub name: &'a [u8],
    /// Type and permissions, as in `st_mode`.
    pub mode: u16,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub modified: u64,
    /// Digest in hexadecimal, of the algorithm of [`Tag::FILE_DIGEST_ALGO`]; empty for what is no regular file.
    pub digest: &'a [u8],
    /// Target of a symbolic link; empty elsewhere.
    pub link: &'a [u8],
    /// Flags (`FILE_…`).
    pub flags: u32,
    /// Owner, by name.
    pub user: &'a [u8],
    /// Group, by name.
    pub group: &'a [u8],
    /// Capabilities as text (`cap_net_raw=ep`); empty where there are none.
    pub capabilities: &'a [u8],
    /// Number of a device file.
    pub device: u16,
    /// Inode when it was built: files of one inode are hard links of each other.
    pub inode: u64,
}

impl File<'_> {
    /// The whole path.
    pub fn path(&self) -> Vec<u8> {
        [self.folder, self.name].concat()
    }
}

/// The files of a package, in its order. Paths are absolute and have no `.` and `..`; a list that the package lacks reads as
/// empty values, one of another length is an error.
pub fn files<'a>(header: &Header<'a>) -> Result<Vec<File<'a>>, Error> {
    let names = header.texts(Tag::BASE_NAMES)?;
    if names.len() > FILES_MAX {
        return Err(wrong(format!("more than {FILES_MAX} files")));
    }
    let folders = header.texts(Tag::DIR_NAMES)?;
    if folders.len() > FILES_MAX {
        return Err(wrong(format!("more than {FILES_MAX} folders")));
    }
    let folders: Vec<&[u8]> = folders.collect();
    let mut columns = Columns::of(header, names.len())?;
    let mut bytes = 0;
    names
        .map(|name| {
            let file = columns.file(&folders, name)?;
            bytes += file.folder.len() + file.name.len();
            // Many files may share one long folder, which takes no room in the header but does in every path.
            if bytes > PATHS_BYTES_MAX {
                return Err(wrong(format!("paths of more than {PATHS_BYTES_MAX} bytes")));
            }
            Ok(file)
        })
        .collect()
}

/// The lists that hold one value a file.
struct Columns<'a> {
    texts: [Texts<'a>; 5],
    numbers: [Numbers<'a>; 7],
}

impl<'a> Columns<'a> {
    fn of(header: &Header<'a>, count: usize) -> Result<Columns<'a>, Error> {
        let fits = |length: usize, tag: Tag| match length == 0 || length == count {
            true => Ok(()),
            false => Err(wrong(format!("{length} values of tag {} for {count} files", tag.0))),
        };
        let texts = |tag| header.texts(tag).and_then(|list| fits(list.len(), tag).map(|()| list));
        let numbers = |tag| header.numbers(tag).and_then(|list| fits(list.len(), tag).map(|()| list));
        let sizes = if header.has(Tag::LONG_FILE_SIZES) { Tag::LONG_FILE_SIZES } else { Tag::FILE_SIZES };
        Ok(Columns {
            texts: [
                texts(Tag::FILE_DIGESTS)?,
                texts(Tag::FILE_LINK_TOS)?,
                texts(Tag::FILE_USER_NAME)?,
                texts(Tag::FILE_GROUP_NAME)?,
                texts(Tag::FILE_CAPS)?,
            ],
            numbers: [
                numbers(Tag::DIR_INDEXES)?,
                numbers(Tag::FILE_MODES)?,
                numbers(sizes)?,
                numbers(Tag::FILE_MTIMES)?,
                numbers(Tag::FILE_FLAGS)?,
                numbers(Tag::FILE_RDEVS)?,
                numbers(Tag::FILE_INODES)?,
            ],
        })
    }

    fn file(&mut self, folders: &[&'a [u8]], name: &'a [u8]) -> Result<File<'a>, Error> {
        let [digest, link, user, group, capabilities] =
            self.texts.each_mut().map(|list| list.next().unwrap_or_default());
        let [index, mode, size, modified, flags, device, inode] =
            self.numbers.each_mut().map(|list| list.next().unwrap_or_default());
        let folder = usize::try_from(index).ok().and_then(|index| folders.get(index).copied());
        let folder = folder.ok_or_else(|| wrong(format!("a file in folder {index} of {}", folders.len())))?;
        check_path(folder, name)?;
        let (mode, device, flags) = (mode as u16, device as u16, flags as u32);
        Ok(File {
            folder,
            name,
            mode,
            size,
            modified,
            digest,
            link,
            flags,
            user,
            group,
            capabilities,
            device,
            inode,
        })
    }
}

/// Refuses a path that is not absolute or leads elsewhere.
fn check_path(folder: &[u8], name: &[u8]) -> Result<(), Error> {
    let plain = |part: &[u8]| part != b"." && part != b"..";
    let whole = folder.starts_with(b"/") && folder.ends_with(b"/") && !name.contains(&b'/');
    let short = folder.len() + name.len() <= PATH_BYTES_MAX;
    match whole && short && plain(name) && folder.split(|b| *b == b'/').all(plain) {
        true => Ok(()),
        false => {
            let path = String::from_utf8_lossy(&[folder, name].concat()).into_owned();
            Err(wrong(format!("a file at \"{}\"", printable(&path))))
        }
    }
}

/// A thing a package provides, requires, conflicts with or obsoletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    /// A package name, a library, a path, or any other word.
    pub name: &'a str,
    /// How the versions meant stand to the one named ([`LESS`], [`GREATER`], [`EQUAL`]), and more.
    pub flags: u32,
    /// `[epoch:]version[-release]`; empty where any will do.
    pub version: &'a str,
}

/// The relations of one kind ([`PROVIDES`], [`REQUIRES`], [`CONFLICTS`], [`OBSOLETES`]).
pub fn relations<'a>(
    header: &Header<'a>,
    [name, flags, version]: [Tag; 3],
) -> Result<Vec<Relation<'a>>, Error> {
    let (names, mut flags, mut versions) =
        (header.texts(name)?, header.numbers(flags)?, header.texts(version)?);
    let count = names.len();
    if count > RELATIONS_MAX || [flags.len(), versions.len()].iter().any(|n| *n != 0 && *n != count) {
        return Err(wrong(format!("{count} values of tag {}", name.0)));
    }
    let text = |bytes| {
        std::str::from_utf8(bytes).map_err(|_| wrong(format!("a value of tag {} is no text", name.0)))
    };
    names
        .map(|name| {
            let (flags, version) = (flags.next().unwrap_or(0) as u32, versions.next().unwrap_or_default());
            Ok(Relation { name: text(name)?, flags, version: text(version)? })
        })
        .collect()
}

/// A script that runs when the package comes or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script<'a> {
    /// When, in rpm's words (`pre`, `postun`, …).
    pub phase: &'static str,
    /// The program that reads it, with its arguments; `<lua>` is rpm itself. Empty means a shell.
    pub interpreter: Vec<&'a [u8]>,
    /// Its text; empty where the program alone is run.
    pub body: &'a [u8],
}

/// The scripts of a package, in the order in which rpm runs them. Triggers are apart: [`has_triggers`].
pub fn scripts<'a>(header: &Header<'a>) -> Result<Vec<Script<'a>>, Error> {
    let phases = [
        ("pretrans", Tag::PRE_TRANS, Tag::PRE_TRANS_PROG),
        ("pre", Tag::PRE_IN, Tag::PRE_IN_PROG),
        ("post", Tag::POST_IN, Tag::POST_IN_PROG),
        ("preuntrans", Tag::PRE_UN_TRANS, Tag::PRE_UN_TRANS_PROG),
        ("preun", Tag::PRE_UN, Tag::PRE_UN_PROG),
        ("postun", Tag::POST_UN, Tag::POST_UN_PROG),
        ("postuntrans", Tag::POST_UN_TRANS, Tag::POST_UN_TRANS_PROG),
        ("posttrans", Tag::POST_TRANS, Tag::POST_TRANS_PROG),
    ];
    let there = phases.into_iter().filter(|(_, body, program)| header.has(*body) || header.has(*program));
    there
        .map(|(phase, body, program)| {
            let body = header.texts(body)?.next().unwrap_or_default();
            let interpreter = header.texts(program)?;
            if interpreter.len() > INTERPRETER_WORDS_MAX {
                return Err(wrong(format!("a script read by more than {INTERPRETER_WORDS_MAX} words")));
            }
            Ok(Script { phase, interpreter: interpreter.collect(), body })
        })
        .collect()
}

/// Whether the package has scripts that run when others come or go, or when files do.
pub fn has_triggers(header: &Header<'_>) -> bool {
    [Tag::TRIGGER_SCRIPTS, Tag::FILE_TRIGGER_SCRIPTS, Tag::TRANS_FILE_TRIGGER_SCRIPTS]
        .iter()
        .any(|tag| header.has(*tag))
}

fn wrong(why: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("not the header of a package: {why}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Value, header, sample};
    use super::*;

    #[test]
    fn files_are_put_together_from_their_lists() {
        let blob = sample();
        let files = files(&Header::parse(&blob).unwrap()).unwrap();
        let shown: Vec<String> = files
            .iter()
            .map(|f| {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                format!("{} {:o} {} {} {}", text(&f.path()), f.mode, f.size, text(f.user), text(f.link))
            })
            .collect();
        let expected =
            ["/etc/a.conf 100644 5 root ", "/usr/bin/a 104755 70 root ", "/usr/bin/b 120777 1 root a"];
        assert_eq!(shown, expected);
        assert_eq!((files[0].flags, files[0].digest), (FILE_CONFIG | FILE_NO_REPLACE, &b"d0"[..]));
        // What the package has no list of reads as empty.
        assert_eq!((files[1].capabilities, files[1].inode), (&b""[..], 0));
    }

    #[test]
    fn paths_that_lead_elsewhere_and_lists_that_differ_are_errors() {
        let with = |folder, name, index, modes: usize| {
            let blob = header(&[
                (Tag::BASE_NAMES, Value::Texts(vec![name])),
                (Tag::DIR_NAMES, Value::Texts(vec![folder])),
                (Tag::DIR_INDEXES, Value::Numbers(vec![index])),
                (Tag::FILE_MODES, Value::Shorts(vec![0; modes])),
            ]);
            files(&Header::parse(&blob).unwrap()).map(|files| files.len()).map_err(|e| e.to_string())
        };
        assert_eq!((with("/a/", "b", 0, 1), with("/", "", 0, 1)), (Ok(1), Ok(1)));
        for (folder, name) in
            [("a/", "b"), ("/a", "b"), ("/a/../", "b"), ("/a/", ".."), ("/a/", "b/c"), ("", "")]
        {
            assert!(with(folder, name, 0, 1).unwrap_err().contains("a file at"), "{folder}{name}");
        }
        assert!(with("/a/", "b", 1, 1).unwrap_err().contains("folder 1 of 1"));
        assert!(with("/a/", "b", 0, 2).unwrap_err().contains("2 values of tag 1030 for 1 files"));
    }

    #[test]
    fn little_does_not_become_much() {
        let folder = Box::leak(format!("/{}/", "f".repeat(PATH_BYTES_MAX - 3)).into_boxed_str());
        let names = vec!["n"; 40_000];
        let long = header(&[
            (Tag::DIR_INDEXES, Value::Numbers(vec![0; names.len()])),
            (Tag::BASE_NAMES, Value::Texts(names)),
            (Tag::DIR_NAMES, Value::Texts(vec![folder])),
        ]);
        let error = files(&Header::parse(&long).unwrap()).unwrap_err().to_string();
        assert!(error.contains("paths of more than"), "{error}");
        let many = header(&[(Tag::DIR_NAMES, Value::Texts(vec![""; FILES_MAX + 1]))]);
        assert!(files(&Header::parse(&many).unwrap()).is_err());
        let words = header(&[(Tag::POST_IN_PROG, Value::Texts(vec!["w"; INTERPRETER_WORDS_MAX + 1]))]);
        assert!(scripts(&Header::parse(&words).unwrap()).is_err());
    }

    #[test]
    fn relations_and_scripts_are_read() {
        let blob = sample();
        let header = Header::parse(&blob).unwrap();
        let provides = relations(&header, PROVIDES).unwrap();
        assert_eq!(provides[0], Relation { name: "a", flags: EQUAL, version: "1:1-1" });
        assert_eq!(provides[1], Relation { name: "liba.so", flags: 0, version: "" });
        assert_eq!(relations(&header, REQUIRES), Ok(Vec::new()));
        let scripts = scripts(&header).unwrap();
        let [script] = &scripts[..] else { panic!("{scripts:?}") };
        assert_eq!((script.phase, script.body), ("post", &b"true"[..]));
        assert_eq!(script.interpreter, [&b"/usr/bin/python3"[..], b"-e"]);
        assert!(!has_triggers(&header));
    }
}
