//! What is in the patch layer, entry by entry: everything that the package tool did, and nothing else; and what is in the
//! configuration of the patched image.

use crate::throwaway::{Extra, PATCHED, Ran, TAG, Throwaway, needs};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::apt_repository::{PackageSpec, Script, Served, scenario};
use testkit::image_reader::ImageReader;
use testkit::tar::{Entry, Kind};
use testkit::{skip, tree};

/// Everything that an upgrade of the base package changes, with its new dependency.
const CHANGED: [&str; 33] = [
    "etc/",
    "etc/copa-base/",
    "etc/copa-base/base.conf",
    "usr/",
    "usr/bin/",
    "usr/bin/copa-as-root",
    "usr/bin/copa-capable",
    "usr/share/",
    "usr/share/copa-base/",
    "usr/share/copa-base/.wh.gone",
    "usr/share/copa-base/data",
    "usr/share/copa-base/pair-a",
    "usr/share/copa-base/pair-b",
    "usr/share/copa-base/turned/",
    "usr/share/copa-base/turned/inside",
    "usr/share/copa-base/turning",
    "usr/share/copa-extra/",
    "usr/share/copa-extra/data",
    "var/",
    "var/lib/",
    "var/lib/apt/",
    "var/lib/apt/extended_states",
    "var/lib/copa-base/",
    "var/lib/copa-base/state",
    "var/lib/dpkg/",
    "var/lib/dpkg/info/",
    "var/lib/dpkg/info/copa-base.list",
    "var/lib/dpkg/info/copa-base.md5sums",
    "var/lib/dpkg/info/copa-base.postinst",
    "var/lib/dpkg/info/copa-base.postrm",
    "var/lib/dpkg/info/copa-base.preinst",
    "var/lib/dpkg/info/copa-extra.list",
    "var/lib/dpkg/info/copa-extra.md5sums",
];
/// And the database itself.
const STATUS: &str = "var/lib/dpkg/status";

/// The entries of the topmost layer by path.
fn patch_layer(image: &ImageReader) -> BTreeMap<String, Entry> {
    let entries = image.layer_entries(image.layers().len() - 1).unwrap();
    let count = entries.len();
    let named = |entry: Entry| (String::from_utf8(entry.path.clone()).unwrap(), entry);
    let by_path: BTreeMap<String, Entry> = entries.into_iter().map(named).collect();
    assert_eq!(by_path.len(), count, "no path twice");
    by_path
}

fn at<'a>(layer: &'a BTreeMap<String, Entry>, path: &str) -> &'a Entry {
    &layer[path.trim_start_matches('/')]
}

fn text(entry: &Entry) -> &str {
    std::str::from_utf8(entry.content().unwrap()).unwrap()
}

#[test]
fn the_layer_has_what_changed_and_nothing_else() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let (_, image) = subject.patched(&subject.wanting(&[scenario::BASE]), &[]);
    let layer = patch_layer(&image);
    let expected: Vec<&str> = CHANGED.into_iter().chain([STATUS]).collect();
    assert_eq!(layer.keys().map(String::as_str).collect::<Vec<_>>(), expected);

    assert_eq!(text(at(&layer, scenario::CHANGED)), "new\n");
    assert_eq!(text(at(&layer, scenario::CONFFILE)), "setting = new\n", "nobody had changed it");
    assert_eq!(at(&layer, scenario::PAIR[1]).kind, Kind::Hardlink(scenario::PAIR[0][1..].into()));
    assert_eq!(at(&layer, scenario::TURNING).kind, Kind::Symlink(scenario::TURNED_TO.into()));
    assert_eq!(text(at(&layer, scenario::STATE)), format!("configured configure {}\n", scenario::OLD));
    assert_eq!(at(&layer, scenario::SETUID).mode, 0o4755);
    let capable = at(&layer, scenario::CAPABLE);
    assert_eq!(
        (capable.mode, &capable.xattrs["security.capability"][..]),
        (0o755, &scenario::CAPABILITY[..])
    );
    let others = layer.values().filter(|entry| entry.path != capable.path);
    assert!(others.clone().all(|entry| entry.xattrs.is_empty()));
    assert!(layer.values().all(|entry| (entry.uid, entry.gid) == (0, 0)));
    for entry in layer.values() {
        let content = String::from_utf8_lossy(entry.content().unwrap_or_default());
        for trace in ["/dev/copa", "Acquire::", "policy-rc.d", "127.0.0.1"] {
            assert!(!content.contains(trace), "{trace} in {:?}", String::from_utf8_lossy(&entry.path));
        }
    }
}

