//! One set of checks for every kind of place that images come from and go to, and every kind as source of every other.
//!
//! A new kind is a file beside this one with a [`Place`] in it, and one test below that runs [`checks::all`] on it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod archives;
mod checks;
mod images;
mod layouts;
mod pairs;
mod place;
mod registries;
mod sources;

use place::Place;

#[tokio::test]
async fn layouts_conform() {
    checks::all(&layouts::Layouts::new()).await;
}

#[tokio::test]
async fn registries_conform() {
    checks::all(&registries::Registries::new()).await;
}

#[tokio::test]
async fn oci_archives_conform() {
    checks::all(&archives::Archives::oci()).await;
}

#[tokio::test]
async fn docker_archives_conform() {
    checks::all(&archives::Archives::docker()).await;
}

/// `manifest.json` knows no platforms: each image of an index has a name of its own in it.
#[tokio::test]
async fn docker_archives_name_every_platform() {
    let (place, images) = (archives::Archives::docker(), images::Images::new());
    let content = images.patched_index().await;
    let to = place.destination("app", false).await;
    let receipt = checks::write(&*to, &images.source("index"), &content).await.unwrap();
    let other = content.manifests().iter().find(|m| m.image.is_some() && !m.patched).unwrap();
    let platform = other.platform().unwrap();
    let name = format!("r.example/team/app:1-{}", platform.architecture);
    let note = format!("{name} is {platform}");
    assert!(receipt.notes.iter().any(|n| n.contains(&note)), "{:?}", receipt.notes);
    let found = place.named("app", &name).image(&platform).await.unwrap();
    assert_eq!(Some(&found.image), other.image.as_ref());
    assert_eq!(found.digest, other.entry.digest, "that manifest alone, not the index");
    let whole = place.named("app", "r.example/team/app:1").named().await.unwrap();
    assert_eq!(whole.bytes, content.bytes());
    if testkit::probe::programs(&["skopeo"]).is_ok() {
        let from = format!("docker-archive:{}:{name}", place.file("app").display());
        let config = testkit::command::argv("skopeo", ["inspect", "--config", &from]).text().unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["architecture"], platform.architecture.as_str());
    }
}

#[tokio::test]
async fn streams_conform() {
    checks::all(&archives::Archives::streams()).await;
}

#[tokio::test]
async fn every_kind_takes_from_every_other() {
    let places: Vec<Box<dyn Place>> = vec![
        Box::new(layouts::Layouts::new()),
        Box::new(registries::Registries::new()),
        Box::new(archives::Archives::oci()),
        Box::new(archives::Archives::docker()),
        Box::new(archives::Archives::streams()),
    ];
    pairs::all(&places).await;
}
