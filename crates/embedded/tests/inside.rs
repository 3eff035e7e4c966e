//! What a program of an image sees and reaches, and what it does not.

mod support;

use engine::{Error, Exec, FetchKind, Mount, Recipe, Step};
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpListener,
};
use support::{Bed, Files, changed, exec, guest, in_each_mode, recipe, text};

#[test]
fn the_view_is_clean() {
    in_each_mode("the_view_is_clean", || {
        let bed = Bed::new();
        let env = BTreeMap::from([("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned())]);
        let mut wanted = recipe(vec![
            Step::Exec(Exec { env, ..exec(&["environment"]) }),
            guest(&["identity"]),
            guest(&["descriptors"]),
            guest(&["list", "/dev"]),
            guest(&["read", "/dev/copa/list.txt"]),
            guest(&["read", "/proc/mounts"]),
            guest(&["list", "/"]),
        ]);
        wanted.mounts = vec![Mount { name: "list.txt".into(), content: b"shown".to_vec() }];
        let mut run = bed.run(&[Files::guest()], &wanted).unwrap();
        let said = |step: usize| run.steps[step].tail.clone();
        let mut variables: Vec<String> = said(0).lines().map(str::to_owned).collect();
        variables.sort();
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        assert_eq!(variables, ["DEBIAN_FRONTEND=noninteractive", "HOME=/root", "LC_ALL=C.UTF-8", path]);
        let identity = said(1);
        for line in [
            "Uid: 0 0 0 0",
            "CapInh: 0000000000000000",
            "CapAmb: 0000000000000000",
            "NoNewPrivs: 1",
            "Seccomp: 2",
            "CapEff: 00000000800400fb",
            "CapBnd: 00000000800400fb",
            "cwd /",
            "session true",
            "terminal false",
            "host sandbox",
        ] {
            assert!(identity.contains(line), "{line} in {identity}");
        }
        let descriptors = said(2);
        let kinds: Vec<&str> = descriptors.lines().map(|l| l.split([':', ' ']).nth(1).unwrap()).collect();
        assert_eq!(kinds[..3], ["/dev/null", "pipe", "pipe"], "{descriptors}");
        assert!(kinds.len() == 4 && kinds[3].starts_with("/proc/"), "{descriptors}");
        assert!(
            !said(3).contains("sda") && said(3).contains("null") && said(3).contains("copa"),
            "{}",
            said(3)
        );
        assert_eq!(said(4), "shown\n");
        let store = bed.options.store.dir().to_str().unwrap().to_owned();
        assert!(!said(5).contains(&store) && !said(5).contains(bed.folder.path().to_str().unwrap()));
        assert!(said(6).lines().any(|l| l == "proc"));
        assert_eq!(changed(&mut run), Vec::<String>::new());
    });
}

#[test]
fn places_for_mounts_must_be_folders() {
    in_each_mode("places_for_mounts_must_be_folders", || {
        let bed = Bed::new();
        let outside = bed.folder.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        for place in ["dev", "proc", "sys"] {
            let at = format!("/{place}");
            let hostile = [
                Files::guest().link(&at, outside.to_str().unwrap()),
                Files::guest().link(&at, "../../../../tmp"),
                Files::guest().file(&at, 0o644, b""),
            ];
            for files in hostile {
                match bed.run(&[files], &recipe(vec![guest(&["say", "x"])])).map(|_| ()) {
                    Err(Error::Image { item, .. }) => assert_eq!(item, at),
                    other => panic!("{place}: {other:?}"),
                }
            }
            let benign = Files::guest().folder(&at, 0o700).file(&format!("{at}/kept"), 0o644, b"k");
            let mut run = bed.run(&[benign], &recipe(vec![guest(&["list", &at])])).unwrap();
            assert!(!run.steps[0].tail.contains("kept"), "ours lies over the image's");
            assert_eq!(text(&run, &format!("{at}/kept")).as_deref(), Some("k"));
            assert_eq!(changed(&mut run), Vec::<String>::new());
        }
        // A name server file that leads elsewhere is the image's own business: nobody touches it.
        let links = Files::guest().link("/etc/resolv.conf", "/run/none").link("/var", "/nowhere");
        let mut run = bed.run(&[links], &recipe(vec![guest(&["say", "x"])])).unwrap();
        assert_eq!(changed(&mut run), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    });
}

#[test]
fn the_only_way_out_is_the_proxy() {
    in_each_mode("the_only_way_out_is_the_proxy", || {
        let mut bed = Bed::new();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).unwrap();
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npong")
                    .unwrap();
            }
        });
        bed.options.egress.operator_hosts = vec![address.to_string().parse().unwrap()];
        let online = |words: &[&str]| Step::Exec(Exec { network: true, may_fail: true, ..exec(words) });
        let offline = |words: &[&str]| Step::Exec(Exec { may_fail: true, ..exec(words) });
        let url = format!("http://{address}/x");
        let proxy = BTreeMap::from([("http_proxy".to_owned(), "http://127.0.0.1:3128".to_owned())]);
        let sneaky = Step::Exec(Exec { may_fail: true, env: proxy, ..exec(&["fetch", &url]) });
        let steps = vec![
            online(&["fetch", &url]),
            online(&["fetch", "http://169.254.169.254/latest"]),
            online(&["connect", &address.to_string()]),
            offline(&["connect", "127.0.0.1:3128"]),
            sneaky,
            offline(&["connect", "8.8.8.8:53"]),
        ];
        let run = bed.run(&[Files::guest()], &recipe(steps)).unwrap();
        let said: Vec<&str> = run.steps.iter().map(|s| s.tail.as_str()).collect();
        assert!(said[0].contains("200 OK | pong"), "{said:?}");
        assert!(said[1].contains("403"), "{said:?}");
        assert!(said[2].contains("error") && said[5].contains("unreachable"), "{said:?}");
        assert!(said[4].contains("403"), "no network for this step: {said:?}");
        assert!(matches!(run.fetches[0].how, FetchKind::Passed | FetchKind::Miss), "{:?}", run.fetches);
        assert!(run.fetches[1..].iter().all(|f| matches!(f.how, FetchKind::Refused(_))), "{:?}", run.fetches);
        assert!(run.fetches.len() >= 3);
        // Without any step with network there is not even a door.
        let run = bed.run(&[Files::guest()], &recipe(vec![offline(&["connect", "127.0.0.1:3128"])])).unwrap();
        assert!(run.steps[0].tail.contains("error"), "{}", run.steps[0].tail);
    });
}

#[test]
fn a_fork_bomb_ends_at_the_limit() {
    in_each_mode("a_fork_bomb_ends_at_the_limit", || {
        let mut bed = Bed::new();
        bed.options.processes_max = 500;
        let before = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
        let run = bed.run(
            &[Files::guest()],
            &Recipe { steps: vec![guest(&["forks"]), guest(&["say", "x"])], ..recipe(vec![]) },
        );
        let run = run.unwrap();
        let started: usize = run.steps[0].tail.trim().parse().unwrap();
        assert_eq!(std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap(), before, "the host's own");
        if started > 500 {
            // Before Linux 6.14 the machine's root can only be bounded by a control group.
            assert_eq!(bed.mode, embedded::host::Mode::Root);
            eprintln!("skipped: this kernel has no bound on processes for root without control groups");
        }
    });
}
