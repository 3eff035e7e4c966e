//! The line: one image of one platform, from its source to its destination. Read it from top to bottom.

use crate::{
    Answer, EndOfLife, Error, Event, Failed, Offence, Phase, Referrers,
    deliver::{Parts, Patched},
    foreign, format,
    lineage::{self, Origin},
    observe::{Counted, Downloads, Observed, observe},
    record,
    result::{ImageRecord, ResultDocument, Status},
    strategy::{self, Ran, Repositories, Tooling},
};
use engine::{CancellationToken, Context, Engine, Exclusion, OpenRequest, Root, Run};
use layer::{EntryPath, PackOptions, Packed};
use oci::Image;
use plan::{Plan, Scope, Settled};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// What does the work and whom it tells.
pub struct Patcher {
    /// The engine to run on.
    pub engine: Arc<dyn Engine>,
    /// Takes events; must not block.
    pub events: Arc<dyn Fn(Event) + Send + Sync>,
    /// Cancelled to stop everything.
    pub cancel: CancellationToken,
}

/// What shall be done.
#[derive(Clone)]
pub struct Request {
    /// The image as it was asked for, for messages and lineage.
    pub name: String,
    /// Where it comes from.
    pub source: Arc<dyn endpoint::Source>,
    /// The original that it was patched from, where the user names it; its labels alone are never followed elsewhere.
    pub base: Option<Arc<dyn endpoint::Source>>,
    /// Which of its platforms.
    pub platform: oci::Platform,
    /// The report; `None` updates everything.
    pub findings: Option<report::Findings>,
    /// What the user allows.
    pub policy: plan::Policy,
    /// Where the patched image goes; `None` stops after the plan.
    pub target: Option<Target>,
    /// How package repositories are reached, for images without a package tool.
    pub repositories: Repositories,
    /// Where tools come from, for images that have none and need some.
    pub tooling: Tooling,
    /// What to do where the image's release is no longer kept up.
    pub end_of_life: EndOfLife,
    /// What becomes of what refers to the original.
    pub referrers: Referrers,
    /// Everything else.
    pub settings: Settings,
}

/// Where the patched image goes.
#[derive(Clone)]
pub struct Target {
    /// The destination, which knows the full name.
    pub destination: Arc<dyn endpoint::Destination>,
    /// That name, for messages.
    pub name: String,
    /// The new tag, for the version annotation.
    pub tag: Option<String>,
}

/// Values that come from the user or the environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The time now, in seconds since 1970; used where no source date is given.
    pub now: i64,
    /// `SOURCE_DATE_EPOCH`.
    pub source_date_epoch: Option<i64>,
    /// A directory of ours for the new layer until it is delivered.
    pub work_dir: PathBuf,
    /// The version of copa.
    pub tool_version: String,
    /// A complete CA bundle (PEM) for https repositories, where the user adds certificates of their own.
    pub ca_certificates: Option<Vec<u8>>,
    /// Threads for compression; never changes the result.
    pub threads: usize,
    /// How the patch layer is compressed.
    pub compression: oci::media_type::Compression,
    /// How hard; the compression's own default where it is `None`.
    pub compression_level: Option<i32>,
    /// Whether base layers that are compressed otherwise are compressed anew: the same layers under other digests.
    pub reencode_base: bool,
}

/// What the line makes of one image.
pub(crate) struct Made {
    /// What became of the findings.
    pub(crate) settled: Vec<Settled>,
    /// The image as it was.
    pub(crate) subject: Subject,
    /// The patched image; `None` where nothing was to be done, or only a plan was asked for.
    pub(crate) patched: Option<Patched>,
}

/// What is known once the image has been looked at.
pub(crate) struct Subject {
    pub(crate) image: Image,
    /// Digest of what its name leads to: of the index it was chosen from, where there is one.
    pub(crate) name_digest: oci::Digest,
    /// Those of its entry in the index it was chosen from.
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) origin: Origin,
    pub(crate) root: Box<dyn Root>,
    pub(crate) observed: Observed,
}

impl Patcher {
    /// Patches one image of one platform, or plans to. Nothing is written anywhere but the work directory and the engine's
    /// cache until the patch is proven; the tag moves last. What was known by then comes with a failure too.
    pub async fn patch(&self, request: Request) -> Result<Answer, Failed> {
        let mut document = record::blank(&request.settings.tool_version, self.engine.name());
        document.image.name = request.name.clone();
        let done = self.line(&request, &mut document).await;
        document.summary = record::summary(&document.findings);
        match done {
            Ok((settled, subject)) => Ok(answer(document, settled, (&request, subject))),
            Err(error) => Err(Failed { error, document: Box::new(document) }),
        }
    }

