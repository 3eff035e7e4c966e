//! Kinds of registries: the image is patched and pushed, or refused with a word on why; secrets are told to nobody.

use super::judges::{self, Pair};
use super::subject::{self, Subject};
use crate::world::{Done, mounts_below};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use testkit::command::argv;
use testkit::fault_registry::{Access as Wanted, Answer, Fault, FaultRegistry};
use testkit::image_reader::ImageReader;
use testkit::registry::{Access, PASSWORD, Registry, Tls, USER};
use testkit::{debian_root, probe, skip};

/// [`USER`] and [`PASSWORD`] as `Authorization: Basic` has them.
const BASE64: &str = "dGVzdHVzZXI6dGVzdHBhc3M=";
/// The same with another password.
const BASE64_WRONG: &str = "dGVzdHVzZXI6d3JvbmdwYXNz";
/// What no output may have.
const SECRETS: [&str; 6] = [PASSWORD, BASE64, BASE64_WRONG, "wrongpass", "Bearer token-", "\"token-"];

/// An image, and what is told to copa beside its name.
struct Case {
    subject: Subject,
    arguments: Vec<String>,
    environment: Vec<(&'static str, OsString)>,
}

/// How a run ended.
struct Ran {
    done: Done,
    document: Value,
}

/// A line of the table of registries.
fn tell(kind: &str, words: &str) {
    eprintln!("row: registries | {kind} | {words}");
}

impl Case {
    fn new() -> Case {
        Case { subject: Subject::new(), arguments: Vec::new(), environment: Vec::new() }
    }

    /// With credentials for a registry in docker's configuration, instead of those from before.
    fn login(&mut self, host: &str, pair: &str) {
        let folder = self.subject.world.path("docker");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(r#"{{"auths":{{"{host}":{{"auth":"{pair}"}}}}}}"#);
        std::fs::write(folder.join("config.json"), text).unwrap();
        self.environment = vec![("DOCKER_CONFIG", folder.into())];
    }

    fn argue(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    }

    /// Patches an image of a registry, pushes it there as `patched`, and sees that no secret is told.
    fn run(&self, host: &str) -> Ran {
        self.run_to(host, "patched")
    }

    /// The same, pushed elsewhere.
    fn run_to(&self, host: &str, to: &str) -> Ran {
        let (image, result) =
            (format!("docker://{host}/team/app:v1"), self.subject.world.path("result.json"));
        let _ = std::fs::remove_file(&result);
        let mut command = self.subject.world.copa(&["patch", "-i", &image, "--push", "-t", to, "--debug"]);
        command.arg("--working-folder").arg(self.subject.world.path("work"));
        command.args(["--allow-host", &self.subject.made.served.host(), "--progress", "plain", "--result"]);
        command.arg(&result).args(&self.arguments).envs(self.environment.iter().cloned());
        let done = Done::of(command.output().unwrap());
        let text = std::fs::read_to_string(&result).unwrap_or_default();
        for secret in SECRETS {
            assert!(
                !done.stderr.contains(secret) && !done.stdout.contains(secret),
                "{secret}: {}",
                done.stderr
            );
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
        assert_eq!(mounts_below(self.subject.world.folder.path()), Vec::<String>::new());
        Ran { done, document: serde_json::from_str(&text).unwrap_or_default() }
    }

    /// Patches, which must succeed, and judges what the real registry has.
    fn patched(&self, host: &str, real: &Registry) -> Ran {
        let ran = self.run(host);
        assert_eq!(ran.done.code, Some(0), "{}", ran.done.stderr);
        assert_eq!(ran.document["status"], "patched");
        self.judged(real);
        ran
    }

    /// What the real registry has under the tag `patched`.
    fn judged(&self, real: &Registry) {
        let layout = self.subject.world.path("pulled");
        let _ = std::fs::remove_dir_all(&layout);
        real.pull("team/app:patched", &layout, "patched").unwrap();
        self.judged_in(&layout);
    }

    fn judged_in(&self, layout: &Path) {
        let (before, after) = (self.subject.original(), ImageReader::open(layout, "patched").unwrap());
        let pair = Pair { before: &before, after: &after };
        pair.layers_stay(true);
        pair.config_stays(layout);
        pair.is_patched();
        judges::accept(&self.subject.world.path("judged"), layout, "patched");
    }

    /// Patches, which must fail with this code and these words.
    fn refused(&self, host: &str, code: i32, words: &[&str]) -> Ran {
        let ran = self.run(host);
        assert_eq!(ran.done.code, Some(code), "{words:?}\n{}", ran.done.stderr);
        for word in words {
            assert!(ran.done.stderr.contains(word), "{word:?} is not in\n{}", ran.done.stderr);
        }
        assert_eq!(ran.document["error"]["exitCode"], code);
        ran
    }

    fn push(&self, registry: &Registry) {
        registry.push(&self.subject.made.layout, debian_root::TAG, "team/app:v1").unwrap();
    }

    /// A folder with certificates for a registry, as containers' certs.d has them.
    fn certificates(&self, host: &str, files: &[(&str, PathBuf)]) -> String {
        let folder = self.subject.world.path("certs.d");
        std::fs::create_dir_all(folder.join(host)).unwrap();
        for (name, from) in files {
            std::fs::copy(from, folder.join(host).join(name)).unwrap();
        }
        folder.to_str().unwrap().to_owned()
    }
}

/// Whether the registry has ever been asked to write under a tag.
fn tag_was_put(registry: &Registry, tag: &str) -> bool {
    let end = format!("/manifests/{tag}");
    registry.requests().unwrap().iter().any(|r| r.method == "PUT" && r.path.ends_with(&end))
}

fn needs() -> Result<(), String> {
    probe::first_reason([subject::needs(), probe::programs(&["openssl"])])
}

#[test]
fn plain() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (case, registry) = (Case::new(), Registry::start().unwrap());
    case.push(&registry);
    case.patched(&registry.host(), &registry);
    judges::crane_validates(&registry.reference("team/app:patched"));
    tell("plain http on loopback", "patched and pushed; `crane validate` agrees");
}

#[test]
fn basic() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let mut case = Case::new();
    let registry = Registry::start_with(Access { password: true, tls: false }).unwrap();
    let host = registry.host();
    case.push(&registry);
    case.refused(&host, 5, &["does not let us", "without credentials"]);
    case.login(&host, BASE64_WRONG);
    let ran = case.refused(&host, 5, &["does not let us"]);
    assert!(!ran.done.stderr.contains("without credentials"), "{}", ran.done.stderr);
    case.login(&host, BASE64);
    case.patched(&host, &registry);
    assert!(!USER.is_empty());
    tell("user and password", "patched and pushed; without and with a wrong password refused (exit code 5)");
}

#[test]
fn tls() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let mut case = Case::new();
    let registry = Registry::start_with(Access { password: true, tls: true }).unwrap();
    let host = registry.host();
    case.push(&registry);
    case.login(&host, BASE64);
    case.refused(&host, 5, &["certificate"]);
    let authority = registry.ca_certificate();
    case.argue(&["--ca-cert", authority.to_str().unwrap()]);
    case.patched(&host, &registry);
    let folder = case.certificates(&host, &[("ca.crt", authority)]);
    case.argue(&["--cert-dir", &folder]);
    case.patched(&host, &registry);
    tell(
        "TLS with its own CA, and a password",
        "patched and pushed with `--ca-cert` and with certs.d; else refused (5)",
    );
}

