//! Rules → filter program. A chain of comparisons is enough: the kernel remembers which calls are always allowed and does
//! not run the program for them.

use super::{Judge, Table, Verdict};
use crate::sys::Instruction;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_ABOVE: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const IF_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// The program: an architecture without a table kills; a known call is judged by its rule, an unknown one gets EPERM, one
/// newer than the table (or of the x32 table) ENOSYS, so that libraries fall back to older calls.
pub(crate) fn assemble(tables: &[Table]) -> Vec<Instruction> {
    let bodies: Vec<Vec<Instruction>> = tables.iter().map(body).collect();
    // Two for each table, and the end; a conditional jump alone would not reach far enough.
    let choice = 2 * tables.len() + 1;
    let mut program = vec![plain(LOAD, ARCHITECTURE)];
    let mut ahead = 0;
    for (at, (table, body)) in tables.iter().zip(&bodies).enumerate() {
        program.push(branch(IF_EQUAL, table.architecture, 0, 1));
        program.push(plain(JUMP, (choice - 2 * (at + 1) + ahead) as u32));
        ahead += body.len();
    }
    program.push(plain(RETURN, libc::SECCOMP_RET_KILL_PROCESS));
    program.extend(bodies.into_iter().flatten());
    program
}

/// The part for one architecture; it always ends in a return.
fn body(table: &Table) -> Vec<Instruction> {
    let mut program = vec![
        plain(LOAD, NUMBER),
        branch(IF_ABOVE, table.newest as u32, 0, 1),
        verdict(Verdict::Errno(libc::ENOSYS as u16)),
    ];
    for rule in &table.rules {
        let judged = judge(rule.judge);
        // At most a handful of instructions, so the distance always fits.
        program.push(branch(IF_EQUAL, rule.number as u32, 0, judged.len() as u8));
        program.extend(judged);
    }
    program.push(verdict(Verdict::Errno(libc::EPERM as u16)));
    program
}

/// The instructions that judge one call; they always end in a return.
fn judge(judge: Judge) -> Vec<Instruction> {
    let refuse = verdict(Verdict::Errno(libc::EPERM as u16));
    let allow = verdict(Verdict::Allow);
    match judge {
        Judge::Always(fixed) => vec![verdict(fixed)],
        Judge::OneOf(argument, values) => compare(argument, values, [refuse, allow]),
        Judge::NoneOf(argument, values) => compare(argument, values, [allow, refuse]),
        Judge::AskedIf(argument, values) => compare(argument, values, [allow, verdict(Verdict::Notify)]),
        Judge::NoBits(argument, bits) => {
            vec![load(argument), branch(IF_ANY_BIT, bits, 1, 0), allow, refuse]
        }
    }
}

/// Ends in the second of `ends` if the argument equals one of the values, otherwise in the first.
fn compare(argument: usize, values: &[u32], ends: [Instruction; 2]) -> Vec<Instruction> {
    let to_match = |index: usize| (values.len() - index) as u8;
    let tests = values.iter().enumerate().map(|(at, value)| branch(IF_EQUAL, *value, to_match(at), 0));
    std::iter::once(load(argument)).chain(tests).chain(ends).collect()
}

/// Loads the low half of an argument; both architectures of the table are little-endian.
fn load(argument: usize) -> Instruction {
    plain(LOAD, ARGUMENTS + 8 * argument as u32)
}

fn verdict(verdict: Verdict) -> Instruction {
    plain(
        RETURN,
        match verdict {
            Verdict::Allow => libc::SECCOMP_RET_ALLOW,
            Verdict::Errno(number) => libc::SECCOMP_RET_ERRNO | u32::from(number),
            Verdict::Notify => libc::SECCOMP_RET_USER_NOTIF,
        },
    )
}

fn plain(code: u32, k: u32) -> Instruction {
    branch(code, k, 0, 0)
}

