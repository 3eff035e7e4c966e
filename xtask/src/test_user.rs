//! The user that rootless tests run as, with ranges of subordinate ids; made by root only.

use testkit::command::argv;
use testkit::{Error, probe};

/// Its name; tests that need it look it up and skip where it is not.
pub const NAME: &str = "copa-test";

/// A range that Debian's own tools give out last, so it meets no other.
const RANGE: &str = "600100000-600165535";

/// Whether it is there with its ranges, or need not be because only root could make it.
pub fn is_settled() -> bool {
    probe::root().is_err() || probe::subordinate_ids(NAME).is_ok()
}

/// Makes it, with no home and no way to log in.
pub fn make() -> Result<(), Error> {
    let exists = std::fs::read_to_string("/etc/passwd")
        .unwrap_or_default()
        .lines()
        .any(|l| l.starts_with("copa-test:"));
    if !exists {
        argv(
            "useradd",
            ["--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", NAME],
        )
        .stdout()?;
    }
    if probe::subordinate_ids(NAME).is_err() {
        argv("usermod", ["--add-subuids", RANGE, "--add-subgids", RANGE, NAME]).stdout()?;
    }
    Ok(())
}
