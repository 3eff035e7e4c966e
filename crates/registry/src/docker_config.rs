//! One file of credentials: docker's `config.json`, podman's `auth.json` (containers-auth.json(5)). An entry counts for
//! exactly the host, or the part of a host, that it names.

use crate::{Credentials, Error, credential_program};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use fetch::client::Secret;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// Largest configuration taken.
const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Docker's name for its own registry.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// What a helper gives as user where the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What messages call a file that nobody named.
const UNNAMED: &str = "docker configuration";

/// The part of such a file about credentials.
#[derive(Debug, Clone, Default)]
pub struct DockerConfig {
    name: Option<String>,
    file: File,
    helper_dirs: Vec<PathBuf>,
}

#[derive(Clone, Default, Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
    #[serde(rename = "registrytoken")]
    registry_token: Option<String>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<&String> = self.auths.keys().collect();
        f.debug_struct("File").field("auths", &hosts).field("helpers", &self.helpers).finish_non_exhaustive()
    }
}

impl DockerConfig {
    /// Reads the content of a file. `helper_dirs` is where credential helpers are looked for, in order (`PATH`).
    pub fn parse(content: &[u8], helper_dirs: Vec<PathBuf>) -> Result<Self, Error> {
        let wrong =
            |why: String| Error::Credentials { host: "any registry".into(), from: UNNAMED.into(), why };
        if content.len() > CONFIG_BYTES_MAX {
            return Err(wrong(format!("larger than {CONFIG_BYTES_MAX} bytes")));
        }
        // The message of serde_json may quote a value; its place is enough.
        let file = serde_json::from_slice(content)
            .map_err(|e| wrong(format!("not valid at line {} column {}", e.line(), e.column())))?;
        Ok(DockerConfig { name: None, file, helper_dirs })
    }

    /// The same with the name that messages call it by: its path, printable.
    pub fn named(self, name: String) -> Self {
        DockerConfig { name: Some(name), ..self }
    }

    /// The credentials for a registry host as references name it (`docker.io`, `localhost:5000`), or for a part of it
    /// (`quay.io/team/app`): the longest name that there is an entry for counts. A helper that fails is an error: going on
    /// as nobody would hide it.
    pub async fn credentials(&self, scope: &str) -> Result<Credentials, Error> {
        let host = scope.split('/').next().unwrap_or(scope);
        // A helper knows hosts only.
        let helper = find(&self.file.helpers, host).or(self.file.store.as_ref()).filter(|n| !n.is_empty());
        if let Some(name) = helper
            && let Some(found) = from_helper(name, host, &self.helper_dirs).await?
        {
            return Ok(found);
        }
        let part = parts(scope).find_map(|part| self.file.auths.get(part));
        match part.or_else(|| find(&self.file.auths, host)) {
            None => Ok(Credentials::Anonymous),
            Some(entry) => entry.credentials().map_err(|why| Error::Credentials {
                host: host.to_owned(),
                from: self.name.clone().unwrap_or_else(|| UNNAMED.into()),
                why: why.into(),
            }),
        }
    }

    /// Whether there is an entry for exactly this part of a host.
    pub(crate) fn names(&self, part: &str) -> bool {
        self.file.auths.contains_key(part)
    }
}

/// The parts of a host that a scope is in, longest first, without the host itself.
pub(crate) fn parts(scope: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(scope), |part| part.rsplit_once('/').map(|(above, _)| above))
        .filter(|part| part.contains('/'))
}

/// What a helper holds for a host, under any of the names that docker gives it.
pub(crate) async fn from_helper(
    name: &str,
    host: &str,
    dirs: &[PathBuf],
) -> Result<Option<Credentials>, Error> {
    for key in keys(host) {
        if let Some(answer) = credential_program::get(name, key, dirs).await? {
            return Ok(Some(of_answer(answer)));
        }
    }
    Ok(None)
}

fn of_answer(answer: credential_program::Answer) -> Credentials {
    let secret = Secret::new(answer.secret);
    if answer.username == TOKEN_USER {
        Credentials::Identity(secret)
    } else {
        Credentials::Basic { username: answer.username, password: secret }
    }
}

/// The names under which docker stores a host.
fn keys(host: &str) -> impl Iterator<Item = &str> {
    let hub: &[&str] = &[DOCKER_HUB_KEY, "index.docker.io", "registry-1.docker.io"];
    let hub = if host == "docker.io" { hub } else { &[] };
    hub.iter().copied().chain([host])
}

/// The entry of a host: by a name itself, or by an URL of exactly that host.
fn find<'a, T>(map: &'a BTreeMap<String, T>, host: &str) -> Option<&'a T> {
    let by_name = keys(host).find_map(|key| map.get(key));
    by_name.or_else(|| {
        let names = |key: &str| url_host(key).is_some_and(|h| keys(host).any(|k| k == h));
        map.iter().find_map(|(key, value)| names(key).then_some(value))
    })
}

