//! Where daemons of this machine are, as their own command lines would find them.

use super::environment::Environment;
use endpoint::{DockerSettings, Programs};
use std::path::PathBuf;

/// Where docker's daemon listens if nothing is said.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Where docker is.
pub fn docker(environment: &Environment) -> DockerSettings {
    let home = || Some(environment.absolute("HOME")?.join(".docker"));
    let rootless = environment.absolute("XDG_RUNTIME_DIR").map(|dir| dir.join("docker.sock"));
    DockerSettings {
        host: environment.text("DOCKER_HOST"),
        context: environment.text("DOCKER_CONTEXT"),
        config_dir: environment.path("DOCKER_CONFIG").or_else(home),
        tls_verify: environment.os("DOCKER_TLS_VERIFY").is_some(),
        cert_dir: environment.path("DOCKER_CERT_PATH"),
        sockets: [Some(PathBuf::from(DOCKER_SOCKET)), rootless].into_iter().flatten().collect(),
        ssh: program(environment, "ssh"),
        temp_dir: None,
    }
}

/// Where containerd's daemon listens if nothing is said.
const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// What tells podman that it is in the user namespace of its own kind already, and whose that is: without it, uid 0 there would
/// be taken for root, with root's store (containers/storage `unshare_linux.go`).
const PODMAN_WITHIN: [&str; 3] =
    ["_CONTAINERS_USERNS_CONFIGURED", "_CONTAINERS_ROOTLESS_UID", "_CONTAINERS_ROOTLESS_GID"];

/// Who a process is within its user namespace, and outside of it.
#[derive(Debug, Clone, Copy)]
pub struct Ids {
    /// Its user within.
    pub inner: u32,
    /// Its user and group outside.
    pub outer: [u32; 2],
}

/// Where `podman` and `ctr` are. They find their own configuration in the environment that they are run with.
pub fn programs(environment: &Environment, ids: Ids) -> Programs {
    let folders = environment.os("PATH").into_iter().flat_map(std::env::split_paths).collect();
    let [user, group] = ids.outer;
    let values = ["done".to_owned(), user.to_string(), group.to_string()];
    let within = ids.inner == 0 && user != 0;
    let pairs = PODMAN_WITHIN.into_iter().zip(values).filter(|_| within);
    Programs { folders, environment: pairs.map(|(name, value)| (name.into(), value.into())).collect() }
}

/// Where containerd listens, as `ctr` would find it.
pub fn containerd_socket(environment: &Environment) -> PathBuf {
    environment.path("CONTAINERD_ADDRESS").unwrap_or_else(|| CONTAINERD_SOCKET.into())
}

/// A program on the search path.
fn program(environment: &Environment, name: &str) -> Option<PathBuf> {
    let dirs = environment.os("PATH").into_iter().flat_map(std::env::split_paths);
    dirs.filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn docker_is_where_its_own_variables_say() {
        let found = docker(&Environment::of([
            ("HOME", "/home/u"),
            ("XDG_RUNTIME_DIR", "/run/user/7"),
            ("DOCKER_HOST", ""),
            ("DOCKER_TLS_VERIFY", "1"),
        ]));
        assert_eq!((found.host, found.tls_verify), (None, true));
        assert_eq!(found.config_dir.as_deref(), Some(Path::new("/home/u/.docker")));
        assert_eq!(found.sockets, [Path::new(DOCKER_SOCKET), Path::new("/run/user/7/docker.sock")]);
        let found =
            docker(&Environment::of([("HOME", "/h"), ("DOCKER_CONFIG", "/d"), ("DOCKER_HOST", "unix:///x")]));
        assert_eq!(found.host.as_deref(), Some("unix:///x"));
        assert_eq!(found.config_dir.as_deref(), Some(Path::new("/d")));
        assert!(!found.tls_verify);
    }

    #[test]
    fn podman_is_told_of_the_namespace_that_it_is_run_in() {
        let names = |inner, outer| {
            let found = programs(&Environment::of([("PATH", "/a:/b")]), Ids { inner, outer: [outer, outer] });
            assert_eq!(found.folders, [Path::new("/a"), Path::new("/b")]);
            found.environment.len()
        };
        assert_eq!([names(0, 0), names(1000, 1000), names(0, 1000)], [0, 0, 3]);
    }

    #[test]
    fn programs_are_looked_for_in_whole_paths_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ssh"), "").unwrap();
        let path = format!("relative:/nowhere:{}", folder.path().display());
        assert_eq!(docker(&Environment::of([("PATH", path.as_str())])).ssh, Some(folder.path().join("ssh")));
        assert_eq!(docker(&Environment::of([])).ssh, None);
    }
}
