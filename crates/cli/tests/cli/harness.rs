//! Runs the built `copa` in a home of its own, and compares texts with those kept in `snapshots/`.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// Set to write the snapshots anew.
const UPDATE: &str = "UPDATE_SNAPSHOTS";

/// A home with nothing in it, and `copa` to run there.
pub struct Home {
    folder: tempfile::TempDir,
}

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    pub fn new() -> Self {
        Home { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, with its folders.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        self.run_with(args, &[])
    }

    /// Runs with these variables and nothing else of this process's environment.
    pub fn run_with<S: AsRef<OsStr>>(&self, args: &[S], variables: &[(&str, &str)]) -> Ran {
        Ran::of(self.command(args).envs(variables.iter().copied()).output().unwrap())
    }

    pub fn start<S: AsRef<OsStr>>(&self, args: &[S]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_copa"));
        command.args(args).env_clear().env("HOME", self.folder.path());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }
}

impl Ran {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// Compares with `snapshots/<name>.txt`.
pub fn snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots").join(format!("{name}.txt"));
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{name} is not as kept ({UPDATE}=1 takes it):\n--- kept\n{kept}\n--- now\n{text}");
}
