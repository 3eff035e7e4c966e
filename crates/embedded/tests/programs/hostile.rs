//! Everything that a hostile package tool would try. Each success is told as `gained: …`, and each try is counted.
#![allow(unsafe_code, reason = "system calls by number, as an attacker makes them")]

use std::{
    ffi::CString,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    os::{fd::AsRawFd as _, linux::net::SocketAddrExt as _, unix::net::SocketAddr, unix::net::UnixStream},
    time::Duration,
};

struct Tries(usize);

impl Tries {
    fn one(&mut self, what: &str, gained: bool) {
        self.0 += 1;
        if gained {
            println!("gained: {what}");
        }
    }

    /// A system call that must not succeed. Arguments beyond those given are zero.
    fn call(&mut self, what: &str, number: libc::c_long, arguments: &[usize]) {
        let a = |i: usize| arguments.get(i).copied().unwrap_or(0);
        // SAFETY: what these calls are given is either zero, a number, or points to memory of ours that lives long enough.
        let result = unsafe { libc::syscall(number, a(0), a(1), a(2), a(3), a(4), a(5)) };
        self.one(what, result >= 0);
    }

    fn write(&mut self, path: &str, text: &str) {
        let opened = File::options().write(true).open(path);
        self.one(&format!("writing {path}"), opened.and_then(|mut f| f.write_all(text.as_bytes())).is_ok());
    }

    fn read(&mut self, path: &str) {
        let mut some = [0; 64];
        let read = File::open(path).and_then(|mut f| f.read(&mut some));
        self.one(&format!("reading {path}"), read.is_ok_and(|n| n > 0));
    }
}

