//! Where the docker daemon is, as docker's own command line would find it: `DOCKER_HOST`, contexts, the usual sockets.

use super::{context, tls::Material};
use crate::Error;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The port of `tcp://` addresses that name none, without and with TLS (docker's own).
const PORTS: (u16, u16) = (2375, 2376);

/// What the user has set for docker's own command line.
#[derive(Debug, Clone, Default)]
pub struct DockerSettings {
    /// `DOCKER_HOST`: goes before every context.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`: goes before the one that `config.json` names.
    pub context: Option<String>,
    /// The folder of `config.json` and of the contexts (`DOCKER_CONFIG`, or `~/.docker`).
    pub config_dir: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY`: `DOCKER_HOST` speaks TLS.
    pub tls_verify: bool,
    /// `DOCKER_CERT_PATH`: folder of `ca.pem`, `cert.pem` and `key.pem`; else the configuration folder.
    pub cert_dir: Option<PathBuf>,
    /// Sockets that are tried where nothing is set, in this order.
    pub sockets: Vec<PathBuf>,
    /// The `ssh` program, for daemons at `ssh://`.
    pub ssh: Option<PathBuf>,
    /// Where an image that has to be saved whole is kept while it is read.
    pub temp_dir: Option<PathBuf>,
}

/// Where a daemon listens.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A port, with TLS or without.
    Tcp { host: String, port: u16, tls: Option<Arc<Material>> },
    /// Behind `docker system dial-stdio` on another machine.
    Ssh { program: PathBuf, destination: Destination },
}

/// Who and where of an `ssh://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) user: Option<String>,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

/// A daemon's place before anything is looked up for it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Url {
    Unix(PathBuf),
    Tcp(String, Option<u16>),
    Ssh(Destination),
}

impl Place {
    /// What it is called in messages.
    pub(crate) fn shown(&self) -> String {
        match self {
            Place::Unix(path) => format!("unix://{}", path.display().to_string().escape_debug()),
            Place::Tcp { host, port, .. } => format!("tcp://{}:{port}", host.escape_debug()),
            Place::Ssh { destination, .. } => format!("ssh://{}", destination.host.escape_debug()),
        }
    }

    /// Whether what listens on loopback here can be reached from there.
    pub(crate) fn shares_loopback(&self) -> bool {
        matches!(self, Place::Unix(_))
    }
}

impl DockerSettings {
    /// Where to look: one place where something is set, else the usual sockets. Reads files of the configuration folder.
    pub(crate) fn places(&self) -> Result<Vec<Place>, Error> {
        if let Some(host) = &self.host {
            let tls =
                self.tls_verify.then(|| self.cert_dir.clone().or_else(|| self.config_dir.clone())).flatten();
            if self.tls_verify && tls.is_none() {
                return Err(wrong(
                    "DOCKER_TLS_VERIFY is set, and there is no folder with certificates".to_owned(),
                ));
            }
            let tls = tls.map(|dir| Material::read(&dir, true)).transpose()?;
            return Ok(vec![self.place(url(host, "DOCKER_HOST")?, tls)?]);
        }
        let current = || self.config_dir.as_deref().map_or(Ok(None), context::current);
        let name = match &self.context {
            Some(name) => Some(name.clone()),
            None => current()?,
        };
        match name.filter(|name| name != "default") {
            Some(name) => Ok(vec![self.of_context(&name)?]),
            None => Ok(self.sockets.iter().cloned().map(Place::Unix).collect()),
        }
    }

    /// Whether the user has named a daemon.
    pub(crate) fn is_explicit(&self) -> bool {
        self.host.is_some() || self.context.is_some()
    }

    fn of_context(&self, name: &str) -> Result<Place, Error> {
        let dir = self.config_dir.as_deref();
        let dir =
            dir.ok_or_else(|| wrong(format!("there is no folder for context \"{}\"", name.escape_debug())))?;
        let found = context::read(dir, name)?;
        let what = format!("the host of context \"{}\"", name.escape_debug());
        let tls = found.tls.as_deref().map(|dir| Material::read(dir, false)).transpose()?;
        self.place(url(&found.host, &what)?, tls)
    }

    fn place(&self, url: Url, tls: Option<Material>) -> Result<Place, Error> {
        Ok(match url {
            Url::Unix(path) => Place::Unix(path),
            Url::Tcp(host, port) => {
                let usual = if tls.is_some() { PORTS.1 } else { PORTS.0 };
                Place::Tcp { host, port: port.unwrap_or(usual), tls: tls.map(Arc::new) }
            }
            Url::Ssh(destination) => {
                let program = self.ssh.clone();
                let program =
                    program.ok_or_else(|| wrong("there is no ssh program on this machine".to_owned()))?;
                Place::Ssh { program, destination }
            }
        })
    }
}

