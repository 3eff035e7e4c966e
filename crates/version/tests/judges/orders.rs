//! Each scheme before its judge.

use crate::generated::{APK, DEB, Dice, PACMAN, RPM, Stock};
use std::cmp::Ordering;
use testkit::skip;
use testkit::version_judges::{Claim, Judge};
use version::Version;

/// Each pair costs a run of dpkg (about 2 ms); the other judges take all at once.
const PAIRS_OF_DPKG: usize = 10_000;
const PAIRS: usize = 50_000;

/// How two versions compare as their package manager sees it: vercmp ignores a release that one side lacks.
fn compare(a: &Version, b: &Version) -> Ordering {
    match (a, b) {
        (Version::Pacman(a), Version::Pacman(b)) => a.vercmp(b),
        _ => a.cmp(b),
    }
}

fn claims(stock: &Stock, pairs: usize) -> Vec<Claim> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let claim =
        |[(a, left), (b, right)]: [(String, Version); 2]| Claim { a, order: compare(&left, &right), b };
    (0..pairs).map(|_| claim(stock.pair(&mut dice))).collect()
}

/// Asks the judge, unless it cannot be had here.
fn judged(judge: Judge, stock: &Stock, pairs: usize) {
    if let Err(reason) = judge.needs() {
        skip!("{judge:?} as a judge of versions: {reason}");
    }
    let claims = claims(stock, pairs);
    for order in [Ordering::Less, Ordering::Equal, Ordering::Greater] {
        let count = claims.iter().filter(|claim| claim.order == order).count();
        assert!(count > pairs / 20, "only {count} of {pairs} pairs are {order:?}");
    }
    let objections = judge.objections(&claims).unwrap();
    let shown: Vec<String> = objections.iter().take(10).map(Claim::to_string).collect();
    assert!(objections.is_empty(), "{judge:?} objects to {} of {pairs}: {shown:#?}", objections.len());
}

#[test]
fn debian_order_is_that_of_dpkg() {
    judged(Judge::Dpkg, &DEB, PAIRS_OF_DPKG);
}

#[test]
fn rpm_order_is_that_of_rpm() {
    judged(Judge::Rpm, &RPM, PAIRS);
}

#[test]
fn apk_order_is_that_of_apk_tools() {
    judged(Judge::Apk, &APK, PAIRS);
}

#[test]
fn pacman_order_is_that_of_libalpm() {
    judged(Judge::Pacman, &PACMAN, PAIRS);
}