/// `https://host:port/anything` → `host:port`.
fn url_host(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"))?;
    let host = rest.split('/').next()?;
    (!host.contains('@')).then_some(host)
}

impl Auth {
    fn credentials(&self) -> Result<Credentials, &'static str> {
        let set = |t: &Option<String>| t.clone().filter(|t| !t.is_empty());
        if let Some(token) = set(&self.identity_token) {
            return Ok(Credentials::Identity(Secret::new(token)));
        }
        if let Some(token) = set(&self.registry_token) {
            return Ok(Credentials::Bearer(Secret::new(token)));
        }
        let pair = match set(&self.auth) {
            Some(encoded) => Some(decode(&encoded)?),
            None => set(&self.username).map(|user| (user, self.password.clone().unwrap_or_default())),
        };
        Ok(pair.map_or(Credentials::Anonymous, |(username, password)| Credentials::Basic {
            username,
            password: Secret::new(password),
        }))
    }
}

fn decode(encoded: &str) -> Result<(String, String), &'static str> {
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| "\"auth\" is not valid base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "\"auth\" is not valid UTF-8")?;
    let (user, password) = text.split_once(':').ok_or("\"auth\" holds no user:password")?;
    // Docker once padded passwords with NULs and still accepts them so.
    Ok((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(username: &str, password: &str) -> Credentials {
        Credentials::Basic { username: username.into(), password: Secret::new(password) }
    }

    async fn look_up(json: &str, host: &str) -> Result<Credentials, Error> {
        DockerConfig::parse(json.as_bytes(), Vec::new())?.credentials(host).await
    }

    #[tokio::test]
    async fn entries_count_for_exactly_their_host() {
        // "YTpi" is a:b, "Yzpk" c:d
        let json = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "YTpi"},
            "registry.example:5000": {"auth": "Yzpk"},
            "https://url.example/v2/": {"username": "u", "password": "p"},
            "token.example": {"auth": "YTpi", "identitytoken": "t"},
            "empty.example": {}
        }, "HttpHeaders": {}, "unknown": 1}"#;
        let identity = Credentials::Identity(Secret::new("t"));
        for (host, want) in [
            ("docker.io", basic("a", "b")),
            ("registry.example:5000", basic("c", "d")),
            ("url.example", basic("u", "p")),
            ("token.example", identity),
            ("empty.example", Credentials::Anonymous),
            ("registry.example", Credentials::Anonymous),
            ("registry.example:5001", Credentials::Anonymous),
            ("registry.example:5000.evil.example", Credentials::Anonymous),
            ("evil-token.example", Credentials::Anonymous),
            ("token.example.evil.example", Credentials::Anonymous),
            ("index.docker.io.evil.example", Credentials::Anonymous),
        ] {
            assert_eq!(look_up(json, host).await.unwrap(), want, "{host}");
        }
    }

    #[tokio::test]
    async fn the_longest_part_of_a_host_counts() {
        let json = r#"{"auths": {
            "reg.example/foo/bar/image": {"auth": "YTpi"},
            "reg.example/foo": {"auth": "Yzpk"},
            "reg.example": {"username": "whole", "password": "p"},
            "https://reg.example/foo/url": {"username": "url", "password": "p"},
            "docker.io/library/app": {"username": "hub", "password": "p"},
            "part.example/a": {"username": "part", "password": "p"}
        }}"#;
        for (scope, want) in [
            ("reg.example/foo/bar/image", basic("a", "b")),
            ("reg.example/foo/bar/image2", basic("c", "d")),
            ("reg.example/foo/bar", basic("c", "d")),
            ("reg.example/foobar", basic("whole", "p")),
            ("reg.example/other/foo", basic("whole", "p")),
            ("reg.example", basic("whole", "p")),
            ("docker.io/library/app", basic("hub", "p")),
            ("docker.io/library/app2", Credentials::Anonymous),
            ("part.example", Credentials::Anonymous),
            ("part.example/ab", Credentials::Anonymous),
            ("part.example.evil.example/a", Credentials::Anonymous),
        ] {
            assert_eq!(look_up(json, scope).await.unwrap(), want, "{scope}");
        }
    }

    #[tokio::test]
    async fn broken_entries_are_errors_without_their_content() {
        for json in [
            r#"{"auths": {"h.example": {"auth": "c2VjcmV0!"}}}"#,
            r#"{"auths": {"h.example": {"auth": "c2VjcmV0"}}}"#,
            r#"{"auths": {"h.example": {"auth": 5, "password": "c2VjcmV0"}}}"#,
            r#"{"auths": "c2VjcmV0"}"#,
            "c2VjcmV0",
        ] {
            let error = look_up(json, "h.example").await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("ecret"), "{error}");
            assert!(!format!("{error} {error:?}").contains("c2Vj"), "{error}");
        }
        let config = DockerConfig::parse(br#"{"auths": {"h": {"auth": "YTpi"}}}"#, Vec::new()).unwrap();
        assert!(!format!("{config:?}").contains("YTpi"));
    }
}
