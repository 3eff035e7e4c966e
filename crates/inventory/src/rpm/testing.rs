//! Small headers and databases of each form, written for tests from the formats' descriptions.
#![allow(clippy::unwrap_used)]

use super::Tag;

/// A value of a tag.
#[derive(Clone)]
pub(super) enum Value {
    Text(&'static str),
    Texts(Vec<&'static str>),
    Shorts(Vec<u16>),
    Numbers(Vec<u32>),
    Binary(Vec<u8>),
}

/// A header of these tags, in the form of the database.
pub(super) fn header(tags: &[(Tag, Value)]) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, value) in tags {
        let (kind, width, count, bytes) = match value {
            Value::Text(text) => (6, 1, 1, [text.as_bytes(), b"\0"].concat()),
            Value::Texts(texts) => {
                (8, 1, texts.len(), texts.iter().flat_map(|t| [t.as_bytes(), b"\0"].concat()).collect())
            }
            Value::Shorts(all) => (3, 2, all.len(), all.iter().flat_map(|n| n.to_be_bytes()).collect()),
            Value::Numbers(all) => (4, 4, all.len(), all.iter().flat_map(|n| n.to_be_bytes()).collect()),
            Value::Binary(bytes) => (7, 1, bytes.len(), bytes.clone()),
        };
        while data.len() % width != 0 {
            data.push(0);
        }
        for number in [tag.0, kind, data.len() as u32, count as u32] {
            index.extend(number.to_be_bytes());
        }
        data.extend(bytes);
    }
    let intro = [(tags.len() as u32).to_be_bytes(), (data.len() as u32).to_be_bytes()].concat();
    [intro, index, data].concat()
}

/// The header of an installed package; `size` bytes are added to it as a long text.
pub(super) fn package(name: &'static str, evr: (u32, &'static str, &'static str), size: usize) -> Vec<u8> {
    let (epoch, version, release) = evr;
    let long: &'static str = Box::leak("x".repeat(size).into_boxed_str());
    let source: &'static str = Box::leak(format!("{name}-src-{version}-{release}.src.rpm").into_boxed_str());
    let mut tags = vec![
        (Tag::NAME, Value::Text(name)),
        (Tag::VERSION, Value::Text(version)),
        (Tag::RELEASE, Value::Text(release)),
        (Tag::SUMMARY, Value::Text(long)),
        (Tag::INSTALL_TIME, Value::Numbers(vec![1_700_000_000])),
        (Tag::ARCH, Value::Text("x86_64")),
        (Tag::SOURCE_RPM, Value::Text(source)),
        (Tag::PROVIDE_NAME, Value::Texts(vec![name, "libx.so()(64bit)"])),
    ];
    if epoch > 0 {
        tags.insert(3, (Tag::EPOCH, Value::Numbers(vec![epoch])));
    }
    header(&tags)
}

/// The packages that the small databases hold: short, of one page and of many.
pub(super) fn blobs() -> Vec<Vec<u8>> {
    vec![
        package("bash", (0, "5.1.8", "1.el9"), 0),
        package("gpg-pubkey", (0, "8483c65d", "5ccc5b19"), 10),
        package("openssl-libs", (1, "3.0.7", "27.el9"), 700),
        package("glibc", (0, "2.34", "60.el9"), 4000),
        package("tzdata", (0, "2024a", "1.el9"), 200),
    ]
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![(value & 0x7f) as u8];
    while value > 0x7f {
        value >>= 7;
        bytes.insert(0, (value & 0x7f) as u8 | 0x80);
    }
    bytes
}

/// An SQLite database being written, page by page.
struct Sqlite {
    size: usize,
    pages: Vec<Vec<u8>>,
}

impl Sqlite {
    fn page(&mut self) -> usize {
        self.pages.push(vec![0; self.size]);
        self.pages.len()
    }

    /// The cell of a row, its overflow pages written.
    fn cell(&mut self, row: u64, record: &[u8]) -> Vec<u8> {
        let (most, least) = (self.size - 35, (self.size - 12) * 32 / 255 - 23);
        let fitting = least + record.len().wrapping_sub(least) % (self.size - 4);
        let local = match record.len() <= most {
            true => record.len(),
            false if fitting <= most => fitting,
            false => least,
        };
        let mut cell = [varint(record.len() as u64), varint(row), record[..local].to_vec()].concat();
        let rest: Vec<Vec<u8>> = record[local..].chunks(self.size - 4).map(<[u8]>::to_vec).collect();
        let first = self.pages.len() + 1;
        for (index, part) in rest.iter().enumerate() {
            let number = self.page();
            let next = if index + 1 < rest.len() { number as u32 + 1 } else { 0 };
            self.pages[number - 1][..4].copy_from_slice(&next.to_be_bytes());
            self.pages[number - 1][4..4 + part.len()].copy_from_slice(part);
        }
        if !rest.is_empty() {
            cell.extend((first as u32).to_be_bytes());
        }
        cell
    }

