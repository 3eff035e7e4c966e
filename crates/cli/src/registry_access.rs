//! The user's files and flags about registries made into what reaches them.

use crate::{
    args::{RegistryArgs, RunArgs},
    error::Failure,
    exit::Kind,
    settings::{Settings, bounded},
    ui::text::printable,
    wiring,
};
use endpoint::{Address, Connections, Note, RegistrySettings};
use fetch::client::Client;
use registry::{CertificateFolders, DockerConfig, Logins, RegistriesConf, Routes};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Files of credentials and registries.conf hold a few lines a registry.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most files of a drop-in folder.
const DROP_INS_MAX: usize = 1000;

/// How registries are reached. `note` is told what the user should know.
pub fn registries(
    client: Client,
    settings: &Settings,
    run: &RunArgs,
    note: Arc<dyn Fn(Note) + Send + Sync>,
) -> Result<RegistrySettings, Failure> {
    let conf = registries_conf(settings, &run.registries)?;
    let helpers = conf.helpers().to_vec();
    Ok(RegistrySettings {
        client,
        logins: Logins::new(credentials(settings)?).with_helpers(helpers, search_path(settings)),
        routes: Routes::new(conf, run.plain_http.clone()),
        certificates: CertificateFolders::new(certificates(settings, run.registries.cert_dir.as_deref())?),
        note,
    })
}

/// The address that is meant by one that was typed: a short name (`nginx`) is what registries.conf says, where the user
/// names one.
pub fn whole(address: Address, typed: &str, settings: &Settings, run: &RunArgs) -> Result<Address, Failure> {
    let named = run.registries.registries_conf.is_some() || settings.registries.named_conf.is_some();
    if !named || !matches!(address, Address::Plain(_)) {
        return Ok(address);
    }
    let certificates = settings.certificates(run.ca_cert.as_deref())?;
    let client = wiring::client(settings, &certificates)?;
    let connections = Connections::with(registries(client, settings, run, Arc::new(|_| ()))?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::internal("cannot ask registries").because(e.to_string()))?;
    let asked =
        runtime.block_on(async { tokio::time::timeout(run.timeout, connections.qualified(typed)).await });
    let shown = printable(typed);
    let about = |failure: Failure| failure.about(format!("cannot find out which registry {shown} is in"));
    let whole = asked
        .map_err(|_| about(Failure::new(Kind::Timeout, "no answer in time")))?
        .map_err(|e| about(Failure::endpoint(&e, Kind::Source)))?;
    whole.parse().map_err(|e| about(Failure::from(e)))
}

fn search_path(settings: &Settings) -> Vec<PathBuf> {
    let dirs = settings.search_path.iter().flat_map(std::env::split_paths);
    dirs.filter(|d| d.is_absolute()).collect()
}

/// The content of a file. One that need not be there is none where we may not even look for it (podman's folder of
/// another user); one that is there must be readable.
fn content(path: &Path, must: bool) -> io::Result<Option<Vec<u8>>> {
    use io::ErrorKind as K;
    match fs::metadata(path) {
        Err(e) if !must && matches!(e.kind(), K::NotFound | K::NotADirectory | K::PermissionDenied) => {
            Ok(None)
        }
        Err(e) => Err(e),
        Ok(_) => bounded(path, FILE_BYTES_MAX).map(Some),
    }
}

/// Registry credentials of all files that are there.
fn credentials(settings: &Settings) -> Result<Vec<DockerConfig>, Failure> {
    let mut all = Vec::new();
    for path in &settings.registries.credentials {
        let shown = printable(&path.to_string_lossy()).into_owned();
        let unusable = || format!("cannot use the registry credentials in {shown}");
        let found = content(path, false).map_err(|e| Failure::config(unusable()).because(e.to_string()))?;
        if let Some(content) = found {
            let parsed = DockerConfig::parse(&content, search_path(settings));
            let parsed = parsed.map_err(|e| Failure::of(Kind::Usage, &e).about(unusable()))?;
            all.push(parsed.named(shown));
        }
    }
    Ok(all)
}

