//! What dpkg takes for a version, and what it refuses.

use crate::generated::{DEB, Dice};
use std::process::{Command, Stdio};
use testkit::{skip, tools};
use version::deb::Version;

/// Each costs a run of dpkg.
const GENERATED: usize = 1000;

#[test]
fn dpkg_accepts_and_refuses_the_same_texts() {
    let Ok(dpkg) = tools::find("dpkg") else { skip!("no dpkg on this machine") };
    let known =
        ["1", "1.0-1", "0:1", "2147483647:1", "2147483648:1", "a1", "1.0-", "1 2", "1_0", ":1", "x:1", "1:"];
    let mut dice = Dice(0x5bd1_e995);
    let generated = (0..GENERATED).map(|_| {
        let (text, _) = DEB.version(&mut dice);
        DEB.changed(&mut dice, &text)
    });
    let mut refused = 0;
    for text in known.map(str::to_owned).into_iter().chain(generated) {
        let valid =
            Command::new(&dpkg).args(["--validate-version", "--", &text]).stderr(Stdio::null()).status();
        let ours = text.parse::<Version>();
        assert_eq!(ours.is_ok(), valid.unwrap().success(), "{text:?}: {ours:?}");
        refused += usize::from(ours.is_err());
    }
    assert!(refused > GENERATED / 20, "only {refused} texts were no versions");
}