/// What is wrong with what the user has set.
pub(super) fn wrong(why: String) -> Error {
    Error::Unavailable { what: "docker".to_owned(), tried: vec![why] }
}

/// An address as docker's command line takes it. A password in it is refused, and not repeated.
fn url(text: &str, what: &str) -> Result<Url, Error> {
    let fail = |why: &str| wrong(format!("{what} {why}"));
    let (scheme, rest) =
        text.split_once("://").ok_or_else(|| fail("is no address: want unix://, tcp:// or ssh://"))?;
    match scheme {
        "unix" if Path::new(rest).is_absolute() => Ok(Url::Unix(rest.into())),
        "unix" => Err(fail("names no absolute path")),
        "tcp" | "http" | "https" => {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            let (host, port) = host_and_port(rest).ok_or_else(|| fail("names no host and port"))?;
            Ok(Url::Tcp(host, port))
        }
        "ssh" => {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            let (user, at) = rest.rsplit_once('@').map_or((None, rest), |(user, at)| (Some(user), at));
            let (host, port) = host_and_port(at).ok_or_else(|| fail("names no host to reach by ssh"))?;
            if user.is_some_and(|user| !is_word(user)) {
                return Err(fail("names no user to be (a password does not belong there)"));
            }
            Ok(Url::Ssh(Destination { user: user.map(str::to_owned), host, port }))
        }
        "npipe" => Err(fail("is a named pipe, which there are on Windows only")),
        "fd" => Err(fail("is a descriptor, which only a daemon can have")),
        _ => Err(fail("is no address: want unix://, tcp:// or ssh://")),
    }
}

fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let address: std::net::Ipv6Addr = address.parse().ok()?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?.parse().ok()?) };
        return Some((address.to_string(), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    is_word(host).then(|| (host.to_owned(), port))
}

/// Names of hosts and users: nothing that a program could take for an option.
fn is_word(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_docker_takes() {
        let ssh = |user: Option<&str>, host: &str, port| {
            Url::Ssh(Destination { user: user.map(str::to_owned), host: host.into(), port })
        };
        for (text, found) in [
            ("unix:///run/docker.sock", Url::Unix("/run/docker.sock".into())),
            ("tcp://10.0.0.1:2375", Url::Tcp("10.0.0.1".into(), Some(2375))),
            ("tcp://[::1]:99/", Url::Tcp("::1".into(), Some(99))),
            ("tcp://host", Url::Tcp("host".into(), None)),
            ("ssh://me@far.example:22", ssh(Some("me"), "far.example", Some(22))),
            ("ssh://far", ssh(None, "far", None)),
        ] {
            assert_eq!(url(text, "x").unwrap(), found, "{text}");
        }
        for text in [
            "",
            "docker",
            "unix://relative",
            "tcp://",
            "tcp://a:b",
            "tcp://a b",
            "tcp://[::1",
            "ssh://-oProxyCommand=x",
            "ssh://-lroot@host",
            "ssh://me:secret@host",
            "ssh://a$(id)",
            "npipe:////./pipe/docker_engine",
            "fd://",
            "ftp://host",
        ] {
            let error = url(text, "DOCKER_HOST").unwrap_err().to_string();
            assert!(error.contains("DOCKER_HOST") && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_set_goes_first_and_nothing_means_the_usual_sockets() {
        let folder = tempfile::tempdir().unwrap();
        context::tests::write(folder.path(), "far", "tcp://far.example:1");
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext": "far"}"#).unwrap();
        let none = DockerSettings { sockets: vec!["/a".into(), "/b".into()], ..DockerSettings::default() };
        let config = DockerSettings { config_dir: Some(folder.path().into()), ..none.clone() };
        let default = DockerSettings { context: Some("default".into()), ..config.clone() };
        let host = DockerSettings { host: Some("unix:///h".into()), ..config.clone() };
        for (settings, shown) in [
            (&none, vec!["unix:///a", "unix:///b"]),
            (&config, vec!["tcp://far.example:1"]),
            (&default, vec!["unix:///a", "unix:///b"]),
            (&host, vec!["unix:///h"]),
        ] {
            let places = settings.places().unwrap();
            assert_eq!(places.iter().map(Place::shown).collect::<Vec<_>>(), shown);
        }
        for bad in [
            DockerSettings { context: Some("absent".into()), ..config.clone() },
            DockerSettings { host: Some("ssh://far".into()), ..none.clone() },
            DockerSettings { host: Some("tcp://far".into()), tls_verify: true, ..none },
        ] {
            assert!(matches!(bad.places(), Err(Error::Unavailable { .. })), "{bad:?}");
        }
    }
}
