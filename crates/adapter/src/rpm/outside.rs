//! The tools of another image on one that has none: which of them, and how they are told where it is.

use super::{
    configuration, facts,
    tool::{Kind, Tool},
    tooling,
};
use crate::{Error, Facts};
use engine::{Step, TARGET};
use inventory::{OsRelease, family::Family, rpm::repositories::Configuration};

/// The first release of Fedora whose images have dnf 5.
const FEDORA_DNF5: u32 = 41;

/// The last release of RHEL's relatives whose images have yum 3; Amazon Linux 2 is one.
const YUM_LAST: u32 = 7;

/// Permission bits of a key that is shown to the tools.
const KEY_MODE: u32 = 0o644;

/// The tool of the images that [`tooling::image`] gives.
pub(super) fn tool(os: &OsRelease) -> Option<Tool> {
    let (family, _) = Family::of(os)?;
    let major = tooling::numbers(&os.version_id).map_or(0, |(major, _)| major);
    let (kind, program) = match family.name {
        name if facts::is_suse(name) => (Kind::Zypper, "/usr/bin/zypper"),
        "cbl-mariner" | "azurelinux" | "photon" => (Kind::Tdnf, "/usr/bin/tdnf"),
        "fedora" if major >= FEDORA_DNF5 => (Kind::Dnf5, "/usr/bin/dnf5"),
        "fedora" => (Kind::Dnf, "/usr/bin/dnf"),
        _ if (1..=YUM_LAST).contains(&major) => (Kind::Yum, "/usr/bin/yum"),
        _ => (Kind::Dnf, "/usr/bin/dnf"),
    };
    Some(Tool { kind, program })
}

/// A command of `tool` (or of rpm, to give it a key), told where the image is and whose repositories count: the image's own,
/// or where it has none those of the tooling, which is of the same distribution and release.
pub(super) fn placed(mut argv: Vec<String>, tool: Tool, configuration: &Configuration) -> Vec<String> {
    let folders = configuration::folders(configuration);
    let options: Vec<String> = match (argv.first().map(String::as_str), tool.kind) {
        (Some(super::RPM), _) => vec!["--root".to_owned(), TARGET.to_owned()],
        (_, Kind::Zypper) => {
            let option = if folders.is_empty() { "--installroot" } else { "--root" };
            vec![option.to_owned(), TARGET.to_owned()]
        }
        _ if folders.is_empty() => {
            vec![format!("--installroot={TARGET}"), "--setopt=reposdir=/etc/yum.repos.d".to_owned()]
        }
        _ => {
            let folders: Vec<String> = folders.iter().map(|folder| format!("{TARGET}{folder}")).collect();
            vec![format!("--installroot={TARGET}"), format!("--setopt=reposdir={}", folders.join(","))]
        }
    };
    argv.splice(1..1, options);
    argv
}

/// The keys that the image's configuration names, put where the tools look for them: they take a path of that configuration for
/// one of their own. A key that the image does not have is one of the tooling, of the same path, or the tools say so.
pub(super) fn keys(image: &Facts, configuration: &Configuration) -> Result<Vec<Step>, Error> {
    let content = |path: String| image.files.get(&path).cloned().map(|content| (path, content));
    let write = |(path, content)| Step::Write { path, content, mode: KEY_MODE };
    Ok(configuration::key_files(configuration)?.into_iter().filter_map(content).map(write).collect())
}
