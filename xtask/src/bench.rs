//! Measures `copa` against the floor: the same work done by hand with the fewest steps. Everything is compared within one run,
//! floor and ours by turns, so that a slow mirror or a busy machine meets both.

mod endpoints;
mod families;
mod floor;
mod images;
mod measure;
mod room;

use crate::copa::{Copa, Run, Talk};
use crate::failure::Failure;
use crate::{setup, table, words};
use images::Images;
use measure::{Row, Target, median};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

pub const HELP: &str = "
measure time and memory against the floor, in one run

Usage: cargo xtask bench [--rows NAME,...] [--runs N] [--ballast-mb N] [--json FILE] [--program FILE]

The floor is a chroot of the unpacked base on an overlay: apt-get update, apt-get install of the same packages, tar and gzip -1
of the changed files; of other families the same with their tool, of images without one the download and
unpacking of the same packages. The floor of a cold start is the download of the layers from the same registry and their gunzip. Needs
root. Works in a mount namespace of its own, on a tmpfs where memory allows. Prints the table and judges nothing: it always
ends well if it could measure.

  --rows        which rows: main (Debian in place, the cold start, growth), families (all that follow), distroless, manifest,
                apk-unpacked, dnf, pacman, apk, databases; endpoints (all that follow), load, layers, files; without it all
  --runs        how often each is measured; the median counts (3)
  --ballast-mb  how much is added to the image for the growth rows (1024)
  --json        write the table as JSON too
  --program     a built copa; without it one is built
";

/// The rows of the main job.
const MAIN: &str = "main";

/// All rows of other package managers, and of images without one.
const FAMILIES: &str = "families";

/// All rows of daemons, and of many layers and files.
const ENDPOINTS: &str = "endpoints";

/// What the arguments ask for.
#[derive(Debug, Clone)]
struct Request {
    runs: usize,
    ballast_mb: u64,
    json: Option<PathBuf>,
    program: Option<PathBuf>,
    /// Names of rows; with none all are meant.
    rows: Vec<String>,
    /// Set where the command has started itself again in a mount namespace: the folder to work in.
    inside: Option<PathBuf>,
}

/// What all measurements share.
struct Bench {
    request: Request,
    folder: PathBuf,
    copa: Copa,
    /// Made where the rows of the main job are wanted.
    images: Option<Images>,
    /// The most memory that any run of ours had, in KiB.
    peak_kib: u64,
    /// How many caches were made so far.
    caches: usize,
}

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let request = request(arguments)?;
    let Some(folder) = request.inside.clone() else {
        setup::ensure()?;
        return room::enter(arguments);
    };
    room::furnish(&folder)?;
    let copa = Copa::given_or_built(request.program.as_deref(), &folder.join("cache"))?;
    println!("{} runs each, the median counts; {}", request.runs, load());
    let json = request.json.clone();
    let mut bench = Bench { request, folder, copa, images: None, peak_kib: 0, caches: 0 };
    let rows = bench.rows()?;
    println!("\n{}\n", load());
    table::lines(&measure::cells(&rows)).iter().for_each(|line| println!("{line}"));
    if let Some(path) = json {
        let document =
            json!({ "runs": bench.request.runs, "rows": rows.iter().map(Row::json).collect::<Vec<Value>>() });
        fs::write(&path, format!("{document:#}\n")).map_err(Failure::file(&path))?;
    }
    Ok(())
}

/// How busy the machine is, for whoever reads the table.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("load average {} on {cores} cores", load.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

fn request(arguments: &[String]) -> Result<Request, Failure> {
    let mut request =
        Request { runs: 3, ballast_mb: 1024, json: None, program: None, rows: Vec::new(), inside: None };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| Failure::argument(argument))?;
        let number =
            || value.parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(|| Failure::argument(value));
        match argument.as_str() {
            "--runs" => request.runs = number()? as usize,
            "--ballast-mb" => request.ballast_mb = number()?,
            "--rows" => request.rows = rows(value)?,
            "--json" => request.json = Some(value.into()),
            "--program" => request.program = Some(value.into()),
            "--inside" => request.inside = Some(value.into()),
            _ => return Err(Failure::argument(argument)),
        }
    }
    Ok(request)
}

