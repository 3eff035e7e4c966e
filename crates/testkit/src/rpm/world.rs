//! Debian's binaries as RPM packages: one package of ours from each of theirs, built by the real `rpmbuild`.

use super::{DIST, build};
use crate::Error;
use crate::command::argv;
use crate::image_reader::plain;
use crate::tar::{self, Entry, Kind, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where Debian keeps the libraries of an architecture.
pub(super) fn library_folder() -> String {
    format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH)
}

/// Names that RPM distributions give to what Debian calls otherwise.
const NAMES: &[(&str, &str)] = &[
    ("gpg", "gnupg2"),
    ("libacl1", "libacl"),
    ("libarchive13", "libarchive"),
    ("libbz2-1.0", "bzip2-libs"),
    ("libc6", "glibc"),
    ("libcap2", "libcap"),
    ("libcurl4", "libcurl"),
    ("libcurl3-gnutls", "libcurl-gnutls"),
    ("libdb5.3", "libdb"),
    ("libdnf2", "libdnf"),
    ("libexpat1", "expat"),
    ("libgcc-s1", "libgcc"),
    ("libgcrypt20", "libgcrypt"),
    ("libglib2.0-0", "glib2"),
    ("libgnutls30", "gnutls"),
    ("libkrb5-3", "krb5-libs"),
    ("liblzma5", "xz-libs"),
    ("libnghttp2-14", "libnghttp2"),
    ("libpcre2-8-0", "pcre2"),
    ("libpopt0", "popt"),
    ("librepo0", "librepo"),
    ("librpm10", "rpm-libs"),
    ("librpm9", "rpm-libs"),
    ("libselinux1", "libselinux"),
    ("libsolv1", "libsolv"),
    ("libsqlite3-0", "sqlite-libs"),
    ("libssl3", "openssl-libs"),
    ("libstdc++6", "libstdc++"),
    ("libsystemd0", "systemd-libs"),
    ("libtinfo6", "ncurses-libs"),
    ("libzstd1", "libzstd"),
    ("zlib1g", "zlib"),
];

/// Packages whose versions tests speak of: name, epoch, version, release without [`DIST`].
pub(super) const VERSIONS: &[(&str, u32, &str, &str)] =
    &[("openssl-libs", 1, "3.0.7", "24"), ("expat", 0, "2.5.0", "1"), ("libcurl", 0, "7.76.1", "26")];

/// Packages by the beginning of their names that Debian needs and these distributions do not.
const LEFT_OUT: &[&str] = &[
    "adduser",
    "base-files",
    "debconf",
    "debianutils",
    "debugedit",
    "dirmngr",
    "dpkg",
    "gcc-",
    "gnupg",
    "gpg-wks",
    "gpgsm",
    "init-system-helpers",
    "libaudit-common",
    "libdpkg-perl",
    "libfile-find-rule",
    "libgdbm",
    "libmagic-mgc",
    "libmd0",
    "libnumber-compare",
    "libpam",
    "libperl",
    "libsemanage",
    "libtext-glob",
    "lsb-base",
    "mawk",
    "media-types",
    "netbase",
    "passwd",
    "perl",
    "pinentry",
    "python3-distutils",
    "python3-lib2to3",
    "sqlite3",
    "sysvinit",
    "tar",
    "usrmerge",
    "usr-is-merged",
];

/// Folders with nothing a program needs, some big ones that none of these programs does, and a plugin that is a repository.
const FOLDERS_LEFT_OUT: &[&str] = &[
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/common-licenses",
    "usr/share/doc",
    "usr/share/gtk-doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/lib/python3.11/distutils",
    "usr/lib/python3.11/ensurepip",
    "usr/lib/python3.11/idlelib",
    "usr/lib/python3.11/lib2to3",
    "usr/lib/python3.11/test",
    "usr/share/zoneinfo",
    "usr/share/augeas",
    "var/lib/rpm",
    "etc/dnf/libdnf5-plugins",
    "etc/dnf/plugins/local.conf",
    "usr/lib/python3/dist-packages/dnf-plugins/local.py",
];

