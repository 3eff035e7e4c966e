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
