//! The system calls of 32-bit x86 that package tools and maintainer scripts need: what the table of the machine's own calls
//! allows, under its old numbers, and the doublets that only this architecture has.
//!
//! The numbers are those of Linux's `arch/x86/entry/syscalls/syscall_32.tbl`, which never change.

use super::{
    Judge, Owners, Rule, Verdict,
    table::{FAMILIES, NAMESPACES, PERSONALITIES, RECENT, TERMINAL_INPUT},
};
use libc::{ENOSYS, c_long};

/// `AUDIT_ARCH_I386`.
pub(crate) const ARCHITECTURE: u32 = 0x4000_0003;

/// Numbers of calls that wait for our answer.
pub(crate) mod call {
    use libc::c_long;

    /// With ids of 16 bits, as the two after it.
    pub(crate) const LCHOWN16: c_long = 16;
    pub(crate) const FCHOWN16: c_long = 95;
    pub(crate) const CHOWN16: c_long = 182;
    pub(crate) const LCHOWN: c_long = 198;
    pub(crate) const FCHOWN: c_long = 207;
    pub(crate) const CHOWN: c_long = 212;
    pub(crate) const FCHOWNAT: c_long = 298;
    /// All calls of sockets in one; its first argument says which, the second where the arguments of that are.
    pub(crate) const SOCKETCALL: c_long = 102;
    /// First argument of [`SOCKETCALL`]: as `socket`.
    pub(crate) const SOCKETCALL_SOCKET: u32 = 1;
    /// First argument of [`SOCKETCALL`]: as `socketpair`.
    pub(crate) const SOCKETCALL_PAIR: u32 = 8;
}

/// The calls of [`call::SOCKETCALL`] that make sockets. Their family lies behind a pointer, where a filter cannot see it, so
/// we make the sockets.
const MAKES_SOCKETS: &[u32] = &[call::SOCKETCALL_SOCKET, call::SOCKETCALL_PAIR];

const CLONE: c_long = 120;
const IOCTL: c_long = 54;
const PERSONALITY: c_long = 136;
const SOCKET: c_long = 359;
const SOCKETPAIR: c_long = 360;
const CLONE3: c_long = 435;

/// The whole table.
pub(super) fn rules(owners: Owners) -> Vec<Rule> {
    let always = |verdict| move |number: c_long| Rule { number, judge: Judge::Always(verdict) };
    let (owner, identity) = match owners {
        Owners::Real => (Verdict::Allow, Verdict::Allow),
        Owners::Emulated => (Verdict::Notify, Verdict::Errno(0)),
    };
    let numbers = |table: &'static [(&str, c_long)]| table.iter().map(|(_, number)| *number);
    let judged = [
        Rule { number: SOCKET, judge: Judge::OneOf(0, FAMILIES) },
        Rule { number: SOCKETPAIR, judge: Judge::OneOf(0, FAMILIES) },
        Rule { number: call::SOCKETCALL, judge: Judge::AskedIf(0, MAKES_SOCKETS) },
        Rule { number: CLONE, judge: Judge::NoBits(0, NAMESPACES) },
        Rule { number: IOCTL, judge: Judge::NoneOf(1, TERMINAL_INPUT) },
        Rule { number: PERSONALITY, judge: Judge::OneOf(0, PERSONALITIES) },
        Rule { number: CLONE3, judge: Judge::Always(Verdict::Errno(ENOSYS as u16)) },
    ];
    numbers(ALLOWED)
        .chain(RECENT.iter().copied())
        .map(always(Verdict::Allow))
        .chain(numbers(OWNER).map(always(owner)))
        .chain(numbers(IDENTITY).map(always(identity)))
        .chain(numbers(SYNC).map(always(Verdict::Errno(0))))
        .chain(judged)
        .collect()
}

#[rustfmt::skip]
const SYNC: &[(&str, c_long)] = &[
    ("sync", 36), ("fsync", 118), ("msync", 144), ("fdatasync", 148), ("sync_file_range", 314), ("syncfs", 344),
];

#[rustfmt::skip]
const OWNER: &[(&str, c_long)] = &[
    ("lchown", call::LCHOWN16), ("fchown", call::FCHOWN16), ("chown", call::CHOWN16), ("lchown32", call::LCHOWN),
    ("fchown32", call::FCHOWN), ("chown32", call::CHOWN), ("fchownat", call::FCHOWNAT),
];

#[rustfmt::skip]
const IDENTITY: &[(&str, c_long)] = &[
    ("setuid", 23), ("setgid", 46), ("setreuid", 70), ("setregid", 71), ("setgroups", 81), ("setfsuid", 138),
    ("setfsgid", 139), ("setresuid", 164), ("setresgid", 170), ("setreuid32", 203), ("setregid32", 204),
    ("setgroups32", 206), ("setresuid32", 208), ("setresgid32", 210), ("setuid32", 213), ("setgid32", 214),
    ("setfsuid32", 215), ("setfsgid32", 216),
];

