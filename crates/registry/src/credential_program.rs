//! Credential helpers: `docker-credential-NAME get` with the host on standard input, JSON on standard output.

use crate::Error;
use fetch::client::printable;
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

/// Longest time a helper gets; some ask a user or a cloud.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes read from a helper.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;
/// What a helper says where it holds nothing for the host. Every helper made with docker's library says this.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// Longest text of a helper in a message.
const SAID_CHARS_SHOWN: usize = 200;

/// What a helper gives.
#[derive(Deserialize)]
pub(crate) struct Answer {
    #[serde(rename = "Username")]
    pub(crate) username: String,
    #[serde(rename = "Secret")]
    pub(crate) secret: String,
}

/// Asks a helper. `None` where it says that it holds nothing for the host.
pub(crate) async fn get(name: &str, host: &str, dirs: &[PathBuf]) -> Result<Option<Answer>, Error> {
    get_within(HELPER_TIMEOUT, name, host, dirs).await
}

async fn get_within(
    limit: Duration,
    name: &str,
    host: &str,
    dirs: &[PathBuf],
) -> Result<Option<Answer>, Error> {
    let from = format!("docker-credential-{}", printable(name, 50));
    let wrong = |why: String| Error::Credentials { host: host.to_owned(), from: from.clone(), why };
    if !is_name(name) {
        return Err(wrong("its name is not valid".into()));
    }
    let program = find(&from, dirs).ok_or_else(|| wrong("there is no such program".into()))?;
    let run = tokio::time::timeout(limit, run(&program, host));
    let output = match run.await {
        Err(_) => return Err(wrong(format!("it took longer than {} s", limit.as_secs_f32()))),
        Ok(result) => result.map_err(|e| wrong(e.to_string()))?,
    };
    if output.status.success() {
        // What it printed is secret, so the message says only where it is wrong.
        let place = |e: serde_json::Error| wrong(format!("its answer is not valid at column {}", e.column()));
        return serde_json::from_slice(&output.stdout).map(Some).map_err(place);
    }
    let said = |bytes: &[u8]| printable(String::from_utf8_lossy(bytes).trim(), SAID_CHARS_SHOWN);
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    if out == NOT_FOUND || err == NOT_FOUND {
        return Ok(None);
    }
    Err(wrong(format!("it failed with {}: {}", output.status, if out.is_empty() { err } else { out })))
}

fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
    !name.is_empty() && name.len() <= 100 && name.bytes().all(good)
}

fn find(program: &str, dirs: &[PathBuf]) -> Option<PathBuf> {
    dirs.iter().filter(|d| d.is_absolute()).map(|d| d.join(program)).find(|p| p.is_file())
}

async fn run(program: &Path, host: &str) -> std::io::Result<Output> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input says so by its answer.
        let _ = stdin.write_all(host.as_bytes()).await;
    }
    collect(child).await
}

async fn collect(mut child: Child) -> std::io::Result<Output> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(bounded(out), bounded(err))?;
    let status = child.wait().await?;
    Ok(Output { status, stdout, stderr })
}

async fn bounded(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > OUTPUT_BYTES_MAX {
        return Err(std::io::Error::other("it prints too much"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_paths_or_options_are_refused() {
        for (name, good) in [
            ("desktop", true),
            ("ecr-login", true),
            ("osxkeychain.exe", true),
            ("", false),
            ("../evil", false),
            ("a/b", false),
            ("a b", false),
            ("a\n", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_ended_and_an_error() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (program, pid) = (dir.path().join("docker-credential-hang"), dir.path().join("pid"));
        let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", pid.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let limit = Duration::from_millis(500);
        let error = get_within(limit, "hang", "h.example", &[dir.path().to_owned()]).await.err().unwrap();
        assert!(error.to_string().contains("took longer than 0.5 s"), "{error}");
        let process = std::fs::read_to_string(&pid).unwrap();
        let alive = || match std::fs::read_to_string(format!("/proc/{}/stat", process.trim())) {
            Ok(stat) => !stat.contains(") Z "),
            Err(_) => false,
        };
        for _ in 0..100 {
            if !alive() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the helper still runs");
    }
}
