//! The one program in the images of our tests: it does what its first argument says.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit, reason = "a program of tests")]

#[path = "hostile.rs"]
mod hostile;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::fs::{MetadataExt as _, chown, lchown, symlink},
    process::{Command, Stdio},
    time::Duration,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Err(error) = run(&words) {
        println!("error: {error}");
        std::process::exit(1);
    }
}

fn run(words: &[&str]) -> std::io::Result<()> {
    match words {
        ["say", rest @ ..] => println!("{}", rest.join(" ")),
        ["fail", code] => std::process::exit(number(code) as i32),
        ["environment"] => std::env::vars().for_each(|(k, v)| println!("{k}={v}")),
        ["sleep", seconds] => std::thread::sleep(Duration::from_secs(number(seconds))),
        ["wait"] => wait(),
        ["daemon"] => drop(Command::new("/guest").args(["sleep", "1000"]).stdout(Stdio::inherit()).spawn()?),
        ["processes"] => list("/proc", |name| name.parse::<u32>().is_ok())?,
        ["list", folder] => list(folder, |_| true)?,
        ["descriptors"] => descriptors()?,
        ["identity"] => identity()?,
        ["read", path] => print!("{}", fs::read_to_string(path)?),
        ["write", path, text] => fs::write(path, text)?,
        ["remove", path] => fs::remove_file(path)?,
        ["empty", folder] => fs::remove_dir_all(folder).and_then(|()| fs::create_dir(folder))?,
        ["rename", from, to] => fs::rename(from, to)?,
        ["link", target, path] => symlink(target, path)?,
        ["chown", path, uid, gid] => chown(path, Some(number(uid) as u32), Some(number(gid) as u32))?,
        ["lchown", path, uid, gid] => lchown(path, Some(number(uid) as u32), Some(number(gid) as u32))?,
        ["chmod", path, mode] => chmod(path, mode)?,
        ["chroot", root, rest @ ..] => {
            std::os::unix::fs::chroot(root)?;
            std::env::set_current_dir("/")?;
            run(rest)?;
        }
        ["rewrite", path] => rewrite(path)?,
        ["mode", path] => println!("{:o}", fs::symlink_metadata(path)?.mode() & 0o7777),
        ["fill", path, mebibytes] => fill(path, number(mebibytes))?,
        ["connect", address] => connect(address)?,
        ["fetch", url] => fetch(url)?,
        ["forks"] => forks(),
        ["hostile", address, name] => hostile::try_everything(address, name),
        other => panic!("unknown order {other:?}"),
    }
    Ok(())
}

/// Says its number, and waits for its end.
fn wait() {
    println!("{}", std::process::id());
    std::thread::sleep(Duration::from_secs(600));
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

fn list(folder: &str, wanted: impl Fn(&str) -> bool) -> std::io::Result<()> {
    let mut names: Vec<String> =
        fs::read_dir(folder)?.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.iter().filter(|n| wanted(n)).for_each(|n| println!("{n}"));
    Ok(())
}

fn descriptors() -> std::io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        let number: u32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        // The one above 2 is this listing itself.
        let target = fs::read_link(&path).unwrap_or_default();
        println!("{number} {}", target.display());
    }
    Ok(())
}

fn identity() -> std::io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let shown = ["Uid", "Gid", "Groups", "CapEff", "CapBnd", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp"];
    let named = |line: &&str| line.split_once(':').is_some_and(|(key, _)| shown.contains(&key));
    status.lines().filter(named).for_each(|l| println!("{}", l.replace('\t', " ")));
    println!("pid {} cwd {}", std::process::id(), std::env::current_dir()?.display());
    println!("session {}", rustix::process::getsid(None)? == rustix::process::getpid());
    println!("terminal {}", fs::File::open("/dev/tty").is_ok());
    println!("host {}", rustix::system::uname().nodename().to_string_lossy());
    Ok(())
}

fn chmod(path: &str, mode: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = u32::from_str_radix(mode, 8).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// As careful programs do: a new file with the old one's owner and mode takes its place.
fn rewrite(path: &str) -> std::io::Result<()> {
    let (old, new) = (fs::metadata(path)?, format!("{path}.new"));
    fs::write(&new, "rewritten")?;
    chown(&new, Some(old.uid()), Some(old.gid()))?;
    fs::set_permissions(&new, old.permissions())?;
    fs::rename(new, path)
}

fn fill(path: &str, mebibytes: u64) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    let block = vec![7; 1 << 20];
    (0..mebibytes).try_for_each(|_| file.write_all(&block))
}

fn connect(address: &str) -> std::io::Result<()> {
    let address = address.to_socket_addrs()?.next().unwrap();
    TcpStream::connect_timeout(&address, Duration::from_secs(5)).map(|_| println!("connected"))
}

/// A plain request through the proxy that the environment names.
fn fetch(url: &str) -> std::io::Result<()> {
    let proxy = std::env::var("http_proxy").map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect(proxy.strip_prefix("http://").unwrap())?;
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    write!(stream, "GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    println!("{} | {body}", head.lines().next().unwrap());
    Ok(())
}

/// As many processes as are given to us; how many that were.
fn forks() {
    let sleeper = || Command::new("/guest").args(["sleep", "100"]).stdout(Stdio::null()).spawn();
    let started = (0..100_000).map_while(|_| sleeper().ok()).count();
    println!("{started}");
}
