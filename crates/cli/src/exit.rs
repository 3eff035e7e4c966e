//! Exit codes: one table, which the documentation is made from.

/// What kind of failure it is; each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A fault of ours, or of this machine's disk.
    Internal,
    /// The command line, environment or configuration file.
    Usage,
    /// The report.
    Report,
    /// The image.
    Image,
    /// Where the image comes from.
    Source,
    /// The engine.
    Engine,
    /// The package tool.
    Packages,
    /// Where the image goes.
    Destination,
    /// Too slow.
    Timeout,
    /// Ctrl-C.
    Interrupted,
    /// The terminal went away.
    HungUp,
    /// SIGTERM.
    Terminated,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// The number.
    pub code: u8,
    /// One word for it.
    pub name: &'static str,
    /// When it is given.
    pub when: &'static str,
}

/// Success.
pub const OK: Code = Code { code: 0, name: "ok", when: "done, or nothing to do" };
/// With `--detailed-exit-code`.
pub const NOTHING_TO_DO: Code = Code {
    code: 20,
    name: "nothing-to-do",
    when: "with --detailed-exit-code: nothing to do, no image was written (0 without the flag)",
};
/// With `--detailed-exit-code`.
pub const FINDINGS_REMAIN: Code = Code {
    code: 21,
    name: "findings-remain",
    when: "with --detailed-exit-code: patched as far as possible, but findings of the report remain (0 without the flag)",
};

/// Every failure, in the order of their codes.
const KINDS: [Kind; 12] = [
    Kind::Internal,
    Kind::Usage,
    Kind::Report,
    Kind::Image,
    Kind::Source,
    Kind::Engine,
    Kind::Packages,
    Kind::Destination,
    Kind::Timeout,
    Kind::HungUp,
    Kind::Interrupted,
    Kind::Terminated,
];

impl Kind {
    /// Its line of the table.
    pub const fn code(self) -> Code {
        let (code, name, when) = match self {
            Kind::Internal => {
                (1, "internal", "a fault of copa, or of this machine (disk full, cache unusable)")
            }
            Kind::Usage => (2, "usage", "command line, environment variable or configuration file not valid"),
            Kind::Report => (3, "report", "report unreadable, not valid, or made for another image"),
            Kind::Image => (4, "image", "image not valid, or of a kind that is not supported"),
            Kind::Source => (5, "source", "image not found, registry out of reach, or access denied"),
            Kind::Engine => (6, "engine", "this host does not let the engine work; copa doctor says why"),
            Kind::Packages => {
                (7, "packages", "the package tool failed, or did not reach what the report asks for")
            }
            Kind::Destination => {
                (8, "destination", "the patched image could not be written; no tag was moved")
            }
            Kind::Timeout => (9, "timeout", "not done within --timeout"),
            Kind::HungUp => (129, "hung-up", "stopped by SIGHUP"),
            Kind::Interrupted => (130, "interrupted", "stopped by Ctrl-C (SIGINT)"),
            Kind::Terminated => (143, "terminated", "stopped by SIGTERM"),
        };
        Code { code, name, when }
    }
}

/// The whole table, by code.
pub fn table() -> Vec<Code> {
    let mut all: Vec<Code> =
        KINDS.iter().map(|k| k.code()).chain([OK, NOTHING_TO_DO, FINDINGS_REMAIN]).collect();
    all.sort_by_key(|c| c.code);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_told_apart() {
        let codes: std::collections::BTreeSet<u8> = table().iter().map(|c| c.code).collect();
        let names: std::collections::BTreeSet<&str> = table().iter().map(|c| c.name).collect();
        assert_eq!((codes.len(), names.len()), (table().len(), table().len()));
    }
}
