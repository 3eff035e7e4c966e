//! The code of the package managers themselves, asked how versions sort; many questions at once.

use crate::{Error, command::argv, tools, workspace};
use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whose order is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// `dpkg --compare-versions`, once for each claim.
    Dpkg,
    /// `rpm.vercmp` of rpm's own Lua.
    Rpm,
    /// The comparison of apk-tools 3 in C, as the crate `apk-version` carries it: no registry that this project uses has
    /// apk-tools itself. Fetched by cargo, built with cc, kept under `.testkit`.
    Apk,
    /// `alpm_pkg_vercmp` of libalpm, which is all that pacman's `vercmp` calls.
    Pacman,
}

/// That `a` is less than, equal to or greater than `b`. Neither has blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// One version.
    pub a: String,
    /// How it sorts.
    pub order: Ordering,
    /// The other.
    pub b: String,
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.a, self.order, self.b)
    }
}

impl Judge {
    /// Whether this judge can be had here; a reason to skip where it cannot.
    pub fn needs(self) -> Result<(), String> {
        match self {
            Judge::Dpkg => tools::need(&["dpkg"]),
            Judge::Rpm => tools::need(&["rpm"]),
            Judge::Apk => tools::need(&["cargo", "cc", "python3"])
                .and_then(|()| apk_library().map(drop).map_err(|error| error.to_string())),
            Judge::Pacman => tools::need(&["pacman", "ldconfig", "python3"])
                .and_then(|()| alpm_library().map(drop).map_err(|error| error.to_string())),
        }
    }

    /// The claims that it says are wrong.
    pub fn objections(self, claims: &[Claim]) -> Result<Vec<Claim>, Error> {
        let orders = match self {
            Judge::Dpkg => return dpkg_objections(claims),
            Judge::Rpm => rpm_orders(claims)?,
            Judge::Apk => library_orders(&apk_library()?, "apk_version_compare", claims)?,
            Judge::Pacman => library_orders(&alpm_library()?, "alpm_pkg_vercmp", claims)?,
        };
        let orders: Vec<Ordering> =
            orders.split_whitespace().map(|word| self.meaning(word)).collect::<Result<_, _>>()?;
        if orders.len() != claims.len() {
            let why = format!("{} answers to {} questions", orders.len(), claims.len());
            return Err(Error::malformed(format!("{self:?}"), why));
        }
        let wrong = claims.iter().zip(orders).filter(|(claim, order)| claim.order != *order);
        Ok(wrong.map(|(claim, _)| claim.clone()).collect())
    }

    /// What a number that it answers with means.
    fn meaning(self, word: &str) -> Result<Ordering, Error> {
        match (self, word) {
            (_, "0") => Ok(Ordering::Equal),
            (Judge::Apk, "1") | (Judge::Rpm | Judge::Pacman, "-1") => Ok(Ordering::Less),
            (Judge::Apk, "2") | (Judge::Rpm | Judge::Pacman, "1") => Ok(Ordering::Greater),
            _ => Err(Error::malformed(format!("{self:?}"), format!("answered {word}"))),
        }
    }
}

/// One run of dpkg each, on all cores.
fn dpkg_objections(claims: &[Claim]) -> Result<Vec<Claim>, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let part = |claims| scope.spawn(move || dpkg_objections_in_turn(claims));
        let parts: Vec<_> = claims.chunks(claims.len().div_ceil(cores).max(1)).map(part).collect();
        let joined = parts.into_iter().map(|part| part.join().expect("asking dpkg does not panic"));
        joined.collect::<Result<Vec<_>, Error>>().map(|parts| parts.concat())
    })
}

fn dpkg_objections_in_turn(claims: &[Claim]) -> Result<Vec<Claim>, Error> {
    let dpkg = tools::find("dpkg")?;
    let mut wrong = Vec::new();
    for claim in claims {
        let relation = match claim.order {
            Ordering::Less => "lt",
            Ordering::Equal => "eq",
            Ordering::Greater => "gt",
        };
        let mut asked = Command::new(&dpkg);
        asked.args(["--compare-versions", &claim.a, relation, &claim.b]).stderr(Stdio::null());
        if !asked.status().map_err(Error::io(&dpkg))?.success() {
            wrong.push(claim.clone());
        }
    }
    Ok(wrong)
}

fn questions(claims: &[Claim]) -> String {
    claims.iter().map(|claim| format!("{} {}\n", claim.a, claim.b)).collect()
}

