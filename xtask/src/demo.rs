//! The whole product once, on real things: a vulnerable Debian, a report, a patch, a push, and judges that share no code with it.

use crate::copa::{Copa, Run, Talk};
use crate::failure::Failure;
use crate::{setup, table, words};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use testkit::debian_root::{self, Suite};
use testkit::image_reader::ImageReader;
use testkit::registry::Registry;
use testkit::scan::{self, Naming, Scan};
use testkit::{app_image, syft};

pub const HELP: &str = "
patch a real vulnerable Debian image and show before and after

Usage: cargo xtask demo [--suite bullseye|bookworm|trixie] [--image debian|app] [--program FILE]

Makes a Debian image of the release alone from this machine's own mirror, starts a real registry, writes a report in Trivy's
format, patches and pushes, then pulls the result and judges it again with the same scanner and with syft.

  --suite   which Debian release (bookworm)
  --image   `debian`: the smallest Debian; `app`: four layers with a web server and everything a layer may hold (debian)
  --program a built copa; without it one is built
";

/// What is shown.
#[derive(Debug, Default)]
struct Request {
    suite: Suite,
    app: bool,
    program: Option<PathBuf>,
}

/// An image as its judges see it.
struct Judged {
    image: ImageReader,
    scan: Scan,
    syft: BTreeMap<String, String>,
}

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let request = request(arguments)?;
    setup::ensure()?;
    let folder = tempfile::tempdir().map_err(Failure::file("temporary folder"))?;
    let copa = Copa::given_or_built(request.program.as_deref(), &folder.path().join("cache"))?;

    println!("\n== A vulnerable image in a registry");
    let layout =
        if request.app { app_image::image(request.suite)? } else { debian_root::image(request.suite)? };
    let registry = Registry::start()?;
    let reference = registry.push(&layout, debian_root::TAG, "debian:vulnerable")?;
    let before = judge(&registry, "debian:vulnerable", &folder.path().join("before"))?;
    let report = folder.path().join("report.json");
    before.scan.write(&report)?;
    println!(
        "{reference}: Debian {}, {} findings, {} of them have a fix",
        release(&before),
        before.scan.findings.len(),
        before.scan.fixable()
    );

    let arguments = words!["patch", "--image", &reference, "--report", &report, "--tag", "patched", "--push"];
    println!("\n== {}", copa.typed(&arguments));
    let run = copa.succeed(&arguments, Talk::Shown)?;

    println!("\n== The patched image, pulled from the registry and judged again");
    let after = judge(&registry, "debian:patched", &folder.path().join("after"))?;
    print_comparison(&before, &after);
    print_run(&run);
    verify(&before, &after, &run)?;
    print_own_image();
    Ok(())
}

fn request(arguments: &[String]) -> Result<Request, Failure> {
    let mut request = Request::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next().map(String::as_str)) {
            ("--suite", Some(name)) => {
                let suite = Suite::ALL.into_iter().find(|suite| suite.name() == name);
                request.suite = suite.ok_or_else(|| Failure::argument(name))?;
            }
            ("--program", Some(path)) => request.program = Some(path.into()),
            ("--image", Some("app")) => request.app = true,
            ("--image", Some("debian")) => request.app = false,
            _ => return Err(Failure::argument(argument)),
        }
    }
    Ok(request)
}

fn judge(registry: &Registry, name: &str, layout: &Path) -> Result<Judged, Failure> {
    registry.pull(name, layout, "it")?;
    let naming = Naming { reference: Some(&registry.reference(name)), ignore_unfixed: false };
    let scan = scan::named(layout, "it", naming)?;
    Ok(Judged { image: ImageReader::open(layout, "it")?, scan, syft: syft::packages(layout, "it")? })
}

fn release(judged: &Judged) -> &str {
    judged.scan.report["Metadata"]["OS"]["Name"].as_str().unwrap_or_default()
}

