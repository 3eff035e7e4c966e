//! What the user means: arguments, environment and configuration file resolved into plain values, once.

pub mod daemons;
pub mod environment;
pub mod file;
pub mod layered;
pub mod registry_files;

use crate::{
    args::GlobalArgs,
    error::Failure,
    ui::{paint::Paint, text::printable},
};
use daemons::Ids;
use endpoint::{DockerSettings, Programs};
use environment::Environment;
use fetch::client::ProxySettings;
use registry_files::{RegistryFiles, outer_id};
use std::{
    ffi::OsString,
    fs,
    io::{self, IsTerminal, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Who signs VEX documents where `COPA_VEX_AUTHOR` says nothing.
const VEX_AUTHOR: &str = "Project Copacetic";

/// A bundle of every public CA is a quarter of this.
const CA_BYTES_MAX: u64 = 4 << 20;

/// Where Linux distributions keep the system's CA bundle, most frequent first.
const CA_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Variables beside those of the flags, for the documentation.
pub const VARIABLES: [(&str, &str); 18] = [
    ("COPA_CONFIG", "configuration file, in place of the one in the user's configuration folder"),
    ("COPA_VEX_AUTHOR", "author of VEX documents (Project Copacetic)"),
    ("HTTP_PROXY, HTTPS_PROXY, NO_PROXY", "proxies for everything that is fetched; lower case goes first"),
    ("ALL_PROXY", "proxy where neither of these is set"),
    ("SOURCE_DATE_EPOCH", "time, in seconds since 1970, that newer times in the patch layer become"),
    ("REGISTRY_AUTH_FILE", "file with registry credentials that is asked first"),
    (
        "XDG_RUNTIME_DIR",
        "folder of podman's containers/auth.json, asked next, before containers/auth.json in XDG_CONFIG_HOME",
    ),
    ("DOCKER_CONFIG", "folder of the config.json with registry credentials, asked last (~/.docker)"),
    ("CONTAINERS_REGISTRIES_CONF", "registries.conf, in place of the user's and the system's"),
    ("SSL_CERT_FILE", "the system's CA bundle, where it is not in its usual place"),
    (
        "DOCKER_HOST",
        "the docker daemon: unix://, tcp:// or ssh:// (that of the context, else /var/run/docker.sock)",
    ),
    ("DOCKER_CONTEXT", "docker's context, in place of the one in config.json"),
    (
        "DOCKER_TLS_VERIFY, DOCKER_CERT_PATH",
        "TLS to DOCKER_HOST, with ca.pem, cert.pem and key.pem of that folder",
    ),
    ("XDG_CACHE_HOME", "where the cache folder is made (~/.cache)"),
    ("XDG_CONFIG_HOME", "where copa/config.yaml and podman's files are looked for (~/.config)"),
    ("TMPDIR", "where temporary files go if it is set; else into the cache"),
    ("PATH", "where scanner plugins are looked for"),
    ("NO_COLOR", "no colours"),
];

/// Everything that does not belong to one command.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `--debug`.
    pub debug: bool,
    /// Where the cache is.
    pub cache_dir: PathBuf,
    /// Whether standard error is a terminal.
    pub terminal: bool,
    /// Colours on standard error.
    pub paint: Paint,
    /// Colours on standard output.
    pub paint_stdout: Paint,
    /// Proxies for images and whatever else copa asks for itself.
    pub proxy: ProxySettings,
    /// Proxies for packages: a `socks` one that is for everything is left out, since package tools cannot go through it.
    pub package_proxy: ProxySettings,
    /// The time that newer times become.
    pub source_date_epoch: Option<i64>,
    /// Who signs VEX documents.
    pub vex_author: String,
    /// Files about registries.
    pub registries: RegistryFiles,
    /// Where docker is.
    pub docker: DockerSettings,
    /// Where `podman` and `ctr` are.
    pub programs: Programs,
    /// Where containerd listens.
    pub containerd_socket: PathBuf,
    /// The user's choice of the system's CA bundle.
    pub ca_bundle: Option<PathBuf>,
    /// BuildKit's source policy.
    pub source_policy: Option<PathBuf>,
    /// Where plugins are looked for.
    pub search_path: Option<OsString>,
    /// The user's choice for temporary files.
    pub temp_dir: Option<PathBuf>,
}

impl Settings {
    /// Resolves them.
    pub fn resolve(global: &GlobalArgs, environment: &Environment) -> Result<Self, Failure> {
        let terminal = io::stderr().is_terminal();
        let usual_cache = || environment.xdg("XDG_CACHE_HOME", ".cache").map(|c| c.join("copa"));
        let cache_dir = global.cache_dir.clone().or_else(usual_cache).ok_or_else(|| {
            Failure::config("there is no place for the cache").hint("set HOME, XDG_CACHE_HOME or --cache-dir")
        })?;
        Ok(Settings {
            debug: global.debug,
            cache_dir: absolute(&cache_dir)?,
            terminal,
            paint: Paint(terminal && colours(environment)),
            paint_stdout: Paint(io::stdout().is_terminal() && colours(environment)),
            proxy: proxies(environment, |_| true),
            package_proxy: proxies(environment, |all| !all.starts_with("socks")),
            source_date_epoch: source_date_epoch(environment)?,
            vex_author: environment.text("COPA_VEX_AUTHOR").unwrap_or_else(|| VEX_AUTHOR.to_owned()),
            registries: RegistryFiles::of(environment, ids().outer[0]),
            docker: daemons::docker(environment),
            programs: daemons::programs(environment, ids()),
            containerd_socket: daemons::containerd_socket(environment),
            ca_bundle: environment.path("SSL_CERT_FILE"),
            source_policy: environment.path("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"),
            search_path: environment.os("PATH").map(ToOwned::to_owned),
            temp_dir: environment.absolute("TMPDIR"),
        })
    }

    /// The user's CA certificates, and a complete bundle for the package tools: the system's with the user's added.
    pub fn certificates(&self, extra: Option<&Path>) -> Result<Certificates, Failure> {
        let extra = extra.map(|path| read_certificates(path, "--ca-cert")).transpose()?;
        let system = match &self.ca_bundle {
            Some(path) => Some(read_certificates(path, "SSL_CERT_FILE")?),
            None => CA_BUNDLES.iter().find_map(|path| bounded(Path::new(path), CA_BYTES_MAX).ok()),
        };
        let user = [self.ca_bundle.as_ref().and(system.clone()), extra.clone()].into_iter().flatten();
        let user = joined(user);
        let bundle = user.as_ref().map(|_| joined([system, extra].into_iter().flatten()).unwrap_or_default());
        Ok(Certificates { user, bundle })
    }
}

/// Certificates to trust.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    /// What the user adds to the system's.
    pub user: Option<Vec<u8>>,
    /// The system's and the user's together, where the user adds any.
    pub bundle: Option<Vec<u8>>,
}