/// Folders below that of the architecture: converters of character sets, and rpm's plugins, which images for containers have not
/// (one of them wants mount namespaces for every scriptlet).
const ANYWHERE_LEFT_OUT: &[&str] = &["/gconv/", "/rpm-plugins/"];

/// What RHEL and what descends from it have in place of Debian's settings: a repository that fails is no matter to skip.
const DNF_SETTINGS: &str = "[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\n\
    best=True\nskip_if_unavailable=False\n";

/// A package of the world.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) requires: BTreeSet<String>,
    /// Lines for `%files`.
    files: Vec<String>,
    epoch: u32,
    version: String,
    release: String,
    /// Lines for the head, beside those.
    extra: &'static str,
}

/// A whole world: its packages, and one tree with the files of all of them.
pub(super) struct World {
    pub(super) packages: Vec<Made>,
    tree: tempfile::TempDir,
}

impl World {
    /// Reads the packages of Debian in a folder, but for those whose names begin like one of `left_out`.
    pub(super) fn read(debs: &Path, left_out: &[&str]) -> Result<World, Error> {
        let tree = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        for name in ["bin", "sbin", "lib", "lib64"] {
            let real = tree.path().join("usr").join(name);
            fs::create_dir_all(&real).map_err(Error::io(&real))?;
            symlink(format!("usr/{name}"), tree.path().join(name)).map_err(Error::io(&real))?;
        }
        let mut world = World { packages: Vec::new(), tree };
        let chosen = Deb::choose(debs, left_out)?;
        let names: BTreeMap<&str, String> =
            chosen.iter().map(|deb| (deb.field("Package"), deb.rpm_name())).collect();
        let mut seen = BTreeSet::new();
        for deb in &chosen {
            let made = world.unpack(deb, &names, &mut seen)?;
            world.packages.push(made);
        }
        world.compile_python()?;
        Ok(world)
    }

    /// Puts the files of a package into the tree.
    fn unpack(
        &self,
        deb: &Deb,
        names: &BTreeMap<&str, String>,
        seen: &mut BTreeSet<Vec<u8>>,
    ) -> Result<Made, Error> {
        let bytes = argv("dpkg-deb", ["--fsys-tarfile"]).arg(&deb.path).stdout()?;
        let entries = Reader::new(&bytes[..]).collect()?.into_iter().filter_map(merged);
        let is_new = |entry: &Entry| matches!(entry.kind, Kind::Directory) || !seen.contains(&entry.path);
        let entries: Vec<Entry> = entries.filter(is_new).collect();
        let files = entries.iter().filter_map(line).collect();
        seen.extend(entries.iter().map(|entry| entry.path.clone()));
        let extract =
            ["--extract", "--preserve-permissions", "--numeric-owner", "--keep-directory-symlink", "-C"];
        argv("tar", extract).arg(self.tree.path()).filter(&tar::write(&entries))?;
        Ok(deb.made(files, names))
    }

    /// Python's programs are compiled once, by that Python, so that none is written in an image while it is patched.
    fn compile_python(&mut self) -> Result<(), Error> {
        if !self.tree.path().join("usr/bin/python3.11").exists() {
            return Ok(());
        }
        let compile =
            ["python3.11", "-m", "compileall", "-q", "-j1", "--invalidation-mode", "unchecked-hash"];
        let inside = argv("chroot", [self.tree.path()]);
        let inside = compile.iter().fold(inside, |inside, argument| inside.arg(argument));
        // What is no program for this Python is told and left as it is.
        inside.arg("/usr/lib/python3").arg("/usr/lib/python3.11").output()?;
        for package in &mut self.packages {
            let compiled: BTreeSet<String> =
                package.files.iter().filter_map(|line| compiled(self.tree.path(), line)).flatten().collect();
            package.files.extend(compiled);
        }
        Ok(())
    }