/// Names of rows, each of which there is.
fn rows(names: &str) -> Result<Vec<String>, Failure> {
    let known = |name: &str| {
        let mut all = [MAIN, FAMILIES, ENDPOINTS].iter().chain(&families::ROWS).chain(&endpoints::ROWS);
        all.any(|known| *known == name)
    };
    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
    match names.iter().find(|name| !known(name)) {
        Some(strange) => Err(Failure::argument(strange)),
        None => Ok(names),
    }
}

impl Request {
    fn wants(&self, row: &str) -> bool {
        let group = match row {
            MAIN => MAIN,
            row if endpoints::ROWS.contains(&row) => ENDPOINTS,
            _ => FAMILIES,
        };
        self.rows.is_empty() || self.rows.iter().any(|name| name == row || name == group)
    }
}

impl Bench {
    fn rows(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        if self.request.wants(MAIN) {
            let images = Images::make(&self.folder, self.request.ballast_mb)?;
            println!("packages: {}\n", images.packages.join(" "));
            self.images = Some(images);
            rows.extend(self.warm()?);
            rows.extend(self.cold()?);
            rows.extend(self.growth()?);
            rows.extend(self.second_image()?);
        }
        rows.extend(self.families()?);
        rows.extend(self.endpoints()?);
        if self.peak_kib > 0 {
            let mebibytes = self.peak_kib as f64 / 1024.0;
            rows.push(Row::ours("peak memory of our own process, MiB", mebibytes, Target::AtMost(150.0)));
        }
        Ok(rows)
    }

    fn images(&self) -> &Images {
        self.images.as_ref().expect("the rows of the main job make them first")
    }

