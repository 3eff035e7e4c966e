//! Debian's `docker-registry` on loopback: plain, with a password, or with TLS. Storage and process go when it is dropped.

mod certificates;

pub use certificates::Certificate;

use crate::{Error, command::argv, image::Layout, tools};
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The user of a registry that wants one.
pub const USER: &str = "testuser";

/// The password of [`USER`].
pub const PASSWORD: &str = "testpass";

/// `USER:PASSWORD` for the registry's htpasswd file; it takes bcrypt only.
const HTPASSWD: &str = "testuser:$2b$04$tHa5gEqwQ5V0v4mw4F9z2.SnTTK/Evq5IBgi8PY5.CobFgADevhf2\n";

/// Starting takes a tenth of a second; on a machine under full load, longer.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    /// Whether it wants [`USER`] and [`PASSWORD`].
    pub password: bool,
    /// Whether it speaks TLS, with a certificate of [`Registry::ca_certificate`].
    pub tls: bool,
}

/// What TLS of a registry is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tls {
    /// What it shows.
    pub certificate: Certificate,
    /// Whether it wants a client certificate, such as [`Registry::client_certificate`].
    pub client_certificate: bool,
}

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    port: u16,
    access: Access,
    folder: TempDir,
}

/// A request that a registry answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `PUT`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
}

impl Registry {
    /// Starts one that anybody may use over http.
    pub fn start() -> Result<Registry, Error> {
        Registry::start_with(Access::default())
    }

    /// Starts one.
    pub fn start_with(access: Access) -> Result<Registry, Error> {
        Registry::start_as(access, access.tls.then(Tls::default))
    }

    /// Starts one that anybody may use over TLS.
    pub fn start_tls(tls: Tls) -> Result<Registry, Error> {
        Registry::start_as(Access { password: false, tls: true }, Some(tls))
    }