    /// Builds all packages into a folder.
    pub(super) fn build(&self, into: &Path) -> Result<(), Error> {
        let head = "Name: world\nVersion: 1\nRelease: 1\nSummary: world\n";
        let mut spec = format!(
            "{head}{}%description\nworld\n%define __check_files %{{nil}}\n%install\ncp -a {}/. %{{buildroot}}/\n",
            build::HEAD,
            self.tree.path().display()
        );
        self.packages.iter().for_each(|package| spec.push_str(&package.section()));
        build::rpmbuild(&spec, std::env::consts::ARCH, into)
    }

    /// Builds the next release of one of its packages: the same files and one more, `/usr/share/NAME/build`.
    pub(super) fn build_update(
        &self,
        name: &str,
        release: &str,
        requires: Option<&str>,
        into: &Path,
    ) -> Result<(), Error> {
        let Some(package) = self.packages.iter().find(|package| package.name == name) else {
            return Err(Error::malformed("world", format!("has no package {name}")));
        };
        let release = format!("{release}{DIST}");
        let mut text = format!("Name: {name}\nVersion: {}\nRelease: {release}\n", package.version);
        if package.epoch > 0 {
            let _ = writeln!(text, "Epoch: {}", package.epoch);
        }
        for required in package.requires.iter().map(String::as_str).chain(requires) {
            let _ = writeln!(text, "Requires: {required}");
        }
        let folder = format!("%{{buildroot}}/usr/share/{name}");
        let _ = write!(
            text,
            "Summary: {name}\n{}%description\nupdate\n%define __check_files %{{nil}}\n%install\n\
             cp -a {}/. %{{buildroot}}/\nmkdir -p {folder}\necho {release} >{folder}/build\n\
             %files\n{}\n%dir /usr/share/{name}\n/usr/share/{name}/build\n",
            build::HEAD,
            self.tree.path().display(),
            package.files.join("\n")
        );
        build::rpmbuild(&text, std::env::consts::ARCH, into)
    }

    /// The names of some packages and of all that they need.
    pub(super) fn closure(&self, names: &[&str]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = names.to_vec();
        while let Some(name) = open.pop() {
            if found.insert(name.to_owned()) {
                let package = self.packages.iter().find(|package| package.name == name);
                open.extend(package.into_iter().flat_map(|package| &package.requires).map(String::as_str));
            }
        }
        found
    }
}

impl Made {
    fn section(&self) -> String {
        let name = &self.name;
        let mut text = format!("%package -n {name}\nVersion: {}\nRelease: {}\n", self.version, self.release);
        if self.epoch > 0 {
            let _ = writeln!(text, "Epoch: {}", self.epoch);
        }
        let _ = write!(
            text,
            "Summary: {name}\n{}{}",
            build::HEAD.split_inclusive('\n').take(3).collect::<String>(),
            self.extra
        );
        self.requires.iter().for_each(|required| text += &format!("Requires: {required}\n"));
        let _ = write!(text, "%description -n {name}\nfrom Debian\n");
        if name == "bash" {
            text += "%post -n bash -p <lua>\nposix.symlink(\"bash\", \"/usr/bin/sh\")\n";
        }
        let shell = if name == "bash" { "%ghost /usr/bin/sh\n" } else { "" };
        let _ = write!(text, "%files -n {name}\n{shell}{}\n", self.files.join("\n"));
        text
    }
}

/// A package of Debian.
struct Deb {
    path: PathBuf,
    fields: BTreeMap<String, String>,
}

impl Deb {
    fn choose(folder: &Path, left_out: &[&str]) -> Result<Vec<Deb>, Error> {
        let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
        paths.sort();
        let is_wanted = |deb: &Deb| {
            let name = deb.field("Package");
            !LEFT_OUT.iter().chain(left_out).any(|beginning| name.starts_with(beginning))
        };
        let debs: Vec<Deb> = paths.into_iter().map(Deb::read).collect::<Result<_, _>>()?;
        Ok(debs.into_iter().filter(is_wanted).collect())
    }