#[test]
fn client_certificate() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let mut case = Case::new();
    let registry = Registry::start_tls(Tls { client_certificate: true, ..Tls::default() }).unwrap();
    let host = registry.host();
    let (authority, (certificate, key)) = (registry.ca_certificate(), registry.client_certificate());
    case.argue(&["--ca-cert", authority.to_str().unwrap()]);
    // With TLS 1.3 the server may have hung up before its words are read.
    case.refused(&host, 5, &["cannot get manifest"]);
    let files = [("ca.crt", authority), ("client.cert", certificate), ("client.key", key)];
    let folder = case.certificates(&host, &files);
    let to = format!("docker://{}", registry.reference("team/app:v1"));
    let own = case.subject.made.layout.name(debian_root::TAG);
    let shown = format!("{folder}/{host}");
    argv("skopeo", ["copy", "--quiet", "--dest-cert-dir", &shown, &own, &to]).stdout().unwrap();
    case.argue(&["--cert-dir", &folder]);
    let ran = case.run(&host);
    assert_eq!(ran.done.code, Some(0), "{}", ran.done.stderr);
    let layout = case.subject.world.path("pulled");
    let from = format!("docker://{}", registry.reference("team/app:patched"));
    let to = format!("oci:{}:patched", layout.display());
    argv("skopeo", ["copy", "--quiet", "--src-cert-dir", &shown, &from, &to]).stdout().unwrap();
    case.judged_in(&layout);
    tell(
        "TLS with a client certificate",
        "patched and pushed with certs.d; without the certificate refused (5)",
    );
}

