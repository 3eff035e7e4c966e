//! From what was typed to where the image is and where the patched one goes: the daemons of this machine are asked.

use crate::{args::Loader, error::Failure, target::Delivery};
use endpoint::{Address, Connections, Daemon, Error, LocalName};

/// The address an image is read from: a plain reference is looked up in the daemons of this machine first, unless it is about
/// its registry.
pub async fn source(connections: &Connections, typed: &Address, in_registry: bool) -> Address {
    match typed {
        Address::Plain(reference) if !in_registry => connections.daemons().find(reference).await,
        _ => None,
    }
    .unwrap_or_else(|| typed.clone())
}

/// All places that the patched image goes to, the registries last: what their tags say must be there by then.
pub async fn destinations(
    connections: &Connections,
    source: &Address,
    delivery: &Delivery,
) -> Result<Vec<Address>, Failure> {
    let mut places: Vec<Address> = Vec::new();
    if let Some((dir, name)) = &delivery.layout {
        places.push(Address::OciLayout { dir: dir.clone(), tag: Some(name.clone()) });
    }
    if let Some(local) = &delivery.local {
        let daemon = match (local.loader, source) {
            (Some(Loader::Docker), _) | (None, Address::Docker(_)) => Daemon::Docker,
            (Some(Loader::Podman), _) | (None, Address::Podman(_)) => Daemon::Podman,
            (Some(Loader::Containerd), _) | (None, Address::Containerd(_)) => Daemon::Containerd,
            (None, _) => connections.daemons().first().await.map_err(|e| none(&e))?,
        };
        places.push(daemon.address(LocalName::Reference(local.reference.clone())));
    }
    let (registries, others): (Vec<_>, Vec<_>) =
        delivery.others.iter().cloned().partition(|a| matches!(a, Address::Registry(_)));
    places.extend(others);
    places.extend(registries);
    places.extend(delivery.registry.clone().map(Address::Registry));
    Ok(places)
}

/// There is no daemon to load into.
fn none(error: &Error) -> Failure {
    let failure = Failure::usage("there is no destination for the patched image").because(error.to_string());
    failure.hint(
        "--push sends it to the registry, --oci-dir DIR writes an OCI layout, --dry-run only shows the plan",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exit::Kind, target::Local};
    use endpoint::LocalDaemons;
    use registry::{Client, ClientOptions, DockerConfig};

    fn connections() -> Connections {
        let client = Client::new(ClientOptions::default()).unwrap();
        Connections::new(client, DockerConfig::default(), Vec::new()).with_daemons(LocalDaemons::default())
    }

    fn delivery(loader: Option<Loader>) -> Delivery {
        let local = Local { reference: "nginx:1-patched".parse().unwrap(), loader };
        Delivery { registry: None, layout: None, others: Vec::new(), local: Some(local) }
    }

    #[tokio::test]
    async fn it_goes_back_to_where_it_is_unless_another_daemon_is_named() {
        let source: Address = "podman:nginx:1".parse().unwrap();
        for (loader, to) in [
            (None, "podman:nginx:1-patched"),
            (Some(Loader::Docker), "docker-daemon:nginx:1-patched"),
            (Some(Loader::Containerd), "containerd:nginx:1-patched"),
        ] {
            let found = destinations(&connections(), &source, &delivery(loader)).await.unwrap();
            assert_eq!(found, [to.parse().unwrap()]);
        }
    }

    #[tokio::test]
    async fn without_a_daemon_the_other_ways_are_named() {
        let typed: Address = "nginx:1".parse().unwrap();
        let found = source(&connections(), &typed, false).await;
        assert_eq!(found, typed);
        let failure = destinations(&connections(), &found, &delivery(None)).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        let text = failure.to_string();
        assert!(text.contains("docker (") && text.contains("--oci-dir"), "{text}");
    }

    #[tokio::test]
    async fn registries_come_last() {
        let delivery = Delivery {
            registry: Some("r.example/a:1".parse().unwrap()),
            layout: Some(("d".into(), "1".into())),
            others: vec!["docker://s.example/a:1".parse().unwrap(), "oci-archive:f:1".parse().unwrap()],
            local: None,
        };
        let found = destinations(&connections(), &"nginx:1".parse().unwrap(), &delivery).await.unwrap();
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["oci:d:1", "oci-archive:f:1", "s.example/a:1", "r.example/a:1"]);
    }
}
