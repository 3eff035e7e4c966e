//! An image whose package tool is our own hostile program: it tries to get out, and gains nothing.

mod support;

use engine::{Exec, Step};
use std::{
    io::ErrorKind,
    net::TcpListener,
    os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr, unix::net::UnixListener},
};
use support::{Bed, Files, exec, in_each_mode_and_user, recipe};

/// Fewer tries than this mean that the program did not come to its end.
const TRIES: usize = 150;

#[test]
fn nothing_is_gained() {
    in_each_mode_and_user("nothing_is_gained", || {
        let bed = Bed::new();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let address = server.local_addr().unwrap().to_string();
        let name = format!("embedded-hostile-{}", std::process::id());
        let _there = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        // Devices in a layer are unpacked as such where that is possible; opening them must not be.
        let image = Files::guest()
            .device("/held/memory", false, 1, 1)
            .device("/held/disk", true, 8, 0)
            .device("/held/fuse", false, 10, 229);
        for network in [false, true] {
            let step = Step::Exec(Exec { network, ..exec(&["hostile", &address, &name]) });
            let run = bed.run(std::slice::from_ref(&image), &recipe(vec![step])).unwrap();
            let said = &run.steps[0].tail;
            let gained: Vec<&str> = said.lines().filter(|l| l.starts_with("gained")).collect();
            assert_eq!(gained, [""; 0]);
            let tried = said.lines().find_map(|l| l.strip_prefix("tried: ")).expect("it came to its end");
            assert!(tried.parse::<usize>().unwrap() >= TRIES, "{tried} tries");
        }
        assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody reached the host");
    });
}

#[test]
fn our_own_program_cannot_be_written_to() {
    in_each_mode_and_user("our_own_program_cannot_be_written_to", || {
        let bed = Bed::new();
        // The kernel runs what `/proc/self/exe` is when a script of the image names it: process 1, which is us.
        let image = Files::guest().file("/usr/bin/apt-get", 0o755, b"#!/proc/self/exe own\n");
        let before = std::fs::metadata(&bed.options.helper).unwrap().modified().unwrap();
        let step = Step::Exec(Exec { argv: vec!["/usr/bin/apt-get".into()], ..exec(&[]) });
        let run = bed.run(&[image], &recipe(vec![step])).unwrap();
        assert!(run.steps[0].tail.starts_with("kept out"), "{}", run.steps[0].tail);
        assert_eq!(std::fs::metadata(&bed.options.helper).unwrap().modified().unwrap(), before);
    });
}
