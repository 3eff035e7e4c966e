//! From a layout into a real registry, from repository to repository, and back; other tools judge the result.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use endpoint::{LayoutDestination, LayoutSource, Source};
use setup::{amd64, connections, patch_to, server};
use testkit::{command::argv, registry::Registry};

#[tokio::test(flavor = "multi_thread")]
async fn images_travel_through_a_real_registry() {
    if let Err(reason) = testkit::probe::programs(&["docker-registry", "skopeo"]) {
        testkit::skip!("{reason}");
    }
    let (real, script, dir) = (Registry::start().unwrap(), server(), tempfile::tempdir().unwrap());
    let connections = connections();
    let at = |name: &str| real.reference(name).parse().unwrap();
    let scripted = format!("{}/team/app:v1", script.host()).parse().unwrap();
    let first = connections.source(&scripted).await.unwrap();
    let copied = patch_to(&*first, &*connections.destination(&at("a/b:v1"), false).await.unwrap()).await;
    assert!(copied.result.unwrap().base_bytes_copied > 0);

    let second = connections.source(&at("a/b:v1")).await.unwrap();
    let before = real.uploads().unwrap();
    let same =
        patch_to(&*second, &*connections.destination(&at("a/b:v1-patched"), false).await.unwrap()).await;
    let receipt = same.result.unwrap();
    // The second patch is the first one's layer again, so only its config is new.
    assert_eq!((receipt.base_bytes_uploaded, receipt.existing), (0, 3));
    let mounted = patch_to(&*second, &*connections.destination(&at("c/d:v1"), false).await.unwrap()).await;
    let receipt = mounted.result.unwrap();
    assert_eq!((receipt.base_bytes_uploaded, receipt.base_bytes_copied, receipt.mounted), (0, 0, 2));
    // Two configs were sent, and the layer that is a file here, and nothing else.
    assert_eq!(real.uploads().unwrap() - before, 3);

    let inspect = argv("skopeo", ["inspect", "--tls-verify=false"]);
    let seen = inspect.arg(format!("docker://{}", real.reference("c/d:v1"))).stdout().unwrap();
    let seen: serde_json::Value = serde_json::from_slice(seen.as_ref()).unwrap();
    assert_eq!(seen["Digest"], receipt.digest.as_str());

    let third = connections.source(&at("c/d:v1")).await.unwrap();
    let layout = LayoutDestination::new(dir.path().to_owned(), Some("back".into()), false);
    let written = patch_to(&*third, &layout).await;
    written.result.unwrap();
    let back = LayoutSource::new(dir.path().to_owned(), Some("back".into())).image(&amd64()).await.unwrap();
    assert_eq!(back.image, written.image);
}
