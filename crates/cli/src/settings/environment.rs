//! The environment, captured once at the start: the one place that reads it.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// Variables of the environment. An empty value counts as unset.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// This process's own.
    pub fn capture() -> Self {
        Environment(std::env::vars_os().collect())
    }

    /// The given variables alone.
    #[cfg(test)]
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Environment(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// As bytes of the system's.
    pub fn os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// As text; bytes that are no text are replaced.
    pub fn text(&self, name: &str) -> Option<String> {
        self.os(name).map(|v| v.to_string_lossy().into_owned())
    }

    /// As text, under its lower-case name or else its upper-case one, as curl reads proxy variables.
    pub fn either_case(&self, name: &str) -> Option<String> {
        self.text(&name.to_ascii_lowercase()).or_else(|| self.text(&name.to_ascii_uppercase()))
    }

    /// As a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.os(name).map(PathBuf::from)
    }

    /// As a path, where it is absolute (the XDG specification has others ignored).
    pub fn absolute(&self, name: &str) -> Option<PathBuf> {
        self.path(name).filter(|p| p.is_absolute())
    }

    /// A folder of the XDG specification: its variable, or a place in the home.
    pub fn xdg(&self, variable: &str, in_home: &str) -> Option<PathBuf> {
        self.absolute(variable).or_else(|| Some(self.absolute("HOME")?.join(in_home)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_goes_first_and_empty_is_unset() {
        let environment = Environment::of([
            ("http_proxy", "http://low"),
            ("HTTP_PROXY", "http://high"),
            ("no_proxy", ""),
            ("NO_PROXY", "x"),
            ("XDG_CACHE_HOME", "relative"),
            ("HOME", "/home/u"),
        ]);
        assert_eq!(environment.either_case("http_proxy").as_deref(), Some("http://low"));
        assert_eq!(environment.either_case("no_proxy").as_deref(), Some("x"));
        assert_eq!(environment.either_case("https_proxy"), None);
        assert_eq!(environment.xdg("XDG_CACHE_HOME", ".cache"), Some("/home/u/.cache".into()));
    }
}