#[test]
fn what_others_changed_stays_and_tool_state_is_as_it_was() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let marks = [
        "var/lib/apt/lists/old_Packages",
        "var/lib/apt/lists/partial/old",
        "var/cache/apt/archives/old.deb",
        "var/cache/apt/pkgcache.bin",
        "var/log/dpkg.log",
        "var/log/apt/term.log",
        "var/lib/dpkg/status-old",
        "run/pid",
        "tmp/work",
    ];
    let files: String = marks.iter().map(|path| format!("file {path} text=mine\\n\n")).collect();
    let policy = "dir usr/sbin\nfile usr/sbin/policy-rc.d mode=755 text=#!/bin/sh\\nexit\\s101\\n\n";
    let edited = format!(
        "dir tmp mode=1777\n{files}{policy}file etc/copa-base/base.conf text=setting\\s=\\smine\\n\n"
    );
    let subject = Throwaway::with(&scenario::updates(), &Extra::layer(&edited));
    let before = ImageReader::open(subject.layout.directory(), TAG).unwrap().files(|_| true).unwrap();
    let (ran, image) = subject.patched(&subject.wanting(&[scenario::BASE]), &[]);
    let layer = patch_layer(&image);
    let edited = &scenario::CONFFILE[1..];
    // As dpkg does: the edited file stays, and the new one is put beside it.
    let beside = |path: &'static str| if path == edited { "etc/copa-base/base.conf.dpkg-dist" } else { path };
    let expected: Vec<&str> = CHANGED.into_iter().chain([STATUS]).map(beside).collect();
    assert_eq!(layer.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{}", ran.stderr);
    let after = image.files(|_| true).unwrap();
    for path in marks.iter().chain([&"usr/sbin/policy-rc.d", &edited]) {
        assert_eq!(after.get(path.as_bytes()), before.get(path.as_bytes()), "{path}");
    }
}

#[test]
fn what_belongs_to_no_package_is_in_the_layer_too() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::all_updates());
    let (_, image) = subject.patched(&subject.wanting(&[scenario::OUTSIDER]), &[]);
    let layer = patch_layer(&image);
    assert_eq!(text(at(&layer, scenario::LEFT)), "left\n");
    assert_eq!(layer["root/"].mode, 0o700);
    assert!(text(&layer["etc/profile"]).ends_with("# outsider\n"));
}

#[test]
fn folders_that_a_layer_does_not_describe_keep_what_lower_layers_say() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    // `/root` is 0700 in the Debian; a layer with a file in it and no entry for it changes nothing of that.
    let subject = Throwaway::with(&scenario::all_updates(), &Extra::layer("file root/note text=x"));
    let (_, image) = subject.patched(&subject.wanting(&[scenario::OUTSIDER]), &[]);
    let layer = patch_layer(&image);
    assert_eq!(text(at(&layer, scenario::LEFT)), "left\n");
    assert_eq!(layer["root/"].mode, 0o700);
    assert!(text(&layer["etc/profile"]).ends_with("# outsider\n"));
}

/// A configuration that wants to decide where things come from and how tools run.
fn hostile_configuration(elsewhere: &str) -> Extra {
    let proxy = format!("http://{elsewhere}");
    let env = [
        "PATH=/evil".to_owned(),
        "LD_PRELOAD=/evil/none.so".to_owned(),
        "APT_CONFIG=/evil/apt.conf".to_owned(),
        "DPKG_ROOT=/evil".to_owned(),
        "DPKG_ADMINDIR=/evil".to_owned(),
        "DPKG_FORCE=all".to_owned(),
        "PERL5OPT=-Mevil".to_owned(),
        format!("http_proxy={proxy}"),
        format!("HTTP_PROXY={proxy}"),
        format!("ALL_PROXY={proxy}"),
    ];
    let image = format!("{elsewhere}/evil:latest");
    let config = json!({
        "User": "4294967296", "Env": env, "WorkingDir": "/link", "Shell": ["/evil/sh"], "OnBuild": ["RUN /evil/sh"],
        "Entrypoint": ["/evil/sh"], "StopSignal": "SIGKILL", "Volumes": { "/var/lib/dpkg": {} },
        "Healthcheck": { "Test": ["CMD", "/evil/sh"] },
        "Labels": {
            "BaseImage": image, "org.opencontainers.image.base.name": image, "sh.copa.image.patched": "yes",
            "containerd.io/restart.policy": "always", "mine": "kept",
        },
        "x-unknown": { "deep": [1, 2, { "a": null }] },
    });
    let script = "#!/bin/sh\\necho\\sevil\\sran\\s>>/root/evil-ran\\n";
    let files = format!(
        "symlink link to=/nowhere\nfile evil/sh mode=755 text={script}\nfile evil/dpkg mode=755 text={script}\n\
         file evil/tar mode=755 text={script}\nfile evil/apt.conf text=APT::Update::Pre-Invoke\\s{{\"/evil/sh\";}};\\n"
    );
    let top =
        json!({ "author": "somebody", "x-top": { "kept": true }, "container_config": { "User": "x:y" } });
    Extra { layers: vec![tree::layer(&files)], config, top }
}

