//! A small tar writer and reader of its own: ustar with pax records, as container layers use. The writer writes whatever it is
//! told, hostile things included; the reader understands what real tools write and stops at anything else.

use crate::Error;
use std::collections::BTreeMap;
use std::io::{Read, Write};

const BLOCK: usize = 512;

/// Pax records and GNU long names are a few hundred bytes in everything real.
const EXTENSION_MAX: u64 = 1 << 20;

/// What one entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file with its content.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(Vec<u8>),
    /// Another name of the entry of this path.
    Hardlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A character device: major, minor.
    CharDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, written as it is.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds beside them.
    pub nanoseconds: u32,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

impl Entry {
    /// An entry of root's, mode 0755 for directories and 0644 else, of 2026-01-01.
    pub fn new(path: impl AsRef<[u8]>, kind: Kind) -> Entry {
        let mode = match kind {
            Kind::Directory => 0o755,
            Kind::Symlink(_) => 0o777,
            _ => 0o644,
        };
        let path = path.as_ref().to_vec();
        Entry {
            path,
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: crate::tree::EPOCH,
            nanoseconds: 0,
            xattrs: BTreeMap::new(),
        }
    }

    /// A file of root's, mode 0644.
    pub fn file(path: &str, content: impl AsRef<[u8]>) -> Entry {
        Entry::new(path, Kind::File(content.as_ref().to_vec()))
    }

    /// A directory of root's, mode 0755.
    pub fn directory(path: &str) -> Entry {
        Entry::new(path, Kind::Directory)
    }

    /// The same with another mode.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Entry {
        self.mode = mode;
        self
    }

    /// Its content, if it is a file.
    pub fn content(&self) -> Option<&[u8]> {
        if let Kind::File(content) = &self.kind { Some(content) } else { None }
    }
}

/// Writes a whole archive.
pub fn write(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    let writing =
        entries.iter().try_for_each(|entry| append(&mut out, entry)).and_then(|()| finish(&mut out));
    writing.expect("writing to memory does not fail");
    out
}

/// Writes one entry.
pub fn append(out: &mut impl Write, entry: &Entry) -> std::io::Result<()> {
    let records = pax_records(entry);
    if !records.is_empty() {
        let header =
            Header { name: b"pax".to_vec(), kind: b'x', size: records.len() as u64, ..Header::of(entry) };
        out.write_all(&header.block())?;
        write_padded(out, &records)?;
    }
    out.write_all(&Header::of(entry).block())?;
    write_padded(out, entry.content().unwrap_or_default())
}

/// Writes the header of a file whose `size` bytes the caller writes next, then [`padding`].
pub fn append_header(out: &mut impl Write, entry: &Entry, size: u64) -> std::io::Result<()> {
    out.write_all(&Header { size, ..Header::of(entry) }.block())
}

/// Writes the zeros that follow a content of `size` bytes.
pub fn padding(out: &mut impl Write, size: u64) -> std::io::Result<()> {
    let rest = (size % BLOCK as u64) as usize;
    if rest == 0 { Ok(()) } else { out.write_all(&[0; BLOCK][rest..]) }
}

/// Ends the archive.
pub fn finish(out: &mut impl Write) -> std::io::Result<()> {
    out.write_all(&[0; 2 * BLOCK])
}

fn write_padded(out: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    out.write_all(bytes)?;
    padding(out, bytes.len() as u64)
}

struct Header {
    name: Vec<u8>,
    link: Vec<u8>,
    kind: u8,
    size: u64,
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: i64,
    device: (u32, u32),
}

