//! The system calls that package tools and maintainer scripts need, by architecture.

use super::{Judge, Owners, Rule, Verdict};
use libc::*;

/// `AUDIT_ARCH_*` of the machine that this is built for.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_003e;
/// `AUDIT_ARCH_*` of the machine that this is built for.
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_00b7;

/// The newest call that this table has an opinion on (`removexattrat`, Linux 6.13).
pub(super) const NEWEST: c_long = 466;

/// Families of sockets that a network namespace keeps apart; AF_VSOCK, which it does not, would be a way out.
pub(super) const FAMILIES: &[u32] = &[AF_UNIX as u32, AF_INET as u32, AF_INET6 as u32, AF_NETLINK as u32];
/// Every flag of `clone` that makes a namespace.
pub(super) const NAMESPACES: u32 = (CLONE_NEWNS
    | CLONE_NEWCGROUP
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET) as u32;
/// Terminal requests that put words into a terminal's input.
pub(super) const TERMINAL_INPUT: &[u32] = &[TIOCSTI as u32, TIOCLINUX_REQUEST];
/// `TIOCLINUX`: selection and paste of the console.
const TIOCLINUX_REQUEST: u32 = 0x541c;
/// Linux, 32-bit names, a 2.6 version number, both, and "ask only"; and no randomised addresses.
pub(super) const PERSONALITIES: &[u32] = &[0, 0x8, 0x2_0000, 0x2_0008, 0x4_0000, 0xffff_ffff];

/// The whole table.
pub(super) fn rules(owners: Owners) -> Vec<Rule> {
    let always = |verdict| move |number: &c_long| Rule { number: *number, judge: Judge::Always(verdict) };
    let (owner, identity) = match owners {
        Owners::Real => (Verdict::Allow, Verdict::Allow),
        Owners::Emulated => (Verdict::Notify, Verdict::Errno(0)),
    };
    let allowed = COMMON.iter().chain(OLD).chain(RECENT).map(always(Verdict::Allow));
    let judged = [
        Rule { number: SYS_socket, judge: Judge::OneOf(0, FAMILIES) },
        Rule { number: SYS_socketpair, judge: Judge::OneOf(0, FAMILIES) },
        Rule { number: SYS_clone, judge: Judge::NoBits(0, NAMESPACES) },
        Rule { number: SYS_ioctl, judge: Judge::NoneOf(1, TERMINAL_INPUT) },
        Rule { number: SYS_personality, judge: Judge::OneOf(0, PERSONALITIES) },
        // Its flags lie behind a pointer, where a filter cannot see them; libraries fall back to clone.
        Rule { number: SYS_clone3, judge: Judge::Always(Verdict::Errno(ENOSYS as u16)) },
    ];
    allowed
        .chain(OWNER.iter().chain(OWNER_OLD).map(always(owner)))
        .chain(IDENTITY.iter().map(always(identity)))
        .chain(SYNC.iter().map(always(Verdict::Errno(0))))
        .chain(judged)
        .collect()
}

/// The root is thrown away after a crash and our outputs are synced by us, so inside a sync is wasted time.
const SYNC: &[c_long] = &[SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_sync_file_range, SYS_msync];

const OWNER: &[c_long] = &[SYS_fchown, SYS_fchownat];
#[cfg(target_arch = "x86_64")]
const OWNER_OLD: &[c_long] = &[SYS_chown, SYS_lchown];
#[cfg(target_arch = "aarch64")]
const OWNER_OLD: &[c_long] = &[];

#[rustfmt::skip]
const IDENTITY: &[c_long] = &[
    SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setgroups, SYS_setfsuid,
    SYS_setfsgid,
];

