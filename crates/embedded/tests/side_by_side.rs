//! Several runs at once in one process, on one store: platforms of an image, or images that share their base.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use embedded::Embedded;
use engine::{BlobSource, BlobStream, Context, Engine as _, Error, Exec, OpenRequest, Recipe, Run, Step};
use oci::{Descriptor, Digest, Platform};
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};
use support::{Bed, Blobs, Files, exec, guest, image_of, in_each_mode, recipe, text};

/// As many as a machine with many cores is told to do at a time.
const MANY: usize = 16;

/// Counts how often each blob is asked for, and answers slowly, so that everybody who wants one comes before it is there.
struct Counted {
    blobs: Arc<Blobs>,
    opened: Arc<Mutex<BTreeMap<Digest, usize>>>,
}

#[async_trait::async_trait]
impl BlobSource for Counted {
    async fn open(&self, descriptor: &Descriptor) -> Result<BlobStream, Error> {
        *self.opened.lock().unwrap().entry(descriptor.digest.clone()).or_default() += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.blobs.open(descriptor).await
    }
}

/// Runs one recipe on each image, all at the same time; and how often each blob was opened.
fn at_once(bed: &Bed, images: &[(Vec<Files>, &str, Recipe)]) -> (Vec<Run>, BTreeMap<Digest, usize>) {
    let engine = Arc::new(Embedded::new(bed.options.clone()));
    let opened = Arc::new(Mutex::new(BTreeMap::new()));
    let runs = images.iter().map(|(layers, platform, recipe)| {
        let (image, blobs) = image_of(layers, &platform.parse::<Platform>().unwrap());
        let blobs = Arc::new(Counted { blobs, opened: opened.clone() });
        let request = OpenRequest { image, base_layers: layers.len(), blobs, keep_blobs: false };
        let (engine, recipe) = (engine.clone(), recipe.clone());
        tokio::spawn(async move {
            let mut root = engine.open(request, &Context::silent()).await?;
            root.run(&recipe, &Context::silent()).await
        })
    });
    let runs = bed.block_on(async {
        let mut ended = Vec::new();
        for run in runs.collect::<Vec<_>>() {
            ended.push(run.await.unwrap().unwrap());
        }
        ended
    });
    let opened = opened.lock().unwrap().clone();
    (runs, opened)
}

/// Says which path was asked for.
fn server() -> std::net::SocketAddr {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap();
            let path =
                String::from_utf8_lossy(&head[..read]).split(' ').nth(1).unwrap_or_default().to_owned();
            let length = path.len();
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{path}")
                .unwrap();
        }
    });
    address
}

#[test]
fn two_platforms_share_a_base_and_nothing_else() {
    in_each_mode("two_platforms_share_a_base_and_nothing_else", || {
        let mut bed = Bed::new();
        let address = server();
        bed.options.egress.operator_hosts = vec![address.to_string().parse().unwrap()];
        let own = |name: &str| Files::default().file("/etc/name", 0o644, name.as_bytes());
        let steps = |name: &str| {
            let online =
                Step::Exec(Exec { network: true, ..exec(&["fetch", &format!("http://{address}/{name}")]) });
            recipe(vec![
                guest(&["read", "/etc/name"]),
                online,
                guest(&["write", "/etc/made", name]),
                guest(&["sleep", "1"]),
                guest(&["processes"]),
                guest(&["list", "/etc"]),
            ])
        };
        // The second declares another platform; its programs are this machine's all the same.
        let images = [("one", "linux/amd64"), ("two", "linux/arm64")]
            .map(|(name, platform)| (vec![Files::guest(), own(name)], platform, steps(name)));
        let (runs, opened) = at_once(&bed, &images);
        assert_eq!(opened.values().collect::<Vec<_>>(), [&1, &1, &1], "a base and one layer of each");
        for (run, name) in runs.iter().zip(["one", "two"]) {
            let said = |step: usize| run.steps[step].tail.as_str();
            assert_eq!(said(0).trim(), name);
            assert!(said(1).contains(&format!("/{name}")), "{}", said(1));
            assert_eq!(text(run, "/etc/made").as_deref(), Some(name));
            assert_eq!(said(4).lines().count(), 2, "processes of its own sandbox: {}", said(4));
            assert_eq!(said(5), "made\nname\n");
            let targets: Vec<&str> = run.fetches.iter().map(|fetch| fetch.target.as_str()).collect();
            assert_eq!(targets, [format!("http://{address}/{name}")], "each proxy tells of its own run");
        }
        drop(runs);
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

#[test]
fn many_runs_of_one_image_get_it_once() {
    in_each_mode("many_runs_of_one_image_get_it_once", || {
        let bed = Bed::new();
        let layers = vec![Files::guest(), Files::default().file("/data", 0o644, &vec![7; 3 << 20])];
        let image = |number: usize| {
            let number = number.to_string();
            (layers.clone(), "linux/amd64", recipe(vec![guest(&["write", "/etc/number", &number])]))
        };
        let images: Vec<_> = (0..MANY).map(image).collect();
        let (runs, opened) = at_once(&bed, &images);
        assert_eq!(opened.values().collect::<Vec<_>>(), [&1, &1]);
        for (number, run) in runs.iter().enumerate() {
            assert_eq!(text(run, "/etc/number"), Some(number.to_string()));
        }
        drop(runs);
        assert_eq!(bed.left_over(), [""; 0]);
        // Once more, from the cache alone.
        let (_, opened) = at_once(&bed, &images[..2]);
        assert_eq!(opened, BTreeMap::new());
    });
}
