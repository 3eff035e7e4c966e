//! Each room's errors sorted: whose fault it is, which decides the exit code, and what to do. Every match is exhaustive, so
//! that a new error has to be placed by a human.

use super::{Failure, network::http, repository::repository};
use crate::exit::Kind;
use engine::{Fetch, FetchKind};
use std::error::Error as StdError;

/// Lines of a failed step's output that are shown.
const TAIL_LINES: usize = 20;
/// Hosts and addresses named in one hint.
const NAMED_MAX: usize = 3;

impl From<report::Error> for Failure {
    fn from(error: report::Error) -> Self {
        use report::Error as E;
        let scanner = "--scanner says who made it: trivy, native, or the name of a plugin";
        let (kind, hint) = match &error {
            E::Syntax { .. } | E::Format { .. } => (Kind::Report, hint(scanner)),
            E::Limit { .. } | E::Finding { .. } | E::Read { .. } => (Kind::Report, None),
            E::PluginName { .. } => (Kind::Usage, hint(scanner)),
            E::PluginMissing { .. } => (Kind::Report, hint(scanner)),
            E::PluginStart { .. } | E::Plugin { .. } => (Kind::Report, None),
            E::Cancelled => (Kind::Interrupted, None),
        };
        let said = match &error {
            E::Plugin { stderr, .. } => last_lines(stderr),
            _ => None,
        };
        let mut failure = Failure { hint, ..Failure::of(kind, &error) };
        failure.causes.extend(said);
        failure
    }
}

impl From<endpoint::AddressError> for Failure {
    fn from(error: endpoint::AddressError) -> Self {
        use endpoint::AddressError as E;
        match &error {
            E::Reference(_) => Failure::of(Kind::Usage, &error).hint(
                "want REGISTRY/REPOSITORY:TAG, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME, …",
            ),
            E::Transport { transport: "oci", .. } => {
                Failure::of(Kind::Usage, &error).hint("want oci:DIR[:TAG]")
            }
            E::Transport { .. } => Failure::of(Kind::Usage, &error).hint("want TRANSPORT:FILE[:NAME]"),
        }
    }
}

impl Failure {
    /// An error of an endpoint. `side` is where it stands: the image's source or its destination.
    pub fn endpoint(error: &endpoint::Error, side: Kind) -> Self {
        let (kind, hint) = endpoint(error, side);
        Failure { hint, ..Failure::of(kind, error) }
    }
}

impl From<patch::Failed> for Failure {
    fn from(failed: patch::Failed) -> Self {
        Failure { document: Some(failed.document), ..Failure::from(failed.error) }
    }
}

impl From<patch::Error> for Failure {
    fn from(error: patch::Error) -> Self {
        use patch::Error as E;
        let (kind, hint) = match &error {
            E::Source { source, .. } => endpoint(source, Kind::Source),
            E::Base(source) => base(source),
            E::Adapter { source, .. } => adapter(source),
            E::EndOfLife { .. } => (
                Kind::Image,
                hint("Consider upgrading to a supported OS version, or leave out --exit-on-eol"),
            ),
            E::Platforms { .. } => (Kind::Image, None),
            E::Reports { .. } => (
                Kind::Report,
                hint(
                    "a folder has one report for each platform; --ignore-errors goes on without those that do not fit",
                ),
            ),
            E::Platform { .. } => return Failure::platform(error),
            E::Format { .. } => {
                (Kind::Image, hint("--compression gzip, or copy the image into OCI's format first"))
            }
            E::Plan(source) => plan(source),
            E::Repository(source) => repository(source),
            E::Tooling { source, .. } => tooling(source),
            E::Engine { source, .. } => return Failure::of(Kind::Internal, &error).engine(source),
            E::Packages { worst, .. } => (Kind::Packages, offence(*worst)),
            E::After { .. } => (Kind::Packages, None),
            // What cannot be packed is what the package tool left, not what the image was.
            E::Layer(source) => match layer(source) {
                (Kind::Image, hint) => (Kind::Packages, hint),
                sorted => sorted,
            },
            E::Image(source) => image(source),
            E::Destination { source, .. } => endpoint(source, Kind::Destination),
            E::Io { source, .. } => (Kind::Internal, io(source)),
            E::Cancelled => (Kind::Interrupted, None),
        };
        Failure { hint, ..Failure::of(kind, &error) }
    }
}

impl Failure {
    /// One of several platforms: its own failure, with the platform in front.
    fn platform(error: patch::Error) -> Self {
        let said = error.to_string();
        match error {
            patch::Error::Platform { source, .. } => Failure::from(*source).about(said),
            other => Failure::of(Kind::Internal, &other),
        }
    }
}