    fn read(path: PathBuf) -> Result<Deb, Error> {
        let text = argv("dpkg-deb", ["--field"]).arg(&path).text()?;
        let fields = text.lines().filter_map(|line| line.split_once(": "));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Deb { path, fields })
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn rpm_name(&self) -> String {
        // A transition of Debian's, which says nothing here.
        let name = self.field("Package");
        let name = name.strip_suffix("t64").unwrap_or(name);
        NAMES.iter().find(|(debian, _)| *debian == name).map_or(name, |(_, other)| other).to_owned()
    }

    fn made(&self, files: Vec<String>, names: &BTreeMap<&str, String>) -> Made {
        let name = self.rpm_name();
        let depends = [self.field("Depends"), self.field("Pre-Depends")].join(",");
        let first = |part: &str| {
            let end = part.find([' ', '(', ':', '|']).unwrap_or(part.len());
            names.get(&part[..end]).cloned()
        };
        let requires = depends.split(',').filter_map(|part| first(part.trim()));
        let requires = requires.filter(|required| *required != name).collect();
        let fixed = VERSIONS.iter().find(|(fixed, ..)| *fixed == name);
        let version = self.field("Version");
        let version = version.split_once(':').map_or(version, |(_, rest)| rest);
        let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream).replace('-', ".");
        let (epoch, version, release) = match fixed {
            Some((_, epoch, version, release)) => (*epoch, (*version).to_owned(), *release),
            None => (0, version, "1"),
        };
        let extra = if name == "bash" { "Provides: /bin/sh\nProvides: /bin/bash\n" } else { "" };
        Made { name, requires, files, epoch, version, release: format!("{release}{DIST}"), extra }
    }
}

/// The entry where merged folders have it; nothing where it is left out.
fn merged(mut entry: Entry) -> Option<Entry> {
    let place = |path: &[u8]| {
        let path = plain(path);
        let merged = [&b"bin"[..], b"sbin", b"lib", b"lib64"]
            .iter()
            .any(|folder| path.strip_prefix(*folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/'));
        if merged { [b"usr/", &path[..]].concat() } else { path }
    };
    entry.path = place(&entry.path);
    if let Kind::Hardlink(target) = &mut entry.kind {
        *target = place(target);
    }
    if entry.path == b"etc/dnf/dnf.conf" {
        entry.kind = Kind::File(DNF_SETTINGS.into());
    }
    let left_out = FOLDERS_LEFT_OUT.iter().any(|folder| {
        entry.path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    });
    let below = |folder: &str| entry.path.windows(folder.len()).any(|part| part == folder.as_bytes());
    (!entry.path.is_empty() && !left_out && !ANYWHERE_LEFT_OUT.iter().any(|folder| below(folder)))
        .then_some(entry)
}

/// What `%files` says of an entry.
fn line(entry: &Entry) -> Option<String> {
    let path = String::from_utf8_lossy(&entry.path).into_owned();
    match entry.kind {
        Kind::Directory if of_filesystem(&path) => None,
        Kind::Directory => Some(format!("%dir \"/{path}\"")),
        Kind::File(_) if path.starts_with("etc/") => Some(format!("%config(noreplace) \"/{path}\"")),
        _ => Some(format!("\"/{path}\"")),
    }
}

/// Whether a folder belongs to the package `filesystem`.
fn of_filesystem(path: &str) -> bool {
    super::scenario::FOLDERS.contains(&path) || path == library_folder()
}

/// What compiling a program of Python added: a file, and the folder that it is in.
fn compiled(tree: &Path, line: &str) -> Option<[String; 2]> {
    let (folder, name) = line.strip_prefix("\"/")?.strip_suffix(".py\"")?.rsplit_once('/')?;
    let folder = format!("{folder}/__pycache__");
    let file = format!("{folder}/{name}.cpython-311.pyc");
    tree.join(&file).exists().then(|| [format!("%dir \"/{folder}\""), format!("\"/{file}\"")])
}