#[rustfmt::skip]
const COMMON: &[c_long] = &[
    // files
    SYS_chroot, SYS_close, SYS_close_range, SYS_copy_file_range, SYS_dup, SYS_dup3, SYS_faccessat, SYS_faccessat2,
    SYS_fadvise64, SYS_fallocate, SYS_fchdir, SYS_chdir, SYS_fchmod, SYS_fchmodat, SYS_fcntl, SYS_fgetxattr,
    SYS_flistxattr, SYS_flock, SYS_fremovexattr, SYS_fsetxattr, SYS_fstat, SYS_fstatfs, SYS_ftruncate, SYS_getcwd,
    SYS_getdents64, SYS_getxattr, SYS_lgetxattr, SYS_linkat, SYS_listxattr, SYS_llistxattr, SYS_lremovexattr,
    SYS_lseek, SYS_lsetxattr, SYS_mkdirat, SYS_mknodat, SYS_name_to_handle_at, SYS_newfstatat, SYS_openat, SYS_openat2,
    SYS_pipe2, SYS_pread64, SYS_preadv, SYS_preadv2, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_read, SYS_readahead,
    SYS_readlinkat, SYS_readv, SYS_removexattr, SYS_renameat, SYS_renameat2, SYS_sendfile, SYS_setxattr, SYS_splice,
    SYS_statfs, SYS_statx, SYS_symlinkat, SYS_tee, SYS_truncate, SYS_umask, SYS_unlinkat, SYS_utimensat, SYS_vmsplice,
    SYS_write, SYS_writev, SYS_inotify_add_watch, SYS_inotify_init1, SYS_inotify_rm_watch,
    SYS_io_setup, SYS_io_destroy, SYS_io_submit, SYS_io_cancel, SYS_io_getevents,
    // waiting
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_eventfd2, SYS_ppoll, SYS_pselect6,
    SYS_signalfd4, SYS_timerfd_create, SYS_timerfd_gettime, SYS_timerfd_settime,
    // memory
    SYS_brk, SYS_madvise, SYS_membarrier, SYS_memfd_create, SYS_mincore, SYS_mlock, SYS_mlock2, SYS_mlockall, SYS_mmap,
    SYS_mprotect, SYS_mremap, SYS_munlock, SYS_munlockall, SYS_munmap, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect,
    SYS_remap_file_pages,
    // processes
    SYS_capget, SYS_capset, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_getegid, SYS_geteuid, SYS_getgid,
    SYS_getgroups, SYS_getpgid, SYS_getpid, SYS_getppid, SYS_getpriority, SYS_getresgid, SYS_getresuid, SYS_getrlimit,
    SYS_getrusage, SYS_getsid, SYS_gettid, SYS_getuid, SYS_ioprio_get, SYS_ioprio_set, SYS_kill, SYS_landlock_add_rule,
    SYS_landlock_create_ruleset, SYS_landlock_restrict_self, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_prctl,
    SYS_prlimit64, SYS_process_mrelease, SYS_seccomp, SYS_setpgid, SYS_setpriority, SYS_setrlimit, SYS_setsid,
    SYS_set_tid_address, SYS_tgkill, SYS_times, SYS_tkill, SYS_wait4, SYS_waitid,
    // scheduling, time, locks
    SYS_clock_getres, SYS_clock_gettime, SYS_clock_nanosleep, SYS_futex, SYS_get_robust_list, SYS_getcpu, SYS_getitimer,
    SYS_gettimeofday, SYS_nanosleep, SYS_restart_syscall, SYS_rseq, SYS_sched_get_priority_max,
    SYS_sched_get_priority_min, SYS_sched_getaffinity, SYS_sched_getattr, SYS_sched_getparam, SYS_sched_getscheduler,
    SYS_sched_rr_get_interval, SYS_sched_setaffinity, SYS_sched_setattr, SYS_sched_setparam, SYS_sched_setscheduler,
    SYS_sched_yield, SYS_set_robust_list, SYS_setitimer, SYS_timer_create, SYS_timer_delete, SYS_timer_getoverrun,
    SYS_timer_gettime, SYS_timer_settime,
    // signals
    SYS_rt_sigaction, SYS_rt_sigpending, SYS_rt_sigprocmask, SYS_rt_sigqueueinfo, SYS_rt_sigreturn, SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait, SYS_rt_tgsigqueueinfo, SYS_sigaltstack,
    // System V and POSIX queues, semaphores, memory: apart by namespace
    SYS_mq_getsetattr, SYS_mq_notify, SYS_mq_open, SYS_mq_timedreceive, SYS_mq_timedsend, SYS_mq_unlink, SYS_msgctl,
    SYS_msgget, SYS_msgrcv, SYS_msgsnd, SYS_semctl, SYS_semget, SYS_semop, SYS_semtimedop, SYS_shmat, SYS_shmctl,
    SYS_shmdt, SYS_shmget,
    // sockets
    SYS_accept, SYS_accept4, SYS_bind, SYS_connect, SYS_getpeername, SYS_getsockname, SYS_getsockopt, SYS_listen,
    SYS_recvfrom, SYS_recvmmsg, SYS_recvmsg, SYS_sendmmsg, SYS_sendmsg, SYS_sendto, SYS_setsockopt, SYS_shutdown,
    // the machine
    SYS_getrandom, SYS_sysinfo, SYS_uname,
];

/// Calls that newer architectures have no more.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLD: &[c_long] = &[
    SYS_access, SYS_alarm, SYS_arch_prctl, SYS_chmod, SYS_creat, SYS_dup2, SYS_epoll_create, SYS_epoll_wait,
    SYS_eventfd, SYS_fork, SYS_futimesat, SYS_get_thread_area, SYS_getdents, SYS_getpgrp, SYS_inotify_init, SYS_link,
    SYS_lstat, SYS_mkdir, SYS_mknod, SYS_open, SYS_pause, SYS_pipe, SYS_poll, SYS_readlink, SYS_rename, SYS_rmdir,
    SYS_select, SYS_set_thread_area, SYS_signalfd, SYS_stat, SYS_symlink, SYS_time, SYS_unlink, SYS_utime, SYS_utimes,
    SYS_vfork,
];
/// Calls that newer architectures have no more.
#[cfg(target_arch = "aarch64")]
const OLD: &[c_long] = &[];

/// Calls since 5.16; from 424 on a number means the same call on every architecture. `futex_waitv`, `cachestat`,
/// `fchmodat2`, `map_shadow_stack`, `futex_wake`, `futex_wait`, `futex_requeue`, `mseal`, `setxattrat`, `getxattrat`,
/// `listxattrat`, `removexattrat`.
pub(super) const RECENT: &[c_long] = &[449, 451, 452, 453, 454, 455, 456, 462, 463, 464, 465, 466];
