//! From `--report` and `--scanner` to findings.

use crate::{error::Failure, exit::Kind, ui::text::printable};
use engine::CancellationToken;
use patch::NamedReport;
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

/// Most reports in a folder: an index has no more entries.
const REPORTS_MAX: usize = oci::limits::INDEX_ENTRIES_MAX;
/// Most bytes of all reports of a folder together.
const REPORTS_BYTES_MAX: u64 = 1 << 30;

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

/// What a path to reports leads to.
#[derive(Debug)]
pub enum Reports {
    /// One report.
    One(Findings),
    /// A folder with one for each platform, and what was left out of it.
    Folder(Vec<NamedReport>, Vec<String>),
}

impl Scanner {
    /// Reads a report, or each of a folder. Blocks.
    pub fn read_all(
        &self,
        path: &Path,
        ignore_errors: bool,
        cancel: &CancellationToken,
    ) -> Result<Reports, Failure> {
        if !path.is_dir() {
            return self.read(path, cancel).map(Reports::One);
        }
        let (mut reports, mut left_out) = (Vec::new(), Vec::new());
        for file in json_files(path)? {
            match regular(&file).and_then(|()| self.read(&file, cancel)) {
                Ok(findings) => reports.push(NamedReport { name: shown(&file), findings }),
                Err(failure) if ignore_errors && failure.kind == Kind::Report => {
                    left_out.push(format!("{}; it is left out", failure.message()));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(Reports::Folder(reports, left_out))
    }
}

/// A pipe that nobody writes to would be waited for.
fn regular(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(Failure::new(Kind::Report, format!("report {} is not a regular file", shown(path)))),
        Err(e) => Err(unreadable(path, &e)),
    }
}

/// The reports of a folder, in the order of their names. What is in folders below is not looked at.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let (mut files, mut bytes) = (Vec::new(), 0);
    for entry in fs::read_dir(folder).map_err(|e| unreadable(folder, &e))? {
        let path = entry.map_err(|e| unreadable(folder, &e))?.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        // What cannot be looked at is told when it is read.
        bytes += fs::metadata(&path).map_or(0, |meta| meta.len());
        files.push(path);
        if files.len() > REPORTS_MAX || bytes > REPORTS_BYTES_MAX {
            let (most, folder) = (REPORTS_BYTES_MAX >> 30, shown(folder));
            let what = format!("folder {folder} has more than {REPORTS_MAX} reports or {most} GiB");
            return Err(Failure::new(Kind::Report, what));
        }
    }
    files.sort();
    match files.is_empty() {
        false => Ok(files),
        true => Err(Failure::new(
            Kind::Report,
            format!("no JSON files found in report directory: {}", shown(folder)),
        )
        .hint("a folder of reports has one FILE.json for each platform")),
    }
}

/// Whether there is something to read, before anything else is done.
pub fn check(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
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
    fn every_report_of_a_folder_is_read_and_what_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (scanner, cancel) = (Scanner::Builtin(Format::Trivy), CancellationToken::new());
        let read = |ignored| scanner.read_all(folder.path(), ignored, &cancel);
        assert!(read(true).unwrap_err().what.contains("no JSON files"));
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let good = r#"{"SchemaVersion": 2, "ArtifactName": "a"}"#;
        put("b.json", good);
        put("a.json", good);
        put("notes.txt", "none");
        let Ok(Reports::Folder(reports, left_out)) = read(false) else { panic!() };
        let names: Vec<_> = reports.iter().map(|r| r.name.rsplit('/').next().unwrap()).collect();
        assert_eq!((names, left_out), (vec!["a.json", "b.json"], Vec::<String>::new()));
        put("c.json", "{");
        fs::create_dir(folder.path().join("d.json")).unwrap();
        let failure = read(false).unwrap_err();
        assert!(failure.what.contains("c.json") && failure.kind == Kind::Report, "{failure}");
        let Ok(Reports::Folder(reports, left_out)) = read(true) else { panic!() };
        assert_eq!((reports.len(), left_out.len()), (2, 2));
        assert!(left_out[0].contains("c.json") && left_out[1].contains("d.json"), "{left_out:?}");
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

    #[test]
    fn folders_of_reports_are_bounded_and_pipes_are_no_reports() {
        let folder = tempfile::tempdir().unwrap();
        let (scanner, cancel) = (Scanner::Builtin(Format::Trivy), CancellationToken::new());
        let refused = || scanner.read_all(folder.path(), false, &cancel).unwrap_err();
        let huge = folder.path().join("huge.json");
        fs::File::create(&huge).unwrap().set_len(REPORTS_BYTES_MAX + 1).unwrap();
        assert!(refused().what.contains("or 1 GiB"), "{}", refused());
        fs::remove_file(&huge).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(folder.path().join("a.json")).unwrap();
        assert!(refused().what.contains("not a regular file"), "{}", refused());
        drop(socket);
    }
}
