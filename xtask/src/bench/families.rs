//! Other package managers, and images without one, against the same work by hand.

use super::{
    Bench,
    floor::{Base, Work, pack, seconds},
    images::{Images, keep_only},
    measure::{Row, Target, median},
};
use crate::{copa::Copa, failure::Failure, words};
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};
use testkit::{
    apt_repository::Served,
    command::argv,
    debian_root::{Suite, TAG},
    distroless::{self, Distroless, Repositories},
    image::Layout,
    pacman, rpm,
    rpm::scenario,
    scan, workspace,
};

/// How many packages of a distroless image are patched.
const PACKAGES: usize = 3;

/// Longest time for them, in seconds.
const UNPACKED_SECONDS_MAX: f64 = 1.0;

/// What a tool in place may take more than by hand, in seconds.
const IN_PLACE_MORE: f64 = 0.5;

/// Longest reading of a database of 3000 packages, in milliseconds.
const READING_MS_MAX: f64 = 50.0;

/// An image in a layout, what to patch of it, and the host that its packages come from.
struct Subject {
    layout: Layout,
    tag: &'static str,
    report: PathBuf,
    /// A report on something else, which fetches the indexes and no package that is measured.
    warming: PathBuf,
    host: Option<String>,
}

impl Bench {
    /// All rows of this file.
    pub(super) fn families(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = vec![self.distroless()?];
        match rpm::needs() {
            Ok(()) => {
                rows.push(self.manifest()?);
                rows.push(self.dnf()?);
            }
            Err(why) => println!("rows of rpm families are left out: {why}"),
        }
        match pacman::image_needs() {
            Ok(()) => rows.push(self.pacman()?),
            Err(why) => println!("the row of pacman is left out: {why}"),
        }
        rows.extend(self.databases()?);
        Ok(rows)
    }

    /// Debian distroless from the real mirror: the packages are not in the cache, the indexes are.
    fn distroless(&mut self) -> Result<Row, Failure> {
        let image =
            Distroless { suite: Suite::Bookworm, architecture: "amd64", repositories: Repositories::Named };
        let layout = distroless::image(image)?;
        let found = scan::layout(layout.directory(), TAG)?.report;
        let names = vulnerable(&found);
        let (measured, warming) = (names[..PACKAGES].to_vec(), names[PACKAGES..=PACKAGES].to_vec());
        let subject = Subject {
            report: self.report("distroless", &found, &measured)?,
            warming: self.report("distroless-warming", &found, &warming)?,
            layout,
            tag: TAG,
            host: None,
        };
        let urls = urls(&self.images, &measured)?;
        let floor = self.repeated(|bench| bench.debs_by_hand(&urls))?;
        let ours = self.unpacked(&subject)?;
        let target = Target::AtMost(UNPACKED_SECONDS_MAX.min(2.0 * floor));
        Ok(Row::against("distroless, 3 packages, warm indexes, s", floor, ours, target))
    }

    /// Azure Linux distroless: packages of rpm, records of no database.
    fn manifest(&mut self) -> Result<Row, Failure> {
        let family = rpm::Family::AzureLinuxDistroless;
        let (served, subject) = self.rpm_subject(family, &[scenario::LIBRARY, scenario::DAEMON])?;
        let repositories = rpm::Repositories::of(family.series())?;
        let files: Vec<PathBuf> = [
            (scenario::LIBRARY, scenario::LIBRARY_NEW),
            (scenario::EXTRA, scenario::EXTRA_NEW),
            (scenario::DAEMON, scenario::NEW),
        ]
        .iter()
        .map(|(name, version)| repositories.package(rpm::Repo::Updates, name, version, "x86_64"))
        .collect();
        let floor = self.repeated(|bench| bench.archives_by_hand("bsdtar", &files))?;
        let ours = self.unpacked(&subject)?;
        drop(served);
        Ok(Row::against(
            "rpm manifest, 3 packages, warm indexes, s",
            floor,
            ours,
            Target::AtMost(UNPACKED_SECONDS_MAX),
        ))
    }

    fn dnf(&mut self) -> Result<Row, Failure> {
        let family = rpm::Family::Rocky;
        let (served, subject) = self.rpm_subject(family, &[scenario::LIBRARY, scenario::DAEMON])?;
        let folder = self.folder.join("dnf");
        rpm::Setup::new(family, &served.url()).unpack(&made(&folder.join("base"))?)?;
        let upgrade =
            ["/usr/bin/dnf", "-q", "-y", "--refresh", "upgrade", scenario::LIBRARY, scenario::DAEMON];
        let work = Work {
            commands: vec![upgrade.map(str::to_owned).to_vec()],
            leftovers: vec!["var/cache", "var/log", "var/lib/dnf"],
        };
        self.in_place("dnf, 2 packages, warm base, s", &Base::at(&folder), &work, &subject)
    }

