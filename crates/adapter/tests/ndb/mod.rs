//! Small rpm databases for cases, written from the description of the format (rpm's `lib/backend/ndb/rpmpkg.c`).

/// Bytes of the slots at the front.
const PAGE_BYTES: usize = 4096;

/// Types of a header's values.
const NUMBERS: u32 = 4;
const TEXT: u32 = 6;
const TEXTS: u32 = 8;

/// `Packages.db` with one package a line: `name [epoch:]version-release architecture`, and `install-only` where its versions
/// are installed beside each other.
pub fn database(lines: &str) -> Vec<u8> {
    let blobs: Vec<Vec<u8>> = lines.lines().map(header).collect();
    let mut slots = [b"RpmP".to_vec(), numbers(&[0, 1, 1, blobs.len() as u32 + 1, 0, 0, 0])].concat();
    let mut data = Vec::new();
    for (index, blob) in blobs.iter().enumerate() {
        let (number, start) = (index as u32 + 1, (PAGE_BYTES + data.len()) / 16);
        let whole = stored(number, blob);
        slots.extend([b"Slot".to_vec(), numbers(&[number, start as u32, whole.len() as u32 / 16])].concat());
        data.extend(whole);
    }
    while slots.len() < PAGE_BYTES {
        slots.extend([b"Slot".to_vec(), numbers(&[0, 0, 0])].concat());
    }
    [slots, data].concat()
}

/// A blob between its head and its tail, in whole blocks of 16 bytes; the tail begins with an Adler-32 sum.
fn stored(number: u32, blob: &[u8]) -> Vec<u8> {
    let mut whole = [b"BlbS".to_vec(), numbers(&[number, 0, blob.len() as u32]), blob.to_vec()].concat();
    while whole.len() % 16 != 4 {
        whole.push(0);
    }
    let sums = whole.iter().fold((1u32, 0u32), |(first, second), byte| {
        let first = (first + u32::from(*byte)) % 65521;
        (first, (second + first) % 65521)
    });
    whole.extend(numbers(&[sums.1 << 16 | sums.0, blob.len() as u32]));
    whole.extend(b"BlbE");
    whole
}

fn numbers(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// The header of a package: its index, then the values.
fn header(line: &str) -> Vec<u8> {
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_else(|| panic!("a package needs three words: {line:?}"));
    let (name, evr, architecture) = (word(), word(), word());
    let (epoch, version) = evr.split_once(':').unwrap_or(("0", evr));
    let (version, release) = version.rsplit_once('-').unwrap();
    let provides = if line.ends_with(" install-only") { "installonlypkg(kernel)" } else { name };
    let source = format!("{name}-{version}-{release}.src.rpm");
    let epoch: u32 = epoch.parse().unwrap();
    let mut values = vec![
        (1000, TEXT, name.as_bytes()),
        (1001, TEXT, version.as_bytes()),
        (1002, TEXT, release.as_bytes()),
        (1022, TEXT, architecture.as_bytes()),
        (1044, TEXT, source.as_bytes()),
        (1047, TEXTS, provides.as_bytes()),
    ];
    let epoch = epoch.to_be_bytes();
    values.insert(0, (1003, NUMBERS, &epoch));
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, kind, value) in values {
        index.extend([tag, kind, data.len() as u32, 1].iter().flat_map(|n| n.to_be_bytes()));
        data.extend(value);
        data.extend((kind != NUMBERS).then_some(0));
    }
    let intro = [index.len() as u32 / 16, data.len() as u32].map(u32::to_be_bytes).concat();
    [intro, index, data].concat()
}
