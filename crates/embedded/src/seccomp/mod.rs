//! What programs in the sandbox may ask of the kernel: an allow-list, as a container runtime would have it, tighter where
//! package tools need less.

mod bpf;
mod table;

pub(crate) use bpf::assemble;
pub(crate) use table::{Owners, rules};

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
}
