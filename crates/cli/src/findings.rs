//! From `--report` and `--scanner` to findings.

use crate::{error::Failure, exit::Kind, ui::text::printable};
use engine::CancellationToken;
use report::{
    Findings, Format,
    limits::REPORT_BYTES_MAX,
    plugin::{self, PluginRequest},
};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// A plugin turns one JSON document into another; the slowest known takes seconds.
const PLUGIN_TIME_MAX: Duration = Duration::from_secs(120);

/// Who reads the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanner {
    /// We do.
    Builtin(Format),
    /// A program does.
    Plugin {
        /// Its name, without `copa-`.
        name: String,
        /// Where it is.
        program: PathBuf,
    },
}

impl Scanner {
    /// From the flag's value.
    pub fn find(name: &str, search_path: Option<&OsString>) -> Result<Self, Failure> {
        match name {
            "trivy" => Ok(Scanner::Builtin(Format::Trivy)),
            "native" => Ok(Scanner::Builtin(Format::Native)),
            name => {
                let nowhere = OsString::new();
                let program = plugin::resolve(name, search_path.unwrap_or(&nowhere))?;
                Ok(Scanner::Plugin { name: name.to_owned(), program })
            }
        }
    }

    /// Reads a report. Blocks.
    pub fn read(&self, path: &Path, cancel: &CancellationToken) -> Result<Findings, Failure> {
        let findings = match self {
            Scanner::Builtin(format) => {
                let file = fs::File::open(path).map_err(|e| unreadable(path, &e))?;
                report::read(file, *format)
            }
            Scanner::Plugin { name, program } => plugin::run_plugin(&PluginRequest {
                name,
                program,
                report: path,
                timeout: PLUGIN_TIME_MAX,
                output_bytes_max: REPORT_BYTES_MAX,
                cancelled: &|| cancel.is_cancelled(),
            }),
        };
        findings.map_err(|error| Failure::from(error).about(format!("cannot use report {}", shown(path))))
    }
}

/// Whether there is something to read, before anything else is done.
pub fn check(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Failure::usage(format!("report {} is a folder", shown(path)))
            .hint("one report at a time: folders of reports, one a platform, are not supported yet")),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(Failure::new(Kind::Report, format!("report path {} does not exist", shown(path))))
        }
        Err(e) => Err(unreadable(path, &e)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Report, format!("cannot read report {}", shown(path))).because(error.to_string())
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A plugin that prints this.
    fn plugin(folder: &Path, script: &str) -> Scanner {
        let program = folder.join("copa-test");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Scanner::find("test", Some(&folder.into())).unwrap()
    }

    #[test]
    fn plugins_are_found_on_the_path_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(plugin(folder.path(), "true"), Scanner::Plugin { name, .. } if name == "test"));
        for (name, part) in [("nosuch", "copa-nosuch"), ("../../x", "../../x"), ("", "\"\""), ("a b", "a b")]
        {
            let failure = Scanner::find(name, Some(&folder.path().into())).unwrap_err();
            assert!(failure.what.contains(part), "{failure}");
        }
        assert_eq!(Scanner::find("trivy", None).unwrap(), Scanner::Builtin(Format::Trivy));
    }

    #[test]
    fn a_failed_plugin_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let scanner = plugin(folder.path(), "echo no database >&2; exit 3");
        let failure = scanner.read(Path::new("r.json"), &CancellationToken::new()).unwrap_err();
        assert_eq!(failure.kind, Kind::Report);
        let text = failure.to_string();
        assert!(text.contains("cannot use report r.json") && text.contains("no database"), "{text}");
    }

    #[test]
    fn a_cancelled_plugin_ends() {
        let folder = tempfile::tempdir().unwrap();
        let scanner = plugin(folder.path(), "exec sleep 100");
        let cancel = CancellationToken::new();
        cancel.cancel();
        let failure = scanner.read(Path::new("r.json"), &cancel).unwrap_err();
        assert!(failure.to_string().contains("interrupted"), "{failure}");
    }
}