fn base(error: &patch::lineage::BaseError) -> Sorted {
    match error {
        patch::lineage::BaseError::Read { source, .. } => endpoint(source, Kind::Source),
        patch::lineage::BaseError::Other { .. } => {
            (Kind::Usage, hint("--base names the image that was patched first"))
        }
    }
}

fn offence(worst: patch::Offence) -> Option<String> {
    match worst {
        patch::Offence::Changed => None,
        patch::Offence::Removed => hint("--allow-removals lets fixes take packages away"),
        patch::Offence::Failed => hint("--ignore-errors delivers what was reached"),
        patch::Offence::Behind => hint(
            "a package repository may lag behind the advisory; --ignore-errors delivers what was reached",
        ),
    }
}

pub(super) type Sorted = (Kind, Option<String>);

pub(super) fn hint(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn adapter(error: &adapter::Error) -> Sorted {
    match error {
        adapter::Error::Unsupported(_) => {
            (Kind::Image, hint("docs/guides/distributions.md lists what can be patched"))
        }
        adapter::Error::Database { .. } => {
            (Kind::Image, hint("the image's package database must be repaired first"))
        }
        adapter::Error::State(_) => (Kind::Image, None),
        adapter::Error::Tool { .. } => (Kind::Packages, None),
        adapter::Error::Scripts(_) => {
            (Kind::Packages, hint("--skip-scripts unpacks them all the same, without running anything"))
        }
        adapter::Error::Package { .. } => (Kind::Packages, None),
        adapter::Error::Repositories { .. } => (
            Kind::Packages,
            hint("check network and proxy; a mirror on a private address needs --allow-host"),
        ),
    }
}

fn tooling(error: &endpoint::Error) -> Sorted {
    match endpoint(error, Kind::Source) {
        (Kind::Source, None) => {
            (Kind::Source, hint("--tooling-image names another image with the package tool"))
        }
        sorted => sorted,
    }
}

fn plan(error: &plan::Error) -> Sorted {
    match error {
        plan::Error::Mismatch { .. } => {
            (Kind::Report, hint("scan this very image, or patch all the same with --allow-mismatch"))
        }
        plan::Error::Incomplete(_) => {
            (Kind::Report, hint("the report needs the distribution and its version"))
        }
    }
}

pub(super) fn layer(error: &layer::Error) -> Sorted {
    match error {
        layer::Error::Verification(_) | layer::Error::Malformed { .. } | layer::Error::Entry { .. } => {
            (Kind::Image, None)
        }
        layer::Error::Limit(_) => (Kind::Image, None),
        layer::Error::Cancelled => (Kind::Interrupted, None),
        layer::Error::Io { source, .. } => (Kind::Internal, io(source)),
    }
}

fn image(error: &oci::Error) -> Sorted {
    match error {
        oci::Error::Invalid { .. } | oci::Error::Unsupported(_) => (Kind::Image, None),
    }
}

pub(super) fn io(error: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind as E;
    match error.kind() {
        E::StorageFull | E::QuotaExceeded => {
            hint("make room: copa cache prune, or another --cache-dir or --working-folder")
        }
        E::PermissionDenied | E::ReadOnlyFilesystem => {
            hint("choose a folder that can be written with --cache-dir or --working-folder")
        }
        _ => None,
    }
}

fn endpoint(error: &endpoint::Error, side: Kind) -> Sorted {
    use endpoint::Error as E;
    match error {
        E::Registry(error) => registry(error, side),
        E::NotFound { .. } => (side, hint("Check that the image name is correct and accessible")),
        E::NoPlatform { .. } => (Kind::Image, hint("--platform names one that there is")),
        E::OtherPlatform { .. } => (Kind::Image, hint("--platform names the image's own platform")),
        E::Image { .. } | E::Corrupt { .. } => (Kind::Image, None),
        E::Layout { .. } => (side, hint("an OCI layout is a folder with oci-layout, index.json and blobs")),
        E::Blob { source, .. } => boxed(&**source, side),
        E::SourceTag { .. } => {
            (Kind::Usage, hint("give another name with --tag, or allow it with --overwrite"))
        }
        E::TagMoved { .. } => (Kind::Destination, hint("somebody else pushes there too; run again")),
        E::Refused { .. } => (
            Kind::Usage,
            hint("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY names the policy; --tooling-image another image"),
        ),
        E::Unfit { .. } => (Kind::Usage, None),
        E::OneOfSeveral { source, .. } => endpoint(source, side),
        E::Unavailable { .. } => (
            side,
            hint("copa doctor shows which local daemons can be reached; --push and --oci-dir need none"),
        ),
        E::Daemon { .. } => (side, None),
        E::NoTag { .. } => (Kind::Usage, hint("give the patched image a tag with --tag")),
        E::Io { source, .. } => (side, io(source)),
        E::Cancelled => (Kind::Interrupted, None),
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        let (kind, hint) = store(&error);
        Failure { hint, ..Failure::of(kind, &error) }
    }
}

pub(super) fn store(error: &store::Error) -> Sorted {
    match error {
        store::Error::Unsafe { .. } => {
            (Kind::Internal, hint("--cache-dir chooses another folder for the cache"))
        }
        store::Error::Io { source, .. } => (Kind::Internal, io(source)),
        store::Error::Layer { source, .. } | store::Error::Blob(source) => layer(source),
        store::Error::Cancelled => (Kind::Interrupted, None),
    }
}

/// An error behind a trait, of one of the rooms that images come through, found in the chain of sources.
fn boxed(error: &(dyn StdError + 'static), side: Kind) -> Sorted {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<endpoint::Error>() {
            return endpoint(error, side);
        }
        if let Some(error) = error.downcast_ref::<registry::Error>() {
            return registry(error, side);
        }
        if let Some(error) = error.downcast_ref::<store::Error>() {
            return store(error);
        }
        if let Some(error) = error.downcast_ref::<oci::Error>() {
            return image(error);
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return (side, io(error));
        }
        next = error.source();
    }
    (side, None)
}

