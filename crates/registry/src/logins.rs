//! All the user's credentials: several files and helpers, asked in order until one has something for a registry.

use crate::{
    Credentials, DockerConfig, Error,
    docker_config::{from_helper, parts},
};
use std::path::PathBuf;

/// What `credential-helpers` of registries.conf calls the files.
const FILES: &str = "containers-auth.json";

/// Files of credentials in the order in which they are asked (containers-auth.json(5)): the first that has an entry
/// counts, not the first that is there.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    files: Vec<DockerConfig>,
    helpers: Vec<String>,
    helper_dirs: Vec<PathBuf>,
}

impl From<DockerConfig> for Logins {
    fn from(file: DockerConfig) -> Self {
        Logins::new(vec![file])
    }
}

impl Logins {
    /// These files, in this order.
    pub fn new(files: Vec<DockerConfig>) -> Self {
        Logins { files, ..Logins::default() }
    }

    /// The same with helpers for every host (`credential-helpers` in containers-registries.conf(5)), where
    /// `containers-auth.json` stands for the files. No helper means the files alone. `dirs` is where they are looked for.
    pub fn with_helpers(self, helpers: Vec<String>, dirs: Vec<PathBuf>) -> Self {
        Logins { helpers, helper_dirs: dirs, ..self }
    }

    /// The part of a host that a repository's credentials are for: the longest that any file names, else the host.
    /// Repositories of one scope have the same credentials.
    pub fn scope(&self, host: &str, repository: &str) -> String {
        let whole = format!("{host}/{repository}");
        let named = parts(&whole).find(|part| self.files.iter().any(|file| file.names(part)));
        named.unwrap_or(host).to_owned()
    }

    /// The credentials of a scope. What fails is an error unless something else has credentials: going on as nobody would
    /// hide it.
    pub async fn credentials(&self, scope: &str) -> Result<Credentials, Error> {
        if self.helpers.is_empty() {
            return self.of_files(scope).await;
        }
        let host = scope.split('/').next().unwrap_or(scope);
        let mut failed = None;
        for helper in &self.helpers {
            let found = match helper.as_str() {
                FILES => self.of_files(scope).await,
                name => from_helper(name, host, &self.helper_dirs).await.map(Option::unwrap_or_default),
            };
            match found {
                Ok(Credentials::Anonymous) => {}
                Ok(found) => return Ok(found),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(Credentials::Anonymous), Err)
    }

    async fn of_files(&self, scope: &str) -> Result<Credentials, Error> {
        for file in &self.files {
            let found = file.credentials(scope).await?;
            if found != Credentials::Anonymous {
                return Ok(found);
            }
        }
        Ok(Credentials::Anonymous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str) -> DockerConfig {
        DockerConfig::parse(json.as_bytes(), Vec::new()).unwrap()
    }

    fn user(credentials: Credentials) -> String {
        match credentials {
            Credentials::Basic { username, .. } => username,
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_first_file_with_an_entry_counts() {
        let first = r#"{"auths": {"a.example": {"username": "one"}, "empty.example": {}}}"#;
        let second = r#"{"auths": {"a.example/team": {"username": "two"}, "empty.example": {"username": "two"},
            "b.example": {"username": "two"}, "b.example/x/y": {"username": "part"}}}"#;
        let logins = Logins::new(vec![file(first), file(second)]);
        for (host, repository, scope, want) in [
            ("a.example", "team/app", "a.example/team", "one"),
            ("a.example", "app", "a.example", "one"),
            ("empty.example", "app", "empty.example", "two"),
            ("b.example", "x/z", "b.example", "two"),
            ("b.example", "x/y/z", "b.example/x/y", "part"),
            ("c.example", "x", "c.example", "Anonymous"),
        ] {
            assert_eq!(logins.scope(host, repository), scope);
            assert_eq!(user(logins.credentials(scope).await.unwrap()), want, "{scope}");
        }
    }

    #[tokio::test]
    async fn helpers_that_fail_are_told_where_nothing_else_has_credentials() {
        let logins = || Logins::from(file(r#"{"auths": {"a.example": {"username": "one"}}}"#));
        let asked = |helpers: &[&str]| {
            logins().with_helpers(helpers.iter().map(|h| (*h).to_owned()).collect(), Vec::new())
        };
        let absent = asked(&["absent", FILES]);
        assert_eq!(user(absent.credentials("a.example").await.unwrap()), "one");
        assert!(absent.credentials("b.example").await.is_err());
        assert!(asked(&["../x"]).credentials("a.example").await.is_err());
        assert_eq!(user(asked(&[FILES]).credentials("b.example").await.unwrap()), "Anonymous");
    }
}
