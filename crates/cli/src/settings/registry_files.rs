//! Where the user's and the system's files about registries are, in the order in which podman and docker look.

use super::environment::Environment;
use std::path::{Path, PathBuf};

/// The system's folder of containers' tools.
const SYSTEM: &str = "/etc/containers";
/// Docker's own folder of certificates by registry.
const DOCKER_CERTIFICATES: &str = "/etc/docker/certs.d";
/// Where podman keeps the credentials of a session that has no folder of its own.
const SESSIONS: &str = "/run/containers";

/// Paths; nothing says that any of them is there.
#[derive(Debug, Clone, Default)]
pub struct RegistryFiles {
    /// Files with credentials (containers-auth.json(5)).
    pub credentials: Vec<PathBuf>,
    /// The registries.conf that the environment names.
    pub named_conf: Option<PathBuf>,
    /// The user's, which goes before the system's.
    pub user_conf: Option<PathBuf>,
    /// The system's.
    pub system_conf: PathBuf,
    /// Folders of certificates by registry.
    pub certificates: Vec<PathBuf>,
}

impl RegistryFiles {
    /// Those of this environment. `user` is the user's number outside of any namespace.
    pub fn of(environment: &Environment, user: u32) -> Self {
        let containers = environment.xdg("XDG_CONFIG_HOME", ".config").map(|d| d.join("containers"));
        let within = |name: &str| containers.as_ref().map(|dir| dir.join(name));
        let session = environment.absolute("XDG_RUNTIME_DIR").map(|dir| dir.join("containers"));
        let session = session.unwrap_or_else(|| Path::new(SESSIONS).join(user.to_string()));
        let docker =
            environment.path("DOCKER_CONFIG").or_else(|| Some(environment.absolute("HOME")?.join(".docker")));
        let credentials = [
            environment.path("REGISTRY_AUTH_FILE"),
            Some(session.join("auth.json")),
            within("auth.json"),
            docker.map(|dir| dir.join("config.json")),
        ];
        let certificates =
            [within("certs.d"), Some(Path::new(SYSTEM).join("certs.d")), Some(DOCKER_CERTIFICATES.into())];
        RegistryFiles {
            credentials: credentials.into_iter().flatten().collect(),
            named_conf: environment.path("CONTAINERS_REGISTRIES_CONF"),
            user_conf: within("registries.conf"),
            system_conf: Path::new(SYSTEM).join("registries.conf"),
            certificates: certificates.into_iter().flatten().collect(),
        }
    }
}

/// A user's or group's number outside of the user namespace that this process may be in: what `/proc/self/uid_map`, or
/// `gid_map`, makes of it.
pub fn outer_id(map: &str, inner: u32) -> u32 {
    let outer = map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (first, outer, count) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let at = inner.checked_sub(first).filter(|at| *at < count)?;
        outer.checked_add(at)
    });
    outer.unwrap_or(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(found: &[PathBuf]) -> Vec<&str> {
        found.iter().map(|p| p.to_str().unwrap()).collect()
    }

    #[test]
    fn files_are_looked_for_in_the_order_of_podman() {
        let files = |pairs: &[(&str, &str)]| RegistryFiles::of(&Environment::of(pairs.iter().copied()), 1000);
        let usual = files(&[("HOME", "/h")]);
        assert_eq!(
            paths(&usual.credentials),
            ["/run/containers/1000/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json"]
        );
        assert_eq!(
            paths(&usual.certificates),
            ["/h/.config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d"]
        );
        assert_eq!(usual.user_conf.as_deref(), Some(Path::new("/h/.config/containers/registries.conf")));
        let named = files(&[
            ("HOME", "/h"),
            ("DOCKER_CONFIG", "/d"),
            ("REGISTRY_AUTH_FILE", "/r"),
            ("XDG_RUNTIME_DIR", "/x"),
            ("XDG_CONFIG_HOME", "/c"),
            ("CONTAINERS_REGISTRIES_CONF", "/conf"),
        ]);
        assert_eq!(
            paths(&named.credentials),
            ["/r", "/x/containers/auth.json", "/c/containers/auth.json", "/d/config.json"]
        );
        assert_eq!(named.named_conf.as_deref(), Some(Path::new("/conf")));
    }

    #[test]
    fn a_namespace_does_not_hide_who_we_are() {
        for (map, inner, outer) in [
            ("         0       1000          1\n", 0, 1000),
            ("0 1000 1\n1 100000 65536\n", 5, 100_004),
            ("0 0 4294967295\n", 7, 7),
            ("", 3, 3),
            ("x y z", 3, 3),
        ] {
            assert_eq!(outer_id(map, inner), outer, "{map}");
        }
    }
}