    async fn line(
        &self,
        request: &Request,
        document: &mut ResultDocument,
    ) -> Result<(Vec<Settled>, Subject), Error> {
        let Made { settled, subject, patched } = self.make(request, document).await?;
        if let (Some(patched), Some(target)) = (patched, &request.target) {
            self.deliver(target, (&*request.source, &subject.image, patched), document).await?;
            document.status = Status::Patched;
        }
        Ok((settled, subject))
    }

    /// Everything but the delivery.
    pub(crate) async fn make(&self, request: &Request, document: &mut ResultDocument) -> Result<Made, Error> {
        let mut subject = self.subject(request, document).await?;
        self.end_of_life(request, &subject, document).await?;
        let plan = self.timed(Phase::Plan, document, async { make_plan(request, &subject) }).await?;
        self.announce(&plan, document);
        let nothing = matches!(&plan.scope, Scope::Fixes(fixes) if fixes.is_empty());
        if nothing || request.target.is_none() {
            document.status = if nothing { Status::UpToDate } else { Status::Planned };
            return Ok(Made { settled: plan.left_out, subject, patched: None });
        }
        let Ran { run, exclusions } = self.run(request, &mut subject, &plan, document).await?;
        let settled = self.judge(request, &subject, (&plan, &run), document)?;
        if document.packages.is_empty() {
            document.status = Status::UpToDate;
            return Ok(Made { settled, subject, patched: None });
        }
        let layer = self.pack(&request.settings, (run, exclusions), document).await?;
        let reencoded = self.reencode(request, &subject).await?;
        let mark = self.referrers(request, &subject, document).await;
        let patched = self.assemble(request, &subject, &plan, Parts { layer, reencoded, mark })?;
        if let Some(note) = too_many_layers(patched.image.layers.len()) {
            self.warn(note, document);
        }
        Ok(Made { settled, subject, patched: Some(patched) })
    }

    /// Reads the image, opens it in the engine, and looks at what it is.
    async fn subject(&self, request: &Request, document: &mut ResultDocument) -> Result<Subject, Error> {
        let source_error = |source| Error::Source { name: request.name.clone(), source };
        let resolve =
            async { foreign::image(&*request.source, &request.platform).await.map_err(source_error) };
        let endpoint::SourceImage { image, annotations, digest, .. } =
            self.timed(Phase::Resolve, document, resolve).await?;
        if request.target.is_some() {
            format::check(&image, request.settings.compression)?;
        }
        let base = request.base.as_deref();
        let found = lineage::find(&image, &*request.source, base).await.map_err(Error::Base)?;
        found.notes.into_iter().for_each(|note| self.warn(note, document));
        let origin = found.origin;
        let base_layers = origin.base_layers(&image);
        let base = image.layers.get(..base_layers).unwrap_or(&image.layers);
        let keep_blobs = request.target.as_ref().is_some_and(|t| t.destination.wants_base_blobs(base));
        let open =
            OpenRequest { base_layers, image: image.clone(), blobs: request.source.clone(), keep_blobs };
        let downloads = Arc::new(Downloads::default());
        let (told, noted) = (self.context(), downloads.clone());
        let events = move |event: engine::Event| {
            noted.note(&event);
            (told.events)(event);
        };
        let context = Context { events: Arc::new(events), cancel: self.cancel.clone() };
        let opened = async { self.engine.open(open, &context).await.map_err(|e| self.engine_error(e)) };
        let root = self.timed(Phase::Pull, document, opened).await?;
        document.counters.base_bytes_downloaded = downloads.bytes();
        let observed = observe(root.tree(), request, self.engine.name())?;
        document.strategy = strategy::word(observed.facts.strategy).to_owned();
        let strategy = observed.facts.strategy;
        let runs = foreign::refuse(&*self.engine, &image.platform(), strategy, &self.context()).await;
        runs.map_err(|e| self.engine_error(e))?;
        let os = &observed.facts.inventory.os;
        document.image = ImageRecord {
            name: request.name.clone(),
            digest: image.descriptor.digest.to_string(),
            platform: image.platform().to_string(),
            os: os.pretty_name.clone().unwrap_or_else(|| format!("{} {}", os.id, os.version_id)),
            layers: image.layers.len() as u64,
            repatched: origin.is_patched(),
        };
        Ok(Subject { image, name_digest: digest, annotations, origin, root, observed })
    }

    /// Tells the plan, and notes it.
    fn announce(&self, plan: &Plan, document: &mut ResultDocument) {
        document.scope = record::scope(plan);
        document.plan = record::fixes(plan);
        document.findings = record::planned_findings(plan);
        let line = |fix: &crate::result::FixRecord| {
            format!(
                "{} {} → at least {} ({})",
                fix.package,
                fix.installed,
                fix.at_least,
                fix.vulnerabilities.join(", ")
            )
        };
        (self.events)(Event::Planned(document.plan.iter().map(line).collect()));
        for note in &plan.notes {
            self.warn(note.clone(), document);
        }
    }

