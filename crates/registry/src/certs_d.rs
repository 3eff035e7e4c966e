//! Folders of certificates by registry (`certs.d`), as docker and containers-certs.d(5) have them.

use crate::{Error, transport::api_host};
use fetch::client::{Client, HostTls, Identity, Secret, printable};
use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

/// A bundle of every public CA is a quarter of this.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most files in the folder of a registry.
const FILES_MAX: usize = 100;
/// Longest name in a message.
const NAME_CHARS_SHOWN: usize = 300;

/// Folders that hold one folder for each registry, named `HOST[:PORT]`: `*.crt` are authorities to trust, `NAME.cert` with
/// `NAME.key` is what to show when the registry asks who we are.
#[derive(Debug, Clone, Default)]
pub struct CertificateFolders(Vec<PathBuf>);

impl CertificateFolders {
    /// These, the first that has a folder for a registry counts.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        CertificateFolders(folders)
    }

    /// What a registry's folder says; nothing where there is none. A folder of a place that we may not look into is none.
    pub fn of(&self, host: &str) -> Result<HostTls, Error> {
        for folder in &self.0 {
            let folder = folder.join(host);
            let files = match fs::read_dir(&folder) {
                Ok(files) => files,
                Err(e) if is_none(&e) => continue,
                Err(e) => return Err(wrong(&folder, e.to_string())),
            };
            let names = files.take(FILES_MAX + 1).map(|file| file.map(|f| f.file_name().into_string()));
            let names: io::Result<Vec<_>> = names.collect();
            let mut names: Vec<String> =
                names.map_err(|e| wrong(&folder, e.to_string()))?.into_iter().flatten().collect();
            if names.len() > FILES_MAX {
                return Err(wrong(&folder, format!("it holds more than {FILES_MAX} files")));
            }
            names.sort();
            return Ok(HostTls {
                ca_pem: authorities(&folder, &names)?,
                identity: identity(&folder, &names)?,
                unverified: false,
            });
        }
        Ok(HostTls::default())
    }
}

/// The client for a registry that needs this of TLS.
pub fn client_for(client: &Client, host: &str, tls: &HostTls) -> Result<Client, Error> {
    let doing = || format!("use the certificates of {host}");
    client.for_host(api_host(host), tls).map_err(|source| Error::Http { doing: doing(), source })
}

fn is_none(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::NotFound | K::NotADirectory | K::PermissionDenied)
}

fn wrong(path: &Path, why: String) -> Error {
    Error::Configuration { file: printable(&path.to_string_lossy(), NAME_CHARS_SHOWN), why }
}

fn authorities(folder: &Path, names: &[String]) -> Result<Option<Vec<u8>>, Error> {
    let mut all: Option<Vec<u8>> = None;
    for name in names.iter().filter(|name| name.ends_with(".crt")) {
        let pem = pem(&folder.join(name))?;
        let all = all.get_or_insert_default();
        all.extend(pem);
        all.push(b'\n');
    }
    Ok(all)
}

fn identity(folder: &Path, names: &[String]) -> Result<Option<Identity>, Error> {
    let named = |end: &str| names.iter().filter_map(|n| n.strip_suffix(end)).collect::<Vec<_>>();
    let (certificates, keys) = (named(".cert"), named(".key"));
    if let Some(lone) = keys.iter().find(|key| !certificates.contains(key)) {
        return Err(wrong(&folder.join(format!("{lone}.key")), format!("there is no {lone}.cert with it")));
    }
    let Some((name, more)) = certificates.split_first() else { return Ok(None) };
    let path = folder.join(format!("{name}.cert"));
    if !keys.contains(name) {
        let why = format!("there is no {name}.key with it (authorities to trust end in .crt)");
        return Err(wrong(&path, why));
    }
    if !more.is_empty() {
        return Err(wrong(folder, "it holds more than one client certificate (*.cert)".into()));
    }
    let key_path = folder.join(format!("{name}.key"));
    let key = String::from_utf8(pem(&key_path)?).map_err(|_| wrong(&key_path, "it is no PEM".into()))?;
    Ok(Some(Identity { certificates_pem: pem(&path)?, key_pem: Secret::new(key) }))
}

fn pem(path: &Path) -> Result<Vec<u8>, Error> {
    let content = bounded(path).map_err(|e| wrong(path, e.to_string()))?;
    match content.windows(11).any(|w| w == b"-----BEGIN ") {
        true => Ok(content),
        false => Err(wrong(path, "it is no PEM".into())),
    }
}

/// Opens nothing but files: a pipe would never end.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut content = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    match content.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes"))),
        false => Ok(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN X-----\nsecret\n-----END X-----\n";

    /// A folder for `h.example:5000` with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("h.example:5000");
        fs::create_dir(&own).unwrap();
        for (name, content) in files {
            fs::write(own.join(name), content).unwrap();
        }
        dir
    }

    #[test]
    fn the_first_folder_of_the_very_registry_counts() {
        let one =
            folder(&[("b.crt", &PEM.replace('X', "B")), ("a.crt", &PEM.replace('X', "A")), ("README", "x")]);
        let two = folder(&[("client.cert", PEM), ("client.key", PEM)]);
        let absent = one.path().join("absent");
        let folders =
            |dirs: &[&Path]| CertificateFolders::new(dirs.iter().map(|d| (*d).to_owned()).collect());
        let found = folders(&[&absent, one.path(), two.path()]).of("h.example:5000").unwrap();
        let pem = String::from_utf8(found.ca_pem.unwrap()).unwrap();
        assert!(pem.find("BEGIN A").unwrap() < pem.find("BEGIN B").unwrap() && found.identity.is_none());
        let found = folders(&[two.path(), one.path()]).of("h.example:5000").unwrap();
        assert!(found.ca_pem.is_none() && found.identity.is_some() && !found.unverified);
        for other in ["h.example", "h.example:5001", "x.h.example:5000", "example:5000"] {
            assert!(folders(&[one.path(), two.path()]).of(other).unwrap().is_plain(), "{other}");
        }
    }

    #[test]
    fn what_is_half_there_or_something_else_is_refused_with_its_name() {
        let large = PEM.repeat(1 << 20);
        for (files, named) in [
            (vec![("client.cert", PEM)], "client.cert"),
            (vec![("client.key", PEM)], "client.key"),
            (vec![("a.cert", PEM), ("a.key", PEM), ("b.cert", PEM), ("b.key", PEM)], "more than one"),
            (vec![("ca.crt", "secret")], "ca.crt"),
            (vec![("ca.crt", large.as_str())], "larger than"),
            (vec![("c.cert", PEM), ("c.key", "secret")], "c.key"),
        ] {
            let error = CertificateFolders::new(vec![folder(&files).path().to_owned()]).of("h.example:5000");
            let error = error.map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(named) && !error.contains("secret"), "{error}");
        }
        let dir = folder(&[]);
        fs::create_dir(dir.path().join("h.example:5000/ca.crt")).unwrap();
        assert!(CertificateFolders::new(vec![dir.path().to_owned()]).of("h.example:5000").is_err());
        let many: Vec<String> = (0..=FILES_MAX).map(|n| format!("{n}.txt")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|n| (n.as_str(), "")).collect();
        assert!(CertificateFolders::new(vec![folder(&many).path().to_owned()]).of("h.example:5000").is_err());
    }
}
