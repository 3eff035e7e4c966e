//! Settings made into what does the work: connections, engine, destination.

use crate::{
    both::Both,
    error::Failure,
    exit::Kind,
    settings::{Certificates, Settings, bounded},
    target::Delivery,
    ui::text::printable,
};
use endpoint::{Address, Connections, Destination};
use fetch::{
    client::{Client, ClientOptions},
    egress::HostRule,
};
use registry::DockerConfig;
use std::{io, sync::Arc};

/// The docker configuration holds a few lines a registry.
const CREDENTIALS_BYTES_MAX: u64 = 1 << 20;

/// `copa/0.1.0`
const USER_AGENT: &str = concat!("copa/", env!("CARGO_PKG_VERSION"));

/// What asks registries and package repositories.
pub fn client(settings: &Settings, certificates: &Certificates) -> Result<Client, Failure> {
    let options = ClientOptions {
        user_agent: USER_AGENT.to_owned(),
        proxy: settings.proxy.clone(),
        ca_pem: certificates.user.clone(),
        ..ClientOptions::default()
    };
    Client::new(options)
        .map_err(|e| Failure::of(Kind::Usage, &e).hint("check --ca-cert and the proxy variables"))
}

/// Ways to registries.
pub fn connections(
    client: Client,
    settings: &Settings,
    plain_http: &[String],
) -> Result<Connections, Failure> {
    Ok(Connections::new(client, credentials(settings)?, plain_http.to_vec()))
}

/// Registry credentials from the first file that is there.
fn credentials(settings: &Settings) -> Result<DockerConfig, Failure> {
    let helper_dirs =
        settings.search_path.iter().flat_map(std::env::split_paths).filter(|d| d.is_absolute()).collect();
    for path in &settings.credential_files {
        let shown = path.to_string_lossy();
        let unusable = || format!("cannot use the registry credentials in {}", printable(&shown));
        match bounded(path, CREDENTIALS_BYTES_MAX) {
            Ok(content) => {
                return DockerConfig::parse(&content, helper_dirs)
                    .map_err(|e| Failure::of(Kind::Usage, &e).about(unusable()));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound || e.kind() == io::ErrorKind::NotADirectory => {}
            Err(e) => return Err(Failure::config(unusable()).because(e.to_string())),
        }
    }
    Ok(DockerConfig::default())
}

/// The places to deliver to, as one.
pub async fn destination(
    connections: &Connections,
    delivery: &Delivery,
    overwrite: bool,
) -> Result<Arc<dyn Destination>, Failure> {
    let open = async |address: Address| {
        let opened = connections.destination(&address, overwrite).await;
        opened.map_err(|e| {
            Failure::endpoint(&e, Kind::Destination).about(format!("cannot deliver to {address}"))
        })
    };
    let layout = delivery.layout.clone().map(|(dir, name)| Address::OciLayout { dir, tag: Some(name) });
    let registry = delivery.registry.clone().map(Address::Registry);
    match (layout, registry) {
        (Some(layout), Some(registry)) => Ok(Arc::new(Both(open(layout).await?, open(registry).await?))),
        (Some(one), None) | (None, Some(one)) => open(one).await,
        (None, None) => Err(Failure::usage("there is no destination for the patched image")),
    }
}

/// `--allow-host`.
pub fn allowed_hosts(hosts: &[String]) -> Result<Vec<HostRule>, Failure> {
    let rule = |text: &String| {
        text.parse::<HostRule>().map_err(|e| {
            let shown = printable(text);
            Failure::usage(format!("--allow-host {shown} is no host"))
                .because(e.to_string())
                .hint("want HOST or HOST:PORT")
        })
    };
    hosts.iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::GlobalArgs, settings::environment::Environment};

    fn settings(auth_file: &str) -> Settings {
        let global = GlobalArgs { debug: false, cache_dir: Some("/c".into()) };
        let pairs = [("REGISTRY_AUTH_FILE", auth_file), ("PATH", "/bin:relative")];
        Settings::resolve(&global, &Environment::of(pairs)).unwrap()
    }

    #[test]
    fn credentials_that_cannot_be_read_are_an_error_and_none_are_fine() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auth.json");
        let found = || credentials(&settings(file.to_str().unwrap()));
        assert!(found().is_ok());
        std::fs::write(&file, r#"{"auths": {"reg.example": {"auth": "dTpw"}}}"#).unwrap();
        assert!(found().is_ok());
        std::fs::write(&file, "{\"auths\": \"secret-word\"").unwrap();
        let failure = found().unwrap_err();
        assert!(failure.what.contains("auth.json"), "{failure}");
        assert!(!failure.to_string().contains("secret-word"), "{failure}");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert_eq!(found().unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        let hosts =
            |texts: &[&str]| allowed_hosts(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(hosts(&["localhost:3142", "mirror.example", "10.0.0.1", "[::1]:80"]).unwrap().len(), 4);
        for text in ["", "a b", "http://a/", "a:99999", "0x7f.1", "*"] {
            assert!(hosts(&[text]).is_err(), "{text}");
        }
    }
}