    /// Compares the package database before and after: outcomes, changes, and what must not have happened.
    fn judge(
        &self,
        request: &Request,
        subject: &Subject,
        (plan, run): (&Plan, &Run),
        document: &mut ResultDocument,
    ) -> Result<Vec<Settled>, Error> {
        let after = self.inventory_after(request, subject, run)?;
        let before = &subject.observed.facts.inventory;
        document.packages = record::packages(&plan::upgrades(before, &after));
        let mut settled = plan::settle(plan, before, &after, failed_step(run).as_deref());
        if request.policy.security_only {
            settled.iter_mut().for_each(unmarked);
        }
        document.findings = record::findings(&settled);
        let violations = plan::violations(before, &after, &request.policy);
        let mut offences: Vec<_> = violations.iter().map(|v| offence(v, &request.policy)).collect();
        if !request.policy.ignore_errors {
            offences.extend(unmet(&settled));
        }
        let Some(worst) = offences.iter().map(|(kind, _)| *kind).min() else { return Ok(settled) };
        let lines: Vec<String> = offences.into_iter().map(|(_, line)| line).collect();
        Err(Error::Packages { what: lines.join("\n"), worst })
    }

    /// Makes the layer.
    async fn pack(
        &self,
        settings: &Settings,
        (run, exclusions): (Run, Vec<Exclusion>),
        document: &mut ResultDocument,
    ) -> Result<(Packed, tempfile::NamedTempFile), Error> {
        let doing = || format!("writing the patch layer in {}", settings.work_dir.display());
        let io = |source| Error::Io { doing: doing(), source };
        let file = tempfile::NamedTempFile::new_in(&settings.work_dir).map_err(io)?;
        let mut out = file.reopen().map_err(io)?;
        let (epoch, threads, cancel) = (settings.source_date_epoch, settings.threads, self.cancel.clone());
        let (compression, level) = (settings.compression, settings.compression_level);
        let packing = tokio::task::spawn_blocking(move || {
            let Run { mut changes, base, window, .. } = run;
            let counted = Counted::new(&*base);
            let excluded = |path: &EntryPath| exclusions.iter().any(|e| e.covers(path.as_bytes()));
            let cancelled = || cancel.is_cancelled();
            let options = PackOptions {
                excluded: &excluded,
                source_date_epoch: epoch,
                run_window: window,
                compression,
                level,
                threads,
                cancel: &cancelled,
            };
            let packed = layer::pack(&mut *changes, &counted, &options, &mut out);
            packed.map(|p| (p, counted.lists()))
        });
        let waited = async { packing.await.map_err(|_| Error::Cancelled)?.map_err(layer_error) };
        let (packed, lists) = self.timed(Phase::Pack, document, waited).await?;
        document.counters.lower_tree_walks = lists;
        Ok((packed, file))
    }

    pub(crate) fn warn(&self, text: String, document: &mut ResultDocument) {
        (self.events)(Event::Warning(text.clone()));
        document.notes.push(text);
    }

    pub(crate) fn engine_error(&self, source: engine::Error) -> Error {
        match source {
            engine::Error::Cancelled => Error::Cancelled,
            source => Error::Engine { engine: self.engine.name(), source },
        }
    }

    pub(crate) fn context(&self) -> Context {
        let events = self.events.clone();
        Context { events: Arc::new(move |e| events(Event::Engine(e))), cancel: self.cancel.clone() }
    }

    /// Runs one phase: told at both ends, timed, and not begun once cancelled. One that came to its end has done what it did.
    pub(crate) async fn timed<T>(
        &self,
        phase: Phase,
        document: &mut ResultDocument,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        (self.events)(Event::PhaseStarted(phase));
        let start = Instant::now();
        let value = work.await?;
        let took: Duration = start.elapsed();
        let name =
            serde_json::to_value(phase).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        document.timings_ms.insert(name, record::ms(took));
        (self.events)(Event::PhaseEnded(phase, took));
        Ok(value)
    }
}

/// What became of an image, from what is known of it.
pub(crate) fn answer(
    document: ResultDocument,
    settled: Vec<Settled>,
    (request, subject): (&Request, Subject),
) -> Answer {
    let os = &subject.observed.facts.inventory.os;
    let reference = request.source.reference();
    Answer {
        document,
        settled,
        family: subject.observed.family,
        os: (os.id.clone(), os.version_id.clone()),
        repository: reference.map_or_else(|| layout_name(&request.name), |r| r.repository().to_owned()),
        image: subject.image,
    }
}