    /// Base in the store: with package indexes to fetch, and without.
    fn warm(&mut self) -> Result<Vec<Row>, Failure> {
        let base = floor::Base::unpack(&self.folder.join("floor"), &self.images().small)?;
        let (mut floors, mut firsts, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.request.runs {
            floors.push(base.patch(&self.images().packages)?);
            let copa = self.warmed("small")?;
            firsts.push(self.patch(&copa, "small")?.seconds());
            seconds.push(self.patch(&copa, "small")?.seconds());
        }
        let total: Vec<f64> = floors.iter().map(floor::Patched::seconds).collect();
        let part = |of: fn(&floor::Patched) -> f64| median(&floors.iter().map(of).collect::<Vec<f64>>());
        let (update, install, pack) = (part(|run| run.update), part(|run| run.install), part(|run| run.pack));
        println!(
            "floor: apt-get update {update:.2} s, apt-get install {install:.2} s, tar and gzip {pack:.2} s"
        );
        let floor = median(&total);
        Ok(vec![
            Row::against("2 packages, warm base, s", floor, median(&firsts), Target::AtMost(floor + 0.5)),
            Row::against(
                "2 packages, warm base and indexes, s",
                floor,
                median(&seconds),
                Target::AtMost(floor + 0.5),
            ),
        ])
    }

    /// Nothing in the store: all layers pulled and unpacked, nothing run.
    fn cold(&mut self) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        for (name, label) in [
            ("small", "cold pull and unpack, one layer, s"),
            ("layered", "cold pull and unpack, four layers, s"),
            ("large", "cold pull and unpack, large, s"),
        ] {
            let (mut floors, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..self.request.runs {
                floors.push(floor::pull(&self.images().registry, self.images().layout(name), name)?);
                let copa = self.fresh();
                ours.push(self.plan(&copa, name)?.seconds());
                self.forget(&copa)?;
            }
            let floor = median(&floors);
            rows.push(Row::against(label, floor, median(&ours), Target::AtMost(floor * 1.3)));
        }
        let mut wholes = Vec::new();
        for _ in 0..self.request.runs {
            let copa = self.fresh();
            wholes.push(self.patch(&copa, "small")?.seconds());
            self.forget(&copa)?;
        }
        rows.push(Row::ours("2 packages, everything cold, s", median(&wholes), Target::None));
        Ok(rows)
    }

    /// What more image costs where it is in the store.
    fn growth(&mut self) -> Result<Vec<Row>, Failure> {
        let copa = self.warmed("small")?;
        self.plan(&copa, "large")?;
        self.patch(&copa, "small")?;
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for _ in 0..self.request.runs.max(3) {
            small.push(self.patch(&copa, "small")?.seconds());
            large.push(self.patch(&copa, "large")?.seconds());
        }
        let plans = |bench: &mut Bench, name: &str| -> Result<f64, Failure> {
            let times: Result<Vec<f64>, Failure> =
                (0..9).map(|_| Ok(bench.plan(&copa, name)?.seconds())).collect();
            Ok(median(&times?))
        };
        let opening = plans(self, "large")? - plans(self, "small")?;
        let gigabytes = self.request.ballast_mb as f64 / 1024.0;
        Ok(vec![
            Row::ours(
                "more for each GB, warm, opening only, ms",
                opening * 1000.0 / gigabytes,
                Target::AtMost(20.0),
            ),
            Row::against("2 packages, warm, small → large, s", median(&small), median(&large), Target::None),
        ])
    }

    /// Another image of the same suites finds the indexes that the first has fetched.
    fn second_image(&mut self) -> Result<Vec<Row>, Failure> {
        let copa = self.fresh();
        let first = self.patch(&copa, "small")?;
        let second = self.patch(&copa, "layered")?;
        println!("counters of the first image:  {}", first.result["counters"]);
        println!("counters of the second image: {}\n", second.result["counters"]);
        let count = |run: &Run, name: &str| run.counter(name).map_or(f64::NAN, |count| count as f64);
        let mut rows = vec![
            Row::ours("index fetches, first image", count(&first, "indexFetches"), Target::None),
            Row::ours("index fetches, second image", count(&second, "indexFetches"), Target::AtMost(0.0)),
        ];
        for name in ["layersReencoded", "baseBytesUploaded", "lowerTreeWalks", "fsyncInSandbox"] {
            rows.push(Row::ours(name, count(&first, name) + count(&second, name), Target::AtMost(0.0)));
        }
        Ok(rows)
    }

    /// `copa` with a cache that has nothing.
    fn fresh(&mut self) -> Copa {
        self.caches += 1;
        self.copa.with_cache(&self.folder.join(format!("cache-{}", self.caches)))
    }

    /// `copa` with a cache that has the layers of an image and nothing else.
    fn warmed(&mut self, name: &str) -> Result<Copa, Failure> {
        let copa = self.fresh();
        self.plan(&copa, name)?;
        Ok(copa)
    }

    fn forget(&self, copa: &Copa) -> Result<(), Failure> {
        fs::remove_dir_all(&copa.cache).map_err(Failure::file(&copa.cache))
    }

    fn plan(&mut self, copa: &Copa, name: &str) -> Result<Run, Failure> {
        let mut arguments = self.subject("plan", name);
        arguments.extend(words!["--progress", "plain"]);
        self.noted(copa, &arguments)
    }

    fn patch(&mut self, copa: &Copa, name: &str) -> Result<Run, Failure> {
        let mut arguments = self.subject("patch", name);
        arguments.extend(words!["--tag", "patched", "--push", "--overwrite", "--progress", "plain"]);
        self.noted(copa, &arguments)
    }

    fn subject(&self, command: &str, name: &str) -> Vec<OsString> {
        let report: &Path = self.images().report(name);
        words![
            command,
            "--image",
            self.images().registry.reference(&format!("{name}:vulnerable")),
            "--report",
            report
        ]
    }

    fn noted(&mut self, copa: &Copa, arguments: &[OsString]) -> Result<Run, Failure> {
        let run = copa.succeed(arguments, Talk::Kept)?;
        self.peak_kib = self.peak_kib.max(run.peak_kib);
        Ok(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let asked = request(&words(&["--runs", "5", "--json", "x"])).unwrap();
        assert_eq!((asked.runs, asked.json, asked.inside), (5, Some("x".into()), None));
        for wrong in [&["--runs", "0"][..], &["--runs"], &["--fast", "1"], &["--rows", "main,others"]] {
            assert!(request(&words(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn rows_are_chosen_by_name() {
        let chosen = |names: &str| {
            let asked = request(&["--rows".to_owned(), names.to_owned()]).unwrap();
            [MAIN, "dnf", "apk", "load"].map(|row| asked.wants(row))
        };
        assert_eq!(chosen("main"), [true, false, false, false]);
        assert_eq!(chosen("families"), [false, true, true, false]);
        assert_eq!(chosen("main,apk"), [true, false, true, false]);
        assert_eq!(chosen("endpoints"), [false, false, false, true]);
        assert!(request(&[]).unwrap().wants("dnf"));
    }
}