fn branch(code: u32, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code: code as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::{Filter, Owners, table};

    /// What the program answers, by a small interpreter of the few instructions used.
    fn run(program: &[Instruction], architecture: u32, number: u32, arguments: [u32; 6]) -> u32 {
        let (mut at, mut value) = (0usize, 0u32);
        loop {
            let i = &program[at];
            at += 1;
            let jump = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
            match u32::from(i.code) {
                LOAD if i.k == ARCHITECTURE => value = architecture,
                LOAD if i.k == NUMBER => value = number,
                LOAD => value = arguments[((i.k - ARGUMENTS) / 8) as usize],
                IF_EQUAL => at += jump(value == i.k),
                JUMP => at += i.k as usize,
                IF_ABOVE => at += jump(value > i.k),
                IF_ANY_BIT => at += jump(value & i.k != 0),
                RETURN => return i.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn errno(number: i32) -> u32 {
        libc::SECCOMP_RET_ERRNO | number as u32
    }

    fn program(owners: Owners, x86_32: bool) -> Vec<Instruction> {
        assemble(&Filter { owners, x86_32 }.tables())
    }

    #[test]
    fn calls_are_judged_as_the_table_says() {
        for x86_32 in [false, true] {
            own_calls_are_judged(&program(Owners::Real, x86_32));
        }
        let killed = libc::SECCOMP_RET_KILL_PROCESS;
        assert_eq!(run(&program(Owners::Real, false), 0x4000_0003, 3, [0; 6]), killed);
        assert_eq!(run(&program(Owners::Real, true), 0x4000_0028, 3, [0; 6]), killed);
    }

    fn own_calls_are_judged(program: &[Instruction]) {
        let first = |argument: u32| [argument, 0, 0, 0, 0, 0];
        let second = |argument: u32| [0, argument, 0, 0, 0, 0];
        let (allow, refuse) = (libc::SECCOMP_RET_ALLOW, errno(libc::EPERM));
        let cases = [
            (libc::SYS_read, first(0), allow),
            (libc::SYS_execve, first(0), allow),
            (libc::SYS_fchown, first(0), allow),
            (libc::SYS_fsync, first(0), errno(0)),
            (libc::SYS_clone3, first(0), errno(libc::ENOSYS)),
            (libc::SYS_mount, first(0), refuse),
            (libc::SYS_ptrace, first(0), refuse),
            (libc::SYS_unshare, first(0), refuse),
            (libc::SYS_io_uring_setup, first(0), refuse),
            (libc::SYS_socket, first(libc::AF_INET as u32), allow),
            (libc::SYS_socket, first(libc::AF_VSOCK as u32), refuse),
            (libc::SYS_socket, first(libc::AF_PACKET as u32), refuse),
            (libc::SYS_clone, first(libc::SIGCHLD as u32), allow),
            (libc::SYS_clone, first(libc::CLONE_NEWUSER as u32 | libc::SIGCHLD as u32), refuse),
            (libc::SYS_ioctl, second(libc::TIOCGWINSZ as u32), allow),
            (libc::SYS_ioctl, second(libc::TIOCSTI as u32), refuse),
            (libc::SYS_personality, first(0xffff_ffff), allow),
            (libc::SYS_personality, first(0x0400_0000), refuse),
            (100_000, first(0), errno(libc::ENOSYS)),
            (libc::SYS_read | 0x4000_0000, first(0), errno(libc::ENOSYS)),
        ];
        for (number, arguments, want) in cases {
            let got = run(program, table::ARCHITECTURE, number as u32, arguments);
            assert_eq!(got, want, "call {number} {arguments:?}");
        }
    }

    #[test]
    fn emulated_owners_go_through_us() {
        let program = program(Owners::Emulated, false);
        let got = |number: libc::c_long| run(&program, table::ARCHITECTURE, number as u32, [0; 6]);
        assert_eq!(got(libc::SYS_fchownat), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(got(libc::SYS_setgroups), errno(0));
        assert_eq!(got(libc::SYS_write), libc::SECCOMP_RET_ALLOW);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn calls_of_32_bits_are_judged_by_their_own_table() {
        let own = crate::seccomp::ARCHITECTURE_386;
        let got = |owners, number, arguments| run(&program(owners, true), own, number, arguments);
        let first = |argument: u32| [argument, 0, 0, 0, 0, 0];
        let (allow, refuse, ask) =
            (libc::SECCOMP_RET_ALLOW, errno(libc::EPERM), libc::SECCOMP_RET_USER_NOTIF);
        let cases = [
            // read, execve, set_thread_area, mmap2
            (3, first(0), allow),
            (11, first(0), allow),
            (243, first(0), allow),
            (192, first(0), allow),
            // mount, ptrace, init_module, unshare, keyctl, bpf, vm86
            (21, first(0), refuse),
            (26, first(0), refuse),
            (128, first(0), refuse),
            (310, first(0), refuse),
            (288, first(0), refuse),
            (357, first(0), refuse),
            (166, first(0), refuse),
            // fsync, msync, clone3
            (118, first(0), errno(0)),
            (144, first(0), errno(0)),
            (435, first(0), errno(libc::ENOSYS)),
            (120, first(libc::CLONE_NEWUSER as u32), refuse),
            (359, first(libc::AF_UNIX as u32), allow),
            (359, first(libc::AF_VSOCK as u32), refuse),
            // socketcall: making one, a pair, connecting
            (102, first(1), ask),
            (102, first(8), ask),
            (102, first(3), allow),
            (212, first(0), allow),
            (100_000, first(0), errno(libc::ENOSYS)),
        ];
        for (number, arguments, want) in cases {
            assert_eq!(got(Owners::Real, number, arguments), want, "call {number} {arguments:?}");
        }
        for number in [182, 16, 95, 212, 198, 207, 298] {
            assert_eq!(got(Owners::Emulated, number, [0; 6]), ask, "call {number}");
        }
        assert_eq!(got(Owners::Emulated, 206, [0; 6]), errno(0));
    }

    #[test]
    fn no_call_is_named_twice_and_the_program_fits() {
        for owners in [Owners::Real, Owners::Emulated] {
            let filter = Filter { owners, x86_32: true };
            for table in filter.tables() {
                let distinct: std::collections::BTreeSet<_> = table.rules.iter().map(|r| r.number).collect();
                assert_eq!(distinct.len(), table.rules.len());
            }
            assert!(assemble(&filter.tables()).len() <= libc::BPF_MAXINSNS as usize);
        }
    }
}