/// Tries everything. `address` is a server on the host, `name` an abstract socket there.
pub fn try_everything(address: &str, name: &str) {
    let mut tries = Tries(0);
    mounts(&mut tries);
    namespaces(&mut tries);
    other_processes(&mut tries);
    kernel(&mut tries);
    files_of_the_kernel(&mut tries);
    devices(&mut tries);
    network(&mut tries, address, name);
    power(&mut tries);
    terminal(&mut tries);
    println!("tried: {}", tries.0);
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn mounts(tries: &mut Tries) {
    let (tmpfs, at, proc, sys) = (text("tmpfs"), text("/tmp"), text("proc"), text("/proc/sys"));
    let p = |s: &CString| s.as_ptr() as usize;
    tries.call("mount", libc::SYS_mount, &[p(&tmpfs), p(&at), p(&tmpfs)]);
    tries.call("mount of proc", libc::SYS_mount, &[p(&proc), p(&at), p(&proc)]);
    let again = (libc::MS_REMOUNT | libc::MS_BIND) as usize;
    tries.call("remount of /proc/sys", libc::SYS_mount, &[p(&sys), p(&sys), 0, again]);
    tries.call("umount of /proc/sys", libc::SYS_umount2, &[p(&sys), libc::MNT_DETACH as usize]);
    tries.call("pivot_root", libc::SYS_pivot_root, &[p(&at), p(&at)]);
    tries.call("fsopen", libc::SYS_fsopen, &[p(&tmpfs)]);
    tries.call("open_tree", libc::SYS_open_tree, &[libc::AT_FDCWD as usize, p(&at), 1]);
    tries.call("mount_setattr", libc::SYS_mount_setattr, &[libc::AT_FDCWD as usize, p(&sys)]);
    // Out of a second root, upwards as far as it goes.
    fs::create_dir_all("/tmp/inner").unwrap();
    let up = File::open("/").unwrap();
    let inner = text("/tmp/inner");
    // SAFETY: plain calls with strings and descriptors that live through them.
    unsafe {
        libc::chroot(inner.as_ptr());
        libc::fchdir(up.as_raw_fd());
        (0..64).for_each(|_| _ = libc::chdir(c"..".as_ptr()));
        libc::chroot(c".".as_ptr());
    }
    tries.one("the host's files", !std::path::Path::new("/guest").exists());
}

fn namespaces(tries: &mut Tries) {
    for (kind, flag) in [
        ("user", libc::CLONE_NEWUSER),
        ("mount", libc::CLONE_NEWNS),
        ("network", libc::CLONE_NEWNET),
        ("process", libc::CLONE_NEWPID),
        ("control group", libc::CLONE_NEWCGROUP),
        ("time", 0x80),
    ] {
        tries.call(&format!("unshare of {kind}"), libc::SYS_unshare, &[flag as usize]);
        // SAFETY: as a fork; the child ends at once.
        let child = unsafe { libc::syscall(libc::SYS_clone, flag | libc::SIGCHLD, 0, 0, 0, 0) };
        if child == 0 {
            std::process::exit(0);
        }
        // The time namespace's flag is part of the exit signal there and makes none.
        tries.one(&format!("clone of {kind}"), child > 0 && kind != "time");
    }
    let arguments = [libc::CLONE_NEWUSER as u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    tries.call("clone3", libc::SYS_clone3, &[arguments.as_ptr() as usize, size_of_val(&arguments)]);
    for kind in ["mnt", "net", "user", "pid", "ipc", "uts"] {
        let opened = File::open(format!("/proc/1/ns/{kind}"));
        tries.one(&format!("/proc/1/ns/{kind}"), opened.is_ok());
        let own = File::open(format!("/proc/self/ns/{kind}")).unwrap();
        tries.call(&format!("setns to {kind}"), libc::SYS_setns, &[own.as_raw_fd() as usize]);
    }
}

fn other_processes(tries: &mut Tries) {
    const ATTACH: usize = libc::PTRACE_ATTACH as usize;
    tries.call("ptrace of process 1", libc::SYS_ptrace, &[ATTACH, 1]);
    tries.call("ptrace of ourselves by a parent", libc::SYS_ptrace, &[libc::PTRACE_TRACEME as usize]);
    let (mut room, mut own) = ([0u8; 8], libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 8 });
    own.iov_base = room.as_mut_ptr().cast();
    let at = &raw const own as usize;
    tries.call("process_vm_readv", libc::SYS_process_vm_readv, &[1, at, 1, at, 1]);
    tries.call("process_vm_writev", libc::SYS_process_vm_writev, &[1, at, 1, at, 1]);
    tries.call("kcmp", libc::SYS_kcmp, &[1, 1]);
    // SAFETY: gives a new descriptor or an error.
    let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, 1, 0) };
    tries.call("pidfd_getfd", libc::SYS_pidfd_getfd, &[handle as usize, 0]);
    for name in ["exe", "root", "cwd", "fd/0", "fd/3"] {
        tries.one(&format!("/proc/1/{name}"), fs::read_link(format!("/proc/1/{name}")).is_ok());
    }
    for name in ["mem", "maps", "environ", "exe", "fd/0", "fd/1", "fd/3", "root/guest", "cwd/guest", "stack"]
    {
        tries.read(&format!("/proc/1/{name}"));
    }
    tries.write("/proc/1/mem", "x");
    tries.write("/proc/1/exe", "x");
    // SAFETY: a signal to process 1; our own end, should it work.
    unsafe { libc::kill(1, libc::SIGKILL) };
    std::thread::sleep(Duration::from_millis(20));
    tries.one("an end of process 1", !std::path::Path::new("/proc/1").exists());
    // SAFETY: reads the number of the parent.
    tries.one("a parent outside", !matches!(unsafe { libc::getppid() }, 0 | 1));
    let others =
        fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().to_str()?.parse::<u32>().ok());
    tries.one("processes of the host", others.count() > 10);
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let number = entry.unwrap().file_name().to_str().unwrap().parse::<u32>().unwrap();
        let target = fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
        let ours = target.starts_with("/dev/null") || target.starts_with("/proc");
        tries.one(
            &format!("descriptor {number} {}", target.display()),
            !ours && !target.to_str().unwrap().starts_with("pipe:") && target.exists(),
        );
    }
}