    /// Writes cells to a page: a leaf, or an inner one where `right` is given.
    fn fill(&mut self, number: usize, cells: &[Vec<u8>], right: Option<u32>) {
        let at = if number == 1 { 100 } else { 0 };
        let page = &mut self.pages[number - 1];
        let (kind, head) = if right.is_some() { (5, 12) } else { (13, 8) };
        page[at] = kind;
        page[at + 3..at + 5].copy_from_slice(&(cells.len() as u16).to_be_bytes());
        page[at + 8..at + 12].copy_from_slice(&right.unwrap_or(0).to_be_bytes());
        let mut end = page.len();
        for (index, cell) in cells.iter().enumerate() {
            end -= cell.len();
            page[end..end + cell.len()].copy_from_slice(cell);
            page[at + head + 2 * index..][..2].copy_from_slice(&(end as u16).to_be_bytes());
        }
        page[at + 5..at + 7].copy_from_slice(&(end as u16).to_be_bytes());
    }
}

/// A record of texts and blobs; a number of one byte is an `Err`.
fn record(values: &[Result<(&[u8], bool), u8>]) -> Vec<u8> {
    let (mut types, mut data) = (Vec::new(), Vec::new());
    for value in values {
        match value {
            Ok((bytes, text)) => {
                types.extend(varint(bytes.len() as u64 * 2 + if *text { 13 } else { 12 }));
                data.extend_from_slice(bytes);
            }
            Err(0) => types.push(0),
            Err(number) => {
                types.push(1);
                data.push(*number);
            }
        }
    }
    [varint(types.len() as u64 + 1), types, data].concat()
}

/// `rpmdb.sqlite` with one leaf a row under one inner page, pages of 512 bytes.
pub(super) fn sqlite(blobs: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Sqlite { size: 512, pages: Vec::new() };
    file.page();
    let root = file.page();
    let mut leaves = Vec::new();
    for (index, blob) in blobs.iter().enumerate() {
        let cell = file.cell(index as u64 + 1, &record(&[Err(0), Ok((blob, false))]));
        let leaf = file.page();
        file.fill(leaf, &[cell], None);
        leaves.push((leaf as u32, index as u64 + 1));
    }
    match leaves.pop() {
        None => file.fill(root, &[], None),
        Some((last, _)) => {
            let cells: Vec<_> = leaves
                .iter()
                .map(|(leaf, row)| [leaf.to_be_bytes().to_vec(), varint(*row)].concat())
                .collect();
            file.fill(root, &cells, Some(last));
        }
    }
    let text = |text: &'static str| Ok((text.as_bytes(), true));
    let sql = "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)";
    let tables = [
        record(&[text("index"), text("Name_key_idx"), text("Name"), Err(9), text("CREATE INDEX x")]),
        record(&[text("table"), text("Packages"), text("Packages"), Err(root as u8), text(sql)]),
    ];
    let cells = [file.cell(1, &tables[0]), file.cell(2, &tables[1])];
    file.fill(1, &cells, None);
    let count = file.pages.len() as u32;
    let head = &mut file.pages[0];
    head[..16].copy_from_slice(super::sqlite::MAGIC);
    head[16..24].copy_from_slice(&[2, 0, 2, 2, 0, 64, 32, 32]);
    head[28..32].copy_from_slice(&count.to_be_bytes());
    head[44..48].copy_from_slice(&4u32.to_be_bytes());
    head[56..60].copy_from_slice(&1u32.to_be_bytes());
    file.pages.concat()
}

/// A write-ahead log of these pages; those of a commit have its count of pages.
pub(super) fn log(page_size: usize, frames: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let words = |bytes: &[u8], sum: &mut (u32, u32)| {
        for pair in bytes.chunks_exact(8) {
            let word = |at: usize| u32::from_le_bytes(pair[at..at + 4].try_into().unwrap());
            sum.0 = sum.0.wrapping_add(word(0)).wrapping_add(sum.1);
            sum.1 = sum.1.wrapping_add(word(4)).wrapping_add(sum.0);
        }
    };
    let mut sum = (0, 0);
    let mut file: Vec<u8> = [0x377f_0682, 3_007_000, page_size as u32, 0, 7, 8]
        .iter()
        .flat_map(|n: &u32| n.to_be_bytes())
        .collect();
    words(&file, &mut sum);
    file.extend([sum.0.to_be_bytes(), sum.1.to_be_bytes()].concat());
    for (number, count, page) in frames {
        let head = [number.to_be_bytes(), count.to_be_bytes()].concat();
        words(&head, &mut sum);
        words(page, &mut sum);
        let salts = [7u32.to_be_bytes(), 8u32.to_be_bytes()].concat();
        file.extend(
            [head, salts, sum.0.to_be_bytes().to_vec(), sum.1.to_be_bytes().to_vec(), page.to_vec()].concat(),
        );
    }
    file
}

