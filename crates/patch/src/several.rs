//! Several platforms of one image: the line for each of them, side by side, and one index of what came of it.

use crate::{
    Answer, Error, Event, Failed, Phase,
    deliver::Patched,
    index::{self, Member, Role},
    line::{Made, Patcher, Request, answer},
    pinned::Pinned,
    platforms::{self, Choice, Chosen, Selection, There},
    record,
    referrers::Referrers,
    result::ResultDocument,
};
use endpoint::Named;
use engine::CancellationToken;
use oci::{Config, Descriptor, Digest, Document, Platform};
use report::Findings;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::Semaphore, task::JoinSet};

/// Most lines at once, whatever is asked for: each has a thread and its own sandbox.
const JOBS_MAX: usize = 64;

/// What became of everything under one name.
pub enum Answers {
    /// One image.
    One(Box<Answer>),
    /// Platforms of an index.
    Several(Box<Several>),
}

/// What became of the platforms of an index.
pub struct Several {
    /// The whole outcome.
    pub document: ResultDocument,
    /// Each platform that was patched, or needed no patch; their documents are in the whole one too.
    pub answers: Vec<Answer>,
    /// Platforms that could not be patched where the user lets the others go on, by their places in the document.
    pub failures: Vec<(usize, Error)>,
}

impl Answers {
    /// The whole outcome.
    pub fn document(&self) -> &ResultDocument {
        match self {
            Answers::One(answer) => &answer.document,
            Answers::Several(several) => &several.document,
        }
    }

    /// What became of each image.
    pub fn each(&self) -> &[Answer] {
        match self {
            Answers::One(answer) => std::slice::from_ref(answer),
            Answers::Several(several) => &several.answers,
        }
    }
}

/// What the name led to when it was asked, the one time that it is.
pub(crate) struct Seen {
    pub(crate) named: Named,
    pub(crate) members: Vec<Member>,
    /// The images among the members, each digest once.
    pub(crate) images: Vec<(Descriptor, Platform)>,
}

/// What a line gave: its answer with the image that it made, or why it failed with what was known by then.
type End = Result<(Box<Answer>, Option<Patched>), (Error, Box<ResultDocument>)>;

/// One platform's line, and how it ended.
pub(crate) struct Line {
    pub(crate) platform: Platform,
    /// Of the manifest as it was.
    pub(crate) digest: Digest,
    /// Whether it was asked for by name or by a report.
    pub(crate) asked: bool,
    /// Whether nothing is delivered because of it.
    pub(crate) stops: bool,
    pub(crate) end: End,
}

impl Patcher {
    /// Patches what the request's name leads to: one image, or platforms of an index, side by side. The request's own platform
    /// counts only for an image without index. Nothing is delivered before every platform is done, and the name moves last.
    pub async fn patch_platforms(
        &self,
        mut request: Request,
        selection: Selection,
    ) -> Result<Answers, Failed> {
        let findings = request.findings.take();
        let mut document = record::blank(&request.settings.tool_version, self.engine.name());
        document.image.name = request.name.clone();
        let failed = |error, document| Failed { error, document: Box::new(document) };
        let start = Instant::now();
        (self.events)(Event::PhaseStarted(Phase::Resolve));
        let (seen, choice) = match self.look(&request, &selection, findings).await {
            Ok(found) => found,
            Err(error) => return Err(failed(error, document)),
        };
        let took = start.elapsed();
        let about = choice.patch.first().map(|chosen| &seen.images[chosen.at].0.digest);
        let left = about.filter(|_| choice.alone && request.target.is_some());
        let left = left.and_then(|digest| index::alone_note(&seen.members, digest));
        for note in choice.notes.iter().chain(&left) {
            self.warn(note.clone(), &mut document);
        }
        if choice.alone {
            let notes = document.notes;
            return self.alone(request, (seen, choice), took, notes).await;
        }
        (self.events)(Event::PhaseEnded(Phase::Resolve, took));
        document.timings_ms.insert("resolve".to_owned(), record::ms(took));
        document.image.digest = seen.named.descriptor.digest.to_string();
        let lines = self.side_by_side(&request, (&seen, choice.patch), selection.jobs).await;
        self.join(&request, &seen, (choice.preserve, lines), document)
            .await
            .map(|several| Answers::Several(Box::new(several)))
    }