/// registries.conf with its drop-ins (containers-registries.conf.d(5)). Short names keep meaning docker.io's unless the user
/// names a file: it may be there for other programs.
fn registries_conf(settings: &Settings, args: &RegistryArgs) -> Result<RegistriesConf, Failure> {
    let files = &settings.registries;
    let mut conf = RegistriesConf::default();
    let mut add = |path: &Path, must: bool| {
        let shown = printable(&path.to_string_lossy()).into_owned();
        let unusable = |e: io::Error| Failure::config(format!("cannot read {shown}")).because(e.to_string());
        match content(path, must).map_err(unusable)? {
            None => Ok(false),
            Some(content) => {
                conf.add(&shown, &content).map_err(|e| Failure::of(Kind::Usage, &e))?;
                Ok::<_, Failure>(true)
            }
        }
    };
    let named = args.registries_conf.as_ref().or(files.named_conf.as_ref());
    let user = files.user_conf.as_deref();
    let mut folders = vec![files.system_conf.as_path()];
    if let Some(path) = named {
        add(path, true)?;
    } else if user.map_or(Ok(false), |path| add(path, false))? {
        folders.clear();
    } else {
        add(&files.system_conf, false)?;
    }
    for main in folders.into_iter().chain(user) {
        for path in drop_ins(main)? {
            add(&path, true)?;
        }
    }
    Ok(if named.is_some() { conf } else { conf.without_short_names() })
}

/// `*.conf` in the folder beside a file, in order.
fn drop_ins(main: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = main.with_extension("conf.d");
    let shown = printable(&folder.to_string_lossy()).into_owned();
    let unusable = |why: String| Failure::config(format!("cannot read {shown}")).because(why);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(unusable(e.to_string())),
    };
    let paths: io::Result<Vec<PathBuf>> =
        entries.take(DROP_INS_MAX + 1).map(|e| e.map(|e| e.path())).collect();
    let mut paths = paths.map_err(|e| unusable(e.to_string()))?;
    if paths.len() > DROP_INS_MAX {
        return Err(unusable(format!("it holds more than {DROP_INS_MAX} files")));
    }
    paths.retain(|path| path.extension().is_some_and(|e| e == "conf") && path.is_file());
    paths.sort();
    Ok(paths)
}