/// What to say of an image that takes no further layer, or that has too many already.
fn too_many_layers(layers: usize) -> Option<String> {
    let most = oci::limits::RUN_LAYERS_MAX;
    (layers > most).then(|| {
        format!("the patched image has {layers} layers: docker and containerd run images of at most {most}")
    })
}

/// The plan for an image.
fn make_plan(request: &Request, subject: &Subject) -> Result<Plan, Error> {
    let facts = image_facts(subject, &request.name);
    plan::make(request.findings.as_ref(), &subject.observed.facts.inventory, &facts, &request.policy)
        .map_err(Error::Plan)
}

fn image_facts(subject: &Subject, name: &str) -> plan::ImageFacts {
    let image = &subject.image;
    let platform = image.platform();
    plan::ImageFacts {
        name: name.to_owned(),
        architecture: platform.architecture,
        variant: platform.variant,
        image_id: image.manifest.config.digest.to_string(),
        manifest_digest: image.descriptor.digest.to_string(),
        name_digest: subject.name_digest.to_string(),
    }
}

/// The name of an image that is in no registry: its repository in a daemon, else the last part of its folder's path.
fn layout_name(name: &str) -> String {
    let address = name.parse::<endpoint::Address>();
    if let Some(reference) = address.as_ref().ok().and_then(endpoint::Address::reference) {
        return reference.repository().to_owned();
    }
    let path = name.strip_prefix("oci:").unwrap_or(name).split(':').next().unwrap_or(name);
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("image").to_lowercase()
}

/// A step that failed although the run went on, for the reason of findings that stay.
fn failed_step(run: &Run) -> Option<String> {
    let failed = run.steps.iter().find(|s| s.exit.is_some_and(|code| code != 0))?;
    Some(format!("{} failed: {}", failed.title, last_line(&failed.tail)))
}

fn last_line(tail: &str) -> &str {
    tail.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no output")
}

fn offence(violation: &plan::Violation, policy: &plan::Policy) -> (Offence, String) {
    let removed = matches!(violation, plan::Violation::Removed { .. }) && !policy.allow_removals;
    (if removed { Offence::Removed } else { Offence::Changed }, violation.to_string())
}

/// Where only security updates are taken, a fix that is not there as one is left out by the policy: whether the repositories have
/// it unmarked was not asked.
fn unmarked(settled: &mut Settled) {
    if let plan::Outcome::RepositoryBehind { reached } = &settled.outcome {
        let why = format!("no repository marks anything above {reached} as a security update");
        settled.outcome = plan::Outcome::Excluded { why };
    }
}

/// What the plan asked for and did not get, one line each.
fn unmet(settled: &[Settled]) -> Vec<(Offence, String)> {
    let line = |s: &Settled| {
        let wanted = s.fixed.as_deref().unwrap_or("a fix");
        match &s.outcome {
            plan::Outcome::RepositoryBehind { reached } => Some((
                Offence::Behind,
                format!("{}: {} needs {wanted}, the repositories have {reached}", s.vulnerability, s.package),
            )),
            plan::Outcome::Failed { reason } => {
                Some((Offence::Failed, format!("{}: {}: {reason}", s.vulnerability, s.package)))
            }
            _ => None,
        }
    };
    settled.iter().filter_map(line).collect()
}

pub(crate) fn layer_error(error: layer::Error) -> Error {
    match error {
        layer::Error::Cancelled => Error::Cancelled,
        other => Error::Layer(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoEngine;

    #[async_trait::async_trait]
    impl Engine for NoEngine {
        fn name(&self) -> &'static str {
            "none"
        }

        fn proxy_url(&self) -> Option<String> {
            None
        }

        async fn open(&self, _: OpenRequest, _: &Context) -> Result<Box<dyn Root>, engine::Error> {
            Err(engine::Error::Cancelled)
        }
    }

    #[test]
    fn images_that_no_runtime_mounts_are_told() {
        assert_eq!(too_many_layers(127), None);
        assert!(too_many_layers(128).unwrap().contains("128 layers"));
    }

    #[tokio::test]
    async fn what_is_done_stays_done_and_nothing_more_begins_once_cancelled() {
        let cancel = CancellationToken::new();
        let patcher =
            Patcher { engine: Arc::new(NoEngine), events: Arc::new(|_| ()), cancel: cancel.clone() };
        let mut document = record::blank("1", "none");
        let delivering = async {
            cancel.cancel();
            Ok("receipt")
        };
        assert_eq!(patcher.timed(Phase::Deliver, &mut document, delivering).await.unwrap(), "receipt");
        let after = patcher.timed(Phase::Deliver, &mut document, async { Ok(()) }).await;
        assert!(matches!(after, Err(Error::Cancelled)));
    }
}