fn rpm_orders(claims: &[Claim]) -> Result<String, Error> {
    let asked = tempfile::NamedTempFile::new().map_err(Error::io("temporary file"))?;
    fs::write(asked.path(), questions(claims)).map_err(Error::io(asked.path()))?;
    // Written past rpm's own `print`, whose buffer rpm 4.18 overruns when much is printed.
    let script = format!(
        "%{{lua: for line in io.lines(\"{}\") do local a, b = line:match(\"^(%S+) (%S+)$\") \
         io.stdout:write(rpm.vercmp(a, b), \"\\n\") end}}",
        asked.path().display()
    );
    argv("rpm", ["--eval", &script]).text()
}

/// Calls `function` of a library, which takes two C strings, for each claim.
fn library_orders(library: &Path, function: &str, claims: &[Claim]) -> Result<String, Error> {
    const CALLS: &str = "import ctypes, sys
compare = getattr(ctypes.CDLL(sys.argv[1]), sys.argv[2])
compare.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
for line in sys.stdin.buffer:
    print(compare(*line.split()))";
    let calls = argv("python3", ["-c", CALLS]).arg(library).arg(function);
    let answers = calls.filter(questions(claims).as_bytes())?;
    Ok(String::from_utf8_lossy(&answers).into_owned())
}

/// Where the dynamic linker finds libalpm.
fn alpm_library() -> Result<PathBuf, Error> {
    let known = argv("ldconfig", ["-p"]).text()?;
    let found = known.lines().filter(|line| line.trim_start().starts_with("libalpm.so"));
    let found = found.filter_map(|line| line.split_once(" => ")).map(|(_, path)| PathBuf::from(path)).next();
    found.ok_or_else(|| Error::Unavailable("libalpm is not installed".to_owned()))
}

fn apk_library() -> Result<PathBuf, Error> {
    let library = workspace::cache().join("apk-version/libapkversion.so");
    workspace::once(&library, |unfinished| {
        let scratch = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let source = apk_source(scratch.path())?;
        argv("cc", ["-shared", "-fPIC", "-o"]).arg(unfinished).arg(source).stdout().map(drop)
    })?;
    Ok(library)
}

/// The C file in the crate, as cargo unpacks it for a package in `scratch` that depends on it.
fn apk_source(scratch: &Path) -> Result<PathBuf, Error> {
    const MANIFEST: &str = "[package]\nname = \"judge\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n\
                            [dependencies]\napk-version = \"=0.1.0\"\n[workspace]\n";
    for (file, text) in [("Cargo.toml", MANIFEST), ("lib.rs", "")] {
        fs::write(scratch.join(file), text).map_err(Error::io(scratch.join(file)))?;
    }
    argv("cargo", ["fetch", "--quiet"]).folder(scratch).stdout()?;
    let metadata =
        argv("cargo", ["metadata", "--offline", "--format-version", "1"]).folder(scratch).stdout()?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata).map_err(|error| Error::malformed("cargo metadata", error))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let manifest = packages
        .filter(|package| package["name"] == "apk-version")
        .find_map(|package| package["manifest_path"].as_str());
    let manifest = manifest.ok_or_else(|| Error::malformed("cargo metadata", "apk-version is not in it"))?;
    Ok(Path::new(manifest).with_file_name("src").join("version.c"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_judge_objects_to_what_is_wrong_and_to_nothing_else() {
        for judge in [Judge::Dpkg, Judge::Rpm, Judge::Apk, Judge::Pacman] {
            if let Err(reason) = judge.needs() {
                crate::probe::report_skip(&format!("{judge:?} as a judge of versions: {reason}"));
                continue;
            }
            let claim = |a: &str, order, b: &str| Claim { a: a.to_owned(), order, b: b.to_owned() };
            let right = [
                claim("1.9", Ordering::Less, "1.10"),
                claim("1.0", Ordering::Equal, "1.0"),
                claim("2", Ordering::Greater, "1.0"),
            ];
            let wrong = [claim("1.10", Ordering::Less, "1.9"), claim("1", Ordering::Equal, "2")];
            let all = [right.as_slice(), wrong.as_slice()].concat();
            assert_eq!(judge.objections(&all).unwrap(), wrong, "{judge:?}");
            assert_eq!(judge.objections(&[]).unwrap(), [], "{judge:?}");
        }
    }
}
