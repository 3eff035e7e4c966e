//! Versions made from real ones by small changes, the same in every run.

use version::{Scheme, Version};

/// A small fixed generator (xorshift), so that every run asks the same questions.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    pub fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }
}

/// What versions of a scheme are made from.
pub struct Stock {
    pub scheme: Scheme,
    /// Versions as distributions have them.
    real: &'static [&'static str],
    /// What is put into them.
    pieces: &'static [&'static str],
}

pub const DEB: Stock = Stock {
    scheme: Scheme::Deb,
    real: &[
        "3.0.15-1~deb12u1",
        "2.36-9+deb12u10",
        "1:9.2p1-2+deb12u3",
        "2:8.39-15",
        "5.2.15-2+b2",
        "0.0~git20230606.1-1",
        "1.0-0.1ubuntu3.24.04.2",
        "7.88.1-10",
        "20230311",
        "1.2.13.dfsg-1",
        "0:1.0-0",
        "1",
    ],
    pieces: &[
        "0",
        "00",
        "1",
        "9",
        "10",
        "007",
        "a",
        "b",
        "Z",
        "~",
        "~~",
        "+",
        ".",
        "-",
        ":",
        "0:",
        "1:",
        "rc",
        "+deb12u",
        "~rc1",
        "-0",
        "-1",
        "18446744073709551616",
    ],
};

pub const RPM: Stock = Stock {
    scheme: Scheme::Rpm,
    real: &[
        "1:3.0.7-27.el9",
        "3.0.7-27.el9_4.1",
        "5.14.0-427.13.1.el9_4",
        "2.34-100.el9_4.2",
        "1.0~rc1-1.fc40",
        "1.0^20240101git1234abc-1.fc40",
        "4.4.0-150600.3.4.1",
        "2.9.14-lp155.2.1",
        "1.1.1k-12.el8_9",
        "3.3.3-4.cm2",
        "0:1.0-1",
        "fd431d51-4ae0493b",
        "2024a-1.amzn2023.0.1",
        "1",
    ],
    pieces: &[
        "0",
        "00",
        "1",
        "9",
        "10",
        "007",
        "a",
        "b",
        "Z",
        "~",
        "~~",
        "^",
        "^^",
        "~^",
        "^~",
        "+",
        ".",
        "_",
        "..",
        "-",
        "0:",
        "1:",
        "rc",
        ".el9",
        "_4",
        "-1",
        "18446744073709551616",
    ],
};

pub const APK: Stock = Stock {
    scheme: Scheme::Apk,
    real: &[
        "3.1.4-r5",
        "1.1.1w-r1",
        "1.36.1-r29",
        "9.9_p2-r0",
        "2025b-r0",
        "1.0_rc1-r0",
        "0.1.0_alpha_pre2",
        "2.9.11_pre20061021-r2",
        "1.06-r6",
        "6.5_p20241228-r1",
        "1.2.5~0fae71ce-r3",
        "20240226-r0",
        "087-r1",
        "0.0.0_git20230101-r7",
        "1",
    ],
    pieces: &[
        "0",
        "00",
        "1",
        "9",
        "10",
        "007",
        ".0",
        ".00",
        ".01",
        ".1",
        ".",
        "a",
        "z",
        "_alpha",
        "_beta",
        "_pre",
        "_rc",
        "_cvs",
        "_svn",
        "_git",
        "_hg",
        "_p",
        "_rc1",
        "_p0",
        "~a",
        "~0f",
        "-r0",
        "-r1",
        "-r01",
        "999999999999",
    ],
};

pub const PACMAN: Stock = Stock {
    scheme: Scheme::Pacman,
    real: &[
        "3.3.1-1",
        "2.39+r52+gf8e4623421-1",
        "1:1.36.0-1",
        "6.9.7.arch1-1",
        "9.1.0394-1.1",
        "r4107.7f9d3a1-2",
        "20240203-1",
        "5.2.026-2",
        "1.1.1.w-1",
        "2.0_beta3-1",
        "1.0pre1-1",
        "0:1.0-1",
        "1.0",
        "1",
    ],
    pieces: &[
        "0",
        "00",
        "1",
        "9",
        "10",
        "007",
        "a",
        "b",
        "Z",
        "~",
        "^",
        "+",
        ".",
        "_",
        "..",
        "._",
        "rc",
        "pre",
        "alpha",
        "-",
        "0:",
        "1:",
        "-1",
        "-1.1",
        "18446744073709551616",
    ],
};

impl Stock {
    /// A valid version, with its text.
    pub fn version(&self, dice: &mut Dice) -> (String, Version) {
        loop {
            let changes = dice.below(6);
            let start = dice.of(self.real).to_owned();
            let text = (0..changes).fold(start, |text, _| self.changed(dice, &text));
            if let Ok(version) = self.scheme.parse(&text) {
                return (text, version);
            }
        }
    }

    /// Two valid versions. Two of three differ in one place only: unrelated texts differ in the first.
    pub fn pair(&self, dice: &mut Dice) -> [(String, Version); 2] {
        let (text, version) = self.version(dice);
        if dice.below(3) == 0 {
            return [(text, version), self.version(dice)];
        }
        loop {
            let near = self.changed(dice, &text);
            if let Ok(other) = self.scheme.parse(&near) {
                return [(text, version), (near, other)];
            }
        }
    }

    /// The text with something put in, taken out, doubled, or with another ending; valid or not.
    pub fn changed(&self, dice: &mut Dice, text: &str) -> String {
        let at = dice.below(text.len() + 1);
        let (head, tail) = text.split_at(at);
        let gone = dice.below(3).min(tail.len());
        match dice.below(6) {
            0 | 1 => format!("{head}{}{tail}", dice.of(self.pieces)),
            2 => format!("{head}{}{}", dice.of(self.pieces), &tail[gone..]),
            3 => format!("{head}{}", &tail[gone..]),
            4 => format!("{head}{}{tail}", &tail[..gone]),
            _ => {
                let other = dice.of(self.real);
                format!("{head}{}", &other[dice.below(other.len())..])
            }
        }
    }
}