    fn start_as(access: Access, tls: Option<Tls>) -> Result<Registry, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        if let Some(tls) = tls {
            certificates::make(folder.path(), tls.certificate)?;
        }
        let port = free_port()?;
        let configuration = folder.path().join("config.yml");
        let text = configuration_text(folder.path(), port, access, tls.is_some_and(|t| t.client_certificate));
        fs::write(&configuration, text).map_err(Error::io(&configuration))?;
        fs::write(folder.path().join("htpasswd"), HTPASSWD).map_err(Error::io(folder.path()))?;
        let process = spawn(folder.path(), &configuration)?;
        let mut registry = Registry { process, port, access, folder };
        registry.wait()?;
        Ok(registry)
    }

    /// `localhost:PORT`.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// A reference in it: `localhost:PORT/NAME`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// The certificate that vouches for it, where it speaks TLS.
    pub fn ca_certificate(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// The certificate that it shows, where it speaks TLS.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }

    /// A client certificate that it takes and its key, where it speaks TLS.
    pub fn client_certificate(&self) -> (PathBuf, PathBuf) {
        (self.folder.path().join("client.crt"), self.folder.path().join("client.key"))
    }

    /// Pushes the image `tag` of a layout as `name`, all platforms of it; gives the reference.
    pub fn push(&self, layout: &Layout, tag: &str, name: &str) -> Result<String, Error> {
        let reference = self.reference(name);
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        layout.export(tag, folder.path())?;
        let copy =
            argv("skopeo", ["copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false"]);
        let copy =
            if self.access.password { copy.arg(format!("--dest-creds={USER}:{PASSWORD}")) } else { copy };
        copy.arg(format!("dir:{}", folder.path().display())).arg(format!("docker://{reference}")).stdout()?;
        Ok(reference)
    }

    /// Pulls `name` into a layout under `tag`, all platforms of it.
    pub fn pull(&self, name: &str, layout: &Path, tag: &str) -> Result<(), Error> {
        let copy = argv("skopeo", ["copy", "--quiet", "--all", "--src-tls-verify=false"]);
        let copy =
            if self.access.password { copy.arg(format!("--src-creds={USER}:{PASSWORD}")) } else { copy };
        let from = format!("docker://{}", self.reference(name));
        copy.arg(from).arg(format!("oci:{}:{tag}", layout.display())).stdout().map(drop)
    }

    /// Every request it answered so far, in order.
    pub fn requests(&self) -> Result<Vec<Request>, Error> {
        let path = self.folder.path().join("log");
        let log = fs::read_to_string(&path).map_err(Error::io(&path))?;
        Ok(log.lines().filter_map(access_line).collect())
    }

    /// Uploads of blobs that were begun so far; a blob that was there or mounted begins none.
    pub fn uploads(&self) -> Result<usize, Error> {
        let is_upload =
            |request: &&Request| request.method == "PUT" && request.path.contains("/blobs/uploads/");
        Ok(self.requests()?.iter().filter(is_upload).count())
    }

    fn wait(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.try_wait().map_err(Error::io("docker-registry"))?;
            if ended.is_some() || begun.elapsed() > START_LIMIT {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(Error::Unavailable(format!("docker-registry did not start: {}", log.trim())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(Error::io("a free port"))
}

fn spawn(folder: &Path, configuration: &Path) -> Result<Child, Error> {
    let log = folder.join("log");
    let output = File::create(&log).map_err(Error::io(&log))?;
    let errors = output.try_clone().map_err(Error::io(&log))?;
    // Where a test is killed, nobody drops what it has started; the kernel ends it then.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(tools::find("docker-registry")?).arg("serve");
    command.arg(configuration).stdin(Stdio::null()).stdout(output).stderr(errors);
    command.spawn().map_err(Error::io("docker-registry"))
}

fn configuration_text(folder: &Path, port: u16, access: Access, client_certificate: bool) -> String {
    let folder = folder.display();
    let mut text = format!(
        "version: 0.1\nlog: {{level: warn, accesslog: {{disabled: false}}}}\n\
         storage:\n  filesystem: {{rootdirectory: {folder}/data}}\n  delete: {{enabled: true}}\n\
         http:\n  addr: 127.0.0.1:{port}\n  secret: testkit\n"
    );
    if access.tls {
        let clients =
            if client_certificate { format!(", clientcas: [{folder}/ca.crt]") } else { String::new() };
        text += &format!("  tls: {{certificate: {folder}/server.crt, key: {folder}/server.key{clients}}}\n");
    }
    if access.password {
        text += &format!("auth: {{htpasswd: {{realm: testkit, path: {folder}/htpasswd}}}}\n");
    }
    text
}

/// A line of the access log: `HOST - USER [TIME] "METHOD PATH PROTOCOL" STATUS BYTES "REFERRER" "AGENT"`.
fn access_line(line: &str) -> Option<Request> {
    let mut parts = line.split('"');
    let _client = parts.next()?;
    let mut words = parts.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut numbers = parts.next()?.split_whitespace();
    let (status, bytes) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(Request { method, path, status, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{self, Compression, Image, Layer, Types};
    use crate::{probe, skip};

    #[test]
    fn access_lines_are_requests() {
        let line = r#"127.0.0.1 - - [21/Nov/2026:10:00:00 +0000] "GET /v2/a/manifests/b HTTP/1.1" 200 421 "" "skopeo/1.9.3""#;
        let request =
            Request { method: "GET".into(), path: "/v2/a/manifests/b".into(), status: 200, bytes: 421 };
        assert_eq!(access_line(line), Some(request));
        assert_eq!(access_line(r#"time="2026" level=warning msg="no""#), None);
    }

    #[test]
    fn an_image_goes_in_and_comes_out() {
        if let Err(reason) = probe::programs(&["docker-registry", "skopeo", "openssl"]) {
            skip!("{reason}");
        }
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(&dir.path().join("a")).unwrap();
        let descriptor = layout.add("t", &Image::new(vec![Layer::text("file x text=1")])).unwrap();
        for (password, tls) in [(false, false), (true, false), (true, true)] {
            let registry = Registry::start_with(Access { password, tls }).unwrap();
            registry.push(&layout, "t", "some/image:t").unwrap();
            assert_eq!(registry.uploads().unwrap(), 2, "a layer and a configuration");
            let pulled = dir.path().join(format!("{password}{tls}"));
            registry.pull("some/image:t", &pulled, "u").unwrap();
            assert_eq!(
                Layout::open(&pulled).unwrap().descriptor("u").unwrap()["digest"],
                descriptor["digest"]
            );
        }
    }

    #[test]
    fn every_kind_of_image_arrives_unchanged() {
        if let Err(reason) = probe::programs(&["docker-registry", "skopeo", "zstd"]) {
            skip!("{reason}");
        }
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(dir.path()).unwrap();
        let registry = Registry::start().unwrap();
        for types in [Types::Oci, Types::Docker] {
            for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
                if (types, compression) == (Types::Docker, Compression::Zstd) {
                    continue; // skopeo knows no such media type
                }
                let image = Image {
                    types,
                    compression,
                    ..Image::new(vec![Layer::text("dir etc\nfile etc/x text=1")])
                };
                layout.add("t", &image).unwrap();
                layout.join("all", &["t"], types).unwrap();
                for tag in ["t", "all"] {
                    let reference = registry.push(&layout, tag, "kinds:x").unwrap();
                    let raw = argv(
                        "skopeo",
                        ["inspect", "--tls-verify=false", "--raw", &format!("docker://{reference}")],
                    );
                    assert_eq!(
                        image::digest(&raw.stdout().unwrap()),
                        layout.descriptor(tag).unwrap()["digest"],
                        "{types:?} {compression:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn without_the_password_it_refuses() {
        if let Err(reason) = probe::programs(&["docker-registry", "skopeo"]) {
            skip!("{reason}");
        }
        let registry = Registry::start_with(Access { password: true, tls: false }).unwrap();
        let reference = format!("docker://{}", registry.reference("x:y"));
        let error =
            argv("skopeo", ["inspect", "--no-creds", "--tls-verify=false", &reference]).stdout().unwrap_err();
        assert!(error.to_string().contains("authentication required"), "{error}");
    }
}