fn kernel(tries: &mut Tries) {
    let room = [0u8; 512];
    let at = room.as_ptr() as usize;
    let calls = [
        ("bpf", libc::SYS_bpf),
        ("keyctl", libc::SYS_keyctl),
        ("add_key", libc::SYS_add_key),
        ("request_key", libc::SYS_request_key),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("userfaultfd", libc::SYS_userfaultfd),
        ("init_module", libc::SYS_init_module),
        ("finit_module", libc::SYS_finit_module),
        ("delete_module", libc::SYS_delete_module),
        ("kexec_load", libc::SYS_kexec_load),
        ("swapon", libc::SYS_swapon),
        ("swapoff", libc::SYS_swapoff),
        ("acct", libc::SYS_acct),
        ("quotactl", libc::SYS_quotactl),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("fanotify_init", libc::SYS_fanotify_init),
        ("io_uring_register", libc::SYS_io_uring_register),
        ("vhangup", libc::SYS_vhangup),
        ("lookup_dcookie", libc::SYS_lookup_dcookie),
        ("move_pages", libc::SYS_move_pages),
        ("sethostname", libc::SYS_sethostname),
        ("setdomainname", libc::SYS_setdomainname),
    ];
    for (name, number) in calls {
        tries.call(name, number, &[0, at, 0]);
    }
    tries.call("keyctl of the session", libc::SYS_keyctl, &[0, (-3isize) as usize, 1]);
    tries.call("io_uring_setup", libc::SYS_io_uring_setup, &[4, at]);
    tries.call("syslog", libc::SYS_syslog, &[3, at, 512]);
    tries.call("settimeofday", libc::SYS_settimeofday, &[at]);
    tries.call("clock_settime", libc::SYS_clock_settime, &[0, at]);
    // Without its magic numbers it would do nothing, if it were let through.
    tries.call("reboot", libc::SYS_reboot, &[0xfee1_dead, 672_274_793, 0]);
    #[cfg(target_arch = "x86_64")]
    {
        tries.call("iopl", libc::SYS_iopl, &[3]);
        tries.call("ioperm", libc::SYS_ioperm, &[0x80, 1, 1]);
        tries.call("modify_ldt", libc::SYS_modify_ldt, &[0, at, 16]);
        tries.call(
            "unshare by its x32 number",
            libc::SYS_unshare | 0x4000_0000,
            &[libc::CLONE_NEWUSER as usize],
        );
        tries.call("ptrace by its x32 number", 521 | 0x4000_0000, &[libc::PTRACE_TRACEME as usize]);
    }
}

fn files_of_the_kernel(tries: &mut Tries) {
    for path in [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/pid_max",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/proc/bus/pci/devices",
        "/sys/kernel/uevent_helper",
        "/sys/power/state",
        "/sys/class/net/lo/mtu",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/release_agent",
        "/dev/copa/x",
    ] {
        tries.write(path, "x");
    }
    for path in
        ["/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/sys/firmware/acpi/tables/DSDT"]
    {
        tries.read(path);
    }
    tries.write("/proc/self/oom_score_adj", "-1000");
    tries.write("/proc/self/uid_map", "0 0 1");
    tries.write("/proc/self/setgroups", "allow");
}

fn devices(tries: &mut Tries) {
    let numbers =
        [("memory", libc::S_IFCHR, 1, 1), ("disk", libc::S_IFBLK, 254, 0), ("disk", libc::S_IFBLK, 8, 0)];
    for (index, (name, kind, major, minor)) in numbers.into_iter().enumerate() {
        let path = format!("/tmp/device{index}");
        let c_path = text(&path);
        // SAFETY: makes a node or fails.
        let made = unsafe { libc::mknod(c_path.as_ptr(), kind | 0o666, libc::makedev(major, minor)) };
        tries.one(&format!("making a {name} node"), made == 0);
        tries.one(&format!("opening a {name} node"), made == 0 && File::open(&path).is_ok());
    }
    for name in ["/held/memory", "/held/disk", "/held/fuse"] {
        tries.one(
            name,
            File::options().read(true).write(true).open(name).is_ok_and(|f| !f.metadata().unwrap().is_file()),
        );
    }
    for name in
        ["/dev/kmsg", "/dev/mem", "/dev/fuse", "/dev/kvm", "/dev/sda", "/dev/vda", "/dev/loop-control"]
    {
        tries.one(name, File::open(name).is_ok());
    }
    let null = text("/dev/null");
    // SAFETY: changes of mode and owner of a path.
    unsafe {
        tries.one("mode of the host's /dev/null", libc::chmod(null.as_ptr(), 0) == 0);
        let kept = fs::metadata("/dev/null").unwrap();
        libc::chown(null.as_ptr(), 1, 1);
        let now = fs::metadata("/dev/null").unwrap();
        use std::os::unix::fs::MetadataExt as _;
        tries.one("owner of the host's /dev/null", (kept.uid(), kept.gid()) != (now.uid(), now.gid()));
    }
}