fn joined(parts: impl Iterator<Item = Vec<u8>>) -> Option<Vec<u8>> {
    let all: Vec<Vec<u8>> = parts.collect();
    (!all.is_empty()).then(|| all.join(&b'\n'))
}

fn read_certificates(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    let shown = path.to_string_lossy();
    let pem = bounded(path, CA_BYTES_MAX).map_err(|e| {
        Failure::config(format!("cannot read the CA certificates in {}", printable(&shown)))
            .because(e.to_string())
            .hint(format!("{what} names a PEM file"))
    })?;
    match pem.windows(10).any(|w| w == b"-----BEGIN") {
        true => Ok(pem),
        false => Err(Failure::config(format!("{} holds no PEM certificate", printable(&shown)))),
    }
}

/// A whole file, if it is no larger than that.
pub fn bounded(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)?.take(max + 1).read_to_end(&mut content)?;
    match content.len() as u64 > max {
        true => Err(io::Error::other(format!("larger than {max} bytes"))),
        false => Ok(content),
    }
}

fn colours(environment: &Environment) -> bool {
    environment.os("NO_COLOR").is_none() && environment.os("TERM").is_none_or(|term| term != "dumb")
}

fn source_date_epoch(environment: &Environment) -> Result<Option<i64>, Failure> {
    let Some(text) = environment.text("SOURCE_DATE_EPOCH") else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(seconds) if seconds >= 0 => Ok(Some(seconds)),
        _ => Err(Failure::config(format!("SOURCE_DATE_EPOCH \"{}\" is no time", printable(&text)))
            .hint("it is a number of seconds since 1970")),
    }
}

