//! A tar maker that writes whatever it is told to, right or wrong.
#![allow(dead_code)]

/// One header block in the making; fields are set raw.
#[derive(Clone)]
pub struct Head(pub [u8; 512]);

/// A tar in the making.
#[derive(Clone, Default)]
pub struct Tar(pub Vec<u8>);

/// A ustar header with plain fields.
pub fn head(name: &str, flag: u8) -> Head {
    let mut head = Head([0; 512]);
    head.0[156] = flag;
    let mode = if flag == b'5' { "0000755\0" } else { "0000644\0" };
    head.field(0, name.as_bytes())
        .field(100, mode.as_bytes())
        .field(108, b"0000000\0")
        .field(116, b"0000000\0")
        .field(124, b"00000000000\0")
        .field(136, b"00000000005\0")
        .field(257, b"ustar\x0000")
        .field(329, b"0000000\0")
        .field(337, b"0000000\0")
}

impl Head {
    /// Sets bytes at an offset.
    pub fn field(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn link(self, target: &str) -> Self {
        self.field(157, target.as_bytes())
    }

    pub fn size(self, size: u64) -> Self {
        self.field(124, format!("{size:011o}\0").as_bytes())
    }

    pub fn mode(self, mode: u32) -> Self {
        self.field(100, format!("{mode:07o}\0").as_bytes())
    }

    pub fn owner(self, uid: u32, gid: u32) -> Self {
        self.field(108, format!("{uid:07o}\0").as_bytes()).field(116, format!("{gid:07o}\0").as_bytes())
    }

    pub fn device(self, major: u32, minor: u32) -> Self {
        self.field(329, format!("{major:07o}\0").as_bytes()).field(337, format!("{minor:07o}\0").as_bytes())
    }

    /// With the checksum that belongs to it.
    pub fn sealed(mut self) -> [u8; 512] {
        self.0[148..156].fill(b' ');
        let sum: u32 = self.0.iter().map(|b| u32::from(*b)).sum();
        self.0[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

/// One PAX record, its length counted.
pub fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let digits = (1..).find(|d| (rest + d).to_string().len() == *d).unwrap();
    [(rest + digits).to_string().as_bytes(), b" ", key.as_bytes(), b"=", value, b"\n"].concat()
}

impl Tar {
    /// A header with whatever size it says, and content with whatever length it has, padded.
    pub fn raw(mut self, head: Head, content: &[u8]) -> Self {
        self.0.extend_from_slice(&head.sealed());
        self.bytes(content)
    }

    /// Content, padded to a block.
    pub fn bytes(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, content: &str) -> Self {
        self.raw(head(name, b'0').size(content.len() as u64), content.as_bytes())
    }

    pub fn dir(self, name: &str) -> Self {
        self.raw(head(name, b'5'), b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(head(name, b'2').link(target), b"")
    }

    pub fn hardlink(self, name: &str, target: &str) -> Self {
        self.raw(head(name, b'1').link(target), b"")
    }

    /// An extension header of any kind.
    pub fn extension(self, flag: u8, body: &[u8]) -> Self {
        self.raw(head("ext", flag).size(body.len() as u64), body)
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.extension(b'x', &body)
    }

    /// With its end blocks.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}