fn registry(error: &registry::Error, side: Kind) -> Sorted {
    use registry::Error as E;
    match error {
        E::Http { source, .. } => (side, http(source)),
        E::Denied { host, anonymous: true, .. } => {
            (side, Some(format!("Try logging in first: docker login {host}")))
        }
        E::Denied { host, .. } => {
            (side, Some(format!("the credentials for {host} do not allow this; log in with others")))
        }
        E::NotFound { .. } => (
            side,
            hint("Check that the image name is correct and accessible; private images need docker login"),
        ),
        E::Challenge { .. } | E::Token { .. } => (side, None),
        E::Credentials { .. } => (
            side,
            hint("check the files of credentials (docs/guides/registries.md) and their credential helpers"),
        ),
        E::Configuration { .. } => (Kind::Usage, hint("what it may say: containers-registries.conf(5)")),
        E::Blocked { .. } => {
            (side, hint("the registry is blocked on purpose; ask whoever set registries.conf up"))
        }
        // What a registry says of the image that was just put there is about the registry.
        E::Corrupt { .. } if side == Kind::Destination => (side, None),
        E::Corrupt { .. } | E::Image { .. } => (Kind::Image, None),
        E::Protocol { .. } | E::BlobUnknown { .. } => (side, None),
    }
}

pub(super) fn fetch(error: &fetch::client::Error, side: Kind) -> Sorted {
    (side, http(error))
}

impl Failure {
    /// Kind and hint of an engine's error; what a failed step said last is a cause.
    pub fn engine(mut self, error: &engine::Error) -> Self {
        use engine::Error as E;
        (self.kind, self.hint) = match error {
            E::Unavailable { remedy, .. } => {
                (Kind::Engine, Some(format!("{remedy}; `copa doctor` shows what works here")))
            }
            E::Image { .. } => (Kind::Image, None),
            E::Source { source, .. } => boxed(&**source, Kind::Source),
            E::StepFailed { tail, fetches, .. } => {
                self.causes.extend(last_lines(tail));
                (Kind::Packages, fetches_hint(fetches))
            }
            E::TimedOut { .. } => {
                (Kind::Timeout, hint("the package tool hangs, or a repository is very slow"))
            }
            E::Cancelled => (Kind::Interrupted, None),
            E::Limit(_) => (Kind::Packages, None),
            E::Io { source, .. } => (Kind::Internal, io(source)),
        };
        self
    }
}

fn last_lines(tail: &str) -> Option<String> {
    let lines: Vec<&str> = tail.lines().filter(|l| !l.trim().is_empty()).collect();
    let last = lines.len().saturating_sub(TAIL_LINES);
    (!lines.is_empty()).then(|| lines[last..].join("\n"))
}