impl Header {
    fn of(entry: &Entry) -> Header {
        let (kind, link, device) = match &entry.kind {
            Kind::File(_) => (b'0', &[][..], (0, 0)),
            Kind::Hardlink(target) => (b'1', &target[..], (0, 0)),
            Kind::Symlink(target) => (b'2', &target[..], (0, 0)),
            Kind::CharDevice(major, minor) => (b'3', &[][..], (*major, *minor)),
            Kind::BlockDevice(major, minor) => (b'4', &[][..], (*major, *minor)),
            Kind::Directory => (b'5', &[][..], (0, 0)),
            Kind::Fifo => (b'6', &[][..], (0, 0)),
        };
        let size = entry.content().map_or(0, |content| content.len() as u64);
        let Entry { path, mode, uid, gid, mtime, .. } = entry;
        Header {
            name: path.clone(),
            link: link.to_vec(),
            kind,
            size,
            mode: *mode,
            uid: *uid,
            gid: *gid,
            mtime: *mtime,
            device,
        }
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put(&mut block[0..100], &self.name);
        put_octal(&mut block[100..108], u64::from(self.mode));
        put_octal(&mut block[108..116], self.uid);
        put_octal(&mut block[116..124], self.gid);
        put_octal(&mut block[124..136], self.size);
        put_octal(&mut block[136..148], u64::try_from(self.mtime).unwrap_or(0));
        block[156] = self.kind;
        put(&mut block[157..257], &self.link);
        put(&mut block[257..265], b"ustar\x0000");
        put_octal(&mut block[329..337], u64::from(self.device.0));
        put_octal(&mut block[337..345], u64::from(self.device.1));
        let sum = checksum(&block);
        put(&mut block[148..156], format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

fn put(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

/// What does not fit is written as 0; a pax record carries it.
fn put_octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    put(field, if text.len() > digits { &[b'0'; 12][..digits] } else { text.as_bytes() });
}

fn checksum(block: &[u8; BLOCK]) -> u64 {
    let bytes =
        block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    bytes.map(u64::from).sum()
}

fn pax_records(entry: &Entry) -> Vec<u8> {
    let needs_record = |name: &[u8]| name.len() > 100 || !name.is_ascii();
    let mut records = Vec::new();
    if needs_record(&entry.path) {
        push_record(&mut records, "path", &entry.path);
    }
    if let Kind::Symlink(target) | Kind::Hardlink(target) = &entry.kind
        && needs_record(target)
    {
        push_record(&mut records, "linkpath", target);
    }
    for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
        if id > 0o7_777_777 {
            push_record(&mut records, key, id.to_string().as_bytes());
        }
    }
    if entry.nanoseconds != 0 || entry.mtime < 0 {
        push_record(&mut records, "mtime", pax_time(entry.mtime, entry.nanoseconds).as_bytes());
    }
    for (name, value) in &entry.xattrs {
        push_record(&mut records, &format!("SCHILY.xattr.{name}"), value);
    }
    records
}

/// A pax time is a signed decimal fraction; nanoseconds count upwards from the second.
fn pax_time(seconds: i64, nanoseconds: u32) -> String {
    match (seconds, nanoseconds) {
        (seconds, 0) => seconds.to_string(),
        (seconds @ 0.., nanoseconds) => format!("{seconds}.{nanoseconds:09}"),
        (seconds, nanoseconds) => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds),
    }
}

fn push_record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Reads an archive entry by entry.
pub struct Reader<R> {
    inner: R,
    /// Content bytes of the current entry that were not read yet, and the zeros after them.
    left: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    /// A reader of the archive that `inner` yields.
    pub fn new(inner: R) -> Reader<R> {
        Reader { inner, left: 0, padding: 0 }
    }

    /// The next entry; a file's content is empty until [`Reader::content`] is asked.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        let mut pax = BTreeMap::new();
        loop {
            self.skip()?;
            let Some(block) = self.block()? else { return Ok(None) };
            let kind = block[156];
            self.left = number(&block[124..136])?;
            self.padding = self.left.next_multiple_of(BLOCK as u64) - self.left;
            match kind {
                b'x' => pax.extend(parse_records(&self.extension()?)?),
                b'g' => drop(self.extension()?),
                b'L' => drop(pax.insert("path".to_owned(), until_nul(&self.extension()?).to_vec())),
                b'K' => drop(pax.insert("linkpath".to_owned(), until_nul(&self.extension()?).to_vec())),
                _ => return self.entry(&block, pax).map(Some),
            }
        }
    }

