//! The floor: the same work with the fewest steps, by the tools that do it anywhere.

use crate::failure::Failure;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use testkit::command::{Argv, argv};
use testkit::debian_root::TAG;
use testkit::image::Layout;
use testkit::image_reader::ImageReader;
use testkit::registry::Registry;

/// An unpacked base to patch again and again.
pub struct Base {
    folder: PathBuf,
}

/// What is done by hand in a chroot of the base, and what of it no patch would keep.
#[derive(Debug, Clone)]
pub struct Work {
    /// Programs with their arguments, in order.
    pub commands: Vec<Vec<String>>,
    /// Folders of the upper that are left out.
    pub leftovers: Vec<&'static str>,
}

/// A package that can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deb {
    /// Where it is.
    pub url: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Seconds that the parts of a patch took.
#[derive(Debug, Clone, Copy)]
pub struct Patched {
    /// `apt-get update`.
    pub update: f64,
    /// `apt-get install`.
    pub install: f64,
    /// `tar` and `gzip -1`.
    pub pack: f64,
}

impl Patched {
    /// All of them.
    pub fn seconds(&self) -> f64 {
        self.update + self.install + self.pack
    }
}

impl Base {
    /// Unpacks the layers of an image that has one.
    pub fn unpack(folder: &Path, layout: &Layout) -> Result<Base, Failure> {
        let base = folder.join("base");
        fs::create_dir_all(&base).map_err(Failure::file(&base))?;
        for layer in layers(layout)? {
            let blob = layout.blob_path(&layer);
            argv("tar", ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xzf"])
                .arg(blob)
                .arg("-C")
                .arg(&base)
                .stdout()?;
        }
        Ok(Base { folder: folder.to_owned() })
    }

    /// A base that is unpacked already, in `base` of this folder.
    pub fn at(folder: &Path) -> Base {
        Base { folder: folder.to_owned() }
    }

    /// Patches the base once on an overlay that is thrown away.
    pub fn patch(&self, packages: &[String]) -> Result<Patched, Failure> {
        self.on_overlay(|root, upper| self.timed(root, upper, packages))
    }

    /// Seconds that other work takes on such an overlay, with tar and gzip.
    pub fn work(&self, work: &Work) -> Result<f64, Failure> {
        self.on_overlay(|root, upper| {
            let run = |words: &Vec<String>| {
                words.iter().fold(inside(root), |command, word| command.arg(word)).stdout().map(drop)
            };
            let done = seconds(|| Ok(work.commands.iter().try_for_each(run)?))?;
            for leftover in work.leftovers.iter().chain(&["etc/resolv.conf"]) {
                argv("rm", ["-rf", "--"]).arg(upper.join(leftover)).stdout()?;
            }
            Ok(done + seconds(|| pack(upper, &self.folder.join("layer.tar.gz")))?)
        })
    }

    /// The newest debs of packages, as apt says after it has fetched its lists.
    pub fn debs(&self, packages: &[&str]) -> Result<Vec<Deb>, Failure> {
        self.on_overlay(|root, _| {
            inside(root).arg("/usr/bin/apt-get").arg("-qq").arg("update").stdout()?;
            let print = inside(root).arg("/usr/bin/apt-get").arg("--print-uris").arg("download");
            let said = packages.iter().fold(print, |command, name| command.arg(name)).stdout()?;
            Ok(String::from_utf8_lossy(&said).lines().filter_map(deb).collect())
        })
    }

    fn on_overlay<T>(&self, work: impl FnOnce(&Path, &Path) -> Result<T, Failure>) -> Result<T, Failure> {
        let [base, upper, spare, root] = ["base", "upper", "work", "root"].map(|name| self.folder.join(name));
        for folder in [&upper, &spare, &root] {
            fs::create_dir_all(folder).map_err(Failure::file(folder))?;
        }
        let options =
            format!("lowerdir={},upperdir={},workdir={}", base.display(), upper.display(), spare.display());
        argv("mount", ["-t", "overlay", "-o", &options, "overlay"]).arg(&root).stdout()?;
        for folder in ["dev", "proc", "tmp"].map(|name| root.join(name)) {
            fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
        }
        argv("mount", ["--rbind", "/dev"]).arg(root.join("dev")).stdout()?;
        argv("mount", ["-t", "proc", "proc"]).arg(root.join("proc")).stdout()?;
        let resolver = root.join("etc/resolv.conf");
        fs::copy("/etc/resolv.conf", &resolver).map_err(Failure::file(&resolver))?;
        let patched = work(&root, &upper);
        argv("umount", ["--recursive", "--lazy"]).arg(&root).stdout()?;
        for folder in [&upper, &spare] {
            fs::remove_dir_all(folder).map_err(Failure::file(folder))?;
        }
        patched
    }

    fn timed(&self, root: &Path, upper: &Path, packages: &[String]) -> Result<Patched, Failure> {
        let apt = |words: &[&str]| {
            let command =
                inside(root).arg("/usr/bin/apt-get").arg("-qq").env("DEBIAN_FRONTEND", "noninteractive");
            words.iter().fold(command, |command, word| command.arg(word))
        };
        let update = seconds(|| Ok(apt(&["update"]).stdout().map(drop)?))?;
        let names: Vec<&str> = packages.iter().map(String::as_str).collect();
        let install = [
            "install",
            "--yes",
            "--only-upgrade",
            "--no-install-recommends",
            "-o",
            "Dpkg::Options::=--force-confold",
        ];
        let install = seconds(|| Ok(apt(&[&install[..], &names].concat()).stdout().map(drop)?))?;
        for leftover in ["var/lib/apt/lists", "var/cache/apt", "var/log", "etc/resolv.conf"] {
            argv("rm", ["-rf", "--"]).arg(upper.join(leftover)).stdout()?;
        }
        let pack = seconds(|| pack(upper, &self.folder.join("layer.tar.gz")))?;
        Ok(Patched { update, install, pack })
    }
}

/// The start of a command in a root, with nothing of the bench in its environment that matters there.
fn inside(root: &Path) -> Argv {
    argv("chroot", [root.as_os_str()]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TMPDIR", "/tmp")
}

/// A line of `apt-get --print-uris`: the address in quotes, the name of the file, its size and its hash.
fn deb(line: &str) -> Option<Deb> {
    let (url, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let mut parts = rest.split(' ').next()?.split('_');
    let (name, version) = (parts.next()?.to_owned(), parts.next()?.replace("%3a", ":"));
    Some(Deb { url: url.to_owned(), name, version })
}

pub fn pack(upper: &Path, layer: &Path) -> Result<(), Failure> {
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--xattrs", "-cf", "-", "-C"]).arg(upper).arg(".").stdout(Stdio::piped());
    let mut tar = tar.spawn().map_err(Failure::file("tar"))?;
    let out = File::create(layer).map_err(Failure::file(layer))?;
    let pipe = tar.stdout.take().ok_or_else(|| Failure::new("tar has no output"))?;
    let packed =
        Command::new("gzip").arg("-1").stdin(pipe).stdout(out).status().map_err(Failure::file("gzip"))?;
    let read = tar.wait().map_err(Failure::file("tar"))?;
    if packed.success() && read.success() { Ok(()) } else { Err(Failure::new("tar or gzip failed")) }
}

/// Seconds to download the layers of an image from a registry and gunzip them on all cores.
pub fn pull(registry: &Registry, layout: &Layout, name: &str) -> Result<f64, Failure> {
    let layers = layers(layout)?;
    let download = seconds(|| layers.iter().try_for_each(|digest| download(registry, name, digest)))?;
    let paths: Vec<PathBuf> = layers.iter().map(|digest| layout.blob_path(digest)).collect();
    let gunzip = seconds(|| gunzip_all(&paths))?;
    Ok(download + gunzip)
}

/// Reads a blob and forgets it.
fn download(registry: &Registry, name: &str, digest: &str) -> Result<(), Failure> {
    let host = registry.host();
    let address = host.replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(address).map_err(Failure::file(&host))?;
    let request =
        format!("GET /v2/{name}/blobs/{digest} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(Failure::file(&host))?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).map_err(Failure::file(&host))?;
    std::io::copy(&mut stream, &mut std::io::sink()).map_err(Failure::file(&host))?;
    if &head == b"HTTP/1.1 200" {
        Ok(())
    } else {
        Err(Failure::new(format!("{host} does not have {digest}")))
    }
}

/// As many at a time as there are cores.
fn gunzip_all(paths: &[PathBuf]) -> Result<(), Failure> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || -> Result<(), Failure> {
        while let Some(path) = paths.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let unzip = Command::new("gzip")
                .args(["--decompress", "--stdout"])
                .arg(path)
                .stdout(Stdio::null())
                .status();
            if !unzip.map_err(Failure::file("gzip"))?.success() {
                return Err(Failure::new("gzip failed"));
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })
}

fn layers(layout: &Layout) -> Result<Vec<String>, Failure> {
    let image = ImageReader::open(layout.directory(), TAG)?;
    Ok(image
        .layers()
        .iter()
        .filter_map(|layer| layer["digest"].as_str().map(str::to_owned))
        .collect::<Vec<String>>())
}

pub fn seconds(work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_prints_is_read() {
        let line = "'http://mirror.example/a%2bb_1%3a2~3_all.deb' a+b_1%3a2~3_all.deb 12 SHA256:0";
        let url = "http://mirror.example/a%2bb_1%3a2~3_all.deb".to_owned();
        assert_eq!(deb(line), Some(Deb { url, name: "a+b".to_owned(), version: "1:2~3".to_owned() }));
        assert_eq!(deb("Reading package lists..."), None);
    }
}