#[test]
fn the_configuration_decides_nothing_and_stays() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = Served::start(folder.path()).unwrap();
    let subject = Throwaway::with(&scenario::updates(), &hostile_configuration(&elsewhere.host()));
    let (ran, image) = subject.patched(&subject.wanting(&[scenario::BASE]), &[]);
    assert_eq!(elsewhere.log(), [], "nobody went where the image points");
    assert_eq!(only_its_repository(&subject, &ran), 4);
    // The label is told, as one that nobody followed.
    let told = ran.stderr.replace(&format!("{}/evil:latest, which is not beside it", elsewhere.host()), "");
    assert!(told != ran.stderr && !told.contains("/evil"), "{}", ran.stderr);
    let layer = patch_layer(&image);
    let expected: Vec<&str> = CHANGED.into_iter().chain([STATUS]).collect();
    assert_eq!(layer.keys().map(String::as_str).collect::<Vec<_>>(), expected);

    let mut before = ImageReader::open(subject.layout.directory(), TAG).unwrap().config;
    let mut after = image.config.clone();
    let label = after["config"]["Labels"].as_object_mut().unwrap();
    let added: Vec<String> =
        label.keys().filter(|name| before["config"]["Labels"].get(name).is_none()).cloned().collect();
    assert_eq!(added.len(), 1, "the lineage: {added:?}");
    label.remove(&added[0]);
    for list in ["history", "rootfs"] {
        let (old, new) = (before[list].take(), after[list].take());
        let entries = |value: Value| if list == "rootfs" { value["diff_ids"].clone() } else { value };
        let (old, new) = (entries(old), entries(new));
        let (old, new) = (old.as_array().unwrap(), new.as_array().unwrap());
        assert_eq!((&new[..old.len()], new.len()), (&old[..], old.len() + 1), "{list}");
    }
    (before["created"], after["created"]) = (Value::Null, Value::Null);
    assert_eq!(after, before);
    let layers = ImageReader::open(subject.layout.directory(), TAG).unwrap().layers().to_vec();
    assert_eq!(image.layers()[..layers.len()], layers[..]);
    assert_eq!(ImageReader::open(subject.layout.directory(), PATCHED).unwrap().config, image.config);
}

#[test]
fn a_proxy_and_a_certificate_of_the_user_leave_no_trace() {
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    let bundled = || std::fs::metadata(bundle).map(drop).map_err(|e| format!("{bundle}: {e}"));
    if let Err(reason) = needs().and_then(|()| bundled()) {
        skip!("{reason}");
    }
    let postinst = "#!/bin/sh\nenv >/root/environment\n";
    let telling = PackageSpec::new(scenario::HELD, scenario::NEW).script(Script::Postinst, postinst);
    let offered: Vec<_> =
        scenario::updates().into_iter().filter(|p| p.name() != scenario::HELD).chain([telling]).collect();
    let subject = Throwaway::offering(&offered);
    let patched = |packages: &[&str], with: bool| {
        let more = if with { &["--ca-cert", bundle][..] } else { &[] };
        let mut command = subject.command(&subject.wanting(packages), more);
        if with {
            // Nothing is there; the repository is on this machine and asked directly.
            let proxy = "http://user:hunter2@192.0.2.1:9";
            command.env("HTTP_PROXY", proxy).env("https_proxy", proxy).env("NO_PROXY", "127.0.0.1,localhost");
        }
        let ran = subject.finish(command);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2") && !ran.document.to_string().contains("hunter2"));
        ran.document["patched"]["layer"]["digest"].clone()
    };
    assert_eq!(patched(&[scenario::BASE], true), patched(&[scenario::BASE], false));
    patched(&[scenario::HELD], true);
    let image = ImageReader::open(subject.layout.directory(), PATCHED).unwrap();
    let layer = patch_layer(&image);
    let environment = text(&layer["root/environment"]);
    assert!(environment.contains("DEBIAN_FRONTEND="), "{environment}");
    for trace in ["hunter2", "192.0.2.1", bundle] {
        assert!(!environment.contains(trace), "{environment}");
    }
}

/// How many requests there were; all of them to the repository.
fn only_its_repository(subject: &Throwaway, ran: &Ran) -> usize {
    let fetches = ran.document["fetches"].as_array().unwrap();
    let there = |fetch: &Value| fetch["target"].as_str().unwrap().starts_with(&subject.served.url());
    assert!(fetches.iter().all(there), "{fetches:#?}");
    fetches.len()
}
