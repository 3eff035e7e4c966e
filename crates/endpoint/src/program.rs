//! A local program that keeps images (`ctr`, `podman`), run by argv with bounds on what it says and how long it takes.

use crate::Error;
use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    pin::Pin,
    process::Stdio,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, ReadBuf},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Longest time for a question; a machine under load needs seconds.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 32 << 20;
/// Most bytes kept of what is said on standard error, and of standard output where it is no answer.
const SAID_BYTES_MAX: u64 = 64 << 10;
/// Longest text of a program in a message.
const SAID_CHARS_SHOWN: usize = 300;

/// Where programs are, and what they find in their environment beside this process's own.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// The search path; relative folders are passed over.
    pub folders: Vec<PathBuf>,
    /// Names and values.
    pub environment: Vec<(OsString, OsString)>,
}

/// A program, found.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    first: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

/// What a program that failed said.
#[derive(Debug)]
pub(crate) struct Said(pub(crate) String);

impl Program {
    /// The program of a name in the first folder that has it.
    pub(crate) fn find(name: &'static str, programs: &Programs) -> Option<Program> {
        let folders = programs.folders.iter().filter(|f| f.is_absolute());
        let path = folders.map(|f| f.join(name)).find(|p| p.is_file())?;
        Some(Program { path, first: Vec::new(), environment: programs.environment.clone() })
    }

    /// With arguments that come before all others.
    pub(crate) fn with<'a>(self, first: impl IntoIterator<Item = &'a OsStr>) -> Self {
        Program { first: first.into_iter().map(ToOwned::to_owned).collect(), ..self }
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(&self.first)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.kill_on_drop(true);
        command
    }

    /// What it answers, within bounds. Inside an error is what it said where it ended with another code than 0.
    pub(crate) async fn ask<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Result<Vec<u8>, Said>, Error> {
        let arguments: Vec<OsString> = arguments.into_iter().map(|a| a.as_ref().to_owned()).collect();
        let asking = async {
            let mut child = self.command(&arguments).spawn()?;
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let (answer, said) = tokio::try_join!(bounded(out, ANSWER_BYTES_MAX), last_of(err))?;
            let status = child.wait().await?;
            Ok(if status.success() { Ok(answer) } else { Err(Said(printable(&said))) })
        };
        match tokio::time::timeout(QUESTION_LIMIT, asking).await {
            Ok(answer) => answer.map_err(|e| self.failed(e)),
            Err(_) => Err(self.wrong(format!("it took longer than {} s", QUESTION_LIMIT.as_secs()))),
        }
    }

    /// What it writes to standard output, as it comes. The program ends with the value.
    pub(crate) fn read<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<ProgramOutput, Error> {
        let mut child = self.command(arguments).stderr(Stdio::null()).spawn().map_err(|e| self.failed(e))?;
        let out = child.stdout.take().ok_or_else(|| self.wrong("it has no output".to_owned()))?;
        Ok(ProgramOutput { out, _child: child })
    }

    /// Feeds it by standard input. Inside an error is what it said where it ended with another code than 0.
    pub(crate) async fn feed<S: AsRef<OsStr>, T>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        write: impl AsyncFnOnce(ChildStdin) -> Result<T, Error>,
    ) -> Result<Result<(T, Vec<u8>), Said>, Error> {
        let mut child: Child =
            self.command(arguments).stdin(Stdio::piped()).spawn().map_err(|e| self.failed(e))?;
        let stdin = child.stdin.take().ok_or_else(|| self.wrong("it has no input".to_owned()))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let talk = async { tokio::try_join!(last_of(out), last_of(err)).map_err(|e| self.failed(e)) };
        let (written, talk) = tokio::join!(write(stdin), talk);
        let (answer, said) = talk?;
        let status = child.wait().await.map_err(|e| self.failed(e))?;
        if !status.success() {
            // A program that gives up closes its input, so its own words come before ours.
            let words = if said.iter().all(u8::is_ascii_whitespace) { &answer } else { &said };
            return match written {
                Err(error) if !is_broken_pipe(&error) => Err(error),
                _ => Ok(Err(Said(printable(words)))),
            };
        }
        Ok(Ok((written?, answer)))
    }

    pub(crate) fn wrong(&self, why: String) -> Error {
        Error::Daemon { what: self.path.display().to_string(), why }
    }

    fn failed(&self, error: std::io::Error) -> Error {
        self.wrong(error.to_string())
    }
}

/// What a program writes.
pub(crate) struct ProgramOutput {
    out: ChildStdout,
    _child: Child,
}

impl AsyncRead for ProgramOutput {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.out).poll_read(context, buffer)
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
}

async fn bounded(stream: Option<impl AsyncRead + Unpin>, max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(max + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > max {
        return Err(std::io::Error::other(format!("it says more than {max} bytes")));
    }
    Ok(bytes)
}

/// The beginning of a stream that is read to its end, whatever its length, so that nobody waits for it to be read.
async fn last_of(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let (mut kept, mut chunk) = (Vec::new(), vec![0; 8192]);
    let Some(mut stream) = stream else { return Ok(kept) };
    loop {
        match stream.read(&mut chunk).await? {
            0 => return Ok(kept),
            n => kept.extend_from_slice(&chunk[..n]),
        }
        let surplus = kept.len().saturating_sub(SAID_BYTES_MAX as usize);
        kept.drain(..surplus);
    }
}

/// The last line that says something, safe to show.
fn printable(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it failed and said nothing");
    line.trim().chars().flat_map(char::escape_debug).take(SAID_CHARS_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    fn program(name: &'static str) -> Program {
        Program::find(name, &among(&["relative", "/usr/bin", "/bin"])).unwrap()
    }

    fn among(folders: &[&str]) -> Programs {
        Programs { folders: folders.iter().map(PathBuf::from).collect(), environment: Vec::new() }
    }

    #[tokio::test]
    async fn answers_failures_and_input_are_told_apart() {
        assert_eq!(program("printf").ask(["a%s", "b"]).await.unwrap().unwrap(), b"ab");
        let said = program("ls").ask(["/nonexistent\u{1b}[2J"]).await.unwrap().unwrap_err();
        assert!(said.0.contains("nonexistent") && !said.0.contains('\u{1b}'), "{said:?}");
        let write = async |mut stdin: ChildStdin| {
            stdin.write_all(b"in").await.map_err(|source| Error::Io { doing: String::new(), source })
        };
        let ((), out) = program("cat").feed([""; 0], write).await.unwrap().unwrap();
        assert_eq!(out, b"in");
        let mut out = String::new();
        program("printf").read(["x"]).unwrap().read_to_string(&mut out).await.unwrap();
        assert_eq!(out, "x");
        assert!(Program::find("printf", &among(&["usr/bin"])).is_none(), "relative folders are not searched");
    }

    #[tokio::test]
    async fn what_ends_while_it_is_fed_says_why() {
        let write = async |mut stdin: ChildStdin| {
            let big = vec![0; 1 << 20];
            stdin.write_all(&big).await.map_err(|source| Error::Io { doing: String::new(), source })
        };
        let said = program("ls").feed(["/nonexistent"], write).await.unwrap().unwrap_err();
        assert!(said.0.contains("nonexistent"), "{said:?}");
    }
}
