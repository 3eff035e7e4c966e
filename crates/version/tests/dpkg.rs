//! The order of `deb::Version` against `dpkg --compare-versions` on generated pairs.

use std::{
    cmp::Ordering,
    process::{Command, Stdio},
};
use version::deb::Version;

/// Each pair costs one or two runs of dpkg (about 2 ms).
const PAIRS: usize = 1500;

/// A small fixed generator (xorshift), so that every run asks the same questions.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn pieces(&mut self, of: &[&str], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| of[self.below(of.len())]).collect()
    }

    fn version(&mut self) -> String {
        let part = ["0", "00", "1", "9", "10", "a", "b", "Z", "~", "~~", "+", ".", "rc", "deb12u", "007"];
        let epoch = ["", "", "", "0:", "1:", "01:"][self.below(6)];
        let upstream = self.pieces(&part, 5);
        let dash = ["", "", "-1", "-", ":"][self.below(if epoch.is_empty() { 4 } else { 5 })];
        let revision = self.pieces(&part, 3);
        format!("{epoch}{}{upstream}{dash}0{revision}", self.below(3))
    }
}

fn dpkg_says(a: &str, relation: &str, b: &str) -> bool {
    let mut dpkg = Command::new("dpkg");
    dpkg.args(["--compare-versions", a, relation, b]).stderr(Stdio::null());
    dpkg.status().expect("dpkg ran a moment ago").success()
}

#[test]
fn order_equals_dpkgs_on_generated_pairs() {
    if Command::new("dpkg").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: no dpkg on this machine");
        return;
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut seen = [0; 3];
    for _ in 0..PAIRS {
        let a = dice.version();
        // Half of the pairs differ in one character only: unrelated texts differ in the first.
        let b = if dice.below(2) == 0 { dice.version() } else { near(&mut dice, &a) };
        let (Ok(left), Ok(right)) = (a.parse::<Version>(), b.parse::<Version>()) else { continue };
        let ours = left.cmp(&right);
        let relation = match ours {
            Ordering::Less => "lt",
            Ordering::Equal => "eq",
            Ordering::Greater => "gt",
        };
        assert!(dpkg_says(&a, relation, &b), "dpkg disagrees: {a} {relation} {b}");
        seen[(ours as i8 + 1) as usize] += 1;
    }
    assert!(seen.iter().all(|n| *n > PAIRS / 20), "too few of one kind: {seen:?}");
}

/// The same text with one character put in, taken out or doubled.
fn near(dice: &mut Dice, text: &str) -> String {
    let at = 1 + dice.below(text.len());
    let put = ["0", "~", "a", ".", "", "+", "9"][dice.below(7)];
    let skip = usize::from(put.is_empty() && at < text.len());
    format!("{}{put}{}", &text[..at.min(text.len())], &text[(at + skip).min(text.len())..])
}

#[test]
fn dpkg_accepts_and_refuses_the_same_texts() {
    if Command::new("dpkg").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: no dpkg on this machine");
        return;
    }
    for text in
        ["1", "1.0-1", "0:1", "2147483647:1", "2147483648:1", "a1", "1.0-", "1 2", "1_0", ":1", "x:1", "1:"]
    {
        let valid = Command::new("dpkg").args(["--validate-version", text]).stderr(Stdio::null()).status();
        assert_eq!(text.parse::<Version>().is_ok(), valid.expect("dpkg runs").success(), "{text:?}");
    }
}