#[rustfmt::skip]
const ALLOWED: &[(&str, c_long)] = &[
    ("restart_syscall", 0), ("exit", 1), ("fork", 2), ("read", 3), ("write", 4), ("open", 5), ("close", 6),
    ("waitpid", 7), ("creat", 8), ("link", 9), ("unlink", 10), ("execve", 11), ("chdir", 12), ("time", 13),
    ("mknod", 14), ("chmod", 15), ("lseek", 19), ("getpid", 20), ("getuid", 24), ("alarm", 27), ("pause", 29),
    ("utime", 30), ("access", 33), ("nice", 34), ("kill", 37), ("rename", 38), ("mkdir", 39), ("rmdir", 40),
    ("dup", 41), ("pipe", 42), ("times", 43), ("brk", 45), ("getgid", 47), ("signal", 48), ("geteuid", 49),
    ("getegid", 50), ("fcntl", 55), ("setpgid", 57), ("umask", 60), ("chroot", 61), ("dup2", 63), ("getppid", 64),
    ("getpgrp", 65), ("setsid", 66), ("sigaction", 67), ("sigsuspend", 72), ("sigpending", 73), ("setrlimit", 75),
    ("getrlimit", 76), ("getrusage", 77), ("gettimeofday", 78), ("getgroups", 80), ("select", 82), ("symlink", 83),
    ("readlink", 85), ("mmap", 90), ("munmap", 91), ("truncate", 92), ("ftruncate", 93), ("fchmod", 94),
    ("getpriority", 96), ("setpriority", 97), ("statfs", 99), ("fstatfs", 100), ("setitimer", 104),
    ("getitimer", 105), ("stat", 106), ("lstat", 107), ("fstat", 108), ("wait4", 114), ("sysinfo", 116),
    ("ipc", 117), ("sigreturn", 119), ("uname", 122), ("mprotect", 125), ("sigprocmask", 126), ("getpgid", 132),
    ("fchdir", 133), ("_llseek", 140), ("getdents", 141), ("_newselect", 142), ("flock", 143), ("readv", 145),
    ("writev", 146), ("getsid", 147), ("mlock", 150), ("munlock", 151), ("mlockall", 152), ("munlockall", 153),
    ("sched_setparam", 154), ("sched_getparam", 155), ("sched_setscheduler", 156), ("sched_getscheduler", 157),
    ("sched_yield", 158), ("sched_get_priority_max", 159), ("sched_get_priority_min", 160),
    ("sched_rr_get_interval", 161), ("nanosleep", 162), ("mremap", 163), ("getresuid", 165), ("poll", 168),
    ("getresgid", 171), ("prctl", 172), ("rt_sigreturn", 173), ("rt_sigaction", 174), ("rt_sigprocmask", 175),
    ("rt_sigpending", 176), ("rt_sigtimedwait", 177), ("rt_sigqueueinfo", 178), ("rt_sigsuspend", 179),
    ("pread64", 180), ("pwrite64", 181), ("getcwd", 183), ("capget", 184), ("capset", 185), ("sigaltstack", 186),
    ("sendfile", 187), ("vfork", 190), ("ugetrlimit", 191), ("mmap2", 192), ("truncate64", 193),
    ("ftruncate64", 194), ("stat64", 195), ("lstat64", 196), ("fstat64", 197), ("getuid32", 199),
    ("getgid32", 200), ("geteuid32", 201), ("getegid32", 202), ("getgroups32", 205), ("getresuid32", 209),
    ("getresgid32", 211), ("mincore", 218), ("madvise", 219), ("getdents64", 220), ("fcntl64", 221),
    ("gettid", 224), ("readahead", 225), ("setxattr", 226), ("lsetxattr", 227), ("fsetxattr", 228),
    ("getxattr", 229), ("lgetxattr", 230), ("fgetxattr", 231), ("listxattr", 232), ("llistxattr", 233),
    ("flistxattr", 234), ("removexattr", 235), ("lremovexattr", 236), ("fremovexattr", 237), ("tkill", 238),
    ("sendfile64", 239), ("futex", 240), ("sched_setaffinity", 241), ("sched_getaffinity", 242),
    ("set_thread_area", 243), ("get_thread_area", 244), ("io_setup", 245), ("io_destroy", 246),
    ("io_getevents", 247), ("io_submit", 248), ("io_cancel", 249), ("fadvise64", 250), ("exit_group", 252),
    ("epoll_create", 254), ("epoll_ctl", 255), ("epoll_wait", 256), ("remap_file_pages", 257),
    ("set_tid_address", 258), ("timer_create", 259), ("timer_settime", 260), ("timer_gettime", 261),
    ("timer_getoverrun", 262), ("timer_delete", 263), ("clock_gettime", 265), ("clock_getres", 266),
    ("clock_nanosleep", 267), ("statfs64", 268), ("fstatfs64", 269), ("tgkill", 270), ("utimes", 271),
    ("fadvise64_64", 272), ("mq_open", 277), ("mq_unlink", 278), ("mq_timedsend", 279), ("mq_timedreceive", 280),
    ("mq_notify", 281), ("mq_getsetattr", 282), ("waitid", 284), ("ioprio_set", 289), ("ioprio_get", 290),
    ("inotify_init", 291), ("inotify_add_watch", 292), ("inotify_rm_watch", 293), ("openat", 295),
    ("mkdirat", 296), ("mknodat", 297), ("futimesat", 299), ("fstatat64", 300), ("unlinkat", 301),
    ("renameat", 302), ("linkat", 303), ("symlinkat", 304), ("readlinkat", 305), ("fchmodat", 306),
    ("faccessat", 307), ("pselect6", 308), ("ppoll", 309), ("set_robust_list", 311), ("get_robust_list", 312),
    ("splice", 313), ("tee", 315), ("vmsplice", 316), ("getcpu", 318), ("epoll_pwait", 319), ("utimensat", 320),
    ("signalfd", 321), ("timerfd_create", 322), ("eventfd", 323), ("fallocate", 324), ("timerfd_settime", 325),
    ("timerfd_gettime", 326), ("signalfd4", 327), ("eventfd2", 328), ("epoll_create1", 329), ("dup3", 330),
    ("pipe2", 331), ("inotify_init1", 332), ("preadv", 333), ("pwritev", 334), ("rt_tgsigqueueinfo", 335),
    ("recvmmsg", 337), ("prlimit64", 340), ("name_to_handle_at", 341), ("sendmmsg", 345), ("sched_setattr", 351),
    ("sched_getattr", 352), ("renameat2", 353), ("seccomp", 354), ("getrandom", 355), ("memfd_create", 356),
    ("execveat", 358), ("bind", 361), ("connect", 362), ("listen", 363), ("accept4", 364), ("getsockopt", 365),
    ("setsockopt", 366), ("getsockname", 367), ("getpeername", 368), ("sendto", 369), ("sendmsg", 370),
    ("recvfrom", 371), ("recvmsg", 372), ("shutdown", 373), ("membarrier", 375), ("mlock2", 376),
    ("copy_file_range", 377), ("preadv2", 378), ("pwritev2", 379), ("pkey_mprotect", 380), ("pkey_alloc", 381),
    ("pkey_free", 382), ("statx", 383), ("arch_prctl", 384), ("rseq", 386), ("semget", 393), ("semctl", 394),
    ("shmget", 395), ("shmctl", 396), ("shmat", 397), ("shmdt", 398), ("msgget", 399), ("msgsnd", 400),
    ("msgrcv", 401), ("msgctl", 402), ("clock_gettime64", 403), ("clock_getres_time64", 406),
    ("clock_nanosleep_time64", 407), ("timer_gettime64", 408), ("timer_settime64", 409),
    ("timerfd_gettime64", 410), ("timerfd_settime64", 411), ("utimensat_time64", 412), ("pselect6_time64", 413),
    ("ppoll_time64", 414), ("recvmmsg_time64", 417), ("mq_timedsend_time64", 418), ("mq_timedreceive_time64", 419),
    ("semtimedop_time64", 420), ("rt_sigtimedwait_time64", 421), ("futex_time64", 422),
    ("sched_rr_get_interval_time64", 423), ("pidfd_send_signal", 424), ("pidfd_open", 434), ("close_range", 436),
    ("openat2", 437), ("faccessat2", 439), ("epoll_pwait2", 441), ("landlock_create_ruleset", 444),
    ("landlock_add_rule", 445), ("landlock_restrict_self", 446), ("process_mrelease", 448),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The kernel's own numbers, as its headers have them on this machine.
    fn numbers() -> Option<HashMap<String, c_long>> {
        let text = std::fs::read_to_string("/usr/include/x86_64-linux-gnu/asm/unistd_32.h").ok()?;
        let lines = text.lines().filter_map(|line| line.strip_prefix("#define __NR_")?.split_once(' '));
        Some(lines.map(|(name, number)| (name.to_owned(), number.trim().parse().unwrap())).collect())
    }

    #[test]
    fn numbers_are_the_kernels() {
        let Some(numbers) = numbers() else {
            eprintln!("skipped: no headers of the kernel on this machine");
            return;
        };
        let judged = [
            ("clone", CLONE),
            ("ioctl", IOCTL),
            ("personality", PERSONALITY),
            ("socket", SOCKET),
            ("socketpair", SOCKETPAIR),
            ("clone3", CLONE3),
            ("socketcall", call::SOCKETCALL),
        ];
        let all = [ALLOWED, OWNER, IDENTITY, SYNC, &judged].concat();
        assert!(all.len() > 300);
        for (name, number) in all {
            assert_eq!(numbers.get(name), Some(&number), "{name}");
        }
    }
}
