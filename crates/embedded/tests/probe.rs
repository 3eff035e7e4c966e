//! The probe: what it finds is what runs meet.

mod support;

use embedded::{ProbeOptions, RungState, host::Mode, probe};
use support::{Bed, in_each_mode_and_user};

#[test]
fn every_rung_is_tried_and_nothing_stays() {
    in_each_mode_and_user("every_rung_is_tried_and_nothing_stays", || {
        let bed = Bed::new();
        let cache = bed.folder.path().join("not/there/yet");
        let rungs = probe(&ProbeOptions { helper: bed.options.helper.clone(), cache });
        let missing: Vec<_> = rungs.iter().filter(|r| r.state == RungState::Missing).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let names: Vec<&str> = rungs.iter().map(|r| r.name.as_str()).collect();
        for name in ["identity", "namespaces", "cache folder", "changes in memory", "sandbox"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert_eq!(names.contains(&"emulated owners"), bed.mode == Mode::SingleId);
        let identity = rungs.iter().find(|r| r.name == "identity").unwrap();
        assert_eq!(identity.state == RungState::Degraded, bed.mode == Mode::SingleId);
        assert_eq!(identity.remedy.is_empty(), bed.mode != Mode::SingleId);
        let left: Vec<_> =
            std::fs::read_dir(bed.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["store"]);
    });
}

#[test]
fn a_program_that_is_none_of_ours_is_told() {
    let folder = std::env::temp_dir();
    for helper in ["/no/such/program", "/bin/true"] {
        let rungs = probe(&ProbeOptions { helper: helper.into(), cache: folder.clone() });
        assert_eq!(rungs.len(), 1);
        assert!(rungs[0].state == RungState::Missing && rungs[0].detail.contains(helper), "{rungs:?}");
    }
}