fn print_comparison(before: &Judged, after: &Judged) {
    let row = |what: &str, of: fn(&Judged) -> String| vec![what.to_owned(), of(before), of(after)];
    let rows = [
        vec![String::new(), "before".to_owned(), "after".to_owned()],
        row("findings that have a fix", |judged| judged.scan.fixable().to_string()),
        row("findings without a fix", |judged| {
            (judged.scan.findings.len() - judged.scan.fixable()).to_string()
        }),
        row("installed packages", |judged| judged.scan.packages.len().to_string()),
        row("packages where syft differs", |judged| differing(judged).to_string()),
        row("layers", |judged| judged.image.layers().len().to_string()),
        row("compressed size", |judged| {
            size(judged.image.layers().iter().filter_map(|layer| layer["size"].as_u64()).sum())
        }),
    ];
    table::lines(&rows).iter().for_each(|line| println!("{line}"));
    let changed =
        after.scan.packages.iter().filter(|(name, version)| before.scan.packages.get(*name) != Some(version));
    for (name, version) in changed {
        println!("  {name}: {} → {version}", before.scan.packages.get(name).map_or("none", String::as_str));
    }
}

/// Packages that the scanner and syft do not both have at one version.
fn differing(judged: &Judged) -> usize {
    let own =
        judged.scan.packages.iter().filter(|(name, version)| judged.syft.get(*name) != Some(version)).count();
    own + judged.syft.keys().filter(|name| !judged.scan.packages.contains_key(*name)).count()
}

fn print_run(run: &Run) {
    let layer = &run.result["patched"]["layer"];
    let entries = [&layer["entries"], &layer["removed"]].map(|count| count.as_u64().unwrap_or(0));
    let sizes = [&layer["size"], &layer["uncompressedSize"]].map(|bytes| size(bytes.as_u64().unwrap_or(0)));
    println!(
        "\npatch layer: {} ({} uncompressed), {} entries, {} removals",
        sizes[0], sizes[1], entries[0], entries[1]
    );
    println!("time: {:.2} s in all; {}", run.seconds(), numbers(&run.result["timingsMs"], " ms"));
    println!("memory: {} at most in our own process", size(run.peak_kib * 1024));
    println!("counters: {}", numbers(&run.result["counters"], ""));
}

fn numbers(object: &Value, unit: &str) -> String {
    let entries =
        object.as_object().into_iter().flatten().map(|(name, number)| format!("{name} {number}{unit}"));
    entries.collect::<Vec<_>>().join(", ")
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Everything that the demo claims.
fn verify(before: &Judged, after: &Judged, run: &Run) -> Result<(), Failure> {
    let base = before.image.layers();
    let claims = [
        ("there were findings that have a fix", before.scan.fixable() > 0),
        ("no finding that has a fix is left", after.scan.fixable() == 0),
        ("syft agrees on every version, before and after", differing(before) + differing(after) == 0),
        ("one layer was added", after.image.layers().len() == base.len() + 1),
        ("the descriptors of the base layers are unchanged", after.image.layers().starts_with(base)),
        ("no base layer was encoded again", run.counter("layersReencoded") == Some(0)),
        ("no byte of the base was uploaded", run.counter("baseBytesUploaded") == Some(0)),
        ("no tree of the base was walked", run.counter("lowerTreeWalks") == Some(0)),
        ("no sync of the sandbox reached the kernel", run.counter("fsyncInSandbox") == Some(0)),
    ];
    println!();
    claims.iter().for_each(|(claim, holds)| println!("{} {claim}", if *holds { "✓" } else { "✗" }));
    let broken = claims.iter().filter(|(_, holds)| !holds).count();
    if broken == 0 {
        Ok(())
    } else {
        Err(Failure::new(format!("{broken} of {} claims do not hold", claims.len())))
    }
}

fn print_own_image() {
    println!(
        "\nThe same on an image of your own, with Trivy:\n  \
         trivy image --vuln-type os --ignore-unfixed --format json --output report.json REGISTRY/IMAGE:TAG\n  \
         copa patch --image REGISTRY/IMAGE:TAG --report report.json --tag TAG-patched --push\n  \
         trivy image --vuln-type os --ignore-unfixed REGISTRY/IMAGE:TAG-patched"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_choose_the_image() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let chosen = request(&words(&["--suite", "trixie", "--image", "app"])).unwrap();
        assert!(chosen.suite == Suite::Trixie && chosen.app);
        assert!(request(&words(&["--suite", "potato"])).is_err() && request(&words(&["--image"])).is_err());
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!([size(12), size(2048), size(5 * 1_048_576)], ["12 B", "2.0 KiB", "5.0 MiB"]);
    }
}
