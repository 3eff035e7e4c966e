//! The laws of a total order, on versions that are close to each other; and no text that does harm.

use crate::generated::{APK, DEB, Dice, PACMAN, RPM, Stock};
use std::cmp::Ordering;
use version::{Scheme, VERSION_BYTES_MAX, Version};

/// All triples of a pool are looked at; pools are small so that their versions are close.
const POOLS: usize = 12;
const POOL: usize = 40;

fn pool(stock: &Stock, dice: &mut Dice) -> Vec<Version> {
    let mut versions = Vec::new();
    while versions.len() < POOL {
        versions.extend(stock.pair(dice).map(|(_, version)| version));
    }
    versions
}

#[test]
fn the_order_of_every_scheme_is_total() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for stock in [&DEB, &RPM, &APK, &PACMAN] {
        for _ in 0..POOLS {
            let versions = pool(stock, &mut dice);
            versions.iter().for_each(|a| check_against_all(a, &versions));
        }
    }
}

fn check_against_all(a: &Version, versions: &[Version]) {
    assert_eq!(a.cmp(a), Ordering::Equal, "{a}");
    for b in versions {
        let order = a.cmp(b);
        assert_eq!(order, b.cmp(a).reverse(), "{a} {b}");
        assert_eq!(a == b, order == Ordering::Equal, "{a} {b}");
        for c in versions {
            // An equal version may stand for the other; of two steps the same way, so is the whole.
            let onward = b.cmp(c);
            if order == Ordering::Equal || onward == Ordering::Equal || order == onward {
                assert_eq!(a.cmp(c), order.then(onward), "{a} {b} {c}");
            }
        }
    }
}

#[test]
fn no_text_does_harm_and_what_is_taken_is_bounded_plain_and_shown_as_written() {
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let mut taken = 0;
    for round in 0..40_000 {
        let stock = [&DEB, &RPM, &APK, &PACMAN][round % 4];
        let text = match dice.below(2) {
            0 => noise(&mut dice),
            _ => broken(stock, &mut dice),
        };
        let Ok(version) = stock.scheme.parse(&text) else { continue };
        taken += 1;
        assert_eq!(version.to_string(), text);
        assert!(text.len() <= VERSION_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic()), "{text:?}");
        assert!(!text.starts_with('-') && !text.contains(['/', '*', '$', '=', '<', '>']), "{text:?}");
        assert_eq!(version, stock.scheme.parse_bound(&text, &version).unwrap());
    }
    assert!(taken > 1000, "only {taken} were versions at all");
}

fn noise(dice: &mut Dice) -> String {
    let bytes: Vec<u8> = (0..dice.below(20)).map(|_| dice.below(256) as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A version with one more character at any place: any of ASCII, one that is longer in UTF-8, or a very long number.
fn broken(stock: &Stock, dice: &mut Dice) -> String {
    let (text, _) = stock.version(dice);
    let (head, tail) = text.split_at(dice.below(text.len() + 1));
    let put = match dice.below(20) {
        0 => "\u{661}".to_owned(),
        1 => "9".repeat(dice.below(2 * VERSION_BYTES_MAX)),
        _ => char::from(dice.below(128) as u8).to_string(),
    };
    format!("{head}{put}{tail}")
}

#[test]
fn a_bound_never_makes_an_old_epoch_look_fixed() {
    let mut dice = Dice(0x0dd_ba11);
    for _ in 0..5_000 {
        let [(_, installed), (text, bound)] = RPM.pair(&mut dice);
        let (Version::Rpm(own), Version::Rpm(asked)) = (&installed, &bound) else { unreachable!() };
        let lent = Scheme::Rpm.parse_bound(&text, &installed).unwrap();
        match asked.epoch() {
            Some(_) => assert_eq!(lent, bound),
            None => {
                let epoch = own.epoch().map_or(String::new(), |epoch| format!("{epoch}:"));
                assert_eq!(lent, Scheme::Rpm.parse(&format!("{epoch}{text}")).unwrap());
            }
        }
    }
}

#[test]
fn an_installed_version_meets_a_bound_of_pacman_as_vercmp_has_it() {
    let mut dice = Dice(0x0dd_ba11);
    let mut lent = 0;
    for _ in 0..5_000 {
        let [(installed_text, installed), (text, bound)] = PACMAN.pair(&mut dice);
        let (Version::Pacman(own), Version::Pacman(asked)) = (&installed, &bound) else { unreachable!() };
        // Every installed package has a release.
        if installed_text.contains('-') {
            lent += usize::from(!text.contains('-'));
            let bound = Scheme::Pacman.parse_bound(&text, &installed).unwrap();
            assert_eq!(installed.cmp(&bound), own.vercmp(asked), "{installed} {text}");
        }
    }
    assert!(lent > 50, "only {lent} had to be lent a release");
}