/// Folders of certificates, the user's choice first: it must be one, with a folder for each registry.
fn certificates(settings: &Settings, chosen: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    let usual = settings.registries.certificates.clone();
    let Some(dir) = chosen else { return Ok(usual) };
    let shown = printable(&dir.to_string_lossy()).into_owned();
    let entries = fs::read_dir(dir)
        .map_err(|e| Failure::config(format!("cannot read --cert-dir {shown}")).because(e.to_string()))?;
    let lone = entries.flatten().map(|e| e.path()).find(|path| {
        path.extension().is_some_and(|e| e == "crt" || e == "cert" || e == "key") && path.is_file()
    });
    match lone {
        None => Ok([vec![dir.to_owned()], usual].concat()),
        Some(_) => Err(Failure::config(format!("--cert-dir {shown} holds certificates itself"))
            .hint("put them into a folder of the registry they are for: DIR/HOST[:PORT]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        args::GlobalArgs,
        settings::{environment::Environment, registry_files::RegistryFiles},
    };
    use oci::Reference;
    use registry::{Credentials, Purpose};

    /// Settings of a user whose home is a folder.
    fn settings(home: &Path, more: &[(&str, &str)]) -> Settings {
        let global = GlobalArgs { debug: false, cache_dir: Some("/c".into()) };
        let mut pairs = vec![("HOME", home.to_str().unwrap()), ("PATH", "/bin:relative")];
        pairs.extend(more);
        let mut settings = Settings::resolve(&global, &Environment::of(pairs)).unwrap();
        // This machine's own files are none of the test's.
        settings.registries.system_conf = home.join("system/registries.conf");
        settings
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn args(conf: Option<&Path>) -> RegistryArgs {
        RegistryArgs { registries_conf: conf.map(Path::to_owned), cert_dir: None }
    }

    #[test]
    fn credentials_that_cannot_be_read_are_an_error_and_none_are_fine() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auth.json");
        let found =
            || credentials(&settings(folder.path(), &[("REGISTRY_AUTH_FILE", file.to_str().unwrap())]));
        assert!(found().unwrap().is_empty());
        write(&file, r#"{"auths": {"reg.example": {"auth": "dTpw"}}}"#);
        assert_eq!(found().unwrap().len(), 1);
        write(&file, "{\"auths\": \"secret-word\"");
        let failure = found().unwrap_err();
        assert!(failure.what.contains("auth.json"), "{failure}");
        assert!(!failure.to_string().contains("secret-word"), "{failure}");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(found().unwrap_err().kind, Kind::Usage);
    }

    #[tokio::test]
    async fn a_file_without_an_entry_hides_no_other() {
        let home = tempfile::tempdir().unwrap();
        write(
            &home.path().join(".config/containers/auth.json"),
            r#"{"auths": {"a.example": {"username": "podman"}}}"#,
        );
        let docker =
            r#"{"auths": {"a.example": {"username": "docker"}, "b.example": {"username": "docker"}}}"#;
        write(&home.path().join(".docker/config.json"), docker);
        let logins = Logins::new(credentials(&settings(home.path(), &[])).unwrap());
        for (host, user) in [("a.example", "podman"), ("b.example", "docker")] {
            let Credentials::Basic { username, .. } = logins.credentials(host).await.unwrap() else {
                panic!("no credentials for {host}");
            };
            assert_eq!(username, user);
        }
    }

    #[test]
    fn drop_ins_come_after_the_file_and_the_users_file_without_the_systems() {
        let home = tempfile::tempdir().unwrap();
        let (user, system) = (home.path().join(".config/containers"), home.path().join("system"));
        let entry = |location: &str| format!("[[registry]]\nprefix = 'a.example'\nlocation = '{location}'\n");
        let place = |named: Option<&Path>| {
            let conf = registries_conf(&settings(home.path(), &[]), &args(named)).unwrap();
            let image: Reference = "a.example/x".parse().unwrap();
            let routes = Routes::new(conf, Vec::new()).of(&image, Purpose::Pull).unwrap();
            routes[0].reference.host().to_owned()
        };
        assert_eq!(place(None), "a.example");
        write(&system.join("registries.conf"), &entry("one.example"));
        assert_eq!(place(None), "one.example");
        write(&system.join("registries.conf.d/10.conf"), &entry("two.example"));
        write(&system.join("registries.conf.d/20.txt"), "no TOML");
        assert_eq!(place(None), "two.example");
        let named = home.path().join("named.conf");
        write(&named, "");
        assert_eq!(place(Some(&named)), "two.example");
        write(&user.join("registries.conf.d/05.conf"), &entry("three.example"));
        assert_eq!(place(None), "three.example");
        fs::remove_dir_all(user.join("registries.conf.d")).unwrap();
        write(&user.join("registries.conf"), &entry("four.example"));
        assert_eq!(place(None), "four.example");
        let absent = home.path().join("absent.conf");
        assert!(registries_conf(&settings(home.path(), &[]), &args(Some(&absent))).is_err());
        write(&user.join("registries.conf"), "[[registry]]\nblocked = true");
        let failure = registries_conf(&settings(home.path(), &[]), &args(None)).unwrap_err();
        assert!(failure.to_string().contains("registries.conf"), "{failure}");
    }

    #[test]
    fn short_names_change_their_meaning_only_where_the_user_says_so() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("system/registries.conf");
        write(&path, "unqualified-search-registries = ['a.example']\n[aliases]\nnginx = 'b.example/nginx'");
        let meaning = |named: Option<&Path>, more: &[(&str, &str)]| {
            let conf = registries_conf(&settings(home.path(), more), &args(named)).unwrap();
            Routes::new(conf, Vec::new()).candidates("nginx").unwrap().map(|c| c.0)
        };
        assert_eq!(meaning(None, &[]), None);
        assert_eq!(meaning(Some(&path), &[]), Some(vec!["b.example/nginx".to_owned()]));
        let variable = ("CONTAINERS_REGISTRIES_CONF", path.to_str().unwrap());
        assert_eq!(meaning(None, &[variable]), Some(vec!["b.example/nginx".to_owned()]));
    }

    #[test]
    fn a_folder_of_certificates_has_a_folder_for_each_registry() {
        let home = tempfile::tempdir().unwrap();
        let settings = settings(home.path(), &[]);
        let usual: &RegistryFiles = &settings.registries;
        assert_eq!(certificates(&settings, None).unwrap(), usual.certificates);
        assert_eq!(certificates(&settings, Some(home.path())).unwrap()[0], home.path());
        write(&home.path().join("ca.crt"), "");
        assert!(certificates(&settings, Some(home.path())).unwrap_err().hint.unwrap().contains("HOST"));
        assert!(certificates(&settings, Some(&home.path().join("absent"))).is_err());
    }
}
