//! Other package managers, and images without one, against the same work by hand.

use super::{
    Bench,
    floor::{Base, Deb, Work, pack, seconds},
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
    apk,
    apt_repository::Served,
    command::argv,
    debian_root::{self, Suite, TAG},
    distroless::{self, Distroless, Repositories},
    image::Layout,
    pacman, rpm,
    rpm::scenario,
    tools, workspace,
};

/// The names of the rows, as `--rows` takes them.
pub(super) const ROWS: [&str; 7] =
    ["distroless", "manifest", "apk-unpacked", "dnf", "pacman", "apk", "databases"];

/// The packages of the distroless image that are patched: none of them needs what the image lacks, and all have updates.
const PACKAGES: [&str; 3] = ["libssl3", "openssl", "tzdata"];

/// The package whose patch fetches the indexes.
const WARMING: &str = "ca-certificates";

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
    /// The wanted rows of this file.
    pub(super) fn families(&mut self) -> Result<Vec<Row>, Failure> {
        let one = |row: Result<Row, Failure>| row.map(|row| vec![row]);
        let mut rows = Vec::new();
        for name in ROWS {
            if !self.request.wants(name) {
                continue;
            }
            if let Err(why) = needs(name) {
                println!("{name} is left out: {why}");
                continue;
            }
            rows.extend(match name {
                "distroless" => one(self.distroless()),
                "manifest" => one(self.manifest()),
                "apk-unpacked" => one(self.apk_unpacked()),
                "dnf" => one(self.dnf()),
                "pacman" => one(self.pacman()),
                "apk" => one(self.apk()),
                _ => self.databases(),
            }?);
        }
        Ok(rows)
    }

    /// Debian distroless from the real mirror: the packages are not in the cache, the indexes are.
    fn distroless(&mut self) -> Result<Row, Failure> {
        let image =
            Distroless { suite: Suite::Bookworm, architecture: "amd64", repositories: Repositories::Named };
        let layout = self.copied("distroless-layout", &distroless::image(image)?)?;
        let base = Base::unpack(&self.folder.join("distroless"), &debian_root::image(Suite::Bookworm)?)?;
        let report = |name: &str, debs: &[Deb]| {
            let fixes: Vec<_> =
                debs.iter().map(|deb| (deb.name.as_str(), "0", deb.version.as_str())).collect();
            self.native(name, ("debian", Suite::Bookworm.release()), &fixes)
        };
        let debs = base.debs(&PACKAGES)?;
        println!(
            "distroless: {}",
            debs.iter().map(|deb| format!("{} {}", deb.name, deb.version)).collect::<Vec<_>>().join(", ")
        );
        let subject = Subject {
            report: report("distroless", &debs)?,
            warming: report("distroless-warming", &base.debs(&[WARMING])?)?,
            layout,
            tag: TAG,
            host: None,
        };
        let urls: Vec<String> = debs.into_iter().map(|deb| deb.url).collect();
        let floor = self.repeated(|bench| bench.debs_by_hand(&urls))?;
        let ours = self.unpacked(&subject)?;
        let target = Target::AtMost(UNPACKED_SECONDS_MAX.min(2.0 * floor));
        Ok(Row::against("distroless, 3 packages, warm indexes, s", floor, ours, target))
    }

    /// Azure Linux distroless: packages of rpm, records of no database.
    fn manifest(&mut self) -> Result<Row, Failure> {
        let family = rpm::Family::AzureLinuxDistroless;
        let (served, subject) = self.rpm_subject(family, &[scenario::LIBRARY, scenario::SETTINGS])?;
        let repositories = rpm::Repositories::of(family.series())?;
        let files: Vec<PathBuf> = [
            (scenario::LIBRARY, scenario::LIBRARY_NEW),
            (scenario::EXTRA, scenario::EXTRA_NEW),
            (scenario::SETTINGS, scenario::NEW),
        ]
        .iter()
        .map(|(name, version)| repositories.package(rpm::Repo::Updates, name, version, "x86_64"))
        .collect();
        let floor = self.repeated(|bench| bench.archives_by_hand("bsdtar", &files))?;
        let ours = self.unpacked(&subject)?;
        drop(served);
        let target = Target::AtMost(UNPACKED_SECONDS_MAX.min(2.0 * floor));
        Ok(Row::against("rpm manifest, 3 packages, warm indexes, s", floor, ours, target))
    }

    fn dnf(&mut self) -> Result<Row, Failure> {
        let family = rpm::Family::Rocky;
        let (served, subject) = self.rpm_subject(family, &[scenario::LIBRARY, scenario::DAEMON])?;
        let folder = made(&self.folder.join("dnf"))?;
        rpm::Setup::new(family, &served.url()).unpack(&folder.join("base"))?;
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
        let folder = self.unpacked_base("pacman", &subject.layout)?;
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

    /// Alpine in place. Its apk is a stand-in, so only what is ours beside it says something.
    fn apk(&mut self) -> Result<Row, Failure> {
        let mut options = apk::image::Options { tool: apk::image::Tool::StandIn, ..Default::default() };
        options.installed.push(apk::ApkSpec::new("apk-tools", "2.14.4-r0"));
        let fixes = [apk::scenario::CONFIGURED, apk::scenario::SCRIPTED];
        let (_alpine, subject) = self.apk_subject("apk", &options, &fixes)?;
        let folder = self.unpacked_base("apk", &subject.layout)?;
        let upgrade = ["/sbin/apk", "--no-cache", "--no-progress", "upgrade", fixes[0], fixes[1]];
        let work = Work {
            commands: vec![upgrade.map(str::to_owned).to_vec()],
            leftovers: vec!["var/lib/apk-stand-in"],
        };
        self.in_place("apk (a stand-in), 2 packages, warm base, s", &Base::at(&folder), &work, &subject)
    }

    /// Alpine without apk: the packages are tiny, so this is what is ours beside them.
    fn apk_unpacked(&mut self) -> Result<Row, Failure> {
        let fixes = [apk::scenario::LIBRARY, apk::scenario::DEPENDENT];
        let (alpine, subject) = self.apk_subject("apk-unpacked", &apk::image::Options::default(), &fixes)?;
        let files = [fixes[0], fixes[1], apk::scenario::ADDED]
            .map(|name| alpine.repository.file(name, apk::scenario::NEW));
        let floor = self.repeated(|bench| bench.archives_by_hand("tar", &files))?;
        let ours = self.unpacked(&subject)?;
        let target = Target::AtMost(UNPACKED_SECONDS_MAX);
        Ok(Row::against("apk unpacked, 3 packages, warm indexes, s", floor, ours, target))
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

    /// The image goes with what is given beside it.
    fn apk_subject(
        &self,
        name: &str,
        options: &apk::image::Options,
        fixes: &[&str],
    ) -> Result<(apk::image::Alpine, Subject), Failure> {
        let alpine = apk::image::Alpine::new(options)?;
        let (old, new) = (apk::scenario::OLD, apk::scenario::NEW);
        let write = |name: &str, names: &[&str]| {
            let fixes: Vec<_> = names.iter().map(|name| (*name, old, new)).collect();
            self.native(name, ("alpine", "3.19.1"), &fixes)
        };
        let subject = Subject {
            layout: Layout::open(alpine.layout.directory())?,
            tag: TAG,
            report: write(name, fixes)?,
            warming: write(&format!("{name}-warming"), &[apk::scenario::CONFIGURED])?,
            host: Some(alpine.served.host()),
        };
        Ok((alpine, subject))
    }

    /// A layout that may be written to.
    fn copied(&self, name: &str, layout: &Layout) -> Result<Layout, Failure> {
        let folder = self.folder.join(name);
        argv("cp", ["--recursive"]).arg(layout.directory()).arg(&folder).stdout()?;
        Ok(Layout::open(&folder)?)
    }

    /// A folder whose `base` is the unpacked image.
    fn unpacked_base(&self, name: &str, layout: &Layout) -> Result<PathBuf, Failure> {
        let folder = made(&self.folder.join(name))?;
        let image = format!("{}:{TAG}", layout.directory().display());
        argv("umoci", ["unpack", "--image", &image]).arg(folder.join("bundle")).stdout()?;
        fs::rename(folder.join("bundle/rootfs"), folder.join("base")).map_err(Failure::file(&folder))?;
        Ok(folder)
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
        arguments.extend(words!["--scanner", "native"]);
        if let Some(host) = &subject.host {
            arguments.extend(words!["--allow-host", host]);
        }
        if command == "patch" {
            // Into the layout that has the base already, as the floor packs no base.
            arguments.extend(words!["--tag", "patched", "--overwrite"]);
        }
        let run = self.noted(copa, &arguments)?;
        if command == "patch" && run.result["status"] != "patched" {
            return Err(Failure::new(format!("`{}` has patched nothing", copa.typed(&arguments))));
        }
        if command == "patch" {
            println!("  {:.2} s {}{}", run.seconds(), run.result["timingsMs"], steps(&run.result));
        }
        Ok(run.seconds())
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

    /// A report in copa's own form.
    fn native(&self, name: &str, os: (&str, &str), fixes: &[(&str, &str, &str)]) -> Result<PathBuf, Failure> {
        let update = |(name, old, new): &(&str, &str, &str)| json!({ "name": name, "installedVersion": old, "fixedVersion": new, "vulnerabilityID": "CVE-2024-0001" });
        let report = json!({
            "apiVersion": "v1alpha1",
            "metadata": { "os": { "type": os.0, "version": os.1 }, "config": { "arch": "amd64" } },
            "updates": fixes.iter().map(update).collect::<Vec<_>>(),
        });
        self.written(&format!("{name}.json"), &report)
    }

    fn written(&self, name: &str, report: &Value) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        fs::write(&path, report.to_string()).map_err(Failure::file(&path))?;
        Ok(path)
    }
}

/// What must be there to measure a row; the reason to leave it out where it is not.
fn needs(row: &str) -> Result<(), String> {
    match row {
        "distroless" => distroless::needs(),
        "manifest" => rpm::needs().and_then(|()| tools::need(&["bsdtar"])),
        "dnf" => rpm::needs(),
        "pacman" => pacman::image_needs().and_then(|()| tools::need(&["umoci"])),
        "apk" => apk::needs().and_then(|()| tools::need(&["umoci"])),
        "apk-unpacked" => apk::needs(),
        _ => Ok(()),
    }
}

/// What the steps in the sandbox took.
fn steps(result: &Value) -> String {
    let steps = result["steps"].as_array().into_iter().flatten();
    steps
        .map(|step| format!("; {} {} ms", step["title"].as_str().unwrap_or_default(), step["tookMs"]))
        .collect()
}

fn made(folder: &Path) -> Result<PathBuf, Failure> {
    fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    Ok(folder.to_owned())
}