/// Why a step failed shows best in what the proxy refused or could not get.
fn fetches_hint(fetches: &[Fetch]) -> Option<String> {
    let named = |pick: &dyn Fn(&Fetch) -> bool| {
        let hosts: std::collections::BTreeSet<&str> =
            fetches.iter().filter(|f| pick(f)).map(|f| host(&f.target)).collect();
        (!hosts.is_empty()).then(|| hosts.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(", "))
    };
    if let Some(hosts) = named(&|f| matches!(f.how, FetchKind::Refused(_))) {
        return Some(format!(
            "copa refused access to {hosts}; if it is a repository of yours, allow it with --allow-host"
        ));
    }
    if let Some(hosts) = named(&|f| matches!(f.how, FetchKind::Failed(_))) {
        return Some(format!(
            "{hosts} could not be reached: check network and proxy (HTTP_PROXY, HTTPS_PROXY)"
        ));
    }
    let gone = |f: &Fetch| f.status == 404 && f.target.ends_with("Release");
    named(&gone).map(|hosts| {
        format!(
            "{hosts} has no such release any more: it may be out of support, its repositories moved to an archive; \
             --allow-archived takes packages of Debian and Ubuntu from there, others need it in the image's own configuration"
        )
    })
}

/// The host of an URL or of `host:port`.
fn host(target: &str) -> &str {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(target: &str, status: u16, how: FetchKind) -> Fetch {
        Fetch { method: "GET".into(), target: target.into(), status, bytes: 0, how }
    }

    fn step_failed(tail: &str, fetches: Vec<Fetch>) -> Failure {
        let source =
            engine::Error::StepFailed { title: "Refreshing".into(), exit: 100, tail: tail.into(), fetches };
        patch::Error::Engine { engine: "embedded", source }.into()
    }

    #[test]
    fn a_failed_step_shows_its_last_lines_and_what_was_refused() {
        let refused = fetch("http://10.0.0.1:80/debian/x", 403, FetchKind::Refused("private".into()));
        let tail: String = (0..50).map(|n| format!("line {n}\n")).collect();
        let failure = step_failed(&tail, vec![refused]);
        assert_eq!(failure.kind, Kind::Packages);
        let text = failure.to_string();
        assert!(
            text.starts_with(
                "error: the embedded engine failed\n  caused by: Refreshing failed with exit code 100"
            ),
            "{text}"
        );
        assert!(text.contains("line 49") && !text.contains("line 29\n"), "{text}");
        assert!(text.contains("10.0.0.1:80") && text.contains("--allow-host"), "{text}");
    }

    #[test]
    fn releases_that_are_gone_and_hosts_out_of_reach_are_named() {
        let hint = |f| step_failed("", vec![f]).hint.unwrap_or_default();
        let old = fetch("http://deb.example/debian/dists/old/Release", 404, FetchKind::Passed);
        assert!(hint(old).contains("out of support"));
        let down = fetch("http://deb.example/debian/x", 502, FetchKind::Failed("refused".into()));
        assert!(hint(down).contains("deb.example could not be reached"));
        assert_eq!(hint(fetch("http://deb.example/x.deb", 200, FetchKind::Miss)), "");
    }

    #[test]
    fn whose_fault_it_is_decides_the_code() {
        let engine = |source| patch::Error::Engine { engine: "embedded", source };
        let unavailable = engine::Error::Unavailable {
            engine: "embedded",
            what: "EPERM".into(),
            remedy: "run as root".into(),
        };
        let denied = registry::Error::NotFound { item: "a:1".into() };
        let gone = engine::Error::Source { item: "layer".into(), source: Box::new(denied) };
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let mismatch =
            plan::Error::Mismatch { what: "distribution", report: "alpine".into(), image: "debian".into() };
        let refused = |worst| patch::Error::Packages { what: "a:amd64 1 was removed".into(), worst };
        let unsupported = adapter::Error::Unsupported("Alpine Linux".into());
        for (error, kind, part) in [
            (engine(unavailable), Kind::Engine, "run as root"),
            (engine(gone), Kind::Source, "Check that the image name"),
            (
                engine(engine::Error::Io { doing: "x".into(), source: full }),
                Kind::Internal,
                "copa cache prune",
            ),
            (patch::Error::Plan(mismatch), Kind::Report, "--allow-mismatch"),
            (refused(patch::Offence::Removed), Kind::Packages, "hint: --allow-removals"),
            (refused(patch::Offence::Behind), Kind::Packages, "lag behind"),
            (refused(patch::Offence::Failed), Kind::Packages, "hint: --ignore-errors"),
            (
                patch::Error::Adapter { name: "a".into(), source: unsupported },
                Kind::Image,
                "distributions.md",
            ),
        ] {
            let failure = Failure::from(error);
            assert_eq!(failure.kind, kind, "{failure}");
            assert!(failure.to_string().contains(part), "{failure}");
        }
    }
}