    fn pacman(&mut self) -> Result<Row, Failure> {
        let arch = pacman::image::Arch::new(&pacman::image::Options::default())?;
        let fixes = [pacman::scenario::CONFIGURED, pacman::scenario::SCRIPTED];
        let (old, new) = (pacman::scenario::OLD, pacman::scenario::NEW);
        let report = self.native("pacman", ("arch", ""), &fixes.map(|name| (name, old, new)))?;
        let subject = Subject {
            layout: Layout::open(arch.layout.directory())?,
            tag: TAG,
            warming: report.clone(),
            report,
            host: Some(arch.served.host()),
        };
        let folder = self.folder.join("pacman");
        argv("umoci", ["unpack", "--image"])
            .arg(format!("{}:{TAG}", subject.layout.directory().display()))
            .arg(folder.join("bundle"))
            .stdout()?;
        fs::rename(made(&folder)?.join("bundle/rootfs"), folder.join("base"))
            .map_err(Failure::file(&folder))?;
        let command = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let work = Work {
            commands: vec![
                command(&["/usr/bin/pacman", "-Sy"]),
                command(&["/usr/bin/pacman", "-S", "--noconfirm", fixes[0], fixes[1]]),
            ],
            leftovers: vec!["var/cache", "var/log", "var/lib/pacman/sync"],
        };
        self.in_place("pacman, 2 packages, warm base, s", &Base::at(&folder), &work, &subject)
    }

    /// Reading databases of 3000 packages, in a program built for speed.
    fn databases(&mut self) -> Result<Vec<Row>, Failure> {
        let cargo = argv("cargo", ["run", "--quiet", "--release", "--package", "inventory", "--example"]);
        let said = cargo.arg("read_databases").folder(&workspace::root()).stdout()?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let row = |line: &str| {
            let (name, ms) =
                line.split_once('\t').ok_or_else(|| Failure::new("read_databases says no table"))?;
            let ms: f64 = ms.trim().parse().map_err(|_| Failure::new("read_databases says no number"))?;
            Ok(Row::ours(&format!("reading 3000 packages, {name}, ms"), ms, Target::AtMost(READING_MS_MAX)))
        };
        said.lines().map(row).collect()
    }

    fn rpm_subject(&self, family: rpm::Family, fixes: &[&str]) -> Result<(Served, Subject), Failure> {
        let repositories = rpm::Repositories::of(family.series())?;
        let served = Served::start(&repositories.folder())?;
        let layout = Layout::create(&self.folder.join(format!("layout-{}", family.name())))?;
        rpm::Setup::new(family, &served.url()).add(&layout, TAG)?;
        let version = |name: &str| match name {
            scenario::LIBRARY => (scenario::LIBRARY_OLD, scenario::LIBRARY_NEW),
            scenario::BUGFIX => (scenario::BUGFIX_OLD, scenario::BUGFIX_NEW),
            _ => (scenario::OLD, scenario::NEW),
        };
        let named = |name: &str| (name.to_owned(), version(name));
        let os = if family == rpm::Family::Rocky { ("rocky", "9.4") } else { ("azurelinux", "3.0") };
        let write = |label: &str, names: &[&str]| {
            let fixes: Vec<_> = names.iter().map(|n| named(n)).collect();
            let fixes: Vec<_> = fixes.iter().map(|(name, (old, new))| (name.as_str(), *old, *new)).collect();
            self.native(&format!("{}-{label}", family.name()), os, &fixes)
        };
        let (report, warming) = (write("report", fixes)?, write("warming", &[scenario::BUGFIX])?);
        let host = Some(served.host());
        Ok((served, Subject { layout, tag: TAG, report, warming, host }))
    }