    /// Asks once what the name leads to, and decides.
    async fn look(
        &self,
        request: &Request,
        selection: &Selection,
        findings: Option<Findings>,
    ) -> Result<(Seen, Choice), Error> {
        let looking = async {
            let named = request.source.named().await?;
            let members = index::members(&*request.source, &named).await?;
            let images = images(request, selection, (&named, &members)).await?;
            Ok(Seen { named, members, images })
        };
        let looked = self.cancel.run_until_cancelled(looking).await.ok_or(Error::Cancelled)?;
        let seen = looked.map_err(|source| match source {
            endpoint::Error::Cancelled => Error::Cancelled,
            source => Error::Source { name: request.name.clone(), source },
        })?;
        let platforms: Vec<Platform> = seen.images.iter().map(|(_, p)| p.clone()).collect();
        let there = There {
            image: &request.name,
            platforms: &platforms,
            is_index: seen.named.entries().is_some(),
            keeps_index: request.referrers != Referrers::Drop,
        };
        let choice = platforms::choose(&there, selection, findings, &request.policy)?;
        Ok((seen, choice))
    }

    /// The one image that there is, or that was asked for.
    async fn alone(
        &self,
        request: Request,
        (seen, mut choice): (Seen, Choice),
        took: Duration,
        notes: Vec<String>,
    ) -> Result<Answers, Failed> {
        let chosen = choice.patch.remove(0);
        let pinned = match seen.named.entries() {
            None => Ok(Pinned::whole(request.source.clone(), seen.named)),
            Some(_) => self.pinned(&request, &seen, chosen.at).await,
        };
        let mut request = Request { findings: chosen.findings, ..request };
        match pinned {
            Ok(pinned) => request.source = Arc::new(pinned),
            Err(error) => {
                let mut document = record::blank(&request.settings.tool_version, self.engine.name());
                document.image.name = request.name;
                return Err(Failed { error, document: Box::new(document) });
            }
        }
        let going_on = Patcher {
            engine: self.engine.clone(),
            events: going_on(self.events.clone(), took),
            cancel: self.cancel.clone(),
        };
        let told = |document: &mut ResultDocument| {
            document.notes.splice(0..0, notes);
            document.timings_ms.entry("resolve".to_owned()).and_modify(|ms| *ms += record::ms(took));
        };
        match going_on.patch(request).await {
            Ok(mut answer) => {
                told(&mut answer.document);
                Ok(Answers::One(Box::new(answer)))
            }
            Err(mut failed) => {
                told(&mut failed.document);
                Err(failed)
            }
        }
    }

    async fn pinned(&self, request: &Request, seen: &Seen, at: usize) -> Result<Pinned, Error> {
        let (entry, platform) = &seen.images[at];
        let platforms = seen.images.iter().map(|(_, p)| p.clone()).collect();
        let pinning = Pinned::entry(request.source.clone(), &seen.named, (entry, platform), platforms);
        let pinned = self.cancel.run_until_cancelled(pinning).await.ok_or(Error::Cancelled)?;
        pinned.map_err(|source| Error::Source { name: request.name.clone(), source })
    }

    /// Runs the lines, at most so many at a time. One that fails stops the others, unless it may fail.
    async fn side_by_side(
        &self,
        request: &Request,
        (seen, patch): (&Seen, Vec<Chosen>),
        jobs: usize,
    ) -> Vec<Line> {
        let group = self.cancel.child_token();
        let free = Arc::new(Semaphore::new(jobs.clamp(1, JOBS_MAX)));
        let mut running = JoinSet::new();
        for (order, chosen) in patch.into_iter().enumerate() {
            // Only what has its turn holds a thread, of which there are so many.
            let turn = group.run_until_cancelled(free.clone().acquire_owned()).await;
            let (entry, platform) = seen.images[chosen.at].clone();
            let pinned = match turn {
                Some(_) => self.pinned(request, seen, chosen.at).await,
                None => Err(Error::Cancelled),
            };
            let request = Request { findings: chosen.findings, ..request.clone() };
            let patcher = self.of(&platform, group.clone());
            let one = One { patcher, request, platform, asked: chosen.asked };
            let (group, runtime) = (group.clone(), Handle::current());
            // Much of a line reads files and computes: a thread each.
            running.spawn_blocking(move || {
                let _turn = turn;
                let line = runtime.block_on(one.run(entry.digest, pinned));
                if line.stops {
                    group.cancel();
                }
                (order, line)
            });
        }
        let mut lines: Vec<(usize, Line)> = Vec::new();
        while let Some(done) = running.join_next().await {
            // A fault of ours: nothing can be said of the platform, and nothing is delivered.
            lines.push(done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())));
        }
        lines.sort_by_key(|(order, _)| *order);
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// The same patcher for one of several platforms.
    fn of(&self, platform: &Platform, cancel: CancellationToken) -> Patcher {
        let (events, name): (_, Arc<str>) = (self.events.clone(), platform.to_string().into());
        let tell = move |event| events(Event::Platform { platform: name.clone(), event: Box::new(event) });
        Patcher { engine: self.engine.clone(), events: Arc::new(tell), cancel }
    }
}