/// Proxies of the environment: those of a protocol, else the one for all if it `fits`.
fn proxies(environment: &Environment, fits: impl Fn(&str) -> bool) -> ProxySettings {
    let all = environment.either_case("all_proxy").filter(|all| fits(all));
    let of = |name| environment.either_case(name).or_else(|| all.clone());
    ProxySettings {
        http_proxy: of("http_proxy"),
        https_proxy: of("https_proxy"),
        no_proxy: environment.either_case("no_proxy"),
    }
}

/// Who this process is, within and outside of the user namespace that it may be in.
fn ids() -> Ids {
    let map = |name: &str| fs::read_to_string(format!("/proc/self/{name}_map")).unwrap_or_default();
    let (inner, group) = fs::metadata("/proc/self").map_or((0, 0), |process| (process.uid(), process.gid()));
    Ids { inner, outer: [outer_id(&map("uid"), inner), outer_id(&map("gid"), group)] }
}

/// Folders are handed to programs that work elsewhere.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let shown = || format!("\"{}\" is no usable path", printable(&path.to_string_lossy()));
    std::path::absolute(path).map_err(|e| Failure::usage(shown()).because(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(pairs: &[(&str, &str)]) -> Result<Settings, Failure> {
        let global = GlobalArgs { debug: false, cache_dir: None };
        Settings::resolve(&global, &Environment::of(pairs.iter().copied()))
    }

    #[test]
    fn folders_follow_the_xdg_specification() {
        let home = ("HOME", "/home/u");
        assert_eq!(resolve(&[home]).unwrap().cache_dir, Path::new("/home/u/.cache/copa"));
        assert_eq!(resolve(&[home, ("XDG_CACHE_HOME", "/c")]).unwrap().cache_dir, Path::new("/c/copa"));
        assert!(resolve(&[]).unwrap_err().hint.unwrap().contains("--cache-dir"));
    }

    #[test]
    fn the_proxy_for_all_stands_in_for_those_that_are_not_set() {
        for (all, http, https, package) in [
            ("http://all:1", "http://all:1", "http://own:2", Some("http://all:1")),
            ("socks5h://all:1", "socks5h://all:1", "http://own:2", None),
        ] {
            let settings =
                resolve(&[("HOME", "/h"), ("ALL_PROXY", all), ("https_proxy", "http://own:2")]).unwrap();
            assert_eq!(settings.proxy.http_proxy.as_deref(), Some(http));
            assert_eq!(settings.proxy.https_proxy.as_deref(), Some(https));
            assert_eq!(settings.package_proxy.http_proxy.as_deref(), package);
            assert_eq!(settings.package_proxy.https_proxy.as_deref(), Some("http://own:2"));
        }
    }

    #[test]
    fn a_source_date_is_seconds() {
        let epoch =
            |text| resolve(&[("HOME", "/h"), ("SOURCE_DATE_EPOCH", text)]).map(|s| s.source_date_epoch);
        assert_eq!(epoch("1700000000").unwrap(), Some(1_700_000_000));
        assert_eq!(epoch("").unwrap(), None);
        for text in ["yesterday", "-1", "1.5", "99999999999999999999"] {
            assert!(epoch(text).is_err(), "{text}");
        }
    }

    #[test]
    fn certificates_of_the_user_join_those_of_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let pem = |name: &str, body: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("-----BEGIN CERTIFICATE-----\n{body}")).unwrap();
            path
        };
        let (system, mine) = (pem("system", "SYSTEM"), pem("mine", "MINE"));
        let settings = resolve(&[("HOME", "/h"), ("SSL_CERT_FILE", system.to_str().unwrap())]).unwrap();
        let found = settings.certificates(Some(&mine)).unwrap();
        let text = |pem: Option<Vec<u8>>| String::from_utf8(pem.unwrap()).unwrap();
        assert!(text(found.user).contains("MINE"));
        let bundle = text(found.bundle);
        assert!(bundle.contains("SYSTEM") && bundle.contains("MINE"), "{bundle}");
        std::fs::write(&mine, "no certificate").unwrap();
        assert!(settings.certificates(Some(&mine)).unwrap_err().what.contains("holds no PEM"));
        assert!(resolve(&[("HOME", "/h")]).unwrap().certificates(None).unwrap().bundle.is_none());
    }
}