    /// The content of the entry that was just given.
    pub fn content(&mut self) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        let read = (&mut self.inner).take(self.left).read_to_end(&mut content).map_err(broken)?;
        if read as u64 != self.left {
            return Err(Error::malformed("tar", "it ends inside a file"));
        }
        self.left = 0;
        Ok(content)
    }

    /// All entries that are left, with their contents.
    pub fn collect(mut self) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        while let Some(mut entry) = self.next_entry()? {
            if let Kind::File(content) = &mut entry.kind {
                *content = self.content()?;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn extension(&mut self) -> Result<Vec<u8>, Error> {
        if self.left > EXTENSION_MAX {
            return Err(Error::malformed("tar", "an extension header is too large"));
        }
        self.content()
    }

    fn skip(&mut self) -> Result<(), Error> {
        let gap = self.left + self.padding;
        let skipped =
            std::io::copy(&mut (&mut self.inner).take(gap), &mut std::io::sink()).map_err(broken)?;
        (self.left, self.padding) = (0, 0);
        if skipped == gap { Ok(()) } else { Err(Error::malformed("tar", "it ends inside a file")) }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        match self.inner.read_exact(&mut block) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(broken)?,
        }
        if block == [0; BLOCK] {
            return Ok(None);
        }
        if number(&block[148..156])? != checksum(&block) {
            return Err(Error::malformed("tar", "a header's checksum is wrong"));
        }
        Ok(Some(block))
    }

    fn entry(&mut self, block: &[u8; BLOCK], mut pax: BTreeMap<String, Vec<u8>>) -> Result<Entry, Error> {
        let link = pax.remove("linkpath").unwrap_or_else(|| until_nul(&block[157..257]).to_vec());
        let device = (number(&block[329..337])? as u32, number(&block[337..345])? as u32);
        let kind = match block[156] {
            b'0' | 0 => Kind::File(Vec::new()),
            b'1' => Kind::Hardlink(link),
            b'2' => Kind::Symlink(link),
            b'3' => Kind::CharDevice(device.0, device.1),
            b'4' => Kind::BlockDevice(device.0, device.1),
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(Error::malformed("tar", format!("entry type {other} is not understood"))),
        };
        let path = pax.remove("path").unwrap_or_else(|| header_path(block));
        let (mtime, nanoseconds) = match pax.remove("mtime") {
            Some(text) => parse_time(&text)?,
            None => (number(&block[136..148])? as i64, 0),
        };
        let mode = number(&block[100..108])? as u32 & 0o7777;
        let (uid, gid) = (id(&mut pax, "uid", &block[108..116])?, id(&mut pax, "gid", &block[116..124])?);
        let xattrs = pax
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix("SCHILY.xattr.")?.to_owned(), value)));
        Ok(Entry { path, kind, mode, uid, gid, mtime, nanoseconds, xattrs: xattrs.collect() })
    }
}

fn broken(source: std::io::Error) -> Error {
    Error::malformed("tar", source)
}

fn header_path(block: &[u8; BLOCK]) -> Vec<u8> {
    let (name, prefix) = (until_nul(&block[0..100]), until_nul(&block[345..500]));
    let is_posix = &block[257..263] == b"ustar\0";
    if is_posix && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
}