/// One platform's line, about to run.
struct One {
    patcher: Patcher,
    request: Request,
    platform: Platform,
    asked: bool,
}

impl One {
    async fn run(self, digest: Digest, pinned: Result<Pinned, Error>) -> Line {
        let One { patcher, mut request, platform, asked } = self;
        let mut document = record::blank(&request.settings.tool_version, patcher.engine.name());
        document.image.name = request.name.clone();
        document.image.platform = platform.to_string();
        document.image.digest = digest.to_string();
        let made = match pinned {
            Ok(pinned) => {
                request.source = Arc::new(pinned);
                patcher.make(&request, &mut document).await
            }
            Err(error) => Err(error),
        };
        document.summary = record::summary(&document.findings);
        let ignored = request.policy.ignore_errors;
        let (stops, end) = match made {
            Ok(Made { settled, subject, patched }) => {
                (false, Ok((Box::new(answer(document, settled, (&request, subject))), patched)))
            }
            Err(error) => {
                let may_fail = is_unpatchable(&error, &platform) && !asked;
                let stops = !may_fail && (!ignored || matches!(error, Error::Cancelled));
                (stops, Err((error, Box::new(document))))
            }
        };
        Line { platform, digest, asked, stops, end }
    }
}

/// Whether it is in the nature of the platform's image, or of this host, that it cannot be patched: no fault of anybody.
pub(crate) fn is_unpatchable(error: &Error, platform: &Platform) -> bool {
    let foreign = platform.architecture != Platform::host().architecture;
    match error {
        Error::Adapter { source: adapter::Error::Unsupported(_), .. } => true,
        Error::Source { source: endpoint::Error::OtherPlatform { .. }, .. } => true,
        Error::Engine { source: engine::Error::Unavailable { .. }, .. } => foreign,
        _ => false,
    }
}

/// The images that the name leads to. Of an image without index the platform is only asked for where it matters.
async fn images(
    request: &Request,
    selection: &Selection,
    (named, members): (&Named, &[Member]),
) -> Result<Vec<(Descriptor, Platform)>, endpoint::Error> {
    let mut images: Vec<(Descriptor, Platform)> = Vec::new();
    if let Document::Manifest(manifest) = &named.document {
        let matters = !selection.platforms.is_empty() || selection.reports.is_some();
        let platform = match matters {
            true => {
                let config = Config::parse(&request.source.config(&manifest.config).await?);
                let item = || named.reference.clone();
                config.map_err(|source| endpoint::Error::Image { item: item(), source })?.platform()
            }
            false => request.platform.clone(),
        };
        images.push((named.descriptor.clone(), platform));
    }
    for member in index::flat(members) {
        if let Role::Image(platform) = &member.role
            && !images.iter().any(|(entry, _)| entry.digest == member.entry.digest)
        {
            images.push((member.entry.clone(), platform.clone()));
        }
    }
    Ok(images)
}

/// Events of a line whose image has been looked up by the one before it: one phase, told once.
fn going_on(events: Arc<dyn Fn(Event) + Send + Sync>, took: Duration) -> Arc<dyn Fn(Event) + Send + Sync> {
    Arc::new(move |event| match event {
        Event::PhaseStarted(Phase::Resolve) => {}
        Event::PhaseEnded(Phase::Resolve, more) => events(Event::PhaseEnded(Phase::Resolve, took + more)),
        event => events(event),
    })
}