    fn in_place(&mut self, what: &str, base: &Base, work: &Work, subject: &Subject) -> Result<Row, Failure> {
        let (mut floors, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..self.request.runs {
            floors.push(base.work(work)?);
            let copa = self.fresh();
            self.family_run(&copa, "plan", subject, &subject.report)?;
            ours.push(self.family_run(&copa, "patch", subject, &subject.report)?);
        }
        let floor = median(&floors);
        Ok(Row::against(what, floor, median(&ours), Target::AtMost(floor + IN_PLACE_MORE)))
    }

    /// The median with the indexes in the cache and none of the packages.
    fn unpacked(&mut self, subject: &Subject) -> Result<f64, Failure> {
        let mut all = Vec::new();
        for _ in 0..self.request.runs {
            let copa = self.fresh();
            self.family_run(&copa, "patch", subject, &subject.warming)?;
            all.push(self.family_run(&copa, "patch", subject, &subject.report)?);
        }
        Ok(median(&all))
    }

    fn family_run(
        &mut self,
        copa: &Copa,
        command: &str,
        subject: &Subject,
        report: &Path,
    ) -> Result<f64, Failure> {
        let image = format!("oci:{}:{}", subject.layout.directory().display(), subject.tag);
        let mut arguments: Vec<OsString> =
            words![command, "--image", image, "--report", report, "--progress", "plain"];
        if report.extension().is_some_and(|kind| kind == "native") {
            arguments.extend(words!["--scanner", "native"]);
        }
        if let Some(host) = &subject.host {
            arguments.extend(words!["--allow-host", host]);
        }
        if command == "patch" {
            let out = self.folder.join("out");
            arguments.extend(words!["--tag", "patched", "--oci-dir", out, "--overwrite"]);
        }
        Ok(self.noted(copa, &arguments)?.seconds())
    }

    fn repeated(&mut self, mut work: impl FnMut(&mut Bench) -> Result<f64, Failure>) -> Result<f64, Failure> {
        let all: Result<Vec<f64>, Failure> = (0..self.request.runs).map(|_| work(self)).collect();
        Ok(median(&all?))
    }

    /// Downloads debs, unpacks them, and packs what they bring.
    fn debs_by_hand(&mut self, urls: &[String]) -> Result<f64, Failure> {
        let folder = tempfile::tempdir_in(&self.folder).map_err(Failure::file("temporary folder"))?;
        let into = folder.path();
        let download = seconds(|| {
            urls.iter().enumerate().try_for_each(|(number, url)| {
                let file = into.join(format!("{number}.deb"));
                Ok(argv("/usr/lib/apt/apt-helper", ["-qq", "download-file", url])
                    .arg(file)
                    .stdout()
                    .map(drop)?)
            })
        })?;
        let files: Vec<PathBuf> = (0..urls.len()).map(|number| into.join(format!("{number}.deb"))).collect();
        Ok(download + self.archives_by_hand("dpkg-deb", &files)?)
    }

    fn archives_by_hand(&mut self, tool: &str, files: &[PathBuf]) -> Result<f64, Failure> {
        let folder = tempfile::tempdir_in(&self.folder).map_err(Failure::file("temporary folder"))?;
        let root = made(&folder.path().join("root"))?;
        seconds(|| {
            for file in files {
                match tool {
                    "dpkg-deb" => argv(tool, ["-x"]).arg(file).arg(&root).stdout()?,
                    _ => argv(tool, ["-xf"]).arg(file).arg("-C").arg(&root).stdout()?,
                };
            }
            pack(&root, &folder.path().join("layer.tar.gz"))
        })
    }

    fn report(&self, name: &str, found: &Value, packages: &[String]) -> Result<PathBuf, Failure> {
        let mut report = found.clone();
        keep_only(&mut report, packages);
        self.written(&format!("{name}.json"), &report)
    }

    /// A report in copa's own form.
    fn native(&self, name: &str, os: (&str, &str), fixes: &[(&str, &str, &str)]) -> Result<PathBuf, Failure> {
        let update = |(name, old, new): &(&str, &str, &str)| json!({ "name": name, "installedVersion": old, "fixedVersion": new, "vulnerabilityID": "CVE-2024-0001" });
        let report = json!({
            "apiVersion": "v1alpha1",
            "metadata": { "os": { "type": os.0, "version": os.1 }, "config": { "arch": "amd64" } },
            "updates": fixes.iter().map(update).collect::<Vec<_>>(),
        });
        self.written(&format!("{name}.native"), &report)
    }

    fn written(&self, name: &str, report: &Value) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        fs::write(&path, report.to_string()).map_err(Failure::file(&path))?;
        Ok(path)
    }
}

/// Where the newest debs of packages are, as apt says in a root that has fetched its lists.
fn urls(images: &Images, packages: &[String]) -> Result<Vec<String>, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file("temporary folder"))?;
    let base = Base::unpack(folder.path(), &images.small)?;
    base.uris(packages)
}

fn vulnerable(report: &Value) -> Vec<String> {
    let findings = report["Results"][0]["Vulnerabilities"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> =
        findings.iter().filter_map(|finding| finding["PkgName"].as_str().map(str::to_owned)).collect();
    names.dedup();
    names.sort();
    names.dedup();
    names
}

fn made(folder: &Path) -> Result<PathBuf, Failure> {
    fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    Ok(folder.to_owned())
}
