//! Contexts of docker's command line: `config.json` names one, `contexts/meta/*/meta.json` says where its daemon is.

use super::settings::wrong;
use crate::Error;
use oci::Digest;
use serde_json::Value;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// `config.json` holds a few lines a registry, a context one page.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a context's daemon is.
pub(super) struct Context {
    /// Its address, as in `DOCKER_HOST`.
    pub(super) host: String,
    /// The folder of its certificates, where it has some.
    pub(super) tls: Option<PathBuf>,
}

/// The context that `config.json` names, if there is such a file and it names one.
pub(super) fn current(config_dir: &Path) -> Result<Option<String>, Error> {
    let path = config_dir.join("config.json");
    let Some(config) = json(&path)? else { return Ok(None) };
    match config.get("currentContext") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone()).filter(|name| !name.is_empty())),
        Some(_) => Err(bad(&path, "currentContext is no text")),
    }
}

/// A context by its name.
pub(super) fn read(config_dir: &Path, name: &str) -> Result<Context, Error> {
    // Docker's own way: the folder of a context is the digest of its name.
    let id = Digest::of(name.as_bytes());
    let contexts = config_dir.join("contexts");
    let path = contexts.join("meta").join(id.hex()).join("meta.json");
    let absent = || wrong(format!("there is no context \"{}\"", name.escape_debug()));
    let meta = json(&path)?.ok_or_else(absent)?;
    if meta.get("Name").and_then(Value::as_str) != Some(name) {
        return Err(bad(&path, "it is that of another context"));
    }
    let endpoint = meta.get("Endpoints").and_then(|all| all.get("docker"));
    let host = endpoint.and_then(|e| e.get("Host")).and_then(Value::as_str);
    let host = host.ok_or_else(|| bad(&path, "it has no docker endpoint"))?;
    if endpoint.and_then(|e| e.get("SkipTLSVerify")) == Some(&Value::Bool(true)) {
        return Err(bad(&path, "it wants TLS without verification, which is refused"));
    }
    let tls = contexts.join("tls").join(id.hex()).join("docker");
    Ok(Context { host: host.to_owned(), tls: tls.is_dir().then_some(tls) })
}

/// A file's content, if there is one and it is no larger than that.
pub(super) fn bounded(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("larger than {max} bytes")));
    }
    Ok(Some(bytes))
}

fn json(path: &Path) -> Result<Option<Value>, Error> {
    let content = bounded(path, FILE_BYTES_MAX).map_err(|e| bad(path, &e.to_string()))?;
    // What a parser says could repeat what is in the file, which may be secret.
    let parse = |bytes: Vec<u8>| serde_json::from_slice(&bytes).map_err(|_| bad(path, "it is no JSON"));
    content.map(parse).transpose()
}

fn bad(path: &Path, why: &str) -> Error {
    wrong(format!("{}: {why}", path.display().to_string().escape_debug()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    /// A context as docker's command line writes it.
    pub(in crate::docker) fn write(config_dir: &Path, name: &str, host: &str) {
        let endpoint = json!({"Host": host, "SkipTLSVerify": false});
        write_text(
            config_dir,
            name,
            &json!({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}).to_string(),
        );
    }

    fn write_text(config_dir: &Path, name: &str, text: &str) {
        let folder = config_dir.join("contexts/meta").join(Digest::of(name.as_bytes()).hex());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("meta.json"), text).unwrap();
    }

    #[test]
    fn contexts_are_found_by_name_with_their_certificates() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "far", "tcp://far:1");
        let found = read(folder.path(), "far").unwrap();
        assert_eq!((found.host.as_str(), found.tls), ("tcp://far:1", None));
        let tls = folder.path().join("contexts/tls").join(Digest::of(b"far").hex()).join("docker");
        fs::create_dir_all(&tls).unwrap();
        assert_eq!(read(folder.path(), "far").unwrap().tls, Some(tls));
        assert_eq!(current(folder.path()).unwrap(), None);
    }

    #[test]
    fn what_is_no_context_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        for text in [
            "",
            "[]",
            "{\"secret\"",
            r#"{"Name": "other", "Endpoints": {"docker": {"Host": "unix:///x"}}}"#,
            r#"{"Name": "far"}"#,
            r#"{"Name": "far", "Endpoints": {"docker": {"Host": 1}}}"#,
            r#"{"Name": "far", "Endpoints": {"docker": {"Host": "tcp://x", "SkipTLSVerify": true}}}"#,
            &" ".repeat(FILE_BYTES_MAX as usize + 1),
        ] {
            write_text(folder.path(), "far", text);
            let error = read(folder.path(), "far").err().unwrap().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(read(folder.path(), "../../x").is_err());
        fs::write(folder.path().join("config.json"), r#"{"currentContext": 1}"#).unwrap();
        assert!(current(folder.path()).is_err());
    }
}