#[test]
fn tokens_that_end_during_the_push() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (mut case, real) = (Case::new(), Registry::start().unwrap());
    case.push(&real);
    let tokens = Wanted::Token { user: Some(BASE64.to_owned()), refresh: None, uses: 1000, realm: None };
    let front = FaultRegistry::in_front_of(&real.host(), tokens);
    case.login(&front.host(), BASE64_WRONG);
    case.refused(&front.host(), 5, &["token"]);
    case.login(&front.host(), BASE64);
    front.clear_requests();
    front.fault("GET", "/blobs/", [Fault::ExpireTokens]);
    front.fault("POST", "/blobs/uploads/", [Fault::None, Fault::ExpireTokens]);
    front.fault("PUT", "/blobs/uploads/", [Fault::ExpireTokens]);
    front.fault("PUT", "/manifests/", [Fault::ExpireTokens]);
    case.patched(&front.host(), &real);
    let renewed = front.requests().iter().filter(|r| r.status == 401).count();
    assert!(renewed >= 3 && front.count("GET", "/token") >= 3, "{renewed}");
    assert!(!real.requests().unwrap().iter().any(|r| r.status == 401));
    tell(
        "bearer tokens that end in the middle of blobs and before the manifest",
        "patched and pushed; wrong password for a token: refused (5)",
    );
}

#[test]
fn mirrored() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let mut case = Case::new();
    let (own, mirror) = (Registry::start().unwrap(), Registry::start().unwrap());
    case.push(&mirror);
    let (host, other) = (own.host(), mirror.host());
    let file = case.subject.world.path("registries.conf");
    let text = format!(
        "[[registry]]\nlocation = \"{host}\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{other}\"\ninsecure = true\n"
    );
    std::fs::write(&file, &text).unwrap();
    case.refused(&host, 5, &["does not exist"]);
    case.argue(&["--registries-conf", file.to_str().unwrap()]);
    case.patched(&host, &own);
    let written = mirror.requests().unwrap();
    let is_ours = |agent: &&testkit::registry::Request| agent.path.ends_with("/manifests/patched");
    assert_eq!(written.iter().filter(is_ours).count(), 0, "nothing is pushed to a mirror");
    assert!(tag_was_put(&own, "patched"));
    std::fs::write(&file, format!("[[registry]]\nlocation = \"{host}\"\nblocked = true\n")).unwrap();
    case.refused(&host, 5, &["blocked by registries.conf"]);
    tell(
        "mirror in registries.conf",
        "read from the mirror, pushed to the registry itself; blocked: refused (5)",
    );
}

#[test]
fn lying() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (case, real) = (Case::new(), Registry::start().unwrap());
    case.push(&real);
    let front = FaultRegistry::in_front_of(&real.host(), Wanted::Open);
    let host = front.host();
    let lie = format!("sha256:{}", "0".repeat(64));
    // It says that an image is another than it sends.
    front.fault_always("GET", "/manifests/", Fault::Header("Docker-Content-Digest", lie.clone()));
    case.refused(&host, 4, &["corrupt", "sha256:0000"]);
    front.clear_faults();
    // It sends other bytes than it says.
    front.fault_always("GET", "/blobs/", Fault::Body(b"something else".to_vec()));
    case.refused(&host, 5, &["sha256:"]);
    front.clear_faults();
    assert!(!tag_was_put(&real, "patched"), "nothing was pushed of what was not believed");
    // It says that it has the layers in a repository that is new, and misses them when it gets the manifest.
    for layer in case.subject.original().layers() {
        let there = format!("/team/new/blobs/{}", layer["digest"].as_str().unwrap());
        let claim = Answer::status(200).header("Content-Length", layer["size"].as_u64().unwrap());
        front.fault_always("HEAD", &there, Fault::Answer(claim));
    }
    let ran = case.run_to(&host, &format!("{host}/team/new:patched"));
    assert_eq!(ran.done.code, Some(0), "{}", ran.done.stderr);
    let layout = case.subject.world.path("pulled-new");
    real.pull("team/new:patched", &layout, "patched").unwrap();
    case.judged_in(&layout);
    front.clear_faults();
    // It says that it has stored something else than was sent, but it has not: what it gives when asked is right.
    front.fault_always("PUT", "/manifests/", Fault::Header("Docker-Content-Digest", lie.clone()));
    case.patched(&host, &real);
    front.clear_faults();
    // Whenever it is asked what a tag leads to, it says something else.
    front.fault_always("HEAD", "/manifests/", Fault::Header("Docker-Content-Digest", lie));
    case.refused(&host, 8, &["sha256:0000"]);
    front.clear_faults();
    case.patched(&host, &real);
    tell(
        "one that lies",
        "another digest of what it gives (4), other bytes (5), another digest of what it stored (8): refused; layers that it claims to have and has not: uploaded all the same",
    );
}