/// `Packages.db`.
pub(super) fn ndb(blobs: &[Vec<u8>]) -> Vec<u8> {
    let le = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let mut slots = [b"RpmP".to_vec(), le(&[0, 1, 1, blobs.len() as u32 + 1, 0, 0, 0])].concat();
    let mut data = Vec::new();
    for (index, blob) in blobs.iter().enumerate() {
        let package = index as u32 + 1;
        let mut whole = [b"BlbS".to_vec(), le(&[package, 0, blob.len() as u32]), blob.clone()].concat();
        while whole.len() % 16 != 4 {
            whole.push(0);
        }
        let (mut first, mut second) = (1u64, 0u64);
        for byte in &whole {
            first = (first + u64::from(*byte)) % 65521;
            second = (second + first) % 65521;
        }
        whole.extend(le(&[(second << 16 | first) as u32, blob.len() as u32]));
        whole.extend(b"BlbE");
        slots.extend(
            [b"Slot".to_vec(), le(&[package, (4096 + data.len() as u32) / 16, whole.len() as u32 / 16])]
                .concat(),
        );
        data.extend(whole);
    }
    while slots.len() < 4096 {
        slots.extend([b"Slot".to_vec(), le(&[0, 0, 0])].concat());
    }
    [slots, data].concat()
}

/// `Packages`: a hash of two buckets with pages of 512 bytes. Blobs of up to a quarter of a page lie on it.
pub(super) fn bdb(blobs: &[Vec<u8>], big_endian: bool) -> Vec<u8> {
    let n32 = |n: u32| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let n16 = |n: u16| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut pages = vec![vec![0u8; 512]; 3];
    let head = |page: &mut [u8], number: u32, next: u32, items: u16, free: u16, kind: u8| {
        page[8..12].copy_from_slice(&n32(number));
        page[16..20].copy_from_slice(&n32(next));
        page[20..22].copy_from_slice(&n16(items));
        page[22..24].copy_from_slice(&n16(free));
        page[25] = kind;
    };
    let mut items: [Vec<Vec<u8>>; 2] =
        [vec![vec![1, 0, 0, 0, 0], [vec![1], n32(99).to_vec()].concat()], Vec::new()];
    for (index, blob) in blobs.iter().enumerate() {
        let key = [vec![1], n32(index as u32 + 1).to_vec()].concat();
        let value = match blob.len() <= 128 {
            true => [vec![1], blob.clone()].concat(),
            false => {
                let first = pages.len() as u32;
                let parts: Vec<&[u8]> = blob.chunks(512 - 26).collect();
                for (at, part) in parts.iter().enumerate() {
                    let number = first + at as u32;
                    let mut page = vec![0; 512];
                    let next = if at + 1 < parts.len() { number + 1 } else { 0 };
                    head(&mut page, number, next, 1, part.len() as u16, 7);
                    page[26..26 + part.len()].copy_from_slice(part);
                    pages.push(page);
                }
                [vec![3, 0, 0, 0], n32(first).to_vec(), n32(blob.len() as u32).to_vec()].concat()
            }
        };
        items[index % 2].extend([key, value]);
    }
    for (bucket, items) in items.iter().enumerate() {
        let page = &mut pages[bucket + 1];
        let mut end = 512;
        for (index, item) in items.iter().enumerate() {
            end -= item.len();
            page[end..end + item.len()].copy_from_slice(item);
            page[26 + 2 * index..][..2].copy_from_slice(&n16(end as u16));
        }
        head(page, bucket as u32 + 1, 0, items.len() as u16, end as u16, 13);
    }
    let last = pages.len() as u32 - 1;
    let meta = &mut pages[0];
    let keys = blobs.len() as u32 + 1;
    for (at, number) in
        [(12, 0x0006_1561), (16, 9), (20, 512), (32, last), (72, 1), (76, 1), (88, keys), (96, 1), (100, 1)]
    {
        meta[at..at + 4].copy_from_slice(&n32(number));
    }
    meta[25] = 8;
    pages.concat()
}

/// A header with files, relations and a script.
pub(super) fn sample() -> Vec<u8> {
    header(&[
        (Tag::NAME, Value::Text("a")),
        (Tag::POST_IN, Value::Text("true")),
        (Tag::FILE_SIZES, Value::Numbers(vec![5, 70, 1])),
        (Tag::FILE_MODES, Value::Shorts(vec![0o100_644, 0o104_755, 0o120_777])),
        (Tag::FILE_DIGESTS, Value::Texts(vec!["d0", "d1", ""])),
        (Tag::FILE_LINK_TOS, Value::Texts(vec!["", "", "a"])),
        (Tag::FILE_FLAGS, Value::Numbers(vec![17, 0, 0])),
        (Tag::FILE_USER_NAME, Value::Texts(vec!["root", "root", "root"])),
        (Tag::PROVIDE_NAME, Value::Texts(vec!["a", "liba.so"])),
        (Tag::POST_IN_PROG, Value::Texts(vec!["/usr/bin/python3", "-e"])),
        (Tag::PROVIDE_FLAGS, Value::Numbers(vec![8, 0])),
        (Tag::PROVIDE_VERSION, Value::Texts(vec!["1:1-1", ""])),
        (Tag::DIR_INDEXES, Value::Numbers(vec![0, 1, 1])),
        (Tag::BASE_NAMES, Value::Texts(vec!["a.conf", "a", "b"])),
        (Tag::DIR_NAMES, Value::Texts(vec!["/etc/", "/usr/bin/"])),
    ])
}