fn id(pax: &mut BTreeMap<String, Vec<u8>>, key: &str, field: &[u8]) -> Result<u64, Error> {
    match pax.remove(key) {
        Some(text) => decimal(&text),
        None => number(field),
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or GNU's big-endian form.
fn number(field: &[u8]) -> Result<u64, Error> {
    if field[0] & 0x80 != 0 {
        return Ok(field[1..]
            .iter()
            .fold(u64::from(field[0] & 0x7f), |value, byte| (value << 8) | u64::from(*byte)));
    }
    let text = String::from_utf8_lossy(until_nul(field)).trim().to_owned();
    if text.is_empty() {
        Ok(0)
    } else {
        u64::from_str_radix(&text, 8).map_err(|error| Error::malformed("tar number", error))
    }
}

fn decimal(text: &[u8]) -> Result<u64, Error> {
    String::from_utf8_lossy(text).parse().map_err(|error| Error::malformed("tar number", error))
}

fn parse_time(text: &[u8]) -> Result<(i64, u32), Error> {
    let text = String::from_utf8_lossy(text).into_owned();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let seconds: i64 = whole.parse().map_err(|error| Error::malformed("tar time", error))?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().map_err(|error| Error::malformed("tar time", error))?;
    let counts_down = text.starts_with('-') && nanoseconds > 0;
    Ok(if counts_down { (seconds - 1, 1_000_000_000 - nanoseconds) } else { (seconds, nanoseconds) })
}

fn parse_records(mut bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let malformed = || Error::malformed("tar", "a pax record is malformed");
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length = decimal(&bytes[..space])? as usize;
        let record =
            bytes.get(space + 1..length.checked_sub(1).ok_or_else(malformed)?).ok_or_else(malformed)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        records
            .insert(String::from_utf8_lossy(&record[..equals]).into_owned(), record[equals + 1..].to_vec());
        bytes = bytes.get(length..).ok_or_else(malformed)?;
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::argv;

    fn samples() -> Vec<Entry> {
        let long = "d".repeat(60) + "/" + &"e".repeat(60);
        let mut odd = Entry::file("etc/odd-日本", "x").mode(0o4755);
        odd.xattrs.insert("security.capability".into(), vec![1, 0, 0, 2, b'\n', 0xff]);
        (odd.uid, odd.gid, odd.mtime, odd.nanoseconds) = (3_000_000, 4_000_000_000, -5, 250_000_000);
        vec![
            Entry::directory("etc"),
            Entry::file("etc/a", vec![b'x'; 1025]),
            Entry::file(&long, ""),
            Entry::new("l", Kind::Symlink(long.clone().into_bytes())),
            Entry::new("h", Kind::Hardlink(b"etc/a".to_vec())),
            Entry::new("fifo", Kind::Fifo),
            Entry::new("null", Kind::CharDevice(1, 3)),
            Entry::new("disk", Kind::BlockDevice(8, 0)),
            odd,
        ]
    }

    #[test]
    fn what_is_written_is_read_again() {
        let archive = write(&samples());
        assert_eq!(Reader::new(&archive[..]).collect().unwrap(), samples());
        let mut reader = Reader::new(&archive[..]);
        let mut paths = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            paths.push(entry.path);
        }
        assert_eq!(paths.len(), samples().len(), "contents that are not asked for are skipped");
    }

    #[test]
    fn gnu_tar_understands_it_and_its_archives_are_understood() {
        let listing = argv("tar", ["--numeric-owner", "-tvf", "-"]).filter(&write(&samples())).unwrap();
        let listing = String::from_utf8_lossy(&listing).into_owned();
        assert!(listing.contains("-rwsr-xr-x 3000000/4000000000") && listing.contains("1,3"), "{listing}");

        let dir = tempfile::tempdir().unwrap();
        let name = "n".repeat(150);
        std::fs::write(dir.path().join(&name), "hello").unwrap();
        for format in ["gnu", "pax", "ustar"] {
            let name = if format == "ustar" { "short" } else { &name };
            std::fs::write(dir.path().join(name), "hello").unwrap();
            let archive = argv("tar", ["-C"])
                .arg(dir.path())
                .arg(format!("--format={format}"))
                .arg("-cf")
                .arg("-")
                .arg(name);
            let entries = Reader::new(&archive.stdout().unwrap()[..]).collect().unwrap();
            assert_eq!(
                (&entries[0].path[..], entries[0].content()),
                (name.as_bytes(), Some(&b"hello"[..])),
                "{format}"
            );
        }
    }

    #[test]
    fn a_broken_archive_is_an_error() {
        let mut archive = write(&samples());
        archive[600] ^= 1;
        assert!(Reader::new(&archive[..]).collect().is_err());
        let whole = write(&[Entry::file("a", vec![0; 2000])]);
        assert!(Reader::new(&whole[..1000]).collect().is_err());
    }
}
