//! Settings made into what does the work: connections, engine, destination.

use crate::{
    args::RunArgs,
    error::Failure,
    exit::Kind,
    registry_access::registries,
    settings::{Certificates, Settings},
    several::Several,
    ui::text::printable,
};
use endpoint::{Address, Connections, Destination, Docker, DockerSettings, LocalDaemons};
use fetch::{
    client::{Client, ClientOptions},
    egress::HostRule,
};
use patch::Event;
use std::{path::Path, sync::Arc};

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

/// Ways to images. `events` gets what the user should know about them.
pub fn connections(
    client: Client,
    settings: &Settings,
    run: &RunArgs,
    events: Arc<dyn Fn(Event) + Send + Sync>,
) -> Result<Connections, Failure> {
    let note = Arc::new(move |note: endpoint::Note| events(Event::Warning(note.to_string())));
    Ok(Connections::with(registries(client, settings, run, note)?))
}

/// Ways to daemons of this machine. What has to be put aside goes into `temp_dir`.
pub fn daemons(settings: &Settings, temp_dir: &Path) -> LocalDaemons {
    let docker = DockerSettings { temp_dir: Some(temp_dir.to_owned()), ..settings.docker.clone() };
    LocalDaemons {
        docker: Docker::new(docker),
        programs: settings.programs.clone(),
        containerd_socket: settings.containerd_socket.clone(),
        temp_dir: temp_dir.to_owned(),
    }
}

/// The places to deliver to, as one.
pub async fn destination(
    connections: &Connections,
    places: &[Address],
    overwrite: bool,
) -> Result<Arc<dyn Destination>, Failure> {
    let mut open = Vec::new();
    for address in places {
        let opened = connections.destination(address, overwrite).await;
        open.push(opened.map_err(|e| {
            Failure::endpoint(&e, Kind::Destination).about(format!("cannot deliver to {address}"))
        })?);
    }
    Several::of(open).ok_or_else(|| Failure::usage("there is no destination for the patched image"))
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
