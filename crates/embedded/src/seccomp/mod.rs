//! What programs in the sandbox may ask of the kernel: an allow-list, as a container runtime would have it, tighter where
//! package tools need less.

mod bpf;
mod table;
mod table_386;

pub(crate) use bpf::assemble;
pub(crate) use table_386::{ARCHITECTURE as ARCHITECTURE_386, call as call_386};

/// What happens to one system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It reaches the kernel.
    Allow,
    /// It fails with this error; with 0 it does nothing and succeeds.
    Errno(u16),
    /// It waits for our answer.
    Notify,
}

/// A rule for one system call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// Its number.
    pub number: libc::c_long,
    /// When it is allowed or answered.
    pub judge: Judge,
}

/// How a call is judged. Arguments are compared by their low 32 bits, as the kernel reads them in the calls concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Judge {
    /// Always the same.
    Always(Verdict),
    /// Allowed if this argument is one of these values.
    OneOf(usize, &'static [u32]),
    /// Allowed if this argument is none of these values.
    NoneOf(usize, &'static [u32]),
    /// Allowed if this argument has none of these bits.
    NoBits(usize, u32),
    /// Waits for our answer if this argument is one of these values, otherwise allowed.
    AskedIf(usize, &'static [u32]),
}

/// How ownership works in the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Ids are mapped; the kernel keeps owners.
    Real,
    /// One id is mapped; changes of owner are recorded by us, changes of identity do nothing.
    Emulated,
}

/// What the filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Whose owners.
    pub owners: Owners,
    /// Programs of 32-bit x86 may run too, where the machine is a 64-bit one. Everywhere else they are killed: a second way
    /// into the kernel is not open to images that have no use for it.
    pub x86_32: bool,
}

/// The rules of one way into the kernel.
pub(crate) struct Table {
    /// `AUDIT_ARCH_*`.
    architecture: u32,
    /// The newest call that it has an opinion on.
    newest: libc::c_long,
    /// One for each call that is not refused.
    rules: Vec<Rule>,
}

impl Filter {
    /// All tables.
    pub(crate) fn tables(self) -> Vec<Table> {
        let own = |architecture, rules| Table { architecture, newest: table::NEWEST, rules };
        let mut tables = vec![own(table::ARCHITECTURE, table::rules(self.owners))];
        if self.x86_32 && cfg!(target_arch = "x86_64") {
            tables.push(own(ARCHITECTURE_386, table_386::rules(self.owners)));
        }
        tables
    }
}

impl Table {
    /// Whether a call waits for our answer.
    pub(crate) fn asks(&self) -> bool {
        let asked = |judge| matches!(judge, Judge::Always(Verdict::Notify) | Judge::AskedIf(..));
        self.rules.iter().any(|rule| asked(rule.judge))
    }
}