fn network(tries: &mut Tries, address: &str, name: &str) {
    let soon = Duration::from_millis(300);
    for to in [
        address,
        "169.254.169.254:80",
        "10.0.0.1:80",
        "8.8.8.8:53",
        "[fe80::1]:80",
        "[2001:4860:4860::8888]:53",
    ] {
        let connected = TcpStream::connect_timeout(&to.parse().unwrap(), soon);
        tries.one(&format!("TCP to {to}"), connected.is_ok());
        let sent = UdpSocket::bind(if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" })
            .and_then(|socket| socket.send_to(b"x", to));
        // To our own loopback anything may be sent; nobody is there.
        tries.one(&format!("UDP to {to}"), sent.is_ok() && !to.starts_with("127."));
    }
    let host = SocketAddr::from_abstract_name(name).unwrap();
    tries.one("an abstract socket of the host", UnixStream::connect_addr(&host).is_ok());
    let families = [
        ("vsock", libc::AF_VSOCK, libc::SOCK_STREAM),
        ("packet", libc::AF_PACKET, libc::SOCK_RAW),
        ("raw", libc::AF_INET, libc::SOCK_RAW),
        ("alg", libc::AF_ALG, libc::SOCK_SEQPACKET),
        ("key", libc::AF_KEY, libc::SOCK_RAW),
        ("tipc", libc::AF_TIPC, libc::SOCK_STREAM),
        ("xdp", libc::AF_XDP, libc::SOCK_RAW),
        ("can", libc::AF_CAN, libc::SOCK_RAW),
        ("bluetooth", libc::AF_BLUETOOTH, libc::SOCK_RAW),
        ("rds", libc::AF_RDS, libc::SOCK_SEQPACKET),
    ];
    for (name, family, kind) in families {
        tries.call(
            &format!("a {name} socket"),
            libc::SYS_socket,
            &[family as usize, kind as usize, i32::from(name == "raw") as usize],
        );
    }
}

fn power(tries: &mut Tries) {
    let header = [0x2008_0522u32, 0];
    let all = [u32::MAX; 6];
    let (h, a) = (header.as_ptr() as usize, all.as_ptr() as usize);
    tries.call("all capabilities", libc::SYS_capset, &[h, a]);
    const SYS_ADMIN: usize = 21;
    let ambient = [libc::PR_CAP_AMBIENT as usize, libc::PR_CAP_AMBIENT_RAISE as usize, SYS_ADMIN];
    tries.call("an ambient capability", libc::SYS_prctl, &ambient);
    tries.call("new privileges", libc::SYS_prctl, &[libc::PR_SET_NO_NEW_PRIVS as usize, 0]);
    tries.call("a better priority", libc::SYS_setpriority, &[0, 0, (-20isize) as usize]);
    let first = [1i32];
    tries.call("real-time scheduling", libc::SYS_sched_setscheduler, &[0, 1, first.as_ptr() as usize]);
    let more = libc::rlimit { rlim_cur: 1 << 30, rlim_max: 1 << 30 };
    tries.call(
        "a higher limit",
        libc::SYS_setrlimit,
        &[libc::RLIMIT_NOFILE as usize, &raw const more as usize],
    );
    // SAFETY: a plain call.
    tries.one("locked memory without bound", unsafe { libc::mlock(std::ptr::null(), usize::MAX / 2) } == 0);
}

fn terminal(tries: &mut Tries) {
    tries.one("a controlling terminal", File::open("/dev/tty").is_ok());
    // Even a terminal of one's own takes no words that way.
    if let Ok(own) = File::options().read(true).write(true).open("/dev/ptmx") {
        let letter = b"x".as_ptr() as usize;
        tries.call("TIOCSTI", libc::SYS_ioctl, &[own.as_raw_fd() as usize, libc::TIOCSTI as usize, letter]);
        let high = libc::TIOCSTI as usize | 1 << 32;
        tries.call("TIOCSTI with high bits", libc::SYS_ioctl, &[own.as_raw_fd() as usize, high, letter]);
    }
    tries.call("TIOCLINUX", libc::SYS_ioctl, &[0, 0x541c, b"\x0b".as_ptr() as usize]);
}
